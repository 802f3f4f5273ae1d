"""The process in which a user's file is imported and its functions are called; process.py starts it.

    request, pickled                                             reply
    {"load": file, "text": …, "functions": […], …}               {"functions": {name: "" or its kind}} or {"error"}
    {"call": name, "arguments": Call}                            the Outcome

Output of the code goes to standard error, which the judge reads; standard input is empty.  Replies go through a copy
of standard output that only this file knows.
"""

from __future__ import annotations

import linecache
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import minisam_kernels.lab.answers.wire as wire
from minisam_kernels.lab.answers.absent import Absent, has_triton, stand_in_for_triton
from minisam_kernels.lab.answers.borrowing import Borrowed, BorrowedError, BorrowingGuard
from minisam_kernels.lab.answers.call import call_here
from minisam_kernels.lab.answers.outcome import Outcome
from minisam_kernels.lab.answers.patience import PATIENCE
from minisam_kernels.lab.answers.source import compiled
from minisam_kernels.lab.answers.words import one_line, stops_with

ARRAYS = ("value", "again")
GROUPS = ("inputs", "gradients")


def main() -> None:
    requests, replies = private_channels()
    own_pid, answers = os.getpid(), Answers()
    wire.send_reply(replies, {"ready": True}, {})
    while True:
        try:
            request = wire.receive_request(requests)
        except EOFError:
            os._exit(0)
        limit_memory(request.get("memory"))
        limit_work(request.get("seconds"))
        record, arrays = answers.reply(request)
        if os.getpid() != own_pid:  # this is a child that the code forked; only its parent replies
            os._exit(0)
        flush_prints()
        wire.send_reply(replies, {**record, "number": request["number"]}, arrays)


def private_channels() -> tuple[BinaryIO, BinaryIO]:
    """The two ends of the judge's pipes. Afterwards, descriptor 0 is empty and 1 is the same as 2."""
    channels = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    return channels


class Answers:
    """The loaded file."""

    def __init__(self) -> None:
        self.module = ModuleType("answers")

    def reply(self, request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            if "load" in request:
                return self.load(request), {}
            return as_reply(self.call(request))
        except BaseException as error:
            return {"error": one_line(error), "ended": False}, {}

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        file, text, names = request["load"], request["text"], request["functions"]
        path = Path(file).resolve()
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        code = compiled(text, file, names)
        self.module = ModuleType(path.stem)
        self.module.__file__ = str(path)
        sys.modules.setdefault(path.stem, self.module)
        sys.path.insert(0, str(path.parent))
        guard = BorrowingGuard(request["closed"], request["opened"], request["roots"], request["unread"])
        guard.install()
        try:
            with nullcontext() if has_triton() else stand_in_for_triton():
                exec(code, self.module.__dict__)
        except BaseException as error:
            if Borrowed.touched or isinstance(error, BorrowedError):
                return {"borrowed": f"takes its answers from {Borrowed.touched} instead of computing them"}
            return {"error": f"cannot be run: {one_line(error)}{place_of(error, file)}"}
        finally:
            Borrowed.loading = Absent.loading = False
            sys.path.remove(str(path.parent))
        functions = [key for key, value in vars(self.module).items() if callable(value) and key[:1] != "_"]
        return {"functions": {name: self.what_is(name) for name in names}, "names": functions}

    def what_is(self, name: str) -> str:
        """Empty for a function; else a description of the object in its place."""
        if name not in vars(self.module):
            return "missing"
        value = vars(self.module)[name]
        kind = type(value).__name__
        if type(value).__module__.startswith("triton."):
            return "a kernel; name the function that launches it"
        if isinstance(value, (Absent, Borrowed)):
            return ""
        article = "an" if kind[:1].lower() in "aeiou" else "a"
        return "" if callable(value) else f"{article} {kind}, not a function"

    def call(self, request: dict[str, Any]) -> Outcome:
        function: Callable[..., Any] = vars(self.module)[request["call"]]
        try:
            return call_here(function, request["arguments"])
        except BaseException as error:
            return Outcome(error=stops_with(error))


def as_reply(outcome: Outcome) -> tuple[dict[str, Any], dict[str, Any]]:
    fields = {key: getattr(outcome, key) for key in asdict(Outcome())}
    arrays = {name: fields.pop(name) for name in ARRAYS}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    for group in GROUPS:
        arrays |= {f"{group}/{name}": array for name, array in fields.pop(group).items()}
    return fields, arrays


def place_of(error: BaseException, file: str) -> str:
    """ ", line 3", if the file itself is on the trace."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[0]}" if lines else ""


def flush_prints() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except BaseException:
            continue


def limit_memory(more: float | None) -> None:
    """Allow the process that many more bytes of address space than it has now (Linux only)."""
    if more is None or not Path("/proc/self/statm").exists():
        return
    import resource

    import torch

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if torch.cuda.is_available():  # CUDA reserves terabytes of address space
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + int(more)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def limit_work(seconds: float | None) -> None:
    """End the process after more processor time than a judge with a limit of `seconds` lets pass (patience.py).

    The judge itself stops it earlier, unless it was killed: then an endless loop would never end.
    """
    if seconds is None or sys.platform == "win32":
        return
    import resource

    more = ((os.cpu_count() or 1) + PATIENCE) * seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + more)
    resource.setrlimit(
        resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )
