"""The floors by hand: SAM's encoder on an H200, worked out independently and written down to the printed digit."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from minisam_kernels.lab.gpus import GPUS, gpu_of_device
from minisam_kernels.lab.roofline import floor_on, working
from minisam_kernels.lab.roofline_figure import Point, save_roofline_figure
from minisam_kernels.lab.work import BYTES, attention_work, rel_pos_attention_work, window_attention_work
from minisam_kernels.lab.work_in_sam import KERNELS, MODELS, directions_of, work_of

H200 = GPUS["H200"]


def figures(work) -> dict[str, float]:
    floor = floor_on(H200, work)
    return {
        "GFLOP": work.total("products") / 1e9,
        "MB": work.total("bytes") / 1e6,
        "Mexp": work.total("exponentials") / 1e6,
        "products µs": floor.products * 1e6,
        "memory µs": floor.bytes * 1e6,
        "exponentials µs": floor.exponentials * 1e6,
        "floor µs": floor.floor * 1e6,
        "serial µs": floor.serial * 1e6,
    }


def assert_as_printed(found: dict[str, float], names: tuple[str, ...], row: str) -> None:
    """Each figure is what is printed, to half of one in the last digit, and a little for rounding twice."""
    for name, printed in zip(names, row.split(), strict=True):
        digits = len(printed.split(".")[1]) if "." in printed else 0
        assert abs(found[name] - float(printed)) <= 0.55 * 10**-digits, (name, found[name], printed)


GLOBAL = [  # model, batch, backward; GFLOP, MB, Mexp, products, memory, exponentials, floor, serial
    ("vit_b", 1, False, "52.3 25 201 67.1 5.9 51.6 67 119"),
    ("vit_l", 1, False, "69.8 34 268 89.5 7.8 68.8 90 158"),
    ("vit_h", 1, False, "87.2 42 268 111.8 9.8 68.8 112 181"),
    ("vit_b", 8, False, "419 201 1611 537 47 413 537 950"),
    ("vit_l", 8, False, "558 268 2147 716 62 551 716 1267"),
    ("vit_h", 8, False, "698 336 2147 895 78 551 895 1445"),
    ("vit_b", 1, True, "131.3 51 201 168.3 11.8 51.6 168 220"),
    ("vit_l", 1, True, "175.0 68 268 224.4 15.7 68.8 224 293"),
    ("vit_h", 1, True, "218.8 84 268 280.5 19.6 68.8 281 349"),
    ("vit_b", 8, True, "1050 406 1611 1346 94 413 1346 1759"),
    ("vit_l", 8, True, "1400 541 2147 1795 126 551 1795 2346"),
    ("vit_h", 8, True, "1750 675 2147 2244 157 551 2244 2795"),
]


@pytest.mark.parametrize(("model", "batch", "backward", "row"), GLOBAL)
def test_global_attention_with_its_projections(model, batch, backward, row):
    work = rel_pos_attention_work(batch, *MODELS[model], backward=backward, projections=True)
    found = figures(work)
    assert_as_printed(found, tuple(found), row)


@pytest.mark.parametrize(
    ("model", "gigaflop", "products", "exponentials", "serial"),
    [("vit_b", 180, 231, 103, 335), ("vit_l", 241, 308, 138, 446), ("vit_h", 301, 385, 138, 523)],
)
def test_a_backward_in_two_kernels_computes_the_scores_twice(model, gigaflop, products, exponentials, serial):
    found = figures(rel_pos_attention_work(1, *MODELS[model], backward=True, split=True))
    expected = {
        "GFLOP": gigaflop,
        "products µs": products,
        "exponentials µs": exponentials,
        "serial µs": serial,
    }
    assert {name: round(found[name]) for name in expected} == pytest.approx(expected, abs=1)
    assert round(found["floor µs"]) == products


WINDOWS = [  # model, batch, backward; GFLOP, products, memory, exponentials, floor
    ("vit_b", 1, False, "2.64 3.4 5.9 2.5 5.9"),
    ("vit_l", 1, False, "3.52 4.5 7.8 3.3 7.8"),
    ("vit_h", 1, False, "4.40 5.6 9.8 3.3 9.8"),
    ("vit_b", 8, False, "21 27 47 20 47"),
    ("vit_l", 8, False, "28 36 62 26 62"),
    ("vit_h", 8, False, "35 45 78 26 78"),
    ("vit_b", 1, True, "6.2 7.9 11.7 2.5 12"),
    ("vit_l", 1, True, "8.2 10.5 15.6 3.3 16"),
    ("vit_h", 1, True, "10.3 13.2 19.5 3.3 20"),
]


@pytest.mark.parametrize(("model", "batch", "backward", "row"), WINDOWS)
def test_window_attention(model, batch, backward, row):
    work = window_attention_work(batch, *MODELS[model], backward=backward)
    found = figures(work)
    if backward:  # the printed row leaves the products with the position tables out
        found["GFLOP"] = work.products[0].amount / 1e9
        found["products µs"] = work.products[0].amount / H200.products * 1e6
    names = ("GFLOP", "products µs", "memory µs", "exponentials µs", "floor µs")
    assert_as_printed(found, names, row)


def test_a_dense_bias_moves_more_than_the_attention_itself():
    bias = 12 * 4096**2 * 2
    assert bias / 1e6 == pytest.approx(403, abs=0.5)
    assert 2 * bias / H200.bytes * 1e6 == pytest.approx(187, abs=0.5)
    compact = rel_pos_attention_work(1, 12, 64).bytes[-1]
    assert compact.amount / 1e6 == pytest.approx(12.6, abs=0.05)


def test_float32_products_do_not_use_the_tensor_cores():
    half, single = (
        floor_on(H200, attention_work("attention", 1, 1, 512, 512, 64, d)) for d in ("fp16", "fp32")
    )
    assert single.products / half.products == pytest.approx(780 / 67)
    assert single.bytes == 2 * half.bytes


@pytest.mark.parametrize(
    ("kernel", "backward"),
    [(kernel, direction == "backward") for kernel in KERNELS for direction in directions_of(kernel)],
)
def test_the_working_adds_up_and_names_its_source(kernel, backward):
    lines = working(GPUS["A100"], work_of(kernel, "vit_b", 1, backward=backward))
    text = "\n".join(lines)
    assert kernel in lines[0] and "A100" in lines[0]
    assert " = " in lines[1] and "floor" in lines[-2] and "rates:" in lines[-1]
    for line in lines[1:-2]:
        if "/s" in line:
            continue
        factors, amount = line.split(": ", 1)[1].rsplit(" = ", 1)
        product = 1.0
        for factor in factors.split(" · "):
            product *= float(factor)
        value, unit = amount.split(" ", 1)
        scale = {"P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}.get(unit[0], 1)
        assert float(value) * scale == pytest.approx(product, rel=1e-3), text


def test_every_gpu_has_a_source_and_is_found_by_its_device_name():
    assert all(gpu.source and gpu.name == name for name, gpu in GPUS.items())
    assert gpu_of_device("NVIDIA H100 80GB HBM3") is GPUS["H100"]
    assert gpu_of_device("NVIDIA A100-SXM4-80GB") is GPUS["A100"]
    assert gpu_of_device("NVIDIA GeForce RTX 4090") is GPUS["RTX4090"]
    assert gpu_of_device("Tesla T4") is GPUS["T4"]
    assert gpu_of_device("Radeon") is None
    assert set(BYTES) == {"fp16", "bf16", "fp32"}


def test_masks_by_hand():
    """192 masks of 256 KB, and 8 numbers for each of 43 strips, or a bit for each of 2048 x 1376 pixels."""
    statistics, bits = (work_of(kernel, "vit_b", 1, "fp32") for kernel in ("mask_statistics", "mask_bits"))
    assert statistics.total("bytes") == 192 * (256 * 256 * 4 + 43 * 32)
    assert bits.total("bytes") == 192 * (256 * 256 * 4 + 2048 * 1376 / 8)
    with pytest.raises(ValueError, match="mask_bits counts: it has no backward"):
        work_of("mask_bits", "vit_b", 1, "fp32", backward=True)


def test_an_unknown_kernel_is_refused_with_the_names():
    with pytest.raises(ValueError, match="window_attention"):
        work_of("flash", "vit_b", 1)


def test_the_figure_has_a_ring_for_each_floor_and_a_dot_for_each_measured_time():
    work = work_of("rel_pos_attention", "vit_b", 8)
    files = [io.BytesIO(), io.BytesIO()]
    save_roofline_figure(files[0], H200, [Point("forward", work)])
    save_roofline_figure(files[1], H200, [Point("forward", work, 1e-3)])
    blank, dotted = (Image.open(file).convert("RGB") for file in files)
    assert blank.size == dotted.size and min(blank.size) > 500
    assert blank.tobytes() != dotted.tobytes()
