import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from minisam.errors import ImageError
from minisam.web.photos import LONGEST_PREVIEWED, LONGEST_SHOWN, Photos, plain_file_name


def png_of(height, width):
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, format="PNG")
    return file.getvalue()


def test_a_large_photo_is_shown_smaller(tmp_path):
    photo = Photos().drop("a.png", png_of(100, 4 * LONGEST_SHOWN), tmp_path)
    assert photo.size == (100, 4 * LONGEST_SHOWN) and photo.shown == (25, LONGEST_SHOWN)
    assert photo.scale == (4, 4) and max(photo.previewed) == LONGEST_PREVIEWED
    with Image.open(io.BytesIO(photo.as_shown())) as image:
        assert image.size == (LONGEST_SHOWN, 25)
    assert photo.pixels().shape == (*photo.size, 3)


@pytest.mark.parametrize(("height", "shown"), [(102, 26), (101, 25)])
def test_each_axis_has_its_own_scale(height, shown, tmp_path):
    """A side is rounded to pixels, which counts on a short one."""
    photo = Photos().drop("a.png", png_of(height, 4 * LONGEST_SHOWN), tmp_path)
    assert photo.shown == (shown, LONGEST_SHOWN) and photo.scale == (4, height / shown)


def test_a_small_photo_is_shown_as_it_is(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(30, 50))
    photo = Photos().open(path)
    assert photo.shown == photo.previewed == photo.size == (30, 50) and photo.scale == (1, 1)
    assert photo.folder == tmp_path and photo.name == "a.png"


def test_a_photo_that_changed_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(30, 50))
    photo = Photos().open(path)
    path.write_bytes(png_of(30, 51))
    with pytest.raises(ImageError, match="has changed"):
        photo.pixels()
    path.unlink()
    with pytest.raises(ImageError, match="no such image file"):
        photo.pixels()


def test_dropped_photos_have_a_limit(tmp_path, monkeypatch):
    content = png_of(30, 50)
    monkeypatch.setattr("minisam.web.photos.MOST_DROPPED_BYTES", 2 * len(content))
    photos = Photos()
    photos.drop("a.png", content, tmp_path)
    with pytest.raises(ImageError, match=r"^b\.png: not an image"):
        photos.drop("b.png", b"words", tmp_path)
    assert photos.drop("b.png", content, tmp_path).number == 1
    with pytest.raises(ImageError, match="too many"):
        photos.drop("c.png", content, tmp_path)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/", "photo"),
        ("..", "photo"),
        ("", "photo"),
        (".bashrc", "bashrc"),
        ("a\0b\n.png", "ab.png"),
        ("C:x.png", "Cx.png"),
        ("猫.png", "猫.png"),
        ("x" * 500 + ".png", "x" * 96 + ".png"),
    ],
)
def test_only_the_last_part_of_a_name_counts(sent, kept):
    assert plain_file_name(sent) == kept


def test_two_tabs_that_add_at_the_same_time_get_two_numbers(tmp_path):
    photos, content = Photos(), png_of(30, 50)
    started = threading.Barrier(8)

    class SlowList(list):
        def __len__(self):
            length = super().__len__()
            time.sleep(0.01)
            return length

    photos.all = SlowList()

    def add():
        started.wait()
        photos.drop("a.png", content, tmp_path)

    tabs = [threading.Thread(target=add) for _ in range(8)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert [photo.number for photo in photos.all] == list(range(8))
