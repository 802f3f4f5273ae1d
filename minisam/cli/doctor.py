"""`minisam doctor`: what this machine has, what is known to fail, and what to do about it.

Each check examines one property and returns findings. A finding with a remedy is something to fix, and makes the exit
code 1.  Nothing is changed and nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from minisam.errors import MinisamError

PROJECT = Path(__file__).resolve().parents[2]
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
PACKAGES = ("torch", "triton", "numpy", "pillow", "safetensors", "matplotlib", "tqdm")
# At least the first, below the second; the same ranges are in pyproject.toml.
RANGES = {
    "torch": ((2, 11), (2, 14)),
    "triton": ((3, 6), None),
    "numpy": ((2,), None),
    "pillow": ((12, 2), None),
    "safetensors": ((0, 5), None),
    "matplotlib": ((3, 8), None),
    "tqdm": ((4, 66), None),
}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `remedy` is empty if there is no problem."""

    name: str
    value: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report; 0 if there is no problem, 1 if something must be fixed."""
    findings = examine()
    to_mend = [finding for finding in findings if finding.remedy]
    if args.json:
        print(
            json.dumps({"ok": not to_mend, "findings": [asdict(finding) for finding in findings]}, indent=2)
        )
        return 1 if to_mend else 0
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{'!' if finding.remedy else ' '} {finding.name:<{width}}  {finding.value}")
        if finding.remedy:
            print(f"  {'':<{width}}  -> {finding.remedy}")
    print(f"\n{len(to_mend)} to fix" if to_mend else "\nNo problems found.")
    return 1 if to_mend else 0


def examine() -> list[Finding]:
    """Every finding, in the order of the report; a check that fails is a finding too."""
    findings = []
    for check in (
        check_python,
        check_packages,
        check_devices,
        check_triton,
        check_kernels_name,
        check_weights,
    ):
        findings += _run_check(check)
    return findings


def check_python() -> Iterator[Finding]:
    old = sys.version_info < (3, 10)
    yield Finding("python", platform.python_version(), "install Python 3.10 or newer" if old else "")
    yield Finding("platform", platform.platform())


def check_packages() -> Iterator[Finding]:
    for package in PACKAGES:
        found = installed_version(package)
        if found is None and package == "triton" and platform.system() != "Linux":
            yield Finding(package, "not available on this platform; the torch backend is used for everything")
            continue
        yield Finding(package, found or "missing", range_remedy(package, found))


def check_devices() -> Iterator[Finding]:
    import torch

    from minisam.device import WITHOUT_FLOAT64, device_names

    yield Finding("cores", f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    others = [name for name in device_names() if name in WITHOUT_FLOAT64]
    yield Finding("devices", ", ".join(["cpu", *gpus, *others]))


def check_triton() -> Iterator[Finding]:
    import torch

    triton, numpy = installed_version("triton"), installed_version("numpy")
    if triton is None:
        yield Finding("kernels run", "in torch only, because triton is missing")
        return
    interpreted = os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")
    if interpreted:
        remedy = interpreter_remedy(triton, numpy or "")
        yield Finding(
            "kernels run", "in Triton's interpreter (TRITON_INTERPRET=1), float32 and float16", remedy
        )
    elif torch.cuda.is_available():
        yield Finding("kernels run", "compiled by Triton for the GPU")
    else:
        remedy = interpreter_remedy(triton, numpy or "")
        yield Finding("kernels run", "in torch; without a GPU, Triton's need TRITON_INTERPRET=1", remedy)


def check_kernels_name() -> Iterator[Finding]:
    """transformers imports a package called `kernels` if it finds one; our folder must not be one."""
    found = importlib.util.find_spec("kernels")
    if found is None or found.origin is None:
        return
    inside = PROJECT in Path(found.origin).resolve().parents and (PROJECT / "pyproject.toml").exists()
    ours = inside and "site-packages" not in Path(found.origin).parts
    remedy = f"remove {found.origin}: kernels/ is a folder, and must not be a package" if ours else ""
    yield Finding("package `kernels`", found.origin, remedy)


def check_weights() -> Iterator[Finding]:
    from minisam.checkpoint import load_checkpoint

    files = sorted(WEIGHTS.glob("*.safetensors"))
    if not files:
        yield Finding(
            "weights", "none included", "install minisam again, or train: minisam train --preset tiny"
        )
    for file in files:
        try:
            parameters = sum(parameter.numel() for parameter in load_checkpoint(file).parameters())
            yield Finding(f"weights {file.stem}", f"{parameters / 1e6:.1f} M parameters, loads")
        except MinisamError as error:
            yield Finding(f"weights {file.stem}", str(error), "install minisam again")


def installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def range_remedy(package: str, found: str | None) -> str:
    """What to install if `found` is missing or outside the range, else ""."""
    lowest, beyond = RANGES[package]
    if found is not None and lowest <= numbers(found) and (beyond is None or numbers(found) < beyond):
        return ""
    wanted = f">={'.'.join(map(str, lowest))}" + (f",<{'.'.join(map(str, beyond))}" if beyond else "")
    return f'pip install "{package}{wanted}"'


def interpreter_remedy(triton: str, numpy: str) -> str:
    """Triton 3.6's interpreter converts a tensor bound of `range` to an int in a way that NumPy 2.4 refuses."""
    if (3, 6) <= numbers(triton) < (3, 7) and numbers(numpy) >= (2, 4):
        return (
            f'Triton {triton} cannot interpret with NumPy {numpy}: pip install "numpy<2.4" or "triton>=3.7"'
        )
    return ""


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, "2.13.0+cpu" -> (2, 13, 0)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _run_check(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:
        name = check.__name__.removeprefix("check_")
        return [Finding(name, f"{type(error).__name__}: {error}", 'pip install --force-reinstall -e "."')]
