import json

import numpy as np
import pytest
from PIL import Image

from minisam.data.coco import read_coco
from minisam.errors import PromptError
from minisam.masks.rle import decode_rle
from minisam.web.photos import Photos
from minisam.web.results import save_result


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.of.mine.jpg.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)).save(path)
    return Photos().open(path)


MASK = np.zeros((30, 50), bool)
MASK[5:20, 10:30] = True
MASK[7, 12] = False


def test_a_mask_is_white_on_black(photo):
    path = save_result("mask", photo, MASK, 0.5)
    assert path.name == "cat.of.mine.jpg_mask.png"
    with Image.open(path) as image:
        assert image.mode == "L" and np.array_equal(np.array(image), 255 * MASK.astype(np.uint8))


def test_a_cutout_has_the_photos_pixels_and_alpha(photo):
    with Image.open(save_result("cutout", photo, MASK, 0.5)) as image:
        pixels = np.array(image)
    assert pixels.shape == (15, 20, 4)
    inside = MASK[5:20, 10:30]
    assert np.array_equal(pixels[..., 3] == 255, inside) and not pixels[~inside].any()
    assert np.array_equal(pixels[inside][:, :3], photo.pixels()[MASK])


def test_coco_can_be_read(photo):
    path = save_result("coco", photo, MASK, 0.5)
    content = read_coco(path)
    assert [len(of_image) for of_image in content.annotations.values()] == [1]
    assert content.images[0]["file_name"] == photo.name
    (annotation,) = json.loads(path.read_text())["annotations"]
    assert np.array_equal(decode_rle(annotation["segmentation"]), MASK)
    assert annotation["area"] == MASK.sum() and annotation["bbox"] == [10, 5, 20, 15]
    assert annotation["predicted_iou"] == 0.5


def test_no_file_is_replaced(photo):
    before = photo.folder / "cat.of.mine.jpg_mask.png"
    before.symlink_to("nowhere")
    names = [save_result("mask", photo, MASK, 0.5).name for _ in range(2)]
    assert names == ["cat.of.mine.jpg_mask_2.png", "cat.of.mine.jpg_mask_3.png"]
    assert before.is_symlink() and not (photo.folder / "nowhere").exists()


def test_what_cannot_be_saved_leaves_no_file(photo, monkeypatch):
    before = sorted(photo.folder.iterdir())
    with pytest.raises(PromptError, match="empty"):
        save_result("mask", photo, np.zeros_like(MASK), 0.5)
    with pytest.raises(PromptError, match="one of mask, coco, cutout"):
        save_result("../x", photo, MASK, 0.5)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minisam.web.results.write_atomically", fail)
    with pytest.raises(OSError):
        save_result("mask", photo, MASK, 0.5)
    assert sorted(photo.folder.iterdir()) == before
