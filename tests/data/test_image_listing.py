"""Every file of a folder is an image, unusable, ours, or one of the others, which are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisam.data.image_listing import image_listing
from minisam.errors import GeneratorError
from minisam.show import save_figure


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 3)).save(path)


def test_where_every_file_goes(tmp_path):
    for name in ("b.png", "a.JPG", "z/c.webp", "m/n/d.tif", "x_masks.png"):
        draw(tmp_path / name)
    for name in ("y_masks.png", "y_segment.png"):
        save_figure(Figure(figsize=(1, 1)), tmp_path / name)
    for name in ("record.json", "RECORD.JSON", ".hidden", "notes.txt", "m/table.csv", "noname"):
        (tmp_path / name).write_text("text")
    for name in ("._a.JPG", ".e.png", ".thumbnails/a.jpg", "m/.ipynb_checkpoints/d-checkpoint.png"):
        draw(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = image_listing(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in found.images]
    assert names == ["a.JPG", "b.png", "m/n/d.tif", "z/c.webp"]
    assert found.bad == {
        str(tmp_path / "folder.png"): "a folder, not an image",
        str(tmp_path / "gone.png"): "not a file, or a link to nothing",
    }
    assert list(found.left_out) == [str(tmp_path / "x_masks.png")] and found.others == 3


def test_one_file_is_itself_and_a_folder_without_images_is_refused(tmp_path):
    assert image_listing(tmp_path / "any.txt").images == [tmp_path / "any.txt"]
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(GeneratorError, match=r"no image files in this folder \("):
        image_listing(tmp_path)
