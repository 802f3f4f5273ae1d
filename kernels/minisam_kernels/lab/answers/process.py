"""A user's file in a separate process, and its functions, which can be called from here.

    with AnswerFile("mine.py", ["softmax"], Rules()) as file:
        file.load()
        file.function("softmax").call(Call({"x": x}, {"scale": 1.0}))    # always an Outcome

If a function ends the process, each further call of it returns the same Outcome.  For the next function, the file is
loaded into a new process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from minisam_kernels.lab.answers.call import call_here
from minisam_kernels.lab.answers.child import Child, EndedError
from minisam_kernels.lab.answers.outcome import Call, Outcome
from minisam_kernels.lab.answers.source import SourceError, compiled, read_source

PACKAGES = ("minisam_kernels", "minisam")


class AnswerFileError(Exception):
    """The file does not exist, cannot be run, or lacks the function; the message is one line."""


@dataclass(frozen=True)
class Rules:
    """Limits on one call and on loading the file, and the modules that the file may not use (borrowing.py)."""

    seconds: float = 20.0
    gigabytes: float = 4.0
    closed: Sequence[str] = ()
    opened: Sequence[str] = ()
    unread: Sequence[Path] = ()


@dataclass
class AnswerFunction:
    """A function that runs in the other process."""

    file: AnswerFile
    name: str
    last: Outcome | None = None

    def call(self, call: Call) -> Outcome:
        """The outcome of the call; always the same once the process has ended."""
        if self.last is None:
            outcome = self.file.call(self.name, call)
            if not outcome.ended:
                return outcome
            self.last = outcome
        return self.last


Function = Callable[..., Any] | AnswerFunction


def outcome_of(function: Function, call: Call) -> Outcome:
    """The outcome of a call, of a function here or in the other process."""
    return function.call(call) if isinstance(function, AnswerFunction) else call_here(function, call)


class AnswerFile:
    """A file and the functions that it should have."""

    def __init__(self, file: str | Path, functions: Sequence[str], rules: Rules) -> None:
        """Starts the process, which takes a while to import torch. Raises AnswerFileError."""
        self.file, self.functions, self.rules = str(file), list(functions), rules
        try:
            self.text = read_source(self.file)
            compiled(self.text, self.file, self.functions)
        except SourceError as error:
            raise AnswerFileError(str(error)) from error
        self.missing: dict[str, str] = {}
        self.names: list[str] = []
        self._borrowed = ""
        self._printed: list[str] = []
        self._child = self._new_child()

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.kill()

    @property
    def printed(self) -> str:
        """What the file has printed so far."""
        return "".join([*self._printed, self._child.printed])

    def load(self) -> None:
        """Run the file there; `missing` says which functions it lacks, `names` what it has. Raises AnswerFileError."""
        rules = self.rules
        request = {"load": self.file, "text": self.text, "functions": self.functions}
        request |= {
            "closed": rules.closed,
            "opened": rules.opened,
            "roots": [f"{root}/" for root in _roots()],
        }
        request |= {"unread": [str(path.resolve()) for path in rules.unread]}
        request |= {"memory": rules.gigabytes * 2**30}
        try:
            record, _ = self._child.ask(request, rules.seconds)
        except EndedError as ended:
            raise AnswerFileError(f"{self.file} cannot be run: it {ended}") from ended
        if "error" in record:
            raise AnswerFileError(f"{self.file} {record['error']}")
        self._borrowed = str(record.get("borrowed", ""))
        found = dict(record.get("functions", {}))
        self.missing = {name: str(found[name]) for name in self.functions if found.get(name)}
        self.names = [str(name) for name in record.get("names", [])]

    def function(self, name: str) -> AnswerFunction:
        """The function, with a process behind it."""
        if self._borrowed:
            return AnswerFunction(self, name, Outcome(error=self._borrowed, ended=True))
        if self._child.is_over:
            self._printed.append(self._child.printed)
            self._child.kill()
            self._child = self._new_child()
            try:
                self.load()
            except AnswerFileError as error:
                return AnswerFunction(self, name, Outcome(error=f"is not there: {error}", ended=True))
        return AnswerFunction(self, name)

    def call(self, name: str, call: Call) -> Outcome:
        try:
            return _outcome(*self._child.ask({"call": name, "arguments": call}, self.rules.seconds))
        except EndedError as ended:
            return Outcome(error=str(ended), ended=True)

    def _new_child(self) -> Child:
        return Child([str(root.parent) for root in _roots()])


def _roots() -> list[Path]:
    """The packages' folders."""
    files = [getattr(sys.modules.get(name), "__file__", None) for name in PACKAGES]
    return [Path(file).resolve().parent for file in files if file]


def _outcome(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Outcome:
    """An Outcome with the values that have the right type; other contents of a reply are ignored."""
    outcome = Outcome()
    for field in fields(Outcome):
        value = record.get(field.name)
        if type(value) is type(getattr(outcome, field.name)) and not isinstance(value, dict):
            setattr(outcome, field.name, value)
    outcome.value, outcome.again = arrays.get("value"), arrays.get("again")
    for group in (outcome.inputs, outcome.gradients):
        place = "inputs/" if group is outcome.inputs else "gradients/"
        group |= {name.removeprefix(place): array for name, array in arrays.items() if name.startswith(place)}
    return outcome
