"""The peak rates of GPUs, from which floors are computed, each with its source.

A rate is a measured one where there is a measurement, otherwise the data sheet's.  Exponentials run on the
special-function units: sixteen results per clock and multiprocessor on every generation since Volta (CUDA C++
Programming Guide, "Arithmetic Instructions"). For attention they matter as much as the tensor cores.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Rates per second.  A multiply-add counts as two; 16-bit products are accumulated in float32."""

    name: str
    products: float
    products_fp32: float
    bytes: float
    exponentials: float
    source: str


def special_functions(multiprocessors: int, gigahertz: float) -> float:
    return 16 * multiprocessors * gigahertz * 1e9


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu(
            "H200",
            780e12,
            67e12,
            4.3e12,
            3.9e12,
            "measured: 8192³ bf16 product 769 to 798 TFLOP/s, copy 4.3 TB/s; exponentials: FlashAttention-3 paper; "
            "fp32: data sheet",
        ),
        Gpu(
            "H100",
            780e12,
            67e12,
            3.0e12,
            3.9e12,
            "SXM5, the H200's multiprocessors; measured: 8192³ bf16 product 798 TFLOP/s, copy 3.0 TB/s; fp32: data "
            "sheet",
        ),
        Gpu(
            "A100",
            312e12,
            19.5e12,
            2.04e12,
            special_functions(108, 1.41),
            "SXM4 80 GB, data sheet: bf16 312 TFLOP/s, fp32 19.5 TFLOP/s, 2039 GB/s; 108 SM at 1.41 GHz",
        ),
        Gpu(
            "B200",
            2250e12,
            75e12,
            8.0e12,
            special_functions(148, 1.85),
            "HGX B200 data sheet, an eighth: bf16 dense 2.25 PFLOP/s, fp32 75 TFLOP/s, 8 TB/s; 148 SM at 1.85 GHz",
        ),
        Gpu(
            "RTX4090",
            165e12,
            82.6e12,
            1.008e12,
            special_functions(128, 2.52),
            "Ada architecture paper: fp16 with float32 sums 165 TFLOP/s, fp32 82.6 TFLOP/s, 1008 GB/s; 128 SM at "
            "2.52 GHz",
        ),
        Gpu(
            "L4",
            121e12,
            30.3e12,
            0.3e12,
            special_functions(58, 2.04),
            "data sheet: bf16 dense 121 TFLOP/s, fp32 30.3 TFLOP/s, 300 GB/s; 58 SM at 2.04 GHz",
        ),
        Gpu(
            "T4",
            65e12,
            8.1e12,
            0.32e12,
            special_functions(40, 1.59),
            "data sheet: fp16 65 TFLOP/s, fp32 8.1 TFLOP/s, 320 GB/s; 40 SM at 1.59 GHz",
        ),
    )
}


@dataclass(frozen=True)
class Multiprocessors:
    """How many there are and at which clock, and the rate at which all of them read the L2 cache, per second.

    `mma_share` is the part of the tensor cores' rate that mma.sync reaches; on Hopper only wgmma reaches all of it.
    """

    arch: str
    number: int
    hertz: float
    l2_bytes: float
    mma_share: float
    source: str


SCALING_BOOK = "Austin et al., How to Scale Your Model, chapter on GPUs: about 5.5 TB/s"
DISSECTED = "Luo et al., arXiv 2402.13499: mma.sync at about 63 % of the peak on Hopper"
MULTIPROCESSORS = {
    "H200": Multiprocessors("sm_90", 132, 1.85e9, 5.5e12, 0.63, f"{SCALING_BOOK} (H100); {DISSECTED}"),
    "H100": Multiprocessors("sm_90", 132, 1.85e9, 5.5e12, 0.63, f"{SCALING_BOOK}; {DISSECTED}"),
    "A100": Multiprocessors(
        "sm_80",
        108,
        1.41e9,
        5.0e12,
        1.0,
        "2.3 times the V100's (Ampere white paper), for which Jia et al., arXiv 1804.06826, measured 2.16 TB/s",
    ),
}
"""For predictions; the other GPUs have no rate of the L2 cache here."""


def gpu_of_device(name: str) -> Gpu | None:
    """The entry for a device by its CUDA name, "NVIDIA H100 80GB HBM3"; None if it is not listed."""
    plain = name.replace(" ", "").upper()
    return next((gpu for gpu in GPUS.values() if gpu.name in plain), None)
