"""Batches from files: scaled and padded as SAM does, repeatable, and none the worse for what is damaged."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minisam.data.partworld.export import annotated_pictures, write_sa1b
from minisam.data.sa1b import annotate, write_record
from minisam.data.segmentation_folder import Picture, Segment, open_folder
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, MinisamError
from minisam.train import pictures
from minisam.train.pictures import load_batch, nesting_labels, open_split, prepare, scaled_mask


@pytest.fixture(autouse=True)
def opened_anew():
    open_split.cache_clear()


@pytest.fixture
def folder(tmp_path):
    write_sa1b(tmp_path / "data", annotated_pictures("train", 6, 64, object_scale=2.0))
    return tmp_path / "data"


def batch(path, seed=0, **changes):
    settings = {"batch_size": 4, "image_size": 32, "masks_per_image": 3, "min_area": 1 / 256}
    return load_batch(path, 0.2, seed, **settings | {"all_masks": False} | changes)


def test_only_failures_in_a_row_end_a_run(folder, monkeypatch):
    monkeypatch.setattr(pictures, "FAILURES_IN_A_ROW", 12)
    for number in (2, 3, 4):
        (folder / f"sa_{number}.png").write_bytes(b"damaged")
    drawn = batch(folder, batch_size=30)
    assert len(drawn.images) == 30 and drawn.skipped
    for path in folder.glob("*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(MinisamError, match="hardly any image can be used"):
        batch(folder)


def oblong(height=40, width=100):
    rng = np.random.default_rng(0)
    masks = [np.zeros((height, width), bool) for _ in range(3)]
    masks[0][:, : width // 2] = True
    masks[1][: height // 2, width // 2 :] = True
    masks[2][0, 0] = True
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    segments = [Segment(f"m{n}", annotate(m, n).get("segmentation"), m.shape) for n, m in enumerate(masks)]
    return Picture("p", image, segments), masks


def test_an_oblong_picture_is_scaled_and_padded_below():
    picture, masks = oblong()
    skipped = Skipped()
    image, found = prepare(picture, 50, 8, 0.01, np.random.default_rng(0), skipped)
    assert image.shape == (3, 20, 50) and image.dtype == torch.uint8
    assert found.shape == (2, 50, 50) and found.dtype == torch.bool
    halves = [F.max_pool2d(torch.from_numpy(mask)[None].float(), 2)[0].bool() for mask in masks[:2]]
    expected = {F.pad(half, (0, 0, 0, 30)).numpy().tobytes() for half in halves}
    assert {mask.numpy().tobytes() for mask in found} == expected
    assert not skipped


def test_the_largest_mask_stands_in_where_all_are_too_small():
    picture, masks = oblong()
    found = prepare(picture, 50, 8, 0.9, np.random.default_rng(0), Skipped())[1]
    assert found.sum() == masks[0].sum() / 4
    whole = Segment("all", annotate(np.ones((40, 100), bool), 1).get("segmentation"), (40, 100))
    picture.segments.append(whole)
    found = prepare(picture, 50, 8, 0.01, np.random.default_rng(0), Skipped())[1]
    assert len(found) == 2 and not (found.sum(dim=(1, 2)) == 20 * 50).any()


def test_nothing_stands_in_where_that_is_not_wanted():
    picture, _ = oblong()
    with pytest.raises(MinisamError, match="no usable mask"):
        prepare(picture, 50, 8, 0.9, np.random.default_rng(0), Skipped(), fallback=False)


def test_crowds_and_damaged_masks_are_no_targets():
    picture, masks = oblong()
    first, second = picture.segments[:2]
    crowd = Segment("crowd", first.segmentation, first.size, crowd=True)
    damaged = Segment("bad", {"size": [40, 100], "counts": "~"}, first.size)
    empty = Segment("empty", {"size": [40, 100], "counts": [4000]}, first.size)
    skipped = Skipped()
    one = Picture("p", picture.image, [crowd, damaged, empty, second])
    found = prepare(one, 50, 8, 0.01, np.random.default_rng(0), skipped)[1]
    assert len(found) == 1 and found.sum() == masks[1].sum() / 4
    assert set(skipped) == {"bad", "empty"}
    with pytest.raises(MinisamError, match="no usable mask"):
        prepare(Picture("p", picture.image, [crowd, damaged]), 50, 8, 0, np.random.default_rng(0), Skipped())


def test_a_step_follows_from_its_seed(folder):
    first, again, other = batch(folder), batch(folder), batch(folder, seed=1)
    for a, b in zip(first.images, again.images, strict=True):
        assert a.equal(b)
    assert first.masks.equal(again.masks) and first.labels.equal(again.labels)
    assert not first.masks.equal(other.masks)
    assert first.masks.shape == (4, 3, 32, 32) and first.masks.flatten(2).any(dim=2).all()
    assert first.labels.shape == (4, 3, 32, 32) and first.labels.dtype == torch.int16


def test_held_out_pictures_are_never_drawn(folder):
    pictures, training, held_out = open_split(folder, 0.2)
    assert len(held_out) == 1 and len(training) == 5
    (folder / pictures.names[held_out[0]]).with_suffix(".png").unlink()
    assert not batch(folder, batch_size=40).skipped


def test_damaged_pictures_are_named_and_replaced(folder):
    pictures, training, _ = open_split(folder, 0.2)
    bad = [pictures.names[index] for index in training[:3]]
    (folder / bad[0]).write_text("{")
    (folder / bad[1]).with_suffix(".png").unlink()
    record = json.loads((folder / bad[2]).read_text())
    for one in record["annotations"]:
        one["segmentation"]["counts"] = "0"
    (folder / bad[2]).write_text(json.dumps(record))
    drawn = batch(folder, batch_size=30)
    assert len(drawn.images) == 30
    assert set(bad) <= set(drawn.skipped)
    assert all(name in bad or name.startswith(f"{bad[2]}#") for name in drawn.skipped)


def test_a_folder_without_a_usable_picture_stops_the_run(folder):
    for image in folder.glob("*.png"):
        image.unlink()
    with pytest.raises(MinisamError, match="hardly any image") as caught:
        batch(folder)
    assert "\n" not in str(caught.value)


def test_labels_are_the_largest_second_and_smallest_mask():
    masks = torch.zeros(5, 6, 6, dtype=torch.bool)
    for place, side in enumerate((2, 6, 4, 3, 1)):
        masks[place, :side, :side] = True
    labels = nesting_labels(masks)
    assert (labels[0] == 1).all()
    assert labels[1, 3, 3] == 2 and labels[1, 5, 5] == -1
    assert labels[2].diagonal().tolist() == [4, 0, 3, -1, -1, -1]
    assert labels.dtype == torch.int16


def test_partworld_from_files_has_the_label_maps_of_its_scenes():
    """Masks of a part tree nest, so that the largest and second largest mask of a pixel are its whole and part."""
    from minisam.data.partworld import render_scenes

    scenes = render_scenes(0, 1, 64, levels=2)
    nodes = [k for k in range(scenes.level.shape[1]) if scenes.area[0, k] > 0 and scenes.level[0, k] >= 0]
    masks = torch.stack([scenes.labels[0, scenes.level[0, k].item()] == k for k in nodes])
    labels = nesting_labels(masks)
    proper = [n for n, k in enumerate(nodes) if scenes.parent[0, k] >= 0]
    assert proper
    for depth in (0, 1):
        there = scenes.labels[0, depth] >= 0
        assert there.equal(labels[depth] >= 0)


def test_a_mask_is_scaled_by_the_share_that_it_covers(tmp_path):
    mask = np.zeros((64, 64), bool)
    mask[:40, :] = True
    write_record(tmp_path, np.zeros((64, 64, 3), np.uint8), [annotate(mask, 1)], 1)
    segment = open_folder(tmp_path).read(0).segments[0]
    scaled = scaled_mask(segment, (8, 8), Skipped())
    assert scaled is not None
    assert scaled[:5].all() and not scaled[5:].any()


def test_pictures_of_a_repeated_folder_are_drawn_more_often(tmp_path):
    for name in ("rare", "often"):
        write_sa1b(tmp_path / "data" / name, annotated_pictures("train", 5, 32, object_scale=2.0))
    folder, plain, held_out = open_split(tmp_path / "data", 0.2)
    _, repeated, held_out_then = open_split(tmp_path / "data", 0.2, (("often", 10),))
    counts = Counter(folder.names[number].split("/")[0] for number in repeated)
    of_plain = Counter(folder.names[number].split("/")[0] for number in plain)
    assert counts == {"rare": of_plain["rare"], "often": 10 * of_plain["often"]}
    assert set(repeated) == set(plain) and held_out_then == held_out


def test_repeats_of_nothing_are_refused(folder):
    with pytest.raises(DatasetError, match="typo"):
        open_split(folder.resolve(), 0.2, (("typo", 10),))
    names = {Path(name).parts[0] for name in open_split(folder.resolve(), 0.2)[0].names}
    with pytest.raises(DatasetError, match="none is left"):
        open_split(folder.resolve(), 0.2, tuple((name, 0) for name in names))


def test_repeats_decide_what_a_step_sees(tmp_path):
    for name in ("rare", "often"):
        write_sa1b(tmp_path / name, annotated_pictures("train", 3, 32, object_scale=2.0, seed=len(name)))
    alone = {
        image.numpy().tobytes()
        for seed in range(9)
        for image in load_batch(tmp_path / "often", 0.0, seed, 4, 32, 3, 1 / 256, False).images
    }
    drawn = [
        image.numpy().tobytes() in alone
        for seed in range(25)
        for image in load_batch(tmp_path, 0.0, seed, 4, 32, 3, 1 / 256, False, (("often", 9),)).images
    ]
    assert 0.8 < sum(drawn) / len(drawn) < 1


@pytest.mark.parametrize(("columns", "usable"), [(1, False), (2, True), (90, True), (91, False)])
def test_a_mask_of_exactly_the_smallest_or_largest_share_is_a_target(columns, usable):
    """At least 2 % of the square input, at most 90 % of the image itself, which is half as high."""
    mask = np.zeros((50, 100), bool)
    mask[:, :columns] = True
    segment = Segment("m", annotate(mask, 1).get("segmentation"), mask.shape)
    picture, draw = Picture("p", np.zeros((50, 100, 3), np.uint8), [segment]), np.random.default_rng(0)
    smallest = 2 * 50 / 100**2
    try:
        found = prepare(picture, 100, 8, smallest, draw, Skipped(), fallback=False)[1]
    except MinisamError:
        assert not usable
    else:
        assert usable and int(found.sum()) == columns * 50


def test_no_more_masks_than_asked_for():
    picture, _ = oblong()
    assert len(prepare(picture, 50, 1, 0.01, np.random.default_rng(0), Skipped())[1]) == 1


def test_a_mask_that_is_gone_at_the_networks_size_is_not_damaged():
    mask, skipped = np.zeros((64, 64), bool), Skipped()
    mask[0, 0] = True
    assert (
        scaled_mask(Segment("m", annotate(mask, 1).get("segmentation"), mask.shape), (8, 8), skipped) is None
    )
    assert not skipped
    empty = {"size": [4, 4], "counts": [16]}
    assert scaled_mask(Segment("m", empty, (4, 4)), (8, 8), skipped) is None and skipped
