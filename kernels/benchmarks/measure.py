"""One measurement of run_on_gpu.sh, in a separate process: measure.py WHAT OUT [--quick]

environment   versions, commit, processor, GPU, its clocks and power, as nvidia-smi reports them
kernels       only with --quick, in place of `minisam kernel bench`: tiny sizes, in Triton's interpreter
encoder       ViT-B's image encoder on the kernels, on torch, and transformers'
training      a step of tiny on the kernels and on torch
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

from minisam.bench.measure import commit, processor_name, versions
from minisam.config import CONFIGS
from minisam.files import write_atomically
from minisam.train.presets import RECIPES
from minisam_kernels.cases import make_case
from minisam_kernels.lab import bench
from minisam_kernels.lab.bench_report import report, save_bench_figure
from minisam_kernels.lab.results import OURS, EncoderResult, KernelResult, Results
from minisam_kernels.lab.trace import PICTURED
from minisam_kernels.lab.work_in_sam import directions_of

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PACKAGES = ("triton", "numpy", "transformers", "segment-anything-py", "pytest", "pycocotools")
SMI = (
    "name,driver_version,memory.total,pstate,power.limit,power.draw,temperature.gpu,"
    "clocks.sm,clocks.mem,clocks.max.sm"
)
TINY = {
    "encoder_dim": 32,
    "encoder_heads": 1,
    "encoder_depth": 2,
    "global_attn_indexes": (1,),
    "window_size": 5,
}


def once(call: Callable[[], object]) -> float:
    """Milliseconds of a single call, for trying a measurement without a GPU."""
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)


def environment(out: Path, quick: bool) -> dict[str, str]:
    gpu = torch.cuda.get_device_name() if DEVICE == "cuda" else "none"
    record = {"versions": versions(*PACKAGES), "cuda": str(torch.version.cuda), "commit": commit()}
    record |= {"processor": processor_name(), "gpu": gpu, "nvidia-smi": nvidia_smi()}
    save(out / "environment.json", record)
    return {}


def nvidia_smi() -> list[str]:
    """The answers of nvidia-smi, a heading and a line for each GPU; [] where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={SMI}", "--format=csv"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return (finished.stdout or finished.stderr).splitlines()


def kernels(out: Path, quick: bool) -> dict[str, str]:
    """Every kernel and its peers at the sizes of the traces."""
    if not quick:
        raise SystemExit("measure.py kernels is for --quick; use minisam kernel bench")
    results = Results(processor_name(), versions("triton"), commit(), "quick")
    for operation, sizes in PICTURED.items():
        case = make_case(operation, "quick", sizes)
        shapes = {name: tensor.to("meta") for name, tensor in case.tensors(torch.float32).items()}
        call = bench.make_call(operation, shapes, case.constants, DEVICE, torch.float32)
        contestants = {OURS: bench.function_of(operation), **bench.peers(operation)}
        for direction in directions_of(operation):
            result = KernelResult(operation, "quick", 1, "fp32", direction)
            results.kernels.append(result)
            for name, function in contestants.items():
                if bench.COMPILED not in name:
                    bench.measure(call, name, function, result, once)
    results.save(out / "kernels.json")
    write_atomically(out / "kernels.png", lambda file: save_bench_figure(file, results))
    print("\n".join(report(results)))
    return {
        f"{one.kernel} {one.direction}": one.failed[OURS] for one in results.kernels if OURS in one.failed
    }


def encoder(out: Path, quick: bool) -> dict[str, str]:
    """Images per second in bfloat16, of 8 images and of 1."""
    from minisam.bench.kernel_encoder import Encoders, measure_encoder

    config = replace(CONFIGS["nano"], **TINY) if quick else CONFIGS["vit_b"]
    dtype = torch.float32 if quick else torch.bfloat16
    encoders = Encoders(config, DEVICE, dtype)
    found = Results(
        torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU", versions("triton"), commit(), ""
    )
    for batch in (1,) if quick else (8, 1):
        result = EncoderResult("quick" if quick else "vit_b", batch, str(dtype).removeprefix("torch."))
        found.encoder.append(result)
        timer = once if quick else bench.median_milliseconds
        measure_encoder(encoders, result, False, bench.Deadline(1), timer)
        found.save(out / "encoder.json")
    return {f"batch {one.batch}": one.failed[OURS] for one in found.encoder if OURS in one.failed}


def training(out: Path, quick: bool) -> dict[str, str]:
    """The last phase of tiny's recipe, at full image size."""
    from minisam.bench.kernel_training import measure_training_steps

    model = "nano" if quick else "tiny"
    phase = RECIPES[model].phases[-1]
    if quick:
        phase = replace(phase, image_size=32, batch_size=1, prompts_per_image=1)
    precisions = ("fp32",) if quick else ("fp32", "bf16")
    timer = once if quick else bench.median_milliseconds
    found = [
        measure_training_steps(model, RECIPES[model], phase, DEVICE, precision, timer)
        for precision in precisions
    ]
    save(out / "training.json", [one.to_dict() for one in found])
    return {one.precision: one.failed[OURS] for one in found if OURS in one.failed}


def save(path: Path, record: object) -> None:
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    print(text)


def main() -> int:
    what, out, *options = sys.argv[1:]
    measurements = {"environment": environment, "kernels": kernels, "encoder": encoder, "training": training}
    wrong = measurements[what](Path(out), "--quick" in options)
    for name, why in wrong.items():
        print(f"{what}, {name}: {why}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
