"""Wrong answers, each with the misunderstanding that it stands for.

A wrong answer is the solution with a few edits, since that is what it is in life: nearly right.  The catalogue
serves twice.  Tests hold that every check rejects every one of them; and where a learner's function does on every
case what a catalogued one does, the learner is told what is behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minisam.lesson.source import function_in, run_text


@dataclass(frozen=True)
class Mistake:
    """In the solution's text every key of `edits`, there exactly once, becomes its value."""

    says: str
    edits: Mapping[str, str]

    def source(self, solution: str) -> str:
        """The solution with the edits. Raises ValueError unless each place is there exactly once."""
        for old, new in self.edits.items():
            if solution.count(old) != 1:
                raise ValueError(
                    f"{self.says!r}: {old!r} is {solution.count(old)} times in the solution, not once"
                )
            solution = solution.replace(old, new)
        return solution

    def function(self, solution: str, name: str) -> Callable[..., Any]:
        """The wrong answer itself."""
        return function_in(run_text(self.source(solution), name), name)
