"""Nameless objects of the training world: a random body, cut, striped, spotted, nested or studded with more."""

from __future__ import annotations

from typing import Any

from minisam.data.partworld.templates import Piece, Template, body, inside, piece, several

ANYHOW: dict[str, Any] = {"loose": 0.35, "spin": 180.0}


def thing(name: str, *pieces: Piece) -> Template:
    """A template that may lie at any angle and be stretched up to 2.2 times."""
    return Template(name, pieces, upright=False, aspect=0.8)


GENERIC = (
    thing("blob", body()),
    thing("lump", body("blob")),
    thing("stone", body("blob"), inside("body", "patch", "blob", size=(0.6, 0.6), orbit=0.5, **ANYHOW),
        inside("patch", "spot", "any", size=(0.5, 0.5), level=2, **ANYHOW)),
    thing("disc", body(), inside("body", "core", "same", size=(0.62, 0.62), loose=0.3),
        inside("core", "dot", "same", size=(0.55, 0.55), level=2, loose=0.3)),
    thing("ball", body("disk"), inside("body", "band", "box", size=(1.2, 0.3), loose=0.3, spin=30),
        inside("band", "badge", "any", size=(0.2, 0.6), level=2, loose=0.4),
        inside("body", "pole", "disk", (0, -1), (0.5, 0.4), chance=0.6)),
    thing("slab", body(), inside("body", "left end", "box", (-0.8, 0), (0.5, 1.5), loose=0.3, spin=15),
        inside("left end", "stripe", "box", size=(0.25, 1.0), level=2, chance=0.7),
        inside("body", "right end", "box", (0.8, 0), (0.5, 1.5), loose=0.3, spin=15),
        inside("right end", "spot", "disk", size=(0.4, 0.15), level=2, chance=0.7)),
    thing("pie", body("disk"), inside("body", "slice", "wedge", size=(1.5, 1.5), loose=0.0, spin=180),
        inside("slice", "bite", "disk", (0.45, 0), (0.22, 0.22), level=2)),
    thing("shell", body(), inside("body", "half", "box", (0, 1), (2, 1), loose=0.3, spin=25),
        inside("half", "stripe", "box", (0, -0.5), (1, 0.16), level=2, chance=0.8),
        inside("body", "cap", "box", (0, -1), (2, 0.5), chance=0.7, loose=0.4)),
    thing("toy", body(size=(0.7, 0.7)), piece("knob", "any", size=(0.38, 0.38), orbit=0.75, **ANYHOW),
        piece("stud", "any", size=(0.3, 0.3), orbit=0.75, chance=0.7, **ANYHOW),
        inside("body", "face", "same", size=(0.6, 0.6)),
        inside("face", "nose", "any", size=(0.35, 0.35), level=2, chance=0.7, **ANYHOW),
        inside("knob", "tip", "disk", size=(0.5, 0.5), level=2, chance=0.7)),
    thing("bug", body("blob", size=(0.9, 0.6)), inside("body", "shell", "any", (-0.2, 0), (0.5, 0.45), loose=0.3),
        inside("shell", "spot", "disk", (0.3, -0.3), (0.25, 0.25), level=2, loose=0.3),
        inside("shell", "stripe", "box", (-0.3, 0), (0.12, 1.0), level=2, loose=0.3),
        piece("head", "disk", (0.95, 0), (0.35, 0.35), loose=0.2),
        inside("head", "eye", "disk", (0.3, -0.3), (0.3, 0.3), level=2)),
    thing("pair", piece("left piece", "any", (-0.5, 0), (0.6, 0.7), loose=0.3, spin=60),
        piece("right piece", "any", (0.5, 0), (0.6, 0.6), loose=0.3, spin=180),
        inside("left piece", "mark", "any", size=(0.4, 0.4), level=2, chance=0.6, **ANYHOW),
        inside("right piece", "mark", "any", size=(0.4, 0.4), level=2, chance=0.6, **ANYHOW)),
    thing("tile", body("box"), inside("body", "corner", "box", (-0.5, -0.5), (0.5, 0.5), loose=0.2),
        inside("body", "panel", "any", (0.4, 0.35), (0.45, 0.5), loose=0.2),
        inside("panel", "print", "any", size=(0.5, 0.5), level=2, **ANYHOW)),
    thing("washer", piece("ring", "ring"), inside("ring", "mark", "box", (0.8, 0), (0.4, 0.3), level=2, loose=0.3)),
    thing("moon", body("crescent"), inside("body", "tip", "box", (-0.8, 0.3), (0.5, 1.0), loose=0.4)),
)  # fmt: skip

THIN = (
    Template("cable", (body("ribbon", size=(1, 0.8)), inside("body", "end", "box", (-0.8, 0), (0.3, 1.5))),
        upright=False, aspect=1.0, thin=True),
    Template("rod", (body("capsule", size=(1, 0.07), loose=0.3), inside("body", "grip", "box", (0.7, 0), (0.25, 0.5))),
        upright=False, thin=True),
    Template("hoop", (body("ring"),), upright=False, aspect=0.8, thin=True),
    Template("hook", (body("arc"), inside("body", "half", "box", (0, 1), (1.5, 1.0))), upright=False, thin=True),
    Template("twig", (piece("stem", "capsule", (0, 0), (1, 0.05), 90),
        piece("branch", "capsule", (0.3, -0.3), (0.45, 0.035), -40),
        piece("shoot", "capsule", (-0.3, 0.05), (0.42, 0.035), -145),
        piece("leaf", "leaf", (0.65, -0.65), (0.22, 0.1), -40, spin=40),
        piece("bud", "leaf", (-0.65, -0.25), (0.2, 0.1), -145, spin=40, chance=0.8)), thin=True),
    Template("fork", (piece("handle", "capsule", (0, 0.45), (0.55, 0.06), 90),
        piece("head", "half", (0, -0.25), (0.28, 0.2)),
        *(piece(f"{name} tine", "capsule", (x, -0.6), (0.35, 0.035), 90, loose=0.0)
          for name, x in (("left", -0.24), ("middle", 0.0), ("right", 0.24)))), thin=True),
    Template("ladder", (piece("left rail", "capsule", (-0.35, 0), (1, 0.05), 90, loose=0),
        piece("right rail", "capsule", (0.35, 0), (1, 0.05), 90, loose=0),
        *several("rungs", "box", (0.35, 0.05), [(0, y, 0) for y in (-0.7, -0.35, 0, 0.35, 0.7)], loose=0)), thin=True),
    Template("glasses", (piece("left rim", "ring", (-0.52, 0), (0.42, 0.38)),
        piece("right rim", "ring", (0.52, 0), (0.42, 0.38)), piece("bridge", "box", (0, -0.05), (0.14, 0.05))),
        thin=True),
    Template("net", several("cords", "capsule", (1, 0.035), [(0, 0, 0), (0, 0, 60), (0, 0, 120), (0, 0.3, 10)],
        loose=0.2, spin=12), upright=False, thin=True),
)  # fmt: skip
