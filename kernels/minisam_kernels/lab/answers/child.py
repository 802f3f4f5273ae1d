"""One operating-system process that runs a user's code; it is ended together with all processes that it started."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from minisam_kernels.lab.answers.patience import Patience, stat_fields
from minisam_kernels.lab.answers.wire import WireError, receive_reply, send_request

START_SECONDS = 300.0  # for importing NumPy, torch and Triton; the code that is judged is loaded later
PRINTED_BYTES = 20_000
MARK = "MINISAM_ANSWER_PROCESS"
# The current folder is not searched for modules: a torch.py there would be imported as torch.
START = """
import json, os, sys
sys.path[:] = json.loads(os.environ.pop("MINISAM_PATHS"))
from minisam_kernels.lab.answers.worker import main
main()
"""
Reply = tuple[dict[str, Any], dict[str, np.ndarray]]


class EndedError(Exception):
    """The process has ended; the message says why and continues a sentence that begins with "it"."""


class Child:
    """The process, with its standard output for replies and its standard error for everything that the code prints."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._mark = secrets.token_hex(16)
        search = json.dumps([*paths, *(path for path in sys.path if path)])
        self._process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, MARK: self._mark, "MINISAM_PATHS": search},
            start_new_session=True,
        )
        self._replies: queue.Queue[Reply | Exception] = queue.Queue()
        self._prints = bytearray()
        self._number, self._is_ready, self._is_over = 0, False, False
        self._readers = [
            threading.Thread(target=target, daemon=True) for target in (self._read_replies, self._read_prints)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def is_over(self) -> bool:
        return self._is_over or self._process.poll() is not None

    @property
    def printed(self) -> str:
        """The beginning of what the code printed."""
        return bytes(self._prints[:PRINTED_BYTES]).decode(errors="replace")

    def ask(self, request: Mapping[str, Any], seconds: float) -> Reply:
        """The reply, if it comes in time. Raises EndedError if the process has ended or is stopped."""
        if not self._is_ready:
            self._receive(START_SECONDS)
            self._is_ready = True
        self._number += 1
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # if the process does not read, the reason is found below
            send_request(self._process.stdin, {**request, "number": self._number, "seconds": seconds})
        record, arrays = self._receive(seconds)
        if record.get("number") != self._number:
            self._fail("sends what no function returns")
        return record, arrays

    def kill(self) -> None:
        """End it and every process that it started."""
        self._is_over = True
        mark = f"{MARK}={self._mark}".encode()
        if self._process.poll() is None:
            kill_marked(mark, parent=self._process.pid)
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._process.kill()
        kill_marked(mark)
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=5)
        if not any(reader.is_alive() for reader in self._readers):  # else another process holds the other end
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()

    def _receive(self, seconds: float) -> Reply:
        patience = Patience(self._process.pid, seconds)
        while True:
            try:
                reply = self._replies.get(timeout=0.2)
            except queue.Empty:
                # Do not wait for the end of the pipe: a forked process may keep it open.
                if self._process.poll() is not None and self._replies.empty():
                    self._fail(self._how_it_ended())
                if patience.is_over():
                    self._fail(f"does not end: stopped after {seconds:g} seconds")
                continue
            if isinstance(reply, EOFError):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=5)
                self._fail(self._how_it_ended())
            if isinstance(reply, Exception):
                self._fail("sends what no function returns")
            else:
                return reply

    def _fail(self, how: str) -> None:
        self.kill()
        raise EndedError(how)

    def _how_it_ended(self) -> str:
        code = self._process.poll()
        if code is None:
            return "closes the channel to the judge"
        if code >= 0:
            return f"ends the program, with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        reasons = {
            "SIGSEGV": "it accesses memory outside its own",
            "SIGKILL": "it may have used up the memory",
        }
        return f"ends the program: killed by {name}{f', {reasons[name]}' if name in reasons else ''}"

    def _read_replies(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                self._replies.put(receive_reply(self._process.stdout))
        except (EOFError, WireError, OSError, ValueError, MemoryError) as error:
            self._replies.put(error)

    def _read_prints(self) -> None:
        pipe: IO[bytes] | None = self._process.stderr
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), 65536):
                if len(self._prints) < PRINTED_BYTES:
                    self._prints += chunk


def kill_marked(mark: bytes, parent: int | None = None) -> None:
    """Kill every process that has the mark in its environment: those that left the group (Linux).

    Also those that `parent` started: one that has just begun a program has no environment yet.
    """
    marked = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it may end while it is looked at
            if mark in (folder / "environ").read_bytes().split(b"\0") or stat_fields(folder)[1] == str(
                parent
            ):
                marked.append(int(folder.name))
    for process in marked:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
