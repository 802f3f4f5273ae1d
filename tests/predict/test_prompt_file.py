"""Prompts from JSON: one image or many, and a line that names the prompt that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from minisam.errors import DatasetError
from minisam.predict.prompt_file import read_prompts

CLICK, BOX = {"point_coords": [[25, 33], [4, 5]]}, {"box": [1, 2, 30, 40]}


@pytest.fixture
def written(tmp_path):
    def write(content) -> Path:
        path = tmp_path / "prompts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_a_list_is_for_the_given_image(written):
    image = Path("photo.jpg")
    (click, box) = read_prompts(written([CLICK, BOX]), image)[image]
    assert click["point_coords"].tolist() == [[25, 33], [4, 5]] and click["point_labels"].tolist() == [1, 1]
    assert box.keys() == {"box"} and box["box"].tolist() == [1, 2, 30, 40]
    assert read_prompts(written(BOX), image)[image][0]["box"].tolist() == [1, 2, 30, 40]


def test_labels_stay_and_null_is_nothing(written):
    prompt = {**CLICK, "point_labels": [1, 0], "box": None}
    (one,) = read_prompts(written([prompt]), Path("a"))[Path("a")]
    assert one.keys() == {"point_coords", "point_labels"} and one["point_labels"].tolist() == [1, 0]


def test_images_are_found_from_the_files_folder(written, tmp_path, monkeypatch):
    path = written({"a.jpg": [CLICK], "sub/b.jpg": [BOX, BOX]})
    found = read_prompts(path)
    assert {image: len(prompts) for image, prompts in found.items()} == {
        tmp_path / "a.jpg": 1,
        tmp_path / "sub" / "b.jpg": 2,
    }
    monkeypatch.chdir(tmp_path)
    assert list(read_prompts(path, Path("sub/b.jpg"))) == [Path("sub/b.jpg")]
    with pytest.raises(DatasetError, match=r"has no prompts for c\.jpg"):
        read_prompts(path, Path("c.jpg"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ([], "not a list of prompts"),
        ({}, "neither a list of prompts"),
        (3, "neither a list of prompts"),
        ([BOX, {"boxes": [1]}], "prompt 2: not an object with point_coords"),
        ({"a.jpg": BOX}, "a.jpg, not a list of prompts"),
        ({"a.jpg": [BOX, {}]}, "a.jpg, prompt 2: not an object"),
        ([{"box": [1, 2, "x", 4]}], "prompt 1: box is not a list of numbers"),
        ([{"point_coords": [[1, 2], [3]]}], "prompt 1: point_coords is not"),
        ([{"box": 3}], "box is not a list"),
        ([{"box": [True, True, True, True]}], "box is not a list"),
        ([{"box": None}], "nothing in it"),
        ({"a.jpg": [BOX], "./a.jpg": [CLICK]}, "two lists for one image"),
        ('{"a.jpg": [{"box": [1, 2, 3, 4]}], "a.jpg": [{"box": [5, 6, 7, 8]}]}', "two lists for one image"),
    ],
)
def test_the_place_of_a_mistake_is_named(written, content, says):
    with pytest.raises(DatasetError, match=says):
        read_prompts(written(content), None if "a.jpg" in str(content) else Path("image.png"))


def test_a_list_needs_an_image(written):
    with pytest.raises(DatasetError, match="give IMAGE too"):
        read_prompts(written([BOX]))


def test_numbers_are_arrays(written):
    (prompt,) = read_prompts(written([{"box": [[1, 2, 3, 4], [5, 6, 7.5, 8]]}]), Path("a"))[Path("a")]
    assert isinstance(prompt["box"], np.ndarray) and prompt["box"].shape == (2, 4)


def test_a_point_without_brackets_has_one_label(written):
    for given, count in (([5, 6], 1), ([[5, 6]], 1), ([[5, 6], [7, 8], [9, 9]], 3), ([], 0)):
        (one,) = read_prompts(written([{"point_coords": given}]), Path("a"))[Path("a")]
        assert one["point_labels"].tolist() == [1] * count
