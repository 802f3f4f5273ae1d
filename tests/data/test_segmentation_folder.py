"""Folders in both formats give the same images; a damaged file raises an error when it is read, and only then."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minisam.data.coco import decode_segmentation
from minisam.data.images import save_image
from minisam.data.partworld import render_scenes
from minisam.data.partworld.export import SEEDS, annotated_pictures, write_as_coco, write_sa1b
from minisam.data.segmentation_folder import CocoFolder, Sa1bFolder, open_folder, validation_split
from minisam.data.segments import Segment, digest, usable_mask
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, ImageError, MinisamError


@pytest.fixture(scope="module")
def pictures():
    return list(annotated_pictures("train", 9, image_size=48, seed=3))


@pytest.fixture
def sa1b(tmp_path, pictures):
    assert write_sa1b(tmp_path / "sa1b", iter(pictures)) == 9
    return tmp_path / "sa1b"


@pytest.fixture
def coco(tmp_path, pictures):
    assert write_as_coco(tmp_path / "coco", iter(pictures)) == 9
    return tmp_path / "coco"


def test_exported_scenes_are_the_scenes(pictures):
    for batch, found in ((0, pictures[:8]), (1, pictures[8:])):
        scenes = render_scenes(3 * SEEDS + batch, 8, 48)
        for place, (image, annotated) in enumerate(found):
            np.testing.assert_array_equal(image, scenes.images[place].permute(1, 2, 0).numpy())
            visible = (scenes.area[place] > 0) & (scenes.level[place] >= 0)
            assert [one["area"] for one in annotated] == scenes.area[place][visible].tolist()
            assert [one["level"] for one in annotated] == scenes.level[place][visible].tolist()
            nodes = visible.nonzero().squeeze(1).tolist()
            ids = {node: one["id"] for node, one in zip(nodes, annotated, strict=True)}
            for node, one in zip(nodes, annotated, strict=True):
                assert one["parent_id"] == ids.get(int(scenes.parent[place, node]))
                assert one["caption"] == scenes.captions[place][node] != ""
    ids = [one["id"] for picture in pictures for one in picture.annotations]
    assert ids == list(range(1, len(ids) + 1))


def test_both_formats_give_the_same_pictures(sa1b, coco, pictures):
    first, second = open_folder(sa1b), open_folder(coco)
    assert isinstance(first, Sa1bFolder) and isinstance(second, CocoFolder)
    assert list(first.names) == [f"sa_{number}.json" for number in range(1, 10)]
    assert list(second.names) == [f"{number:06}.png" for number in range(1, 10)]
    for index, (image, annotated) in enumerate(pictures):
        for folder in (first, second):
            read = folder.read(index)
            np.testing.assert_array_equal(read.image, image)
            assert [int(segment.mask().sum()) for segment in read.segments] == [
                one["area"] for one in annotated
            ]
            assert not any(segment.crowd for segment in read.segments)


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(1, True), (True, True), (0, False), (False, False), (None, False), ("1", False), (2, False)],
)
def test_a_crowd_is_known(coco, value, crowd):
    path = coco / "annotations" / "instances.json"
    content = json.loads(path.read_text())
    first = content["annotations"][0]
    first["iscrowd"] = value
    path.write_text(json.dumps(content))
    images = [image["id"] for image in content["images"]]
    segments = open_folder(coco).read(images.index(first["image_id"])).segments
    assert [segment.crowd for segment in segments] == [crowd] + [False] * (len(segments) - 1)


def test_coco_images_are_found_where_data_sets_keep_them(coco):
    annotations = coco / "annotations" / "instances.json"
    expected = open_folder(coco).read(0).image
    split = annotations.rename(annotations.with_name("instances_val2017.json"))
    (coco / "images").rename(coco / "val2017")
    captions = json.loads(split.read_text()) | {"annotations": []}
    split.with_name("captions_val2017.json").write_text(json.dumps(captions))
    np.testing.assert_array_equal(open_folder(coco).read(0).image, expected)
    flat = split.rename(coco / "val2017" / "labels.json")
    np.testing.assert_array_equal(open_folder(flat).read(0).image, expected)


@pytest.mark.parametrize("home", ["", "images", "train2017", "images/train2017"])
@pytest.mark.parametrize("name", ["instances_train2017", "person_keypoints_train2017", "train2017"])
def test_images_are_in_a_folder_of_the_files_last_word(coco, name, home):
    """The word after the last underscore: a name may have several."""
    annotations = coco / "annotations" / "instances.json"
    expected = open_folder(coco).read(0).image
    path = annotations.rename(annotations.with_name(f"{name}.json"))
    for image in list((coco / "images").glob("*.png")):
        target = coco / home / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        image.rename(target)
    np.testing.assert_array_equal(open_folder(path).read(0).image, expected)


def test_sa1b_images_are_found_from_the_record_and_from_the_top(sa1b):
    expected = open_folder(sa1b).read(0).image
    (sa1b / "deep").mkdir()
    for file in [*sa1b.glob("*.json"), *sa1b.glob("*.png")]:
        file.rename(sa1b / "deep" / file.name)
    folder = open_folder(sa1b)
    assert folder.names[0] == "deep/sa_1.json"
    np.testing.assert_array_equal(folder.read(0).image, expected)
    record = sa1b / "deep" / "sa_1.json"
    record.write_text(record.read_text().replace('"sa_1.png"', '"deep/sa_1.png"'))
    np.testing.assert_array_equal(open_folder(sa1b).read(0).image, expected)


def test_of_two_images_of_one_name_the_one_beside_the_record_counts(sa1b):
    """Folders of a data set often number their images alike."""
    expected = open_folder(sa1b).read(0).image
    (sa1b / "deep").mkdir()
    for suffix in ("json", "png"):
        (sa1b / f"sa_1.{suffix}").rename(sa1b / "deep" / f"sa_1.{suffix}")
    save_image(sa1b / "sa_1.png", 255 - expected)
    folder = open_folder(sa1b)
    np.testing.assert_array_equal(folder.read(folder.names.index("deep/sa_1.json")).image, expected)


def test_several_coco_files_are_not_guessed_between(coco):
    path = coco / "annotations" / "instances.json"
    path.with_name("instances_b.json").write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="several COCO files"):
        open_folder(coco)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"id": 1.5}, "left out .*an image without an id"), (None, "its list of images is empty")],
)
def test_a_coco_file_without_a_usable_image_says_why(coco, change, said):
    path = next(coco.rglob("*.json"))
    content = json.loads(path.read_text())
    content["images"] = [image | change for image in content["images"]] if change else []
    content["annotations"] = content["annotations"] if change else []
    path.write_text(json.dumps(content))
    for given in (coco, path):
        with pytest.raises(DatasetError, match=rf"{path}: no usable image; {said}"):
            open_folder(given)


def test_hidden_copies_of_records_are_left_out(coco, sa1b):
    """Otherwise an image would be in a data set twice, and perhaps both trained on and held out."""
    for folder, path in ((coco, coco / "annotations" / "instances.json"), (sa1b, sa1b / "sa_1.json")):
        names = list(open_folder(folder).names)
        copy = path.parent / ".ipynb_checkpoints" / f"{path.stem}-checkpoint.json"
        copy.parent.mkdir()
        copy.write_bytes(path.read_bytes())
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        assert list(open_folder(folder).names) == names


def test_other_json_files_beside_a_coco_file_do_not_matter(coco):
    path = coco / "annotations" / "instances.json"
    path.rename(path.with_name("masks.json"))
    (coco / "annotations" / "notes.json").write_text('{"licence": "none"}')
    (coco / "annotations" / "other.json").write_text("{")
    assert open_folder(coco).read(0).segments
    path.with_name("more.json").write_bytes(path.with_name("masks.json").read_bytes())
    with pytest.raises(DatasetError, match="several COCO files"):
        open_folder(coco)


def test_damaged_and_missing_pictures_raise_one_by_one(sa1b):
    (sa1b / "sa_1.json").write_text("{")
    (sa1b / "sa_2.png").unlink()
    save_image(sa1b / "sa_3.png", np.zeros((48, 47, 3), np.uint8))
    (sa1b / "sa_4.png").write_bytes((sa1b / "sa_4.png").read_bytes()[:300])
    folder = open_folder(sa1b)
    for index, error in enumerate((DatasetError, ImageError, DatasetError, ImageError)):
        with pytest.raises(error, match=f"sa_{index + 1}"):
            folder.read(index)
    assert folder.read(4).segments


@pytest.mark.parametrize("name", [".", "./", "\ud83d.png", "a\0b.png"])
def test_names_that_no_file_can_have_are_left_out(coco, sa1b, name):
    path = coco / "annotations" / "instances.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    folder = open_folder(coco)
    assert len(folder.names) == len(content["images"]) - 1 and folder.skipped
    validation_split(folder.names, 0.1)

    record = json.loads((sa1b / "sa_1.json").read_text())
    record["image"]["file_name"] = name
    (sa1b / "sa_1.json").write_text(json.dumps(record))
    with pytest.raises(DatasetError, match="not a valid file name"):
        open_folder(sa1b).read(0)


def test_a_link_to_nothing_is_one_damaged_record(sa1b):
    (sa1b / "sa_0.json").symlink_to(sa1b / "elsewhere.json")
    folder = open_folder(sa1b)
    folder.fingerprint()
    with pytest.raises(DatasetError, match="sa_0"):
        folder.read(folder.names.index("sa_0.json"))


def test_a_coco_file_finds_its_images_from_its_own_folder(coco, monkeypatch):
    monkeypatch.chdir(coco / "annotations")
    for name in ("instances.json", "."):
        assert open_folder(name).read(0).segments


def test_a_data_set_is_not_exported_into_another(sa1b, coco, pictures):
    before = sorted(file.name for file in sa1b.rglob("*"))
    for write in (write_sa1b, write_as_coco):
        for folder in (sa1b, coco):
            with pytest.raises(DatasetError, match="choose another folder"):
                write(folder, iter(pictures))
    assert sorted(file.name for file in sa1b.rglob("*")) == before


@pytest.mark.parametrize("content", [None, "{}", "{", "[]"])
def test_a_folder_with_nothing_in_it_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(DatasetError, match=r"SA-1B or COCO"):
        open_folder(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        open_folder(tmp_path / "nowhere")


def test_the_fingerprint_changes_with_the_files(sa1b, coco):
    for path, victim in ((sa1b, sa1b / "sa_5.json"), (coco, coco / "annotations" / "instances.json")):
        before = open_folder(path).fingerprint()
        assert open_folder(path).fingerprint() == before
        victim.write_text(victim.read_text() + " ")
        assert open_folder(path).fingerprint() != before


def test_the_split_follows_from_the_names():
    names = [f"{number}.jpg" for number in range(200)]
    training, held_out = validation_split(names, 0.1)
    assert len(held_out) == 20 and sorted(training + held_out) == list(range(200))
    assert sum(index < 100 for index in held_out[:10]) not in (0, 10), "the first of them are of all kinds"
    assert validation_split(names, 0.05)[1] == held_out[:10], (
        "in the order of their hashes, and not of their names"
    )
    assert training == sorted(training) and held_out != sorted(held_out)
    again = validation_split(names[::-1], 0.1)[1]
    assert {199 - index for index in again} == set(held_out)
    grown = validation_split([*names, *(f"new{number}" for number in range(50))], 0.08)[1]
    assert len(set(grown) & set(held_out)) >= 12
    assert validation_split(names, 0) == (list(range(200)), [])
    assert [len(part) for part in validation_split(["a", "b"], 0.01)] == [1, 1]
    for names, share in (([], 0.0), (["a"], 0.1), (["a", "b"], 1.0), (["a", "b"], -0.1)):
        with pytest.raises(DatasetError):
            validation_split(names, share)


GARBAGE = [
    *(
        None,
        True,
        -1,
        0,
        3,
        2.5,
        10**30,
        10**400,
        1e300,
        float("nan"),
        "",
        "x",
        "\0",
        "../a.png",
        "a/b.png",
        "5o5o",
    ),
    *([], [[]], [1], ["x"], [{}], [[1, 2, 3, 4, 5, 6]], [[1, 2, 3, 4, 5, 10**400]], [[[1]]], {}),
    *(
        {"size": [48, 48], "counts": "~"},
        {"size": [48, 48], "counts": [2304]},
        {"size": [10**9, 10**9], "counts": []},
    ),
]


def places(content, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(content, dict | list):
        for key, child in content.items() if isinstance(content, dict) else enumerate(content):
            yield from places(child, (*path, key))


def replaced(content, path, value):
    if not path:
        return value
    copy = content.copy()
    copy[path[0]] = replaced(content[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("form", ["sa1b", "coco"])
def test_any_value_anywhere_is_read_or_refused(form, tmp_path):
    """For any content of the JSON file, reading returns an image or raises one of our errors, of one line."""
    scenes = annotated_pictures("train", 1, image_size=48)
    (write_sa1b if form == "sa1b" else write_as_coco)(tmp_path, scenes)
    path = tmp_path / ("sa_1.json" if form == "sa1b" else "annotations/instances.json")
    content, rng = json.loads(path.read_text()), np.random.default_rng(0)
    content["annotations"] = content["annotations"][:3]
    everywhere, read = list(places(content)), 0
    for _ in range(300):
        where, value = everywhere[rng.integers(len(everywhere))], GARBAGE[rng.integers(len(GARBAGE))]
        path.write_text(json.dumps(replaced(content, where, value)))
        try:
            folder = open_folder(tmp_path)
            pictures = [folder.read(index) for index in range(len(folder.names))]
        except MinisamError as error:
            assert "\n" not in str(error)
            continue
        for segment in (segment for picture in pictures for segment in picture.segments):
            try:
                read += segment.mask().shape == (48, 48)
            except MinisamError as error:
                assert "\n" not in str(error)
    assert read > 300


@pytest.mark.parametrize("value", GARBAGE, ids=lambda value: repr(value)[:20])
def test_any_segmentation_is_decoded_or_refused(value):
    rles = [(value, [2304]), ([48, 48], value), ([48, 48], [value]), ([value, value], "x")]
    polygons = [[value], [[value] * 6], [[1, 2, 3, 4, 5, value]]]
    for segmentation in (value, *polygons, *({"size": size, "counts": counts} for size, counts in rles)):
        try:
            assert decode_segmentation(segmentation, (48, 48)).shape == (48, 48)
        except MinisamError as error:
            assert "\n" not in str(error)


def test_a_fingerprint_is_of_lines_not_of_their_letters():
    """Two lists of names that are the same one after another differ where their borders do."""
    lists = (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""], ["a\udce9"])
    assert len({digest(lines) for lines in lists}) == len(lists)
    assert digest(iter(["ab", "c"])) == digest(["ab", "c"])


@pytest.mark.parametrize("pixels", [0, 1, 2])
def test_a_mask_of_one_pixel_can_be_used(pixels):
    counts = [3, pixels, 12 - 3 - pixels] if pixels else [12]
    skipped = Skipped()
    found = usable_mask(Segment("a", {"size": [3, 4], "counts": counts}, (3, 4)), skipped)
    assert (0 if found is None else found.sum()) == pixels and bool(skipped) == (pixels == 0)


def test_each_level_of_the_part_tree_is_a_category_of_coco(coco, pictures):
    content = json.loads((coco / "annotations" / "instances.json").read_text())
    assert {one["id"]: one["name"] for one in content["categories"]} == {1: "whole", 2: "part", 3: "subpart"}
    levels = {one["id"]: one["level"] for picture in pictures for one in picture.annotations}
    assert {one["id"]: one["category_id"] - 1 for one in content["annotations"]} == levels
    assert set(levels.values()) == {0, 1, 2}
