"""Object templates: what an object is made of, as a short list of placed outlines.

A template is one whole and up to 15 pieces.  A piece has an outline family, a place in the object's frame (or in
another piece's frame, `on`), and a level: level 1 pieces are parts, level 2 pieces are subparts, level 0 pieces
only widen the whole.  A `clipped` piece shows only inside the piece it sits on; the others add to the silhouette.
`y` points down, and the object fills about [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from minisam.data.partworld.shapes import INDEX

MAX_PIECES = 16
ANY, SAME = -1, -2


@dataclass(frozen=True)
class Piece:
    """One outline of a template; lengths in the frame of the object (or of the piece `on`), angles in degrees."""

    name: str
    family: str
    at: tuple[float, float] = (0.0, 0.0)
    size: tuple[float, float] = (1.0, 1.0)
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


def piece(name: str, family: str, at=(0.0, 0.0), size=(1.0, 1.0), turn=0.0, **more) -> Piece:
    """A part that widens the silhouette."""
    return Piece(name, family, at, size, turn, **more)


def inside(on: str, name: str, family: str, at=(0.0, 0.0), size=(1.0, 1.0), turn=0.0, **more) -> Piece:
    """A part or subpart that shows only inside the piece `on`."""
    return Piece(name, family, at, size, turn, on=on, clipped=True, **more)


def body(family: str = "any", at=(0.0, 0.0), size=(1.0, 1.0), turn=0.0, **more) -> Piece:
    """The piece that carries the whole without being a part itself."""
    return Piece("body", family, at, size, turn, level=0, **{"loose": 0.0, **more})


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


def compile_templates(templates: tuple[Template, ...]) -> torch.Tensor:
    """Numbers of all pieces, [T, MAX_PIECES, len(FIELDS)]; slot 0 is the whole and empty slots have chance 0."""
    table = torch.zeros(len(templates), MAX_PIECES, len(FIELDS))
    for index, template in enumerate(templates):
        if len(template.pieces) >= MAX_PIECES:
            raise ValueError(f"template {template.name!r} has more than {MAX_PIECES - 1} pieces")
        for slot in range(1, len(template.pieces) + 1):
            table[index, slot] = torch.tensor(_row(template, slot))
    return table


def _generic() -> tuple[Template, ...]:
    free = {"upright": False, "aspect": 0.8}
    loose = {"loose": 0.35, "spin": 180.0}
    spots = tuple(
        inside("body", "spot", "disk", size=(0.28, 0.28), orbit=0.45, level=1, chance=0.8, **loose) for _ in range(2)
    )
    return (
        Template("blob", (body(),), **free),
        Template("stone", (body("blob"), inside("body", "patch", "blob", size=(0.6, 0.6), orbit=0.5, **loose)), **free),
        Template("disc", (body(), inside("body", "core", "same", size=(0.6, 0.6), loose=0.3),
                          inside("core", "dot", "same", size=(0.55, 0.55), level=2, loose=0.3)), **free),
        Template("ball", (body("disk"), inside("body", "band", "box", size=(1.2, 0.3), loose=0.3, spin=30),
                          inside("band", "badge", "any", size=(0.2, 0.6), level=2, loose=0.4)), **free),
        Template("slab", (body(), inside("body", "left end", "box", at=(-0.8, 0), size=(0.5, 1.5), loose=0.3, spin=15),
                          inside("body", "right end", "box", at=(0.8, 0), size=(0.5, 1.5), loose=0.3, spin=15),
                          inside("left end", "stripe", "box", size=(0.25, 1.0), level=2, chance=0.7),
                          inside("right end", "spot", "disk", size=(0.4, 0.15), level=2, chance=0.7)), **free),
        Template("pie", (body("disk"), inside("body", "slice", "wedge", size=(1.5, 1.5), spin=180, loose=0.0),
                         inside("slice", "bite", "disk", at=(0.5, 0), size=(0.25, 0.25), level=2)), **free),
        Template("shell", (body(), inside("body", "half", "box", at=(0, 1), size=(2, 1), loose=0.4, spin=25),
                           inside("half", "stripe", "box", at=(0, -0.4), size=(1, 0.18), level=2, chance=0.8),
                           inside("body", "cap", "box", at=(0, -1), size=(2, 0.5), chance=0.7, loose=0.4)), **free),
        Template("toy", (body(size=(0.7, 0.7)), piece("knob", "any", size=(0.38, 0.38), orbit=0.75, **loose),
                         piece("knob", "any", size=(0.3, 0.3), orbit=0.75, chance=0.7, **loose),
                         inside("body", "face", "same", size=(0.6, 0.6)),
                         inside("knob", "tip", "disk", size=(0.5, 0.5), level=2, chance=0.7)), **free),
        Template("bug", (body("blob", size=(0.9, 0.6)), *spots,
                         piece("head", "disk", at=(0.95, 0), size=(0.35, 0.35), loose=0.2),
                         inside("head", "eye", "disk", at=(0.3, -0.3), size=(0.3, 0.3), level=2)), **free),
    )  # fmt: skip


GENERIC = _generic()


