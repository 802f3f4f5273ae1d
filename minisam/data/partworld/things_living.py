"""Creatures and plants of the training world; y points down."""

from __future__ import annotations

from minisam.data.partworld.templates import Piece, Template, body, inside, piece, several


def thing(name: str, *pieces: Piece) -> Template:
    """A template that mostly stands upright."""
    return Template(name, pieces)


CREATURES = (
    thing("fish", piece("tail", "triangle", (0.82, 0), (0.36, 0.28), -90, loose=0.2),
        piece("fin", "triangle", (0.05, -0.42), (0.3, 0.2)),
        piece("trunk", "leaf", (-0.1, 0), (0.8, 0.42), loose=0.15),
        inside("trunk", "head", "box", (-0.85, 0), (0.4, 1.2), level=2),
        inside("trunk", "stripe", "box", (0.05, 0), (0.1, 1.2), level=2),
        inside("trunk", "second stripe", "box", (0.4, 0), (0.1, 1.2), level=2, chance=0.6),
        inside("tail", "edge", "box", (0, 0.8), (1.2, 0.3), level=2, chance=0.5)),
    thing("bird", piece("tail", "trapezoid", (-0.8, 0.1), (0.18, 0.3), 80),
        piece("trunk", "leaf", (-0.05, 0.15), (0.7, 0.42), 0),
        piece("beak", "triangle", (0.92, -0.4), (0.1, 0.18), 90), piece("head", "disk", (0.55, -0.4), (0.28, 0.28)),
        inside("head", "eye", "disk", (0.3, -0.15), (0.2, 0.2), level=2),
        inside("trunk", "wing", "leaf", (-0.1, -0.1), (0.6, 0.5), 15, level=2, loose=0.2),
        piece("legs", "box", (0, 0.72), (0.03, 0.24)), piece("leg", "box", (0.15, 0.72), (0.03, 0.24), joins="legs")),
    thing("dog", piece("tail", "capsule", (-0.85, -0.35), (0.28, 0.07), 50, spin=30),
        *(piece(name, "capsule", (x, 0.55), (0.4, 0.1), 90, loose=0.15)
          for name, x in (("hind leg", -0.5), ("far hind leg", -0.3), ("front leg", 0.3), ("far front leg", 0.5))),
        piece("trunk", "squircle", (0, 0), (0.68, 0.32)),
        inside("trunk", "patch", "blob", (-0.2, -0.2), (0.35, 0.6), level=2, loose=0.4),
        piece("ear", "leaf", (0.6, -0.72), (0.22, 0.12), -70), piece("head", "blob", (0.72, -0.4), (0.34, 0.27)),
        inside("head", "eye", "disk", (0.15, -0.2), (0.13, 0.15), level=2),
        inside("head", "nose", "disk", (0.85, 0.1), (0.2, 0.2), level=2)),
    thing("butterfly", piece("left wing", "leaf", (-0.48, -0.25), (0.55, 0.42), 205),
        piece("right wing", "leaf", (0.48, -0.25), (0.55, 0.42), -25),
        piece("left hindwing", "blob", (-0.35, 0.4), (0.36, 0.34)),
        piece("right hindwing", "blob", (0.35, 0.4), (0.36, 0.34)),
        inside("left wing", "spot", "disk", (0, 0), (0.3, 0.35), level=2),
        inside("right wing", "spot", "disk", (0, 0), (0.3, 0.35), level=2),
        piece("trunk", "capsule", (0, 0.05), (0.6, 0.09), 90, loose=0)),
    thing("person", piece("left arm", "capsule", (-0.34, -0.15), (0.36, 0.07), 110, spin=40),
        piece("right arm", "capsule", (0.34, -0.15), (0.36, 0.07), 70, spin=40),
        piece("legs", "capsule", (-0.13, 0.62), (0.4, 0.11), 92, spin=10),
        piece("leg", "capsule", (0.13, 0.62), (0.4, 0.11), 88, spin=10, joins="legs"),
        piece("shirt", "trapezoid", (0, -0.1), (0.28, 0.42), 180),
        inside("shirt", "stripe", "box", (0, 0.2), (1, 0.15), level=2, chance=0.6),
        inside("shirt", "belt", "box", (0, -0.88), (1, 0.12), level=2),
        piece("head", "disk", (0, -0.74), (0.2, 0.24)),
        inside("head", "hair", "box", (0, -0.8), (1.2, 0.5), level=2)),
    thing("face", piece("left ear", "disk", (-0.75, 0), (0.16, 0.25)),
        piece("right ear", "disk", (0.75, 0), (0.16, 0.25)), body("squircle", size=(0.75, 0.98)),
        inside("body", "hair", "half", (0, -0.75), (0.9, 0.45), 180, loose=0.2),
        inside("body", "left eye", "disk", (-0.3, -0.12), (0.17, 0.11)),
        inside("body", "right eye", "disk", (0.3, -0.12), (0.17, 0.11)),
        inside("left eye", "pupil", "disk", (0, 0), (0.4, 0.6), level=2),
        inside("right eye", "pupil", "disk", (0, 0), (0.4, 0.6), level=2),
        inside("body", "mouth", "crescent", (0, 0.5), (0.32, 0.12), 180, loose=0.3)),
    thing("snowman", piece("base", "disk", (0, 0.55), (0.46, 0.45)), piece("belly", "disk", (0, -0.1), (0.34, 0.34)),
        inside("belly", "button", "disk", (0, 0), (0.16, 0.16), level=2),
        piece("head", "disk", (0, -0.62), (0.24, 0.24)),
        inside("head", "nose", "triangle", (0.2, 0.1), (0.2, 0.5), 90, level=2),
        piece("hat", "box", (0, -0.9), (0.2, 0.14))),
)  # fmt: skip

PLANTS = (
    thing("flower", piece("stem", "capsule", (0, 0.55), (0.5, 0.04), 90),
        piece("leaf", "leaf", (0.22, 0.6), (0.25, 0.1), -30),
        *several("petals", "leaf", (0.3, 0.2), [(0.32, -0.3, 0), (0.1, 0, 72), (-0.26, -0.11, 144), (-0.26, -0.49, 216),
            (0.1, -0.6, 288)], loose=0), piece("centre", "disk", (0, -0.3), (0.2, 0.2)),
        inside("centre", "seeds", "disk", size=(0.5, 0.5), level=2)),
    thing("tree", piece("trunk", "trapezoid", (0, 0.6), (0.14, 0.42)),
        inside("trunk", "knot", "disk", (0, 0), (0.4, 0.2), level=2, chance=0.6),
        piece("crown", "blob", (0, -0.3), (0.72, 0.66), loose=0.2),
        inside("crown", "shade", "blob", (0.3, 0.4), (0.7, 0.6), level=2, loose=0.3),
        inside("crown", "fruit", "disk", (-0.3, -0.1), (0.12, 0.12), level=2, loose=0.5)),
    thing("fir", piece("trunk", "box", (0, 0.85), (0.1, 0.17)),
        *(piece(name, "triangle", (0, y), (w, 0.36), loose=0.1)
          for name, y, w in (("lower boughs", 0.4, 0.62), ("middle boughs", -0.05, 0.5), ("top", -0.55, 0.38))),
        inside("top", "snow", "box", (0, -0.7), (1, 0.4), level=2, chance=0.7)),
    thing("mushroom", piece("stalk", "trapezoid", (0, 0.45), (0.2, 0.5)),
        inside("stalk", "collar", "box", (0, -0.1), (1.2, 0.12), level=2),
        piece("cap", "half", (0, -0.35), (0.85, 0.5), 180),
        inside("cap", "spot", "disk", (-0.35, 0.1), (0.17, 0.25), level=2, loose=0.3),
        inside("cap", "second spot", "disk", (0.3, -0.1), (0.15, 0.2), level=2, loose=0.3)),
    thing("cactus", piece("arm", "capsule", (-0.45, -0.05), (0.3, 0.12), 90),
        piece("joint", "box", (-0.3, 0.2), (0.25, 0.09), joins="arm"),
        piece("column", "squircle", (0, 0), (0.22, 0.8)), inside("column", "rib", "box", (0, 0), (0.15, 1), level=2),
        piece("pot", "trapezoid", (0, 0.82), (0.38, 0.25), 180),
        inside("pot", "rim", "box", (0, 0.85), (1.3, 0.25), level=2)),
    thing("apple", piece("stem", "capsule", (0.05, -0.8), (0.2, 0.05), 80),
        piece("leaf", "leaf", (0.3, -0.85), (0.25, 0.11), -20), body("squircle", (0, 0.1), (0.75, 0.75)),
        inside("body", "blush", "blob", (0.25, 0), (0.4, 0.5), loose=0.3),
        inside("blush", "spot", "disk", (0, 0), (0.3, 0.25), level=2, loose=0.4)),
    Template("leaf", (body("leaf", size=(1, 0.5)), inside("body", "rib", "box", (0, 0), (1, 0.04), loose=0),
        inside("body", "edge", "box", (0, 0.35), (1.2, 0.2), loose=0.3)), upright=False, aspect=0.5),
)  # fmt: skip
