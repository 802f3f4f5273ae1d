"""Run tests with a mutant in place of a module of minisam, in a fork of this process.

This process has imported torch, numpy and what else is slow, but never minisam; each fork imports that with the
mutant's line in it. No file is changed. Programs that a test starts do not see the mutant.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import select
import signal
import sys
from dataclasses import dataclass, field

import hypothesis
import pytest
from edits import Mutant
from nearest import ROOT, module_name

for name in ("torch", "numpy", "matplotlib.pyplot", "PIL.Image", "scipy.ndimage"):
    importlib.import_module(name)  # once, and not in every fork
# An example that fails with one mutant is not kept for the next.
hypothesis.settings.register_profile("mutants", database=None)
hypothesis.settings.load_profile("mutants")

LIMIT = 900.0
"""Seconds for all tests together."""
TOO_LONG = 5.0
"""Seconds. A test that takes longer, without a mutant, is left out: every survivor would run it to its end."""


@dataclass
class Outcome:
    """Which test noticed first (None: no test did), and which took too long."""

    killed_by: str | None = None
    slow: list[str] = field(default_factory=list)


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from its mutated source."""

    def __init__(self, mutant: Mutant) -> None:
        self.name, self.path = module_name(mutant.file), ROOT / "minisam" / mutant.file
        self.source = mutant.apply(self.path.read_text(encoding="utf-8"))

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)
        return None

    def exec_module(self, module) -> None:
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


class TooLong(pytest.fail.Exception):
    """Raised in a test, or in a fixture, by the clock; pytest then keeps it as the fixture's outcome."""


class Watch:
    """A pytest plugin: the first test that fails, and the tests that are stopped after some seconds."""

    def __init__(self, skip: set[str], seconds: float) -> None:
        self.skip, self.seconds, self.outcome = skip, seconds, Outcome()

    def pytest_collection_modifyitems(self, items) -> None:
        items[:] = [item for item in items if item.nodeid not in self.skip]

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.outcome.killed_by = self.outcome.killed_by or report.nodeid

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        def stop(*_):
            self.outcome.slow.append(item.nodeid)
            raise TooLong

        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call) -> None:
        """For every test that needs a fixture that was stopped."""
        if call.excinfo is not None and issubclass(call.excinfo.type, TooLong):
            self.outcome.slow.append(item.nodeid)

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and report.nodeid not in self.outcome.slow:
            self.outcome.killed_by = self.outcome.killed_by or report.nodeid


def trial(mutant: Mutant | None, tests: list[str], skip: set[str] = frozenset()) -> Outcome:
    """What `tests` (files or node ids) say to a mutant, or without one which of them are slow."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        run_in_child(mutant, tests, skip, writer)
    os.close(writer)
    try:
        with os.fdopen(reader) as answer:
            ready, _, _ = select.select([answer], [], [], LIMIT)
            text = answer.read() if ready else ""
        return Outcome(**json.loads(text)) if text else Outcome("no answer")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def run_in_child(mutant: Mutant | None, tests: list[str], skip: set[str], writer: int) -> None:
    os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    if mutant is not None:
        sys.meta_path.insert(0, Mutated(mutant))
    watch = Watch(skip, TOO_LONG if mutant is None else 6 * TOO_LONG)
    options = ["-q", "-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    options += ["-p", "xdist", "-n", "0", "-m", "not slow and not gpu"]  # one process, and its forks
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning", *(["-x"] if mutant else [])]
    try:
        pytest.main([*options, *tests], plugins=[watch])
    except BaseException as error:  # a mutant may raise anything, SystemExit as well
        watch.outcome.killed_by = watch.outcome.killed_by or type(error).__name__
    if mutant and watch.outcome.slow:
        watch.outcome.killed_by = watch.outcome.killed_by or f"time of {watch.outcome.slow[0]}"
    os.write(writer, json.dumps(vars(watch.outcome)).encode())
    os._exit(0)
