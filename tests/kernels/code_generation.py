"""The code-generation gate under every Triton that the kernels are written for:

    python tests/kernels/code_generation.py             every type, head dim and launch; a quarter of an hour each
    python tests/kernels/code_generation.py -k defaults -m "not slow"    what follows goes to pytest

Each version is installed into a separate folder, ~/.cache/minisam/triton-VERSION or --folder, without its
dependencies, and comes first on the path of a separate pytest.  The exit code is 1 if the gate fails under one of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
GATE = Path(__file__).parent / "triton" / "test_machine_code.py"
VERSIONS = ("3.6.0", "3.9.0")
CACHE = Path.home() / ".cache" / "minisam"
EVERYTHING = ("-m", "not gpu")


def installed(version: str, folder: Path) -> Path:
    """The folder with this version of Triton, installed there if it is not. Raises CalledProcessError."""
    place = folder / f"triton-{version}"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            target = Path(unfinished) / "target"
            subprocess.run([*pip, str(target), f"triton=={version}"], check=True)
            target.rename(place)
    return place


def environment(version: str, place: Path) -> dict[str, str]:
    """The environment in which a process imports that Triton, with a separate compile cache."""
    paths = [str(place), str(ROOT), str(ROOT / "kernels")]
    cache = str(place.with_name(f"compiled-by-{version}"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TRITON_CACHE_DIR": cache}


def version_in(environment: dict[str, str]) -> str:
    """The version of Triton that a process there imports."""
    command = [sys.executable, "-c", "import triton; print(triton.__version__)"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def gate(version: str, folder: Path, arguments: list[str]) -> int:
    """pytest's exit code under this version."""
    there = environment(version, installed(version, folder))
    found = version_in(there)
    if found != version:
        raise SystemExit(f"{folder} should hold Triton {version}, but Triton {found} is imported")
    print(f"== Triton {version}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n0", str(GATE), *(arguments or EVERYTHING)]
    return subprocess.run(command, env=there, cwd=ROOT, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, default=CACHE, help=f"where Tritons are kept (default: {CACHE})"
    )
    parser.add_argument("--version", action="append", choices=VERSIONS, help="default: all of them")
    args, arguments = parser.parse_known_args()
    codes = {version: gate(version, args.folder.resolve(), arguments) for version in args.version or VERSIONS}
    for version, code in codes.items():
        print(f"Triton {version}: {'passed' if code == 0 else f'failed, pytest ended with {code}'}")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
