"""Objects of the held-out worlds; their bodies come from outline families that training never shows."""

from __future__ import annotations

from typing import Any

from minisam.data.partworld.templates import Piece, Template, body, inside, piece, several

ANYHOW: dict[str, Any] = {"loose": 0.35, "spin": 180.0}


def thing(name: str, *pieces: Piece, thin: bool = False, aspect: float = 0.6) -> Template:
    """A template that may lie at any angle."""
    return Template(name, pieces, upright=False, aspect=aspect, thin=thin)


HELDOUT = (
    thing("amulet", body(), inside("body", "gem", "any", size=(0.55, 0.55), **ANYHOW),
        inside("gem", "glint", "any", size=(0.4, 0.4), level=2, **ANYHOW)),
    thing("charm", body(), inside("body", "inset", "same", size=(0.65, 0.65)),
        inside("inset", "mark", "same", size=(0.5, 0.5), level=2)),
    thing("emblem", body(), inside("body", "left half", "parallelogram", (-0.6, 0), (0.6, 1.2), spin=20),
        inside("left half", "sign", "any", size=(0.4, 0.3), level=2, **ANYHOW)),
    thing("engine", body(size=(0.75, 0.75)), piece("shaft", "zigzag", (0.7, 0), (0.5, 0.5), spin=20),
        piece("cog", "gear", (-0.6, -0.5), (0.4, 0.4)), inside("cog", "axle", "cell", size=(0.4, 0.4), level=2),
        inside("body", "plate", "lshape", size=(0.45, 0.45), **ANYHOW)),
    thing("piece", body()),
    thing("necklace", body("spiral"), piece("pendant", "heart", (0.8, 0), (0.25, 0.25)), thin=True),
    thing("bolt", body("zigzag"), inside("body", "tip", "parallelogram", (-0.8, 0), (0.3, 1.2)), thin=True),
)  # fmt: skip

MICRO = (
    thing("cell", body("cell"), inside("body", "nucleus", "cell", size=(0.5, 0.5), loose=0.4, spin=180),
        inside("nucleus", "nucleolus", "cell", size=(0.28, 0.28), level=2, loose=0.9)),
    thing("cell", body("bean"), inside("body", "nucleus", "cell", (0.2, 0), (0.45, 0.45), loose=0.4, spin=180),
        inside("nucleus", "nucleolus", "cell", size=(0.3, 0.3), level=2, loose=0.9),
        inside("nucleus", "granule", "cell", size=(0.16, 0.16), level=2, loose=1.2)),
    thing("nucleus", body("cell"), aspect=0.3),
    thing("dividing cell", body("cell"), inside("body", "chromatin", "bean", (-0.35, 0), (0.2, 0.5)),
        inside("body", "sister chromatin", "bean", (0.35, 0), (0.2, 0.5), 180)),
    thing("fibre", body("wire", size=(1, 0.5)), thin=True),
)  # fmt: skip

AERIAL = (
    thing("building", body("lshape"), inside("body", "roof edge", "parallelogram", (0, 0.6), (1.2, 0.4), spin=5),
        inside("body", "courtyard", "lshape", (-0.4, 0.4), (0.3, 0.3)),
        inside("roof edge", "vent", "cross", (-0.4, 0), (0.1, 0.3), level=2)),
    thing("field", body("parallelogram"), inside("body", "strip", "parallelogram", (0, 0.5), (1.2, 0.4), spin=5),
        inside("strip", "plot", "parallelogram", (-0.4, 0), (0.3, 1.2), level=2)),
    thing("hangar", body("cross"), inside("body", "nave", "parallelogram", size=(0.3, 1.2))),
    thing("vehicle", body("parallelogram", size=(1, 0.45)),
        inside("body", "windscreen", "parallelogram", (0.4, 0), (0.14, 0.36), loose=0),
        inside("body", "load", "parallelogram", (-0.4, 0), (0.45, 0.34), loose=0)),
    thing("grove", body("cell"), inside("body", "clump", "cell", size=(0.5, 0.5), loose=0.5, spin=180),
        inside("clump", "tree", "cell", size=(0.35, 0.35), level=2, loose=0.9)),
    thing("road", body("wire", size=(1.3, 0.4)), thin=True, aspect=0.2),
)  # fmt: skip

LINES = (
    *HELDOUT,
    thing("plan", body("cross"), inside("body", "hall", "parallelogram", size=(0.25, 1.2)),
        inside("hall", "stair", "lshape", size=(0.6, 0.2), level=2)),
)  # fmt: skip

XRAY = (
    thing("bone", body("bean", (-0.75, 0), (0.32, 0.4), spin=20), piece("shaft", "wire", (0, 0), (0.8, 2.2)),
        piece("joint", "bean", (0.75, 0), (0.32, 0.4), 180, spin=20),
        inside("joint", "core", "cell", size=(0.5, 0.5), level=2)),
    thing("organ", body("cell"), inside("body", "lobe", "bean", (-0.3, 0.2), (0.6, 0.55), loose=0.4, spin=180),
        inside("lobe", "nodule", "cell", size=(0.3, 0.3), level=2, loose=0.6)),
    thing("implant", body("gear"), inside("body", "bore", "cell", size=(0.4, 0.4))),
    thing("stone", body("cell")),
    thing("probe", body("wire"), thin=True),
)  # fmt: skip

THIN_STRUCTURES = (
    thing("wire", body("wire"), thin=True),
    thing("coil", body("spiral"), thin=True),
    thing("crack", body("zigzag", size=(1, 0.5)), thin=True),
    thing("vessel", piece("trunk", "wire", (0, 0), (1, 1.3)),
        piece("branch", "wire", (0.4, -0.3), (0.6, 0.9), -50, spin=20),
        piece("twig", "wire", (-0.4, 0.3), (0.5, 0.8), 60, spin=20),
        piece("tip", "wire", (0.1, 0.5), (0.45, 0.7), 100, spin=20), thin=True),
    thing("frond", piece("stem", "wire", (0, 0), (1, 1)),
        *several("leaves", "zigzag", (0.3, 0.2), [(0.3 * i, 0.2 * (-1) ** i, 65 * (-1) ** i) for i in range(-2, 3)]),
        thin=True),
    thing("antenna", piece("mast", "wire", (0, 0), (1, 0.8)), piece("loop", "spiral", (0.7, 0), (0.35, 0.35)),
        thin=True),
)  # fmt: skip
