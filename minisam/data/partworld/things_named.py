"""Named objects of the training world, built from a few outlines each; y points down."""

from __future__ import annotations

from minisam.data.partworld.templates import Template, body, inside, piece


def thing(name: str, *pieces) -> Template:
    """A template that mostly stands upright."""
    return Template(name, pieces)


VEHICLES = (
    thing("car", piece("cabin", "trapezoid", (-0.05, -0.36), (0.58, 0.26)),
          inside("cabin", "rear window", "box", (-0.42, 0.1), (0.3, 0.6), level=2),
          inside("cabin", "front window", "box", (0.38, 0.1), (0.32, 0.6), level=2),
          piece("hull", "squircle", (0, 0.1), (1, 0.34)),
          inside("hull", "door", "box", (0, 0), (0.25, 0.7), level=2, chance=0.7),
          inside("hull", "lamp", "disk", (0.9, -0.1), (0.1, 0.25), level=2),
          piece("rear wheel", "disk", (-0.55, 0.42), (0.25, 0.25)), piece("front wheel", "disk", (0.55, 0.42), (0.25, 0.25)),
          inside("rear wheel", "hub", "disk", (0, 0), (0.5, 0.5), level=2, loose=0),
          inside("front wheel", "hub", "disk", (0, 0), (0.5, 0.5), level=2, loose=0)),
    thing("truck", piece("load", "box", (-0.3, -0.15), (0.68, 0.5)),
          inside("load", "stripe", "box", (0, 0.3), (1.1, 0.16), level=2, chance=0.7),
          piece("cab", "squircle", (0.68, 0.05), (0.3, 0.38)), inside("cab", "window", "box", (0.2, -0.4), (0.6, 0.4), level=2),
          piece("rear wheel", "disk", (-0.6, 0.48), (0.2, 0.2)), piece("front wheel", "disk", (0.62, 0.48), (0.2, 0.2)),
          inside("rear wheel", "hub", "disk", (0, 0), (0.45, 0.45), level=2, loose=0),
          inside("front wheel", "hub", "disk", (0, 0), (0.45, 0.45), level=2, loose=0)),
    thing("ship", piece("sail", "triangle", (0.1, -0.35), (0.45, 0.6), loose=0.2),
          inside("sail", "stripe", "box", (0, 0.4), (1, 0.15), level=2),
          piece("mast", "box", (-0.02, -0.3), (0.035, 0.7), loose=0), piece("hull", "trapezoid", (0, 0.62), (0.95, 0.26), 180),
          inside("hull", "porthole", "disk", (-0.3, -0.1), (0.08, 0.3), level=2),
          inside("hull", "rail", "box", (0, 0.85), (1.3, 0.25), level=2)),
    Template("plane", (
        piece("left wing", "leaf", (0.0, -0.5), (0.6, 0.2), -110), piece("right wing", "leaf", (0.0, 0.5), (0.6, 0.2), 110),
        piece("tail", "trapezoid", (-0.8, 0), (0.35, 0.12), 90), piece("fuselage", "capsule", (0, 0), (1, 0.17)),
        inside("fuselage", "cockpit", "disk", (0.75, 0), (0.12, 0.6), level=2),
        inside("fuselage", "stripe", "box", (-0.3, 0), (0.1, 1), level=2),
        inside("left wing", "engine", "disk", (0, 0), (0.2, 0.4), level=2)), upright=False),
    thing("rocket", piece("left fin", "triangle", (-0.35, 0.6), (0.25, 0.35)), piece("right fin", "triangle", (0.35, 0.6), (0.25, 0.35)),
          piece("tube", "squircle", (0, 0.1), (0.3, 0.75)), inside("tube", "window", "disk", (0, -0.3), (0.5, 0.2), level=2),
          inside("tube", "stripe", "box", (0, 0.5), (1, 0.1), level=2), piece("nose", "triangle", (0, -0.75), (0.3, 0.28))),
)  # fmt: skip

CREATURES = (
    thing("fish", piece("tail", "triangle", (0.82, 0), (0.36, 0.28), -90, loose=0.2), piece("fin", "triangle", (0.05, -0.42), (0.3, 0.2)),
          piece("trunk", "leaf", (-0.1, 0), (0.8, 0.42), loose=0.15),
          inside("trunk", "head", "box", (-0.85, 0), (0.4, 1.2), level=2),
          inside("trunk", "stripe", "box", (0.05, 0), (0.1, 1.2), level=2),
          inside("trunk", "second stripe", "box", (0.4, 0), (0.1, 1.2), level=2, chance=0.6),
          inside("tail", "edge", "box", (0, 0.8), (1.2, 0.3), level=2, chance=0.5)),
    thing("bird", piece("tail", "trapezoid", (-0.8, 0.1), (0.18, 0.3), 80), piece("trunk", "leaf", (-0.05, 0.15), (0.7, 0.42), 0),
          piece("beak", "triangle", (0.92, -0.4), (0.1, 0.18), 90), piece("head", "disk", (0.55, -0.4), (0.28, 0.28)),
          inside("head", "eye", "disk", (0.3, -0.15), (0.2, 0.2), level=2),
          inside("trunk", "wing", "leaf", (-0.1, -0.1), (0.6, 0.5), 15, level=2, loose=0.2),
          piece("legs", "box", (0, 0.72), (0.03, 0.24)), piece("leg", "box", (0.15, 0.72), (0.03, 0.24), joins="legs")),
    thing("dog", piece("tail", "capsule", (-0.85, -0.35), (0.28, 0.07), 50, spin=30),
          *(piece(name, "capsule", (x, 0.55), (0.4, 0.1), 90, loose=0.15)
            for name, x in (("hind leg", -0.5), ("far hind leg", -0.3), ("front leg", 0.3), ("far front leg", 0.5))),
          piece("trunk", "squircle", (0, 0), (0.68, 0.32)), inside("trunk", "patch", "blob", (-0.2, -0.2), (0.35, 0.6), level=2, loose=0.4),
          piece("ear", "leaf", (0.6, -0.72), (0.22, 0.12), -70), piece("head", "blob", (0.72, -0.4), (0.34, 0.27)),
          inside("head", "eye", "disk", (0.15, -0.2), (0.13, 0.15), level=2),
          inside("head", "nose", "disk", (0.85, 0.1), (0.2, 0.2), level=2)),
    thing("butterfly", piece("left wing", "leaf", (-0.48, -0.25), (0.55, 0.42), 205), piece("right wing", "leaf", (0.48, -0.25), (0.55, 0.42), -25),
          piece("left hindwing", "blob", (-0.35, 0.4), (0.36, 0.34)), piece("right hindwing", "blob", (0.35, 0.4), (0.36, 0.34)),
          inside("left wing", "spot", "disk", (0, 0), (0.3, 0.35), level=2), inside("right wing", "spot", "disk", (0, 0), (0.3, 0.35), level=2),
          piece("trunk", "capsule", (0, 0.05), (0.6, 0.09), 90, loose=0)),
    thing("person", piece("left arm", "capsule", (-0.34, -0.15), (0.36, 0.07), 110, spin=40), piece("right arm", "capsule", (0.34, -0.15), (0.36, 0.07), 70, spin=40),
          piece("legs", "capsule", (-0.13, 0.62), (0.4, 0.11), 92, spin=10), piece("leg", "capsule", (0.13, 0.62), (0.4, 0.11), 88, spin=10, joins="legs"),
          piece("shirt", "trapezoid", (0, -0.1), (0.28, 0.42), 180), inside("shirt", "stripe", "box", (0, 0.2), (1, 0.15), level=2, chance=0.6),
          inside("shirt", "belt", "box", (0, -0.88), (1, 0.12), level=2),
          piece("head", "disk", (0, -0.74), (0.2, 0.24)), inside("head", "hair", "box", (0, -0.8), (1.2, 0.5), level=2)),
    thing("face", piece("left ear", "disk", (-0.75, 0), (0.16, 0.25)), piece("right ear", "disk", (0.75, 0), (0.16, 0.25)),
          body("squircle", size=(0.75, 0.98)), inside("body", "hair", "half", (0, -0.75), (0.9, 0.45), 180, loose=0.2),
          inside("body", "left eye", "disk", (-0.3, -0.12), (0.17, 0.11)), inside("body", "right eye", "disk", (0.3, -0.12), (0.17, 0.11)),
          inside("left eye", "pupil", "disk", (0, 0), (0.4, 0.6), level=2), inside("right eye", "pupil", "disk", (0, 0), (0.4, 0.6), level=2),
          inside("body", "mouth", "crescent", (0, 0.5), (0.32, 0.12), 180, loose=0.3)),
    thing("snowman", piece("base", "disk", (0, 0.55), (0.46, 0.45)), piece("belly", "disk", (0, -0.1), (0.34, 0.34)),
          inside("belly", "button", "disk", (0, 0), (0.16, 0.16), level=2), piece("head", "disk", (0, -0.62), (0.24, 0.24)),
          inside("head", "nose", "triangle", (0.2, 0.1), (0.2, 0.5), 90, level=2), piece("hat", "box", (0, -0.9), (0.2, 0.14))),
)  # fmt: skip

PLANTS = (
    thing("flower", piece("stem", "capsule", (0, 0.55), (0.5, 0.04), 90), piece("leaf", "leaf", (0.22, 0.6), (0.25, 0.1), -30),
          *(piece("petals" if i == 0 else f"petal {i}", "leaf", (x, y - 0.3), (0.3, 0.2), turn, joins="petals" if i else "", loose=0.0)
            for i, (x, y, turn) in enumerate(((0.32, 0, 0), (0.1, 0.3, 72), (-0.26, 0.19, 144), (-0.26, -0.19, 216), (0.1, -0.3, 288)))),
          piece("centre", "disk", (0, -0.3), (0.2, 0.2)), inside("centre", "seeds", "disk", size=(0.5, 0.5), level=2)),
    thing("tree", piece("trunk", "trapezoid", (0, 0.6), (0.14, 0.42)), inside("trunk", "knot", "disk", (0, 0), (0.4, 0.2), level=2, chance=0.6),
          piece("crown", "blob", (0, -0.3), (0.72, 0.66), loose=0.2), inside("crown", "shade", "blob", (0.3, 0.4), (0.7, 0.6), level=2, loose=0.3),
          inside("crown", "fruit", "disk", (-0.3, -0.1), (0.12, 0.12), level=2, loose=0.5)),
    thing("fir", piece("trunk", "box", (0, 0.85), (0.1, 0.17)),
          *(piece(name, "triangle", (0, y), (w, 0.36), loose=0.1) for name, y, w in (("lower boughs", 0.4, 0.62), ("middle boughs", -0.05, 0.5), ("top", -0.55, 0.38))),
          inside("top", "snow", "box", (0, -0.7), (1, 0.4), level=2, chance=0.7)),
    thing("mushroom", piece("stalk", "trapezoid", (0, 0.45), (0.2, 0.5)), inside("stalk", "collar", "box", (0, -0.1), (1.2, 0.12), level=2),
          piece("cap", "half", (0, -0.35), (0.85, 0.5), 180), inside("cap", "spot", "disk", (-0.35, 0.1), (0.17, 0.25), level=2, loose=0.3),
          inside("cap", "second spot", "disk", (0.3, -0.1), (0.15, 0.2), level=2, loose=0.3)),
    thing("cactus", piece("arm", "capsule", (-0.45, -0.05), (0.3, 0.12), 90), piece("joint", "box", (-0.3, 0.2), (0.25, 0.09), joins="arm"),
          piece("column", "squircle", (0, 0), (0.22, 0.8)), inside("column", "rib", "box", (0, 0), (0.15, 1), level=2),
          piece("pot", "trapezoid", (0, 0.82), (0.38, 0.25), 180), inside("pot", "rim", "box", (0, 0.85), (1.3, 0.25), level=2)),
    thing("apple", piece("stem", "capsule", (0.05, -0.8), (0.2, 0.05), 80), piece("leaf", "leaf", (0.3, -0.85), (0.25, 0.11), -20),
          body("squircle", (0, 0.1), (0.75, 0.75)), inside("body", "blush", "blob", (0.25, 0), (0.4, 0.5), loose=0.3),
          inside("blush", "spot", "disk", (0, 0), (0.3, 0.25), level=2, loose=0.4)),
    Template("leaf", (body("leaf", size=(1, 0.5)), inside("body", "rib", "box", (0, 0), (1, 0.04), loose=0),
                      inside("body", "edge", "box", (0, 0.35), (1.2, 0.2), loose=0.3)), upright=False, aspect=0.5),
)  # fmt: skip

HOUSEHOLD = (
    thing("house", piece("chimney", "box", (0.5, -0.6), (0.09, 0.28)), piece("wall", "box", (0, 0.4), (0.75, 0.55)),
          inside("wall", "door", "box", (0.1, 0.45), (0.16, 0.55), level=2), inside("wall", "window", "box", (-0.5, -0.1), (0.2, 0.28), level=2),
          inside("wall", "right window", "box", (0.6, -0.1), (0.2, 0.28), level=2, chance=0.7),
          piece("roof", "trapezoid", (0, -0.42), (0.92, 0.34)), inside("roof", "skylight", "box", (-0.2, 0), (0.14, 0.3), level=2, chance=0.6)),
    thing("tower", body("box", size=(0.45, 1)), *(inside("body", f"{n} floor", "box", (0, y), (0.36, 0.12), loose=0.05)
          for n, y in (("top", -0.65), ("upper", -0.2), ("lower", 0.25))), inside("body", "gate", "box", (0, 0.8), (0.16, 0.25)),
          inside("top floor", "pane", "box", (0.4, 0), (0.3, 1), level=2), inside("upper floor", "pane", "box", (-0.4, 0), (0.3, 1), level=2)),
    thing("mug", piece("handle", "arc", (0.55, 0.05), (0.4, 0.42)), piece("cup", "squircle", (-0.12, 0), (0.6, 0.82)),
          inside("cup", "band", "box", (0, 0.2), (1.2, 0.22), level=2), inside("cup", "rim", "disk", (0, -0.92), (0.9, 0.16), level=2)),
    thing("bottle", piece("neck", "box", (0, -0.6), (0.12, 0.3)), piece("cap", "box", (0, -0.88), (0.15, 0.1)), piece("flask", "squircle", (0, 0.28), (0.36, 0.7)),
          inside("flask", "label", "box", (0, 0.1), (1.2, 0.4), level=2), inside("neck", "collar", "box", (0, 0.4), (1.2, 0.2), level=2)),
    thing("lamp", piece("foot", "half", (0, 0.85), (0.35, 0.12), 180), piece("pole", "box", (0, 0.2), (0.04, 0.65), loose=0),
          piece("shade", "trapezoid", (0, -0.5), (0.55, 0.42)), inside("shade", "trim", "box", (0, 0.85), (1.2, 0.2), level=2)),
    thing("table", piece("left leg", "box", (-0.75, 0.35), (0.07, 0.6)), piece("right leg", "box", (0.75, 0.35), (0.07, 0.6)),
          piece("top", "box", (0, -0.3), (1, 0.12), loose=0.2), piece("drawer", "box", (0, -0.05), (0.4, 0.15)),
          inside("drawer", "knob", "disk", (0, 0), (0.12, 0.3), level=2)),
    thing("chair", piece("back", "box", (-0.5, -0.4), (0.08, 0.6)), piece("front leg", "box", (0.45, 0.6), (0.06, 0.4)), piece("rear leg", "box", (-0.5, 0.6), (0.06, 0.4)),
          piece("seat", "box", (0, 0.2), (0.6, 0.1)), inside("seat", "cushion", "box", (0, -0.6), (0.8, 0.5), level=2)),
    thing("book", body("box", size=(0.7, 0.95), spin=10), inside("body", "spine", "box", (-0.6, 0), (0.14, 1.2)), inside("body", "title", "box", (0.1, -0.4), (0.4, 0.16)),
          inside("body", "picture", "any", (0.1, 0.35), (0.38, 0.38), spin=40), inside("picture", "detail", "any", size=(0.45, 0.45), level=2, loose=0.4)),
    thing("screen", piece("stand", "trapezoid", (0, 0.75), (0.28, 0.25)), piece("case", "box", (0, -0.1), (1, 0.65), loose=0.05), inside("case", "display", "box", (0, -0.05), (0.9, 0.84), level=2, loose=0.02)),
    thing("clock", body("disk"), inside("body", "dial", "disk", size=(0.8, 0.8), loose=0.05),
          inside("dial", "hour hand", "box", (0.2, 0.1), (0.3, 0.06), 30, level=2, loose=0.0), inside("dial", "minute hand", "box", (-0.05, -0.35), (0.45, 0.05), 80, level=2, loose=0.0)),
    thing("umbrella", piece("stick", "box", (0, 0.35), (0.035, 0.6)), piece("canopy", "half", (0, -0.4), (0.95, 0.5), 180),
          inside("canopy", "left panel", "wedge", (-0.5, 0.3), (0.5, 1.2), 90, level=2, loose=0.1), inside("canopy", "right panel", "box", (0.55, 0), (0.25, 1.2), level=2)),
    thing("cake", piece("plate", "disk", (0, 0.7), (1, 0.18)), piece("lower tier", "box", (0, 0.4), (0.75, 0.32)), piece("upper tier", "box", (0, -0.15), (0.5, 0.26)),
          inside("lower tier", "icing", "box", (0, -0.7), (1.2, 0.4), level=2), inside("upper tier", "icing", "box", (0, -0.7), (1.2, 0.4), level=2),
          piece("candle", "box", (0, -0.6), (0.05, 0.22)), piece("flame", "leaf", (0, -0.88), (0.12, 0.06), -90)),
    thing("cone", piece("wafer", "triangle", (0, 0.4), (0.42, 0.6), 180), inside("wafer", "rim", "box", (0, 0.8), (1, 0.2), level=2),
          piece("scoop", "disk", (0, -0.3), (0.45, 0.4)), inside("scoop", "sauce", "blob", (0, -0.5), (0.7, 0.5), level=2), piece("cherry", "disk", (0.05, -0.75), (0.15, 0.15))),
    thing("bag", piece("strap", "arc", (0, -0.4), (0.45, 0.4), -90), piece("sack", "squircle", (0, 0.3), (0.75, 0.62)), inside("sack", "flap", "half", (0, -0.5), (1, 0.5), level=2),
          inside("sack", "buckle", "box", (0, 0.05), (0.12, 0.12), level=2)),
)  # fmt: skip

NAMED = VEHICLES + CREATURES + PLANTS + HOUSEHOLD
