"""The difficulty knobs of a world, each with its range."""

from __future__ import annotations

from dataclasses import dataclass, fields

RANGES = {
    "contrast": (0.02, 1.0),
    "thinness": (0.0, 1.0),
    "occlusion": (0.0, 1.0),
    "levels": (1, 3),
    "object_scale": (0.25, 4.0),
    "richness": (0.0, 1.0),
}


@dataclass(frozen=True)
class Knobs:
    """How hard a scene is.

    Attributes:
        contrast: 0.02..1, factor on how far every colour lies from the background's.
        thinness: 0..1, probability that an object is made of thin parts.
        occlusion: 0..1; 0 spreads the objects over the image, 1 gathers them around one place.
        levels: 1, 2 or 3; how many levels of the part tree exist (1 = wholes only).
        object_scale: 0.25..4, factor on every object's size (its side, not its area).
        richness: 0..1, factor on textures, relief, uneven light, shadows, blur, noise and clutter; 0 is flat colours.

    Raises:
        ValueError: a knob is out of its range.
    """

    contrast: float = 1.0
    thinness: float = 0.15
    occlusion: float = 0.4
    levels: int = 3
    object_scale: float = 1.0
    richness: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = RANGES[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise ValueError(f"knob {field.name}={value} is out of range; use {low}..{high}")
        if int(self.levels) != self.levels:
            raise ValueError(f"knob levels={self.levels} is not a whole number; use 1, 2 or 3")
