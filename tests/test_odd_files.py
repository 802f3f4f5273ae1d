"""A folder of odd files through every command that takes one: no trace, nothing replaced, everything accounted for.

Root may read what is locked, and some names cannot be on every file system: run this as another user, and on Linux,
to have those kinds do their part.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_files import KINDS, everything, make, make_many

from minisam.build import WEIGHTS
from minisam.cli.main import main
from minisam.data.images import READ_SUFFIXES
from minisam.data.partworld.export import annotated_pictures, write_sa1b
from minisam.masks.rle import compress_rle
from minisam.train.pictures import load_batch, open_split

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pipes, sockets and links: run it on Linux")
NANO = ["--checkpoint", str(WEIGHTS / "nano.safetensors")]
QUICK = [*NANO, "--points-per-side", "1", "--pred-iou-thresh", "0"]
ON_ITS_OWN = [
    *("mathematics", "chinese", "a name of bytes", "escape codes", "one row", "one column", "link to itself"),
    *("folder", "pipe", "tiff of 12 bits", "called as our figure", "a long name", "vast", "minus in front"),
]


def names_of_images(folder: Path) -> list[str]:
    """Every name below a folder that has an image's suffix, be it a file or not."""
    return [
        os.path.join(top, name)
        for top, folders, files in os.walk(folder)
        for name in [*folders, *files]
        if os.path.splitext(name)[1].lower() in READ_SUFFIXES
    ]


def amg(folder: Path, capsys) -> dict[str, list[str]]:
    """Run it twice; check that all is accounted for and that nothing that was there has changed."""
    before, names = everything(folder), names_of_images(folder)
    assert main(["amg", str(folder), *QUICK, "--figure", "--json"]) == 3
    captured = capsys.readouterr()
    done = json.loads(captured.out)
    assert Counter(map(len, done.values())) and sum(map(len, done.values())) == len(names)
    assert len(set(done["written"])) == len(done["written"]), "one record an image"
    assert all(os.path.isfile(record) for record in done["written"])
    assert all(line.startswith("minisam: ") for line in captured.err.splitlines()), captured.err
    assert "\x1b" not in captured.err
    after = everything(folder)
    assert after.items() >= before.items()
    new = len(after) - len(before)
    assert new == 2 * len(done["written"]), "a record and a figure each, and nothing else"
    assert main(["amg", str(folder), *QUICK, "--figure", "--json"]) == 3
    again = json.loads(capsys.readouterr().out)
    assert again == done | {"written": [], "valid": done["written"]}
    assert everything(folder) == after
    return done


def annotate_all(folder: Path) -> int:
    """A record, 24 x 32, for every name of an image."""
    counts = compress_rle({"size": [24, 32], "counts": [200, 300, 268]})
    names = names_of_images(folder)
    for number, name in enumerate(names):
        image = {"image_id": number, "height": 24, "width": 32, "file_name": os.path.basename(name)}
        record = {"image": image, "annotations": [{"id": 1, "segmentation": counts}]}
        (Path(name).parent / f"record_{number}.json").write_text(json.dumps(record))
    return len(names)


def measure(folder: Path, capsys, train: Callable[[Path], object]) -> str:
    """`eval --data`, and training on it; what eval says was left out."""
    annotate_all(folder)
    write_sa1b(folder / "sound", annotated_pictures("train", 3, image_size=48))  # type: ignore
    before = everything(folder)
    images = ["--images", "100000", "--clicks", "1", "--targets", "1"]
    assert main(["eval", *NANO, "--data", str(folder), *images]) == 0
    told = capsys.readouterr().err
    open_split.cache_clear()
    train(folder)
    assert "Traceback" not in told + capsys.readouterr().err
    assert everything(folder) == before
    return told


def draw_batches(folder: Path) -> None:
    """What a few steps of training on a folder would see."""
    for seed in range(5):
        assert len(load_batch(folder, 0.0, seed, 16, 64, 2, 1 / 256, False).images) == 16


def train_one_step(folder: Path) -> None:
    words = [
        "train",
        "--data",
        str(folder),
        "-o",
        str(folder.parent / "run"),
        "--steps",
        "1",
        "--threads",
        "1",
    ]
    assert main(words) == 0


def segment(path: Path, capsys) -> int:
    """On one file: masks and a figure, or one line."""
    folder = path.parent
    before = everything(folder)
    code = main(["segment", str(path), *NANO, "--point", "0,0"])
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert code in (0, 1, 2, 3) and "\x1b" not in captured.err
    assert all(line.startswith("minisam: ") for line in lines) and (code == 0 or lines)
    after = everything(folder)
    assert after.items() >= before.items() and len(after) - len(before) == (code == 0)
    return code


def test_one_of_each_in_a_folder(tmp_path: Path, capsys):
    for kind in KINDS:
        make(kind, tmp_path / "odd")
    done = amg(tmp_path / "odd", capsys)
    names = {outcome: {Path(path).name for path in paths} for outcome, paths in done.items()}
    for kind in ("theirs", "bom", "wide", "latin", "comma", "lines", "labelme", "blank", "recordpipe"):
        assert f"{kind}0.png" in names["refused"]
    for name in ("folder0.png", "loop0.png", "dangling0.png", "pipe0.png", "socket0.png", "caf\udce90.png"):
        assert name in names["unreadable"]
    assert names["left_out"] == {"truth0_masks.png", "work0_segment.png"}
    for name in (
        "alike0.png.json",
        "alike0.jpg.json",
        "alike0.jpg.png.json",
        "plain0.tif.json",
        "山水0.json",
    ):
        assert name in names["written"]


def test_one_of_each_as_a_data_set(tmp_path: Path, capsys):
    for kind in KINDS:
        make(kind, tmp_path / "odd")
    told = measure(tmp_path / "odd", capsys, draw_batches)
    assert "left out" in told and "EXIF orientation 3" in told


@pytest.mark.parametrize("kind", ON_ITS_OWN)
def test_one_of_a_kind_alone(tmp_path: Path, capsys, kind: str):
    segment(make(kind, tmp_path), capsys)


@pytest.mark.slow
def test_a_thousand_in_a_folder(tmp_path: Path, capsys):
    make_many(tmp_path / "odd", 1000)
    done = amg(tmp_path / "odd", capsys)
    assert len(done["written"]) > 400 and len(done["unreadable"]) > 100


@pytest.mark.slow
def test_a_thousand_as_a_data_set(tmp_path: Path, capsys):
    make_many(tmp_path / "odd", 1000)
    assert "left out" in measure(tmp_path / "odd", capsys, train_one_step)


@pytest.mark.slow
def test_a_thousand_one_by_one(tmp_path: Path, capsys):
    codes = Counter()
    kinds = list(KINDS)
    for number in range(1000):
        path = make(kinds[number % len(kinds)], tmp_path / "odd", number)
        codes[segment(path, capsys)] += 1
        shutil.rmtree(tmp_path / "odd")
    assert codes[0] > 400 and codes[3] > 100
