"""The scenes of a seed are those that the shipped weights were trained and measured on: see tests/drawn_scenes.py.

Pixels and labels may differ by rounding between processors, and cut-outs by the version of the JPEG and WebP libraries.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_scenes import DRAWN, FILE, draw, draw_cutouts, summary

from minisam.data.partworld import SceneBatch


def check_as_before(name: str, scenes: SceneBatch, of_255: float, pixels: int) -> None:
    found = summary(scenes)
    with np.load(FILE) as file:
        before = {part: file[f"{name}/{part}"] for part in found}
    assert found["captions"].tolist() == before["captions"].tolist()
    assert np.abs(found["areas"] - before["areas"]).max() <= pixels
    assert np.abs(found["colours"].astype(int) - before["colours"]).max() <= 100 * of_255


@pytest.mark.parametrize("name", DRAWN)
def test_scenes_of_a_world_are_as_before(name: str):
    check_as_before(name, draw(name), of_255=0.2, pixels=2)


def test_scenes_of_cutouts_are_as_before(tmp_path: Path):
    check_as_before("cut-outs", draw_cutouts(tmp_path), of_255=1.0, pixels=4)
