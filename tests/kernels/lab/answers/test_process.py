"""Code that ends, hangs, prints, forks or lies, in its own process: what its judge hears of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minisam_kernels
from minisam_kernels.lab.answers.outcome import Call, Outcome
from minisam_kernels.lab.answers.patience import PATIENCE, stat_fields
from minisam_kernels.lab.answers.process import AnswerFile, AnswerFileError, Rules

X = np.arange(4, dtype=np.float32)
CALL = Call({"x": X}, {})
needs_proc = pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="a machine with /proc shows which processes are left"
)
SOFTMAX = Path(minisam_kernels.__file__).parent / "reference" / "softmax.py"
GENTLE = """
import atexit, ctypes, importlib.util, os, pathlib, subprocess, sys, threading, time
import numpy as np
import torch
from minisam_kernels.reference.softmax import softmax as borrowed
import minisam_kernels.reference as package

np.array_equal = np.allclose = torch.equal = np.testing.assert_allclose = lambda *a, **k: True
package.softmax = lambda x: x
atexit.register(lambda: os._exit(0))

def right(x):
    return 2 * x

def leaves_quietly(x):
    quit()

def raises_its_own(x):
    raise type("Mine", (BaseException,), {})("why")

def interrupts(x):
    raise KeyboardInterrupt

def prints(x):
    print("from print")
    os.write(1, b"from the descriptor\\n")
    print("from the true stdout", file=sys.__stdout__)
    return 2 * x

def lets_another_program_print(x):
    subprocess.run(["echo", "from a child"])
    return 2 * x

def forks(x):
    os.fork()
    return 2 * x

def leaves_a_thread(x):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return 2 * x

def leaves_a_process(x):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    return 2 * x

def leaves_a_process_without_the_mark(x):
    return x * 0 + subprocess.Popen(["sleep", "1000"], start_new_session=True, env={}).pid

def reads_the_keyboard(x):
    return input()

def takes_too_much(x):
    return np.ones((200_000, 1_000_000), np.float32)

def borrows(x):
    return borrowed(x)

def borrows_by_name(x):
    return importlib.import_module("minisam_kernels.reference.softmax").softmax(x)

def reads_the_solution(x):
    return exec(pathlib.Path(SOLUTION).read_text())

def reads_the_reference(x):
    found = {}
    exec(pathlib.Path(REFERENCE).read_text(), found)
    return found["softmax"](x)

def loads_the_reference(x):
    spec = importlib.util.spec_from_file_location("other", REFERENCE)
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    return other.softmax(x)

def reads_the_reference_by_numpy(x):
    return np.fromfile(REFERENCE, np.uint8)

three = 3
"""
NAMES = [line[4:].partition("(")[0] for line in GENTLE.splitlines() if line.startswith("def ")]


def answers(folder: Path, text: str, names: list[str], **rules) -> AnswerFile:
    (folder / "mine.py").write_text(text)
    return AnswerFile(folder / "mine.py", names, Rules(**rules))


def outcome(file: AnswerFile, name: str) -> Outcome:
    return file.function(name).call(CALL)


@pytest.fixture(scope="module")
def gentle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    (folder / "solution.py").write_text("def softmax(x): return x\n")
    places = f"SOLUTION = {str(folder / 'solution.py')!r}\nREFERENCE = {str(SOFTMAX)!r}\n"
    text = places + GENTLE
    closed, unread = ("minisam_kernels.reference",), (folder / "solution.py",)
    with answers(folder, text, [*NAMES, "three", "four"], closed=closed, unread=unread) as file:
        file.load()
        yield file


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """The same file with nothing closed, as for `minisam kernel check`."""
    with answers(tmp_path_factory.mktemp("free"), GENTLE, NAMES) as file:
        file.load()
        yield file


@pytest.mark.parametrize(
    "name", ["right", "prints", "lets_another_program_print", "forks", "leaves_a_thread", "leaves_a_process"]
)
def test_a_right_value_arrives_whatever_else_happens(free, name):
    found = outcome(free, name)
    assert not found.error and np.array_equal(found.value, 2 * X) and np.array_equal(found.inputs["x"], X)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("leaves_quietly", "ends the program (SystemExit: exit code 0)"),
        ("raises_its_own", "stops with Mine: why"),
        ("interrupts", "stops with KeyboardInterrupt"),
        ("reads_the_keyboard", "stops with "),
        ("takes_too_much", "Unable to allocate"),
        ("borrows", "uses minisam_kernels.reference.softmax.softmax; compute the answer"),
        ("borrows_by_name", "uses minisam_kernels.reference.softmax.softmax; compute the answer"),
        ("reads_the_solution", "solution.py; compute the answer"),
        ("reads_the_reference", "softmax.py; compute the answer"),
        ("loads_the_reference", "; compute the answer"),
        ("reads_the_reference_by_numpy", "softmax.py; compute the answer"),
        ("lets_another_program_print", "starts another program"),
        ("leaves_a_process", "starts another program"),
    ],
)
def test_a_function_that_gives_nothing_says_why(gentle, name, says):
    found = outcome(gentle, name)
    assert says in found.error and found.value is None
    assert len(found.error.splitlines()) == 1
    assert np.array_equal(outcome(gentle, "right").value, 2 * X), "the process continues"


def test_what_is_printed_is_kept_apart(free):
    outcome(free, "prints")
    outcome(free, "lets_another_program_print")
    words = ("from print", "from the descriptor", "from the true stdout", "from a child")
    deadline = time.monotonic() + 10
    while not all(text in free.printed for text in words) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(text in free.printed for text in words)


def test_what_the_file_lacks_is_named(gentle):
    assert gentle.missing == {"three": "an int, not a function", "four": "missing"}
    assert "right" in gentle.names


VIOLENT = """
import ctypes, os, signal, sys, time

def right(x):
    return 2 * x

def leaves(x):
    os._exit(0)

def goes_on(x):
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass

def crashes(x):
    ctypes.string_at(0)

def is_killed(x):
    os.kill(os.getpid(), signal.SIGKILL)

def leaves_a_child(x):
    if os.fork():
        os._exit(0)
    time.sleep(1000)

def sends_junk(x):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"this is no reply " * 10)
        except OSError:
            pass
    return x

def closes_everything(x):
    os.closerange(0, 256)
    return x
"""
ENDS = {
    "leaves": "ends the program, with exit code 0",
    "goes_on": "does not end: stopped after 2 seconds",
    "crashes": "ends the program: killed by SIGSEGV, it accesses memory outside its own",
    "is_killed": "ends the program: killed by SIGKILL",
    "leaves_a_child": "ends the program, with exit code 0",
    "sends_junk": "sends what no function returns",
    "closes_everything": "ends the program",
}
POSIX = pytest.mark.skipif(
    os.name != "posix", reason="signals and forks are POSIX's: Linux or macOS un-skips this"
)


def ends(file: AnswerFile, name: str) -> None:
    """Within two seconds, and once for all."""
    function = file.function(name)
    file.rules = Rules(seconds=2.0)
    found = function.call(CALL)
    assert found.error.startswith(ENDS[name]) and found.ended
    assert function.call(CALL) is found
    file.rules = Rules()


@POSIX
def test_after_a_function_that_ends_the_process_the_next_one_runs(tmp_path):
    with answers(tmp_path, VIOLENT, ["leaves", "goes_on", "right"]) as file:
        file.load()
        ends(file, "leaves")
        ends(file, "goes_on")
        assert np.array_equal(outcome(file, "right").value, 2 * X)


@POSIX
@pytest.mark.slow
def test_every_other_way_to_end_a_process_is_told(tmp_path):
    names = [name for name in ENDS if name not in ("leaves", "goes_on")]
    with answers(tmp_path, VIOLENT, names) as file:
        file.load()
        for name in names:
            ends(file, name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n1 / 0\n", "cannot be run: ZeroDivisionError: division by zero, line 2"),
        pytest.param("quit()\n", "cannot be run: SystemExit", marks=pytest.mark.slow),
        pytest.param(
            "import os\nos._exit(0)\n", "it ends the program, with exit code 0", marks=pytest.mark.slow
        ),
        pytest.param("while True: pass\n", "it does not end", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_cannot_be_run_says_why_in_one_line(text, says, tmp_path):
    with answers(tmp_path, text, ["f"], seconds=5.0) as file, pytest.raises(AnswerFileError) as caught:
        file.load()
    assert says in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from minisam_kernels.reference.softmax import softmax\nexec(softmax('text'))\n",
        pytest.param("exec(open(SOLUTION).read())\n", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_takes_its_answers_is_wrong_in_every_function(text, tmp_path):
    solution = tmp_path / "solution.py"
    solution.write_text("def f(x): return x\n")
    text = text.replace("SOLUTION", repr(str(solution)))
    rules = {"closed": ("minisam_kernels.reference",), "unread": (solution,)}
    with answers(tmp_path, text, ["f"], **rules) as file:
        file.load()
        assert "takes its answers from" in outcome(file, "f").error


@needs_proc
def test_nothing_is_left_running(free):
    outcome(free, "leaves_a_process")
    mark = free._child._mark.encode()
    assert processes_with(mark)
    free._child.kill()
    assert comes_to_an_end(lambda: processes_with(mark))


@needs_proc
def test_a_process_whose_environment_is_empty_is_not_left_running_either(tmp_path):
    """As that of any process is in the moment in which it begins a program."""
    with answers(tmp_path, GENTLE, NAMES) as file:
        file.load()
        process = Path("/proc") / str(int(outcome(file, "leaves_a_process_without_the_mark").value[0]))
        assert process.exists()
    assert comes_to_an_end(lambda: process.exists() and state_of(process) != "Z")


def comes_to_an_end(goes_on: Callable[[], object]) -> bool:
    """Whether that becomes false in time: a killed process needs the processor once more."""
    until = time.monotonic() + 20
    while goes_on() and time.monotonic() < until:
        time.sleep(0.05)
    return not goes_on()


def state_of(process: Path) -> str:
    try:
        return stat_fields(process)[0]
    except OSError:
        return "Z"


def processes_with(mark: bytes) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment and state_of(folder) != "Z":
            found.append(folder.name)
    return found


needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of processes")


@needs_limits
def test_a_call_may_use_more_of_the_processor_than_its_judge_waits_for_but_not_without_end(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import resource, time\n"
        "def right(x):\n"
        "    return resource.getrlimit(resource.RLIMIT_CPU)[0] - time.process_time() + 0 * x\n"
    )
    with AnswerFile(file, ["right"], Rules(seconds=20)) as answers:
        answers.load()
        for _ in range(2):
            outcome = answers.function("right").call(CALL)
            more = 20 * ((os.cpu_count() or 1) + PATIENCE)
            assert outcome.value is not None and np.all(abs(outcome.value - more) < 2)


@needs_limits
def test_a_loop_ends_although_its_judge_was_killed():
    loop = "from minisam_kernels.lab.answers.worker import limit_work; limit_work(0.01)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", loop], timeout=120)
    assert ended.returncode == -signal.SIGXCPU
