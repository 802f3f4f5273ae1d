"""Scenes drawn ahead are the scenes drawn in place, and the process that draws them never outlives the run."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future

import pytest
import torch

from minisam.data.partworld import render_scenes
from minisam.errors import MinisamError
from minisam.train.scenes import DrawnAhead, SceneSource


def arguments(step: int) -> dict[str, int]:
    return {"seed": step, "batch_size": 1, "image_size": 32}


RUN_THAT_WAITS = """
import sys, time
sys.path.insert(0, {folder!r})
from test_scenes import SceneSource, arguments
if __name__ == "__main__":
    source = SceneSource(arguments, in_background=True)
    source[0]
    print(*source.pool._processes, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL and ps: run it on Linux or macOS")
def test_the_drawing_process_is_gone_after_its_run_was_killed(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN_THAT_WAITS.format(folder=os.path.dirname(__file__)))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        drawing = int(run.stdout.readline())
        assert is_running(drawing)
        run.send_signal(signal.SIGKILL)
    patience = time.monotonic() + 60
    while is_running(drawing):
        assert time.monotonic() < patience, "the drawing process continues without its run"
        time.sleep(0.1)


def is_running(process: int) -> bool:
    """A dead process that has not been waited for (state Z) does not run."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(process)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_scenes_drawn_ahead_are_those_drawn_in_place_until_the_system_ends_their_process():
    source = SceneSource(arguments, in_background=True)
    try:
        for step in (0, 1, 5):
            expected = render_scenes(**arguments(step))
            assert torch.equal(source[step].images, expected.images)
            assert torch.equal(source[step].labels, expected.labels)
        assert source.pool is not None
        for process in source.pool._processes.copy():
            os.kill(process, signal.SIGKILL)
        with pytest.raises(MinisamError, match="run the same command again"):
            for step in range(6, 12):
                assert source[step]
    finally:
        source.close()
    assert source.pool is None


def test_a_ctrl_c_is_left_to_the_process_that_trains():
    """A terminal sends it to both."""
    handlers = DrawnAhead(signal.getsignal, lambda step: {"signalnum": signal.SIGINT}, in_background=True)
    assert handlers[0] == signal.SIG_IGN
    handlers.close()


def test_three_steps_are_asked_for_ahead_each_once_and_dropped_in_the_end():
    class Pool:
        def __init__(self) -> None:
            self.asked: list[int] = []
            self.ended: list[dict] = []

        def submit(self, draw, step):
            self.asked.append(step)
            done: Future = Future()
            done.set_result(draw(step=step))
            return done

        def shutdown(self, **options):
            self.ended.append(options)

    drawn, pool = DrawnAhead(lambda step: -step, lambda step: {"step": step}, in_background=False), Pool()
    drawn.pool = pool  # pyright: ignore[reportAttributeAccessIssue]
    for step, asked in ((4, [4, 5, 6]), (5, [7]), (6, [8]), (9, [9, 10, 11])):
        before = len(pool.asked)
        assert drawn[step] == -step and pool.asked[before:] == asked
    drawn.close()
    drawn.close()
    assert pool.ended == [{"cancel_futures": True}] and drawn.pool is None
