"""Masks and their image have the same orientation, or a note says that it is unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from minisam.data.image_of_size import TellOnce, load_image_of_size
from minisam.errors import DatasetError

STORED = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def photo(folder: Path, orientation: int, pixels: np.ndarray = STORED) -> tuple[Path, np.ndarray]:
    """A file, and what a viewer shows."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(folder / "a.png", exif=exif)
    with Image.open(folder / "a.png") as image:
        return folder / "a.png", np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_the_masks_says_which_way_up(tmp_path: Path, orientation: int):
    path, upright = photo(tmp_path, orientation)
    told: list[str] = []
    np.testing.assert_array_equal(load_image_of_size(path, upright.shape[:2], told.append), upright)
    assert len(told) == (orientation in (2, 3, 4)), "only there does the size not tell"
    if orientation >= 5:
        np.testing.assert_array_equal(load_image_of_size(path, STORED.shape[:2], told.append), STORED)
        assert not told
    with pytest.raises(DatasetError, match="its masks are of 20x31"):
        load_image_of_size(path, (20, 31), told.append)


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_of_a_square_nobody_knows(tmp_path: Path, orientation: int):
    path, upright = photo(tmp_path, orientation, STORED[:, :20])
    told: list[str] = []
    np.testing.assert_array_equal(load_image_of_size(path, (20, 20), told.append), upright)
    assert (
        len(told) == 1
        and f"EXIF orientation {orientation}" in told[0]
        and "remove the orientation" in told[0]
    )


def test_one_line_for_a_folder(capsys):
    tell = TellOnce()
    for name in ("a", "b"):
        tell(f"{name}: 16 bits, of which {len(name)} … 7")
        tell(f"{name}: EXIF")
    assert capsys.readouterr().err.count("\n") == 2
