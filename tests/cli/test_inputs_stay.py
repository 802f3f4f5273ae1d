"""No command writes its result over a file that it was given, by whichever option it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recipes import options

from minisam.build import WEIGHTS
from minisam.cli.main import main
from minisam.data.figure_mark import MARK
from minisam.data.images import save_image

INPUTS = [
    ("segment image", "a.png", "segment a.png --point 1,1 -o a.png"),
    ("segment --mask", "m.png", "segment a.png --point 1,1 --mask m.png -o m.png"),
    ("segment --like", "like.png", "segment a.png --like like.png -o like.png"),
    (
        "segment --checkpoint",
        "w.safetensors",
        "segment a.png --point 1,1 --checkpoint w.safetensors -o w.safetensors",
    ),
    (
        "segment --adapter",
        "w.safetensors",
        "segment a.png --point 1,1 --adapter w.safetensors -o w.safetensors",
    ),
    ("segment --prompts", "p.png", "segment a.png --prompts p.png -o p.png"),
    ("amg --roi-mask", "a_masks.png", "amg a.png --figure --roi-mask a_masks.png"),
    ("detect words", "a.png", "detect a.png --detector w.safetensors -o a.png"),
    ("detect --detector", "d.png", "detect a.png --detector d.png -o d.png"),
    ("detect --checkpoint", "d.png", "detect a.png --detector w.safetensors --checkpoint d.png -o d.png"),
    ("detect --detector", "d.json", "detect a.png --detector d.json -o d.png"),
    ("detect --checkpoint", "d.json", "detect a.png --detector w.safetensors --checkpoint d.json -o d.png"),
    ("detect --data", "d.json", "detect --data d.json --detector w.safetensors -o d.json"),
    ("detect --detector", "d.json", "detect --data . --detector d.json -o d.json"),
    (
        "detect --checkpoint",
        "d.json",
        "detect --data . --detector w.safetensors --checkpoint d.json -o d.json",
    ),
    ("detect --checkpoint", "detector.safetensors", "detect train . --checkpoint detector.safetensors -o ."),
    ("detect --checkpoint", "state.pt", "detect train . --checkpoint state.pt -o ."),
    ("train --from", "model.safetensors", "train --from model.safetensors -o ."),
    ("train --from", "latest.safetensors", "train --from latest.safetensors -o ."),
    ("train --from", "state.pt", "train --from state.pt -o ."),
    ("train --from-mae", "model.safetensors", "train --from-mae model.safetensors -o ."),
    ("text sam --clip", "text.safetensors", "text sam --clip text.safetensors -o ."),
    ("text sam --clip", "state.pt", "text sam --clip state.pt -o ."),
    ("text sam --from", "text.safetensors", "text sam --clip w.safetensors --from text.safetensors -o ."),
    ("text sam --from", "state.pt", "text sam --clip w.safetensors --from state.pt -o ."),
    ("engine run --from", "rounds.json", "engine run --from rounds.json -o ."),
    ("adapt --checkpoint", "adapter.safetensors", "adapt . --checkpoint adapter.safetensors -o ."),
    ("adapt --checkpoint", "table.md", "adapt . --checkpoint table.md -o ."),
    (
        "adapt adapter",
        "w.safetensors",
        "adapt merge w.safetensors --checkpoint b.safetensors -o w.safetensors",
    ),
    ("adapt --checkpoint", "b.pth", "adapt merge w.safetensors --checkpoint b.pth -o b.pth"),
    ("eval --checkpoint", "results.json", "eval --checkpoint results.json -o ."),
    ("eval --checkpoint", "table.md", "eval --checkpoint table.md -o ."),
    ("eval --checkpoint", "figure.png", "eval --checkpoint figure.png -o ."),
    ("eval --adapter", "results.json", "eval --adapter results.json -o ."),
    ("eval --data", "results.json", "eval --data results.json -o ."),
    ("eval --ap", "results.json", "eval --ap results.json --data . -o ."),
    ("eval --ap", "table.md", "eval --ap table.md --data . -o ."),
    ("eval --data", "results.json", "eval --ap w.safetensors --data results.json -o ."),
    ("experiment --checkpoint", "E3.json", "experiment E3 --checkpoint E3.json -o ."),
    ("experiment --checkpoint", "E3.png", "experiment E3 --checkpoint E3.png -o ."),
    ("export --checkpoint", "w.onnx", "export encoder --checkpoint w.onnx -o w.onnx"),
    ("convert input", "w.safetensors", "convert w.safetensors w.safetensors"),
    ("convert --base", "b.safetensors", "convert w.safetensors b.safetensors --base b.safetensors"),
    ("convert --average", "b.safetensors", "convert w.safetensors b.safetensors --average b.safetensors"),
]


NEVER_REPLACED = (
    "engine run --from",
    "experiment --checkpoint",
    "convert input",
    "convert --base",
    "convert --average",
)
"""These refuse to write over most other files too, with another message."""
READ_ONLY = {
    "minisam amg --adapter",  # its results end in .json and .png, which are not read as weights
    "minisam amg --checkpoint",
    "minisam amg images",
    "minisam click images",
    "minisam click --checkpoint",
    "minisam adapt data",
    "minisam train --data",
    "minisam lesson check file",
    "minisam lesson grade folder",
}
FOLDERS = ("--cutouts", "--backgrounds", "--work", "--demo")
OUTPUTS = ("-o/--out", "--csv", "out")


@pytest.mark.parametrize(("option", "name", "words"), INPUTS)
def test_an_input_is_not_replaced(option, name, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    weights = (WEIGHTS / "nano.safetensors").read_bytes()
    for other in ("w.safetensors", "b.safetensors"):
        Path(other).write_bytes(weights)
    image = np.full((30, 40, 3), 200, np.uint8)
    for one in ("a.png", "m.png", "like.png", *[name] * (name == "a_masks.png")):
        save_image(Path(one), image, MARK if one == "a_masks.png" else None)
    if name == "p.png":
        Path(name).write_text('{"point_coords": [[3, 4]]}')
    if not Path(name).exists():
        Path(name).write_bytes(weights)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(words.split()) == 2
    *_, error = capsys.readouterr().err.splitlines()
    refused = ("is an input and would be overwritten", "not replaced")
    assert error.startswith("minisam: ") and name in error
    assert any(words in error for words in refused[: 1 + (option in NEVER_REPLACED)])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_table_of_marks_is_not_written_over_a_hand_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("kim.py").write_text("mine")
    Path("notes.csv").write_text("mine")
    for csv, code in (("kim.py", 2), ("notes.csv", 2), ("nodir/a.csv", 2), ("-", 2)):
        assert main(["lesson", "grade", ".", "--csv", csv]) == code
        error = capsys.readouterr().err
        assert error.startswith("minisam: ") and csv in error and "--csv" in error
    assert Path("kim.py").read_text() == Path("notes.csv").read_text() == "mine"


def test_every_option_for_a_file_is_among_them():
    files = [name for name, action in options() if action.type is Path]
    inputs = [name for name in files if not name.endswith((*FOLDERS, *OUTPUTS))]
    for name in inputs:
        words = name.removeprefix("minisam ").split()
        assert any(option.split() == words for option, *_ in INPUTS) or name in READ_ONLY, name
