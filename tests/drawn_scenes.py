"""Scenes as they were drawn when the shipped weights were trained and measured, small: `drawn_scenes.npz`.

    python tests/drawn_scenes.py     draws them again and replaces the file, where scenes are meant to change

Of each scene 4 x 4 mean colours in hundredths, the visible pixels of every node, and the captions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from cutout_folders import two_folders
from numpy.typing import NDArray

from minisam.data.cutouts import render_cutouts
from minisam.data.partworld import VARIANTS, WORLDS, SceneBatch, render_scenes

FILE = Path(__file__).with_suffix(".npz")
SCENES, SIZE, CELLS = 40, 64, 4
KNOBS = {
    "contrast": 0.4,
    "object_scale": 1.5,
    "levels": 2,
    "occlusion": 0.9,
    "thinness": 0.5,
    "richness": 0.3,
}
DRAWN = {
    **{world: {"world": world} for world in (*WORLDS, *VARIANTS)},
    "train, other knobs": {"world": "train", **KNOBS},
}


def draw(name: str) -> SceneBatch:
    return render_scenes(3, SCENES, SIZE, **DRAWN[name])


def draw_cutouts(folder: Path) -> SceneBatch:
    """Of the two folders of cutout_folders.py, written into `folder`."""
    return render_cutouts(*two_folders(folder), 3, SCENES, SIZE).scenes


def summary(scenes: SceneBatch) -> dict[str, NDArray]:
    """colours [B, 3, 4, 4] in hundredths; areas [B, K]; captions, a string a scene."""
    cells = scenes.images.float().unflatten(3, (CELLS, -1)).unflatten(2, (CELLS, -1)).mean(dim=(3, 5))
    return {
        "colours": (100 * cells).round().numpy().astype(np.uint16),
        "areas": scenes.area.numpy(),
        "captions": np.array(["|".join(filter(None, own)) for own in scenes.captions]),
    }


def main() -> None:
    found = {name: summary(draw(name)) for name in DRAWN}
    with tempfile.TemporaryDirectory() as folder:
        found["cut-outs"] = summary(draw_cutouts(Path(folder)))
    flat = {f"{name}/{part}": value for name, parts in found.items() for part, value in parts.items()}
    np.savez_compressed(FILE, **flat)


if __name__ == "__main__":
    main()
