"""JSON is written without spaces and whole, and read with one line for what is wrong."""

from __future__ import annotations

import codecs
import os

import pytest

from minisam.errors import DatasetError
from minisam.json_files import read_json, write_json


def test_what_is_written_is_short_and_read_again(tmp_path):
    content = {"a": [1, 2.5, None], "b": {"c": "\u00e4"}}
    write_json(tmp_path / "a.json", content)
    assert (tmp_path / "a.json").read_bytes() == b'{"a":[1,2.5,null],"b":{"c":"\\u00e4"}}'
    assert read_json(tmp_path / "a.json") == read_json(str(tmp_path / "a.json")) == content


def test_a_byte_order_mark_is_no_part_of_the_content(tmp_path):
    (tmp_path / "a.json").write_bytes(codecs.BOM_UTF8 + b"[1]")
    assert read_json(tmp_path / "a.json") == [1]


def test_what_is_no_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {1, 2})
    assert read_json(tmp_path / "a.json") == 1 and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "damaged or truncated"),
        (b"\xff\xfe", "damaged or truncated"),
        (b"[" * 200_000, "damaged"),
        (None, "No such"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(content, words, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=words) as raised:
        read_json(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_a_folder_and_a_pipe_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(DatasetError, match="not a file"):
            read_json(path)
