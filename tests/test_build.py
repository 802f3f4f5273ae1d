"""A name is a network's, or a file's: by its look, or because the file is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from minisam.build import build_sam, is_path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("tiny", False),
        ("vit_b", False),
        ("unknown", False),
        ("weights", True),
        ("vit_b.pth", True),
        ("folder/vit_b", True),
        (Path("tiny"), True),
        (3, False),
        (None, False),
    ],
)
def test_what_is_a_path(name, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for there in ("weights", "tiny", "vit_b"):
        Path(there).write_bytes(b"")
    assert is_path(name) == path


def test_a_file_with_the_name_of_a_network_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nano").write_text("no weights")
    assert build_sam("nano").image_encoder.img_size == 64
