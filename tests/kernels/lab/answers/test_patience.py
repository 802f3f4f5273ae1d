"""When a user's process has had enough time: the work counts, and waiting does."""

import os
import subprocess
import sys
import time

import pytest

from minisam_kernels.lab.answers import patience
from minisam_kernels.lab.answers.patience import Patience, could_run, session_seconds

LINUX = pytest.mark.skipif(
    not os.path.exists("/proc/self/stat"), reason="processor time is read from Linux's /proc"
)


@pytest.fixture
def started():
    """Start Python code in its own session."""
    running = []

    def start(code: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process.pid

    yield start
    for process in running:
        os.killpg(process.pid, 9)
        process.communicate()


@LINUX
def test_the_work_of_a_session_is_that_of_its_children_too(started):
    session = started("print('ready', flush=True); import os; os.fork(); sum(iter(int, 1))")
    before, start, worked = session_seconds(session), time.monotonic(), 0.0
    assert before is not None
    while worked < 0.2:
        assert time.monotonic() - start < 60
        worked = (session_seconds(session) or 0.0) - before
    assert worked < 2.5 * (time.monotonic() - start) + 0.1
    assert session_seconds(2**30) == 0
    assert could_run(session) and not could_run(2**30)


@pytest.mark.parametrize(
    ("clock", "work", "could_run", "over"),
    [
        (4.9, 4.9, False, False),
        (5.0, 5.0, False, True),
        (30.0, 4.9, False, False),
        (30.0, 5.1, False, True),
        (6.0, 0.11, False, True),
        (6.0, 0.11, True, False),
        (6.0, 0.13, False, False),
        (49.9, 2.0, False, False),
        (49.9, 0.0, True, False),
        (50.0, 2.0, True, True),
        (5.1, None, True, True),
        (4.9, None, False, False),
    ],
)
def test_a_busy_machine_gives_more_time_and_waiting_gets_none(clock, work, could_run, over, monkeypatch):
    """Five seconds of work; a wait is below a fiftieth of the time; at most fifty seconds by the clock."""
    now = [100.0]
    monkeypatch.setattr(patience, "could_run", lambda session: could_run)
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(patience, "session_seconds", lambda session: None if work is None else 7.0)
    limit = Patience(1, 5.0)
    now[0] += clock
    monkeypatch.setattr(patience, "session_seconds", lambda session: None if work is None else 7.0 + work)
    assert limit.is_over() is over


@LINUX
def test_a_process_that_sleeps_is_over_as_soon_as_it_does(started):
    limit = Patience(started("print('ready', flush=True); import time; time.sleep(1000)"), 0.3)
    assert not limit.is_over()
    time.sleep(0.35)
    while could_run(limit._session):
        time.sleep(0.05)
    assert limit.is_over()
