"""Object templates: the parts of an object, as a short list of placed outlines.

A template is one whole and up to 15 pieces.  A piece has an outline family, a place in the object's frame (or in
another piece's frame, `on`), and a level: level 1 pieces are parts, level 2 pieces are subparts, level 0 pieces
only widen the whole.  A `clipped` piece is visible only inside the piece that it lies on; the others add to the
silhouette.
`y` points down, and the object fills about [-1, 1].
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from minisam.data.partworld.outlines import INDEX

MAX_PIECES = 16
Pair = tuple[float, float]
ANY, SAME = -1, -2


@dataclass(frozen=True)
class Piece:
    """One outline of a template; lengths in the frame of the object (or of the piece `on`), angles in degrees."""

    name: str
    family: str
    at: Pair = (0, 0)
    size: Pair = (1, 1)
    turn: float = 0.0
    level: int = 1
    on: str = ""
    clipped: bool = False
    chance: float = 1.0
    orbit: float = 0.0
    loose: float = 0.1
    spin: float = 0.0
    joins: str = ""


@dataclass(frozen=True)
class Template:
    """A kind of object: its name in captions, its pieces, and whether it stands upright."""

    name: str
    pieces: tuple[Piece, ...]
    upright: bool = True
    aspect: float = 0.25
    thin: bool = False


def piece(
    name: str, family: str, at: Pair = (0, 0), size: Pair = (1, 1), turn: float = 0, **more: Any
) -> Piece:
    """A part that widens the silhouette."""
    return Piece(name, family, at, size, turn, **more)


def inside(
    on: str, name: str, family: str, at: Pair = (0, 0), size: Pair = (1, 1), turn: float = 0, **more: Any
) -> Piece:
    """A part or subpart that is visible only inside the piece `on`."""
    return Piece(name, family, at, size, turn, on=on, clipped=True, **more)


def body(family: str = "any", at: Pair = (0, 0), size: Pair = (1, 1), turn: float = 0, **more: Any) -> Piece:
    """The piece that makes up the whole without being a part itself."""
    return Piece("body", family, at, size, turn, level=0, **{"loose": 0.0, **more})


def several(
    name: str, family: str, size: Pair, places: Sequence[tuple[float, float, float]], **more: Any
) -> tuple[Piece, ...]:
    """One part made of several equal outlines at `places` (x, y, turn)."""
    return tuple(
        Piece(f"{name} {i}" if i else name, family, (x, y), size, turn, joins=name if i else "", **more)
        for i, (x, y, turn) in enumerate(places)
    )


FIELDS = ("chance", "level", "clipped", "on", "node", "family", "x", "y", "width", "height", "turn", "orbit",
          "loose", "spin")  # fmt: skip
COLUMN = {name: column for column, name in enumerate(FIELDS)}


def _row(template: Template, slot: int) -> list[float]:
    entry = template.pieces[slot - 1]
    slot_of = {other.name: index + 1 for index, other in reversed(list(enumerate(template.pieces)))}
    family = {"any": ANY, "same": SAME}.get(entry.family)
    node = slot if entry.level else 0
    if entry.joins:
        node = slot_of[entry.joins] if template.pieces[slot_of[entry.joins] - 1].level else 0
    return [
        entry.chance, entry.level, entry.clipped, slot_of[entry.on] if entry.on else 0, node,
        INDEX[entry.family] if family is None else family,
        *entry.at, *entry.size, math.radians(entry.turn), entry.orbit, entry.loose, math.radians(entry.spin),
    ]  # fmt: skip


@functools.lru_cache(maxsize=16)
def compile_templates(templates: tuple[Template, ...]) -> torch.Tensor:
    """Numbers of all pieces, [T, MAX_PIECES, len(FIELDS)]; slot 0 is the whole and empty slots have chance 0."""
    table = torch.zeros(len(templates), MAX_PIECES, len(FIELDS))
    for index, template in enumerate(templates):
        if len(template.pieces) >= MAX_PIECES:
            raise ValueError(f"template {template.name!r} has more than {MAX_PIECES - 1} pieces")
        for slot in range(1, len(template.pieces) + 1):
            table[index, slot] = torch.tensor(_row(template, slot))
    return table
