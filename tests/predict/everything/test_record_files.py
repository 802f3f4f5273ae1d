import json
from pathlib import Path

import numpy as np
import pytest

from minisam.build import build_sam
from minisam.checkpoint.digest import weights_digest
from minisam.config import CONFIGS, build_from_config
from minisam.data.sa1b import read_record
from minisam.errors import GeneratorError
from minisam.json_files import write_json
from minisam.masks.rle import compress_rle, encode_rle
from minisam.predict.everything.record_files import (
    is_valid,
    list_images,
    make_record,
    provenance,
    record_paths,
    shard_of,
)


def test_shards_are_a_partition():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        count, shards = int(rng.integers(0, 200)), int(rng.integers(1, 20))
        places = [place for index in range(1, shards + 1) for place in shard_of(count, index, shards)]
        assert sorted(places) == list(range(count))
        lengths = [len(shard_of(count, index, shards)) for index in range(1, shards + 1)]
        assert max(lengths) - min(lengths) <= 1


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


def test_images_of_a_folder_and_their_records(tmp_path):
    touch(
        tmp_path,
        "b.png",
        "a.JPG",
        "deep/a.webp",
        "a.png",
        "notes.txt",
        "b_masks.png",
        "b_segment.png",
        "b.json",
    )
    images = list_images(tmp_path)
    assert [image.relative_to(tmp_path).as_posix() for image in images] == [
        "a.JPG",
        "a.png",
        "b.png",
        "deep/a.webp",
    ]
    records = record_paths(images, tmp_path, Path("out"))
    assert [path.as_posix() for path in records] == [
        "out/a.JPG.json",
        "out/a.png.json",
        "out/b.json",
        "out/deep/a.json",
    ]


def test_no_two_images_share_a_record(tmp_path):
    names = ["a.png", "a.jpg", "a.jpg.png", "a.jpg.png.png", "A.bmp", "b/a.png", "c.json.png", "c.png"]
    records = record_paths([tmp_path / name for name in names], tmp_path, Path("out"))
    assert [path.as_posix() for path in records] == [
        *("out/a.png.json", "out/a.jpg.json", "out/a.jpg.png.json", "out/a.jpg.png.png.json"),
        *("out/A.bmp.json", "out/b/a.json", "out/c.json.json", "out/c.json"),
    ]


def test_a_folder_without_images(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(GeneratorError, match="no image files"):
        list_images(tmp_path)


def test_weights_have_names():
    assert weights_digest(build_sam("nano")) == weights_digest(build_sam("nano"))
    other = build_sam("nano")
    other.mask_decoder.iou_token.weight.data[0, 0] += 1
    assert weights_digest(other) != weights_digest(build_sam("nano"))
    assert weights_digest(build_from_config(CONFIGS["nano"])) != weights_digest(other)


MADE_OF = provenance("weights", b"pixels", {"points_per_side": 4})


def write(path: Path) -> dict:
    mask = np.zeros((5, 7), bool)
    mask[1:3, 2:5] = True
    masks = [{"segmentation": compress_rle(encode_rle(mask)), "area": 6, "bbox": [2, 1, 2, 1]}] * 2
    record = make_record("deep/photo.jpg", (5, 7), masks, MADE_OF)
    write_json(path, record)
    return record


def test_a_record_is_in_sa1bs_schema(tmp_path):
    record = write(tmp_path / "photo.json")
    assert read_record(tmp_path / "photo.json") == record
    assert record["image"].items() >= {"width": 7, "height": 5, "file_name": "deep/photo.jpg"}.items()
    first, second = (annotation["id"] for annotation in record["annotations"])
    assert second == first + 1 and first // 100_000 == record["image"]["image_id"]
    assert make_record("other.jpg", (5, 7), [], MADE_OF)["image"]["image_id"] != first // 100_000


def test_only_a_whole_record_of_this_image_is_valid(tmp_path):
    path = tmp_path / "photo.json"
    assert not is_valid(path, "deep/photo.jpg", MADE_OF)
    write(path)
    assert is_valid(path, "deep/photo.jpg", MADE_OF)
    assert not is_valid(path, "photo.jpg", MADE_OF)
    for other in (
        provenance("others", b"pixels", {"points_per_side": 4}),
        provenance("weights", b"changed", {"points_per_side": 4}),
        provenance("weights", b"pixels", {"points_per_side": 5}),
    ):
        assert not is_valid(path, "deep/photo.jpg", other)


def test_any_damage_is_noticed(tmp_path):
    """Cut anywhere, or a mask's counts, size or area changed."""
    path = tmp_path / "photo.json"
    text = json.dumps(write(path))
    for length in range(0, len(text), 7):
        path.write_text(text[:length])
        assert not is_valid(path, "deep/photo.jpg", MADE_OF)
    for key, value in (("area", 7), ("segmentation", {"size": [5, 7], "counts": "00"}), ("segmentation", 3)):
        damaged = json.loads(text)
        damaged["annotations"][1][key] = value
        path.write_text(json.dumps(damaged))
        assert not is_valid(path, "deep/photo.jpg", MADE_OF)
    path.write_text(text)
    assert is_valid(path, "deep/photo.jpg", MADE_OF)
