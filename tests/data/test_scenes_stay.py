"""The scenes of a seed are those that the shipped weights were trained and measured on: see tests/drawn_scenes.py.

Colours may differ by rounding, and a pixel on an outline now and then; cut-outs by the JPEG and WebP libraries.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_scenes import DRAWN, FILE, draw, draw_cutouts, summary

from minisam.data.partworld import SceneBatch


def other_scenes(name: str, scenes: SceneBatch, of_255: float, pixels: int) -> int:
    """How many scenes have a cell with another mean colour, or a node of another size; all captions are the same."""
    found = summary(scenes)
    with np.load(FILE) as file:
        before = {part: file[f"{name}/{part}"] for part in found}
    assert found["captions"].tolist() == before["captions"].tolist()
    colours, areas = (np.abs(found[part].astype(int) - before[part]) for part in ("colours", "areas"))
    return int(((colours > 100 * of_255).any(axis=(1, 2, 3)) | (areas > pixels).any(axis=1)).sum())


@pytest.mark.parametrize("name", DRAWN)
def test_scenes_of_a_world_are_as_before(name: str):
    assert other_scenes(name, draw(name), of_255=0.05, pixels=1) <= 1


def test_scenes_of_cutouts_are_as_before(tmp_path: Path):
    assert other_scenes("cut-outs", draw_cutouts(tmp_path), of_255=1.0, pixels=4) == 0
