"""The worlds: which templates, outlines, textures and looks a scene may draw from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from minisam.data.partworld.knobs import Knobs
from minisam.data.partworld.templates import Template
from minisam.data.partworld.things_foreign import AERIAL, HELDOUT, LINES, MICRO, THIN_STRUCTURES, XRAY
from minisam.data.partworld.things_generic import GENERIC, THIN
from minisam.data.partworld.things_living import CREATURES, PLANTS
from minisam.data.partworld.things_made import HOUSEHOLD, VEHICLES

TRAIN_BODIES = (
    "disk", "box", "trapezoid", "triangle", "squircle", "squircle", "blob", "blob", "polygon", "star", "leaf", "half",
    "crescent", "wedge",
)  # fmt: skip
TRAIN_TEXTURES = (
    *("plain",) * 7, *("cloudy",) * 4, *("rough",) * 3, *("grassy",) * 2, *("brushed",) * 2, *("striped",) * 2,
    "checked", "plaid", *("woody",) * 2, *("cellular",) * 2, *("spotted",) * 2, "mottled", *("dead_leaves",) * 2,
)  # fmt: skip
FOREIGN_BODIES = ("heart", "gear", "cross", "lshape", "parallelogram", "bean", "cell")
FOREIGN_TEXTURES = (
    *("marbled",) * 2, *("speckled",) * 2, "bricks", "scales", "herringbone", "ringed", "knitted",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A distribution of scenes.

    Attributes:
        templates: kinds of object, equally likely.
        bodies: outline families that "any" may become.
        textures: texture families, one tile each (a family may be listed several times).
        knobs: difficulty, unless the caller sets it.
        crowded, few: probabilities of crowded scenes and of scenes with a few large objects; the rest is middling.
        radius_low, radius_high: range of radii for crowded, middling and few, in fractions of the image side.
        count_low, count_high: range of object counts for the same three.
        lightness: range of lightness, 0..1.
        chroma: strength of the strongest colours.
        hue, hue_spread: centre and width of the hues, in turns.
        backdrop: range of the background's lightness.
        clutter: factor on how often unlabelled shapes lie behind the objects.
        texture_strength: the most by which textures change the lightness.
        relief, uneven, shadow, blur, noise: factors on shading, illumination, shadows, blur and noise.
        grey: probability of a grey-scale image.
        ink: draw the outlines of the visible nodes as dark lines.
        transparent: let silhouettes absorb light as in an X-ray, instead of hiding each other.
        own_hues: how strong the hue is that each template has for itself, so that colour tells what an object is.
    """

    templates: tuple[Template, ...] = GENERIC * 2 + THIN + VEHICLES + HOUSEHOLD + CREATURES + PLANTS
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
    ink: bool = False
    transparent: bool = False
    own_hues: float = 0.0

    def plainer(self, richness: float) -> World:
        """The same world with everything that hides its flat colours scaled by `richness`, 0..1."""
        effects = ("clutter", "texture_strength", "relief", "uneven", "shadow", "blur", "noise")
        return replace(self, **{effect: richness * getattr(self, effect) for effect in effects})


FOREIGN = World(templates=HELDOUT, bodies=FOREIGN_BODIES, textures=FOREIGN_TEXTURES)
WORLDS = {
    "train": World(),
    "heldout": FOREIGN,
    "micro": replace(
        FOREIGN, templates=MICRO, textures=("marbled", "speckled", "speckled"),
        knobs=Knobs(contrast=0.6, thinness=0.08),
        crowded=0.75, few=0.05, radius_low=(0.07, 0.11, 0.18), radius_high=(0.13, 0.22, 0.35), count_low=(14, 8, 3),
        count_high=(20, 16, 6), lightness=(0.25, 0.75), chroma=0.45, hue=0.36, hue_spread=0.22, backdrop=(0.8, 0.95),
        clutter=0.0, texture_strength=0.4, relief=0.3, shadow=0.0, uneven=0.5,
    ),
    "aerial": replace(
        FOREIGN, templates=AERIAL, textures=("speckled", "marbled", "knitted", "herringbone", "bricks"),
        knobs=Knobs(occlusion=0.25, thinness=0.2), crowded=0.6, few=0.05, radius_low=(0.06, 0.11, 0.20),
        radius_high=(0.24, 0.32, 0.45), lightness=(0.2, 0.85), chroma=0.35, hue=0.93, hue_spread=0.4,
        backdrop=(0.25, 0.6), clutter=1.4, texture_strength=0.6, relief=0.1, uneven=0.2, shadow=1.2, blur=0.5,
    ),
    "lines": replace(
        FOREIGN, templates=LINES, knobs=Knobs(occlusion=0.3, thinness=0.1), lightness=(0.86, 1.0), chroma=0.08,
        backdrop=(0.95, 1.0), clutter=0.0, texture_strength=0.12, relief=0.02, uneven=0.15, shadow=0.0, blur=0.4,
        noise=0.5, grey=0.6, ink=True,
    ),
    "xray": replace(
        FOREIGN, templates=XRAY, textures=("marbled", "speckled"), knobs=Knobs(contrast=0.5, occlusion=0.6),
        lightness=(0.5, 0.95), chroma=0.0, backdrop=(0.75, 0.95), clutter=0.4, texture_strength=0.25, relief=0.5,
        shadow=0.0, uneven=0.6, noise=1.6, grey=1.0, transparent=True,
    ),
    "thin": replace(
        FOREIGN, templates=THIN_STRUCTURES, knobs=Knobs(thinness=1.0, occlusion=0.3), crowded=0.1, few=0.45,
        radius_low=(0.12, 0.15, 0.25), radius_high=(0.3, 0.4, 0.6), count_low=(6, 4, 1), count_high=(9, 7, 4),
    ),
}  # fmt: skip
"""The training world, and the worlds that are never used for training."""
VARIANTS = {
    "cartoon": World(
        lightness=(0.3, 1.0), backdrop=(0.6, 1.0), clutter=0.3, texture_strength=0.4, relief=0.3, shadow=0.3, blur=0.5,
        grey=0.3, ink=True,
    ),
    "faint": World(
        knobs=Knobs(contrast=0.45), chroma=0.25, texture_strength=0.6, noise=1.4, grey=0.5,
    ),
    "map": replace(WORLDS["aerial"], own_hues=0.35, grey=0.0),
    "wiry": replace(WORLDS["thin"], templates=World.templates, bodies=TRAIN_BODIES, textures=TRAIN_TEXTURES),
}  # fmt: skip
"""The training world in other styles, which training may mix in; and `map`, the held-out `aerial` for detectors: each
of its classes has its own hue."""
