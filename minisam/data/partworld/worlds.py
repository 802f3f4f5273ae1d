"""The worlds: which templates, outlines, textures and looks a scene may draw from."""

from __future__ import annotations

from dataclasses import dataclass, field

from minisam.data.partworld.knobs import Knobs
from minisam.data.partworld.templates import GENERIC, Template

TRAIN_BODIES = ("disk", "box", "trapezoid", "squircle", "blob", "polygon", "star", "leaf", "half", "crescent")
TRAIN_TEXTURES = (
    ("plain",) * 6 + ("cloudy",) * 4 + ("rough",) * 3 + ("grassy",) * 2 + ("brushed",) * 2 + ("striped",) * 3
    + ("checked", "plaid", "woody", "woody", "cellular", "cellular", "spotted", "spotted", "mottled", "dead_leaves",
       "dead_leaves")
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A distribution of scenes.

    Attributes:
        templates: kinds of object, equally likely.
        bodies: outline families that "any" may become.
        textures: texture families, one tile each (a family may be listed several times).
        knobs: difficulty, where the caller says nothing.
        crowded, few: probabilities of crowded scenes and of scenes with a few large things; the rest is middling.
        radius_low, radius_high: range of radii for crowded, middling and few, in fractions of the image side.
        count_low, count_high: range of object counts for the same three.
        lightness: range of lightness, 0..1.
        chroma: strength of the strongest colours.
        hue, hue_spread: centre and width of the hues, in turns.
        backdrop: range of the background's lightness.
        clutter: factor on how often unlabelled shapes stand behind the objects.
        texture_strength: how far textures move the lightness at most.
        relief, uneven, shadow, blur, noise: factors on shading, illumination, shadows, blur and noise.
        grey: probability of a grey-scale image.
    """

    templates: tuple[Template, ...] = GENERIC
    bodies: tuple[str, ...] = TRAIN_BODIES
    textures: tuple[str, ...] = TRAIN_TEXTURES
    knobs: Knobs = field(default_factory=Knobs)
    crowded: float = 0.25
    few: float = 0.4
    radius_low: tuple[float, float, float] = (0.05, 0.1, 0.2)
    radius_high: tuple[float, float, float] = (0.40, 0.45, 0.65)
    count_low: tuple[int, int, int] = (10, 5, 1)
    count_high: tuple[int, int, int] = (20, 10, 5)
    lightness: tuple[float, float] = (0.06, 0.94)
    chroma: float = 0.5
    hue: float = 0.0
    hue_spread: float = 1.0
    backdrop: tuple[float, float] = (0.08, 0.95)
    clutter: float = 1.0
    texture_strength: float = 1.0
    relief: float = 1.0
    uneven: float = 1.0
    shadow: float = 1.0
    blur: float = 1.0
    noise: float = 1.0
    grey: float = 0.08


WORLDS = {name: World() for name in ("train", "heldout", "micro", "aerial", "lines", "xray", "thin")}
