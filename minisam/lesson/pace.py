"""How long a lesson takes: pace.json in its folder, the only place where minutes and difficulties stand.

    {"reading": 20, "exercises": {"softmax": {"minutes": 6, "difficulty": "easy"}}}

Reading is text, figures and code that is not folded; an exercise is the time from its frame to a right answer.
`minisam lesson list`, the page, the notebook and the map take the minutes from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minisam.errors import MinisamError

DIFFICULTIES = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Effort:
    """What an exercise takes, in minutes, and how hard it is."""

    minutes: int
    difficulty: str


@dataclass(frozen=True)
class Pace:
    """The minutes of a lesson: reading, and each exercise by name."""

    reading: int = 0
    exercises: Mapping[str, Effort] = field(default_factory=dict)

    @property
    def minutes(self) -> int:
        return self.reading + sum(effort.minutes for effort in self.exercises.values())


def read_pace(folder: Path) -> Pace:
    """The pace of the lesson in that folder; an empty one without pace.json. Raises MinisamError if it is malformed."""
    path = folder / "pace.json"
    if not path.is_file():
        return Pace()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        exercises = {name: Effort(**effort) for name, effort in content["exercises"].items()}
        pace = Pace(content["reading"], exercises)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MinisamError(f"{path}: not the form that minisam/lesson/pace.py describes: {error}") from error
    for name, effort in exercises.items():
        if effort.difficulty not in DIFFICULTIES:
            one_of = ", ".join(DIFFICULTIES)
            raise MinisamError(
                f"{path}: {name}: the difficulty is {effort.difficulty!r}, not one of {one_of}"
            )
    return pace
