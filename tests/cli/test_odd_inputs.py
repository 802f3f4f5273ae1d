"""Every option and argument that takes a file or folder is given what it cannot use: one line, exit code 2 or 3.

Nothing is written, and nothing that was there has changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_files import everything, photo, png

from minisam.build import WEIGHTS
from minisam.cli.main import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pipes and links: run it on Linux")
NANO = WEIGHTS / "nano.safetensors"
CONTENTS = {
    "empty": b"",
    "text": b"hello\n",
    "page": b"<!DOCTYPE html><html></html>",
    "pointer": b"version https://git-lfs.github.com/spec/v1\nsize 9\n",
    "zeros": bytes(4000),
    "list": b"[]",
    "object": b"{}",
    "number": b"3",
    "nested": b"[" * 5000,
    "latin": "é".encode("latin-1"),
    "archive": b"PK\3\4" + bytes(50),
    "pickle": b"\x80\x04N.",
    "short": NANO.read_bytes()[:5000],
    "weights": NANO.read_bytes(),
    "image": png(0),
}
SPECIAL: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
}
SUFFIXES = ("", ".pth", ".json", ".safetensors", ".png", ".onnx")
IMAGES = {f"image{suffix}" for suffix in SUFFIXES}
KINDS = [*(f"{kind}{suffix}" for kind in CONTENTS for suffix in SUFFIXES), *SPECIAL]
USES: dict[str, set[str]] = {
    "segment ODD --model nano --point 1,1": IMAGES,
    "segment a.png --point 1,1 --checkpoint ODD": {"weights"},
    "segment a.png --point 1,1 --adapter ODD --model nano": set(),
    "segment a.png --point 1,1 --mask ODD --model nano": IMAGES,
    "segment a.png --like ODD": IMAGES,
    "segment a.png --text red --checkpoint ODD": set(),
    "segment --prompts ODD --model nano": set(),
    "segment a.png --prompts ODD --model nano": set(),
    "amg ODD --model nano --points-per-side 1": IMAGES | {"folder"},
    "amg a.png --checkpoint ODD": {"weights"},
    "amg a.png --model nano --points-per-side 1 --roi-mask ODD": IMAGES,
    "detect ODD --detector a.png": set(),
    "detect a.png --detector ODD": set(),
    "detect --data ODD --detector a.png": set(),
    "detect train ODD --model nano --steps 1 -o new": set(),
    "train --data ODD --steps 1 -o new": set(),
    "train --from ODD --steps 1 -o new": {"weights"},
    "train --from-mae ODD --steps 1 -o new": set(),
    "train --preset tiny --cutouts ODD --backgrounds photos --steps 1 -o new": set(),
    "train --preset tiny --cutouts photos --backgrounds ODD --steps 1 -o new": set(),
    "text sam --clip ODD --steps 1 -o new": set(),
    "text sam --from ODD --clip weights --steps 1 -o new": set(),
    "engine run -o new --from ODD": {"weights"},
    "adapt ODD --model nano --steps 1 -o new": set(),
    "adapt merge ODD --model nano -o new.safetensors": set(),
    "eval --model nano --data ODD --images 1": set(),
    "eval --model nano --adapter ODD --images 1 --worlds train": set(),
    "eval --cutouts ODD --backgrounds photos --model nano --images 1": set(),
    "eval --ap ODD --data photos": set(),
    "eval --ap list --data ODD": set(),
    "experiment E3 --checkpoint ODD --quick -o new": {"weights"},
    "data preview --cutouts ODD --backgrounds photos --images 1 -o new.png": set(),
    "data shrink --cutouts ODD --backgrounds photos -o new": set(),
    "data export --cutouts photos --backgrounds ODD --images 1 -o new": set(),
    "export decoder --checkpoint ODD -o new.onnx": {"weights"},
    "export --demo new --checkpoint ODD": {"weights"},
    "convert ODD new.pth": {"weights"},
    "convert weights new.pth --average ODD": {"weights"},
    "lesson grade ODD": set(),
}
"""Commands, and the kinds that they can use after all; weights under any name count as weights."""


def make(kind: str) -> None:
    if kind in SPECIAL:
        SPECIAL[kind](Path(kind))
    else:
        Path(kind).write_bytes(CONTENTS[kind.partition(".")[0]])


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    photo(0).save("a.png")
    photo(1).save("photos/a.png")
    Path("weights").write_bytes(CONTENTS["weights"])
    Path("list").write_bytes(b"[]")
    return tmp_path


def refused(use: str, kind: str, here: Path, capsys) -> None:
    if kind not in ("weights", "list"):
        make(kind)
    before = everything(here)
    try:
        code = main([kind if word == "ODD" else word for word in use.split()])
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if not line.startswith("minisam: this takes about")]
    assert code in (2, 3) and not out and len(told) == 1 and told[0].startswith("minisam: "), (kind, out, err)
    assert everything(here) == before
    if kind == "folder":
        Path(kind).rmdir()
    elif kind not in ("weights", "list"):
        Path(kind).unlink()


def kinds_for(use: str) -> list[str]:
    usable = USES[use]
    return [kind for kind in KINDS if not {kind, kind.partition(".")[0]} & usable]


@pytest.mark.parametrize("use", USES)
def test_some_of_what_cannot_be_used_is_one_line(use, here, capsys):
    """Four kinds for each use, each kind for some of them."""
    kinds, first = kinds_for(use), 5 * list(USES).index(use)
    for step in range(4):
        refused(use, kinds[(first + step * (len(kinds) // 4)) % len(kinds)], here, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_whatever_cannot_be_used_is_one_line(use, here, capsys):
    for kind in kinds_for(use):
        refused(use, kind, here, capsys)
