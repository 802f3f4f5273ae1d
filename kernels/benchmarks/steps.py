"""Runs the steps of run_on_gpu.sh, each in its own process with its own time limit.

OUT/summary.json is written after each step.  A step that fails or takes too long is recorded there, and the next one
runs.  Exit codes: 0 all steps succeeded, 1 one failed, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from minisam.files import write_atomically

ROOT = Path(__file__).parents[2]
MEASURE = str(Path(__file__).with_name("measure.py"))
KERNEL_TESTS = str(ROOT / "tests" / "kernels")
QUICK_TESTS = str(ROOT / "tests" / "kernels" / "triton" / "test_softmax.py")
LAST_LINES = 5


@dataclass(frozen=True)
class Step:
    """A command and the most seconds that it may take."""

    name: str
    seconds: float
    command: tuple[str, ...]


@dataclass(frozen=True)
class Finished:
    """`error` is "" for a step that ended with 0 in time; `log` is the file with what it printed."""

    name: str
    command: list[str]
    limit_seconds: float
    seconds: float
    exit_code: int | None
    error: str
    log: str


def steps(out: Path, quick: bool) -> Iterator[Step]:
    """The steps, the most important ones first."""

    def measure(what: str, *words: str) -> tuple[str, ...]:
        return (sys.executable, MEASURE, what, str(out), *words, *(["--quick"] if quick else []))

    def pytest(*words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words)

    def minisam(*words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "minisam.cli.main", *words)

    yield Step("environment", 60, measure("environment"))
    if quick:
        yield Step("tests", 240, pytest("-n", "0", "-k", "nothing_gives or any_number", QUICK_TESTS))
        yield Step("tune", 240, minisam("kernel", "tune", "window_attention", "--candidates", "1"))
        yield Step("kernels", 240, measure("kernels"))
        tiny = ("--model", "nano", "--size", "64", "--points-per-side", "2", "--repeats", "1")
        generators = {"generator": tiny}
    else:
        yield Step("tests", 240, pytest("-n", "14", "-m", "gpu and not slow", KERNEL_TESTS))
        tune = minisam("kernel", "tune", "--minutes", "1.5", "-o", str(out / "launches.json"))
        yield Step("tune", 120, tune)
        yield Step(
            "kernels", 300, minisam("kernel", "bench", "--minutes", "3", "-o", str(out / "kernels.json"))
        )
        cuda = ("--device", "cuda", "--backend")
        generators = {"generator": (*cuda, "triton"), "generator_torch": (*cuda, "torch")}
    yield Step("encoder", 180, measure("encoder"))
    for name, words in generators.items():
        yield Step(name, 150, minisam("bench", "amg", *words, "-o", str(out / f"{name}.json")))
    yield Step("training", 150, measure("training"))


def run(step: Step, out: Path) -> Finished:
    """Run one step; at its limit, end its processes. Its output goes to OUT/NAME.log."""
    log = out / f"{step.name}.log"
    started = time.monotonic()
    with (
        open(log, "wb") as file,
        subprocess.Popen(
            step.command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        ) as process,
    ):
        try:
            process.wait(step.seconds)
            error = "" if process.returncode == 0 else last_words(log)
        except subprocess.TimeoutExpired:
            error = f"took longer than {step.seconds:g} s"
        finally:
            end_group(process.pid)
    seconds = round(time.monotonic() - started, 2)
    code = None if error.startswith("took longer") else process.returncode
    return Finished(step.name, list(step.command), step.seconds, seconds, code, error, log.name)


def end_group(group: int) -> None:
    """End what is left of a step: it may have started processes of its own."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def last_words(log: Path) -> str:
    """The last lines of a log, or that there are none."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-LAST_LINES:]) or "it failed and printed nothing"


def run_all(every: list[Step], out: Path, say: Callable[[str], None] = print) -> list[Finished]:
    """Run the steps in turn; the summary is complete up to the last finished step at any time."""
    finished: list[Finished] = []
    for step in every:
        say(f"{step.name}: at most {step.seconds:g} s")
        finished.append(run(step, out))
        say(f"{step.name}: {finished[-1].error or 'done'}, {finished[-1].seconds:.0f} s")
        summary = {
            "failed": [one.name for one in finished if one.error],
            "steps": [asdict(one) for one in finished],
        }
        text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
        write_atomically(out / "summary.json", lambda file, text=text: file.write(text.encode()))
    return finished


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="run_on_gpu.sh", description="Measure the kernels on this machine's GPU."
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder for the results")
    parser.add_argument("--quick", action="store_true", help="try every step with tiny sizes, on a CPU too")
    args = parser.parse_args()
    out = args.out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        parser.error(f"{args.out} exists and is not an empty folder; give a new one")
    try:
        out.mkdir(parents=True, exist_ok=True)
        finished = run_all(list(steps(out, args.quick)), out)
    except OSError as error:
        parser.error(f"{args.out} cannot be written: {error.strerror}")
    except KeyboardInterrupt:
        print("interrupted; summary.json has the finished steps", file=sys.stderr)
        return 130
    print(out / "summary.json")
    return int(any(one.error for one in finished))


if __name__ == "__main__":
    sys.exit(main())
