"""Wrong answers, each with an explanation of its misunderstanding.

A wrong answer is the solution with a few edits, because real wrong answers are usually almost correct.  The catalogue
has two uses.  Tests check that every wrong answer is rejected. And if a learner's function has the same results as a
catalogued one on every case, the learner gets its explanation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minisam.lesson.source import function_in, run_text


@dataclass(frozen=True)
class Mistake:
    """In the solution's text, every key of `edits`, which occurs exactly once, becomes its value."""

    says: str
    edits: Mapping[str, str]

    def source(self, solution: str) -> str:
        """The solution with the edits. Raises ValueError unless each key occurs exactly once."""
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
