"""Scenes from outlined photographs: masks over their objects, levels by nesting, damaged files in their place."""

import json

import numpy as np
import pytest
import torch
from outlined_folder import write_photographs
from PIL import Image

from minisam.data import outlined
from minisam.data.outlined import (
    draw_four,
    draw_window,
    on_levels,
    open_outlined,
    outlined_scenes,
    usable_masks,
)
from minisam.data.segments import Picture, Segment
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, MinisamError
from minisam.masks.rle import encode_rle


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("outlined")
    write_photographs(path, 4)
    return path


def test_the_masks_lie_over_their_objects(folder):
    """The whole is white and the part black, under any light of the camera; noise between."""
    scenes, skipped = outlined_scenes(folder, 3, 12, 64)
    assert not skipped and scenes.images.shape == (12, 3, 64, 64) and scenes.images.dtype == torch.uint8
    for image, labels, levels in zip(scenes.images.float().mean(1), scenes.labels, scenes.level, strict=True):
        assert levels[0] == 0 and set(levels.tolist()) <= {0, 1, -1}
        part = labels[1] == 1
        whole = (labels[0] == 0) & ~part
        around = labels[0] < 0
        assert whole.any() and around.any()
        assert image[whole].mean() > image[around].mean() + 20
        if part.any():
            assert image[part].mean() < image[around].mean() - 20


def test_areas_levels_and_labels_belong_together(folder):
    scenes, _ = outlined_scenes(folder, 5, 6, 48)
    for labels, level, area in zip(scenes.labels, scenes.level, scenes.area, strict=True):
        for node in range(len(level)):
            pixels = [int((labels[k] == node).sum()) for k in range(3)]
            assert area[node] == sum(pixels)
            assert area[node] == (pixels[level[node]] if level[node] >= 0 else 0)
    assert (scenes.parent == -1).all()


def test_a_seed_gives_the_same_scene_in_any_batch(folder):
    one, two = outlined_scenes(folder, 7, 4, 64)[0], outlined_scenes(folder, 7, 2, 64)[0]
    assert torch.equal(one.images[:2], two.images) and torch.equal(one.labels[:2], two.labels)
    assert not torch.equal(outlined_scenes(folder, 8, 2, 64)[0].images, two.images)


@pytest.mark.parametrize("seed", [2**31, 2**62])
def test_every_seed_has_its_own_scenes(folder, seed):
    """A training run's seeds of steps are hashes of 63 bits."""
    some, others = outlined_scenes(folder, seed, 1, 64)[0], outlined_scenes(folder, seed + 2**31, 1, 64)[0]
    assert not some.images.equal(others.images)


def test_windows_differ_and_some_are_mirrored(tmp_path):
    """One image, dark on the left and bright on the right, all of it outlined but a margin."""
    mask = np.zeros((40, 40), np.uint8)
    mask[8:32, 8:32] = 255
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    ramp = np.repeat(np.linspace(40, 210, 40).astype(np.uint8)[None, :, None], 3, axis=2).repeat(40, axis=0)
    Image.fromarray(ramp).save(tmp_path / "images" / "a.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    scenes, _ = outlined_scenes(tmp_path, 0, 60, 32)
    grey = scenes.images.float().mean(1)
    rises = (grey[:, :, 24:].mean((1, 2)) > grey[:, :, :8].mean((1, 2))).float().mean()
    assert 0.3 < rises < 0.7
    assert len(set(scenes.area[:, 0].tolist())) > 20


@pytest.mark.parametrize("draw", [draw_window, draw_four])
def test_masks_are_mirrored_with_their_image(draw, tmp_path):
    """White objects on black, none of them like its mirror image: a window shows where its masks are."""
    shape = np.zeros((40, 60), np.uint8)
    shape[4:36, 6:20] = shape[24:36, 20:50] = 255
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.fromarray(shape).save(tmp_path / folder / "a.png")
    random, opened, sides = np.random.default_rng(4), open_outlined(tmp_path), []
    for _ in range(12):
        image, masks = draw(random, opened, 32, Skipped())
        inside = np.any(masks, axis=0)
        assert (inside == (image[..., 0] > 127)).all()
        sides.append(inside[:16, :16].sum() > inside[:16, 16:].sum())
    assert 0 < sum(sides) < 12, "both ways round"


@pytest.mark.parametrize("size", [64, 47])
def test_four_windows_are_four_smaller_ones(folder, size):
    """The quarters are the windows that the same generator draws at half the size, with their own masks."""
    half = (size + 1) // 2
    image, masks = draw_four(np.random.default_rng(2), open_outlined(folder), size, Skipped())
    assert image.shape == (size, size, 3) and all(mask.shape == (size, size) for mask in masks)
    random, expected = np.random.default_rng(2), 0
    for rows in (slice(0, half), slice(half, size)):
        for columns in (slice(0, half), slice(half, size)):
            window, inside = draw_window(random, open_outlined(folder), half, Skipped())
            shown = image[rows, columns]
            assert (shown == window[: shown.shape[0], : shown.shape[1]]).all()
            for mask in inside:
                there = masks[expected]
                assert (there[rows, columns] == mask[: shown.shape[0], : shown.shape[1]]).all()
                assert there.sum() == there[rows, columns].sum()
                expected += 1
    assert expected == len(masks)


def test_some_scenes_are_four_windows_and_most_are_one(folder):
    """The objects of four windows are smaller: all of a scene's wholes together lie in a quarter or less each."""
    scenes, _ = outlined_scenes(folder, 11, 60, 64)
    wholes = ((scenes.level == 0) & (scenes.area > 0)).sum(1)
    assert 0.2 < (wholes > 1).float().mean() < 0.6


def test_overlapping_outlines_take_the_next_level():
    masks = np.zeros((5, 10, 10), bool)
    masks[0, :, :8] = True
    masks[1, :, :4] = True
    masks[2, :2, :4] = True
    masks[3, :1, :3] = True
    masks[4, :, 8:9] = True
    labels = on_levels(list(masks[[3, 1, 4, 0, 2]]))
    levels = [int(np.argwhere(labels == node)[0, 0]) for node in range(labels.max() + 1)]
    assert levels == [0, 1, 0, 2], (
        "the fourth fits nowhere, and the narrow one beside the largest is a whole too"
    )
    assert [(labels[level] == node).sum() for node, level in enumerate(levels)] == [80, 40, 10, 8]
    assert (labels[0][masks[4]] == 2).all() and (labels[2][masks[2]] == 3).all()


def test_where_outlines_of_a_level_touch_the_larger_one_stays():
    masks = np.zeros((2, 20, 20), bool)
    masks[0, :, :12] = True
    masks[1, :10, 11:] = True
    masks[1, 1:10, 11] = False
    labels = on_levels(list(masks))
    assert masks.all(axis=0).sum() == 1, "of 81: less than the share that may lie over others"
    assert (labels[0][masks[0]] == 0).all() and (labels[0][masks[1] & ~masks[0]] == 1).all()
    assert (labels[1:] == -1).all()


def test_damaged_files_are_recorded_and_others_drawn(tmp_path):
    write_photographs(tmp_path, 4)
    (tmp_path / "0.png").write_bytes(b"no image")
    record = json.loads((tmp_path / "1.json").read_text())
    record["annotations"][0]["segmentation"]["counts"] = [5]
    (tmp_path / "1.json").write_text(json.dumps(record))
    scenes, skipped = outlined_scenes(tmp_path, 0, 24, 32)
    assert len(scenes.images) == 24 and (scenes.area.sum(1) > 0).all()
    assert "0.json" in skipped.summary() or "0.png" in skipped.summary()
    assert any("1.json#0" in name for name in skipped)


def test_a_crowd_is_no_object_and_no_fault():
    """The outline of a group would become a node over all of its objects."""
    masks = np.zeros((3, 6, 8), bool)
    masks[0, 1:5], masks[1, 2:4, 2:4] = True, True
    group, single, empty = (
        Segment(name, encode_rle(mask), (6, 8), crowd=name == "group")
        for name, mask in zip(("group", "single", "empty"), masks, strict=True)
    )
    skipped, image = Skipped(), np.zeros((6, 8, 3), np.uint8)
    (found,) = usable_masks(Picture("a", image, [group, empty, single]), skipped)
    assert (found == masks[1]).all()
    assert "empty" in skipped and "group" not in skipped
    with pytest.raises(MinisamError, match="b: no usable mask"):
        usable_masks(Picture("b", image, [group]), Skipped())


def test_nothing_usable_is_one_clear_error(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        open_outlined(tmp_path / "gone")
    write_photographs(tmp_path, 1)
    (tmp_path / "0.png").unlink()
    with pytest.raises(DatasetError, match="hardly any image with masks can be used"):
        outlined_scenes(tmp_path, 0, 1, 32)


def test_both_sides_of_a_window_are_drawn(folder, monkeypatch):
    """From half of the image's to all of it, each by itself, and inside the image."""
    seen = []
    scale = outlined.scaled
    monkeypatch.setattr(
        outlined, "scaled", lambda image, box, size: seen.append((image.size, box)) or scale(image, box, size)
    )
    random, opened = np.random.default_rng(0), open_outlined(folder)
    for _ in range(30):
        draw_window(random, opened, 32, Skipped())
    shares = []
    for (width, height), (left, top, right, bottom) in seen:
        assert left >= 0 and top >= 0 and right <= width + 1e-6 and bottom <= height + 1e-6
        shares.append(((right - left) / width, (bottom - top) / height))
    across, down = np.array(sorted(set(shares))).T
    assert across.min() >= 0.5 and down.min() >= 0.5 and max(across.max(), down.max()) <= 1 + 1e-9
    assert min(np.ptp(across), np.ptp(down)) > 0.35 and abs(np.corrcoef(across, down)[0, 1]) < 0.7


def test_two_scenes_in_five_are_four_windows(folder, monkeypatch):
    drawn = []

    def draws(kind):
        def draw(random, opened, size, skipped):
            drawn.append(kind)
            return np.zeros((size, size, 3), np.uint8), [np.ones((size, size), bool)]

        return draw

    monkeypatch.setattr(outlined, "draw_four", draws("four"))
    monkeypatch.setattr(outlined, "draw_window", draws("one"))
    outlined_scenes(folder, 5, 600, 8)
    assert len(drawn) == 600 and abs(drawn.count("four") / 600 - 0.4) < 0.06
