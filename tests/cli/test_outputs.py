"""Every command looks where its result goes before it works, and writes over nothing that it was given."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisam.build import WEIGHTS
from minisam.cli.main import main
from minisam.cli.outputs import check_output, check_output_folder
from minisam.cli.replaceable import (
    check_no_results,
    check_replaceable_pair,
    check_replaceable_run,
    check_replaceable_text,
)
from minisam.data.figure_mark import is_own_figure
from minisam.errors import OutputError
from minisam.evaluate.tables import FIRST_TITLE
from minisam.experiments.page import RESULT
from minisam.show import save_figure
from minisam.train.metrics import PROGRESS, write_rows

FIGURES = {"demo": ["demo"], "preview": ["data", "preview", "--images", "1", "--size", "32"]}
PICTURES = {"roofline": ["kernel", "roofline", "softmax"], "trace": ["kernel", "trace", "softmax"]}
RECORDS = {"bench": ["bench", "encoder"], "kernel bench": ["kernel", "bench"]}
FILES = {**FIGURES, **PICTURES, **RECORDS, "words": ["text", "words"]}
FOLDERS = {
    "eval": ["eval"],
    "experiment": ["experiment", "E3"],
    "train": ["train"],
    "pretrain": ["pretrain"],
    "clip": ["text", "clip"],
    "engine": ["engine", "run"],
    "export": ["data", "export"],
}
OTHER_FOLDERS = {
    "handout": ["lesson", "handout", "1", "-o"],
    "demo page": ["export", "--demo"],
    "shrink": ["data", "shrink", "--cutouts", "a", "--backgrounds", "b", "-o"],
}


@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("-", "give it a name"),
        ("nodir/a.png", "no folder nodir"),
        ("folder.png", "is a folder"),
        ("file/a.png", "file is not a folder"),
        ("link.png", "no folder "),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    command, out, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    Path("file").touch()
    Path("link.png").symlink_to("nodir/a.png")
    before = sorted(tmp_path.iterdir())
    assert main([*FILES[command], "-o", out]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("minisam: ") and words in error and "None" not in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe and a device: run it on Linux")
def test_only_a_file_or_a_new_name_is_written(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "old.png").write_text("old")
    (tmp_path / "link.png").symlink_to("old.png")
    (tmp_path / "dangling.png").symlink_to("new.png")
    for path in (tmp_path / "pipe.png", tmp_path / "loop.png", Path("/dev/null")):
        with pytest.raises(OutputError, match=r"is a pipe, a device or a link to itself; .* -o$"):
            check_output(path)
    for name in ("old.png", "link.png", "dangling.png", "none.png"):
        check_output(tmp_path / name, suffixes=(".png",))


@pytest.mark.parametrize(
    ("name", "fits"), [("a.png", True), ("a.PNG", True), ("a.jpg", False), ("png", False)]
)
def test_a_suffix_counts_in_any_case(name, fits, tmp_path):
    if fits:
        check_output(tmp_path / name, suffixes=(".png",))
    else:
        with pytest.raises(OutputError, match="cannot write this format"):
            check_output(tmp_path / name, suffixes=(".png",))


@pytest.mark.parametrize("out", ["file", "file/below", "file/below/it", "loop", "loop/below"])
@pytest.mark.parametrize("command", [*FOLDERS, *OTHER_FOLDERS])
def test_a_file_in_the_place_of_a_folder(command, out, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    words = [*FOLDERS[command], "-o"] if command in FOLDERS else OTHER_FOLDERS[command]
    assert main([*words, str(tmp_path / out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"minisam: {tmp_path / out} cannot be a folder") and words[-1] in error
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("where", ["{}", "{}/below", "new/{}/below", "a/" * 2100 + "end"])
@pytest.mark.parametrize("command", [*FILES, *FOLDERS, *OTHER_FOLDERS])
def test_a_name_that_is_too_long(command, where, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = OTHER_FOLDERS.get(command) or [*(FOLDERS | FILES)[command], "-o"]
    assert main([*words, where.format("n" * 256)]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.endswith(f"its name is too long; choose a shorter one with {words[-1]}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [["segment", "{}", "--point", "1,1"], ["eval", "--data", "{}"], ["amg", "{}"], ["train", "--data", "{}"],
     ["adapt", "{}"], ["detect", "train", "{}"], ["export", "encoder", "--checkpoint", "{}"]],
)  # fmt: skip
def test_an_input_that_no_file_can_be_called(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = main([word.format("n" * 256 + ".png") for word in words])
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("minisam: ") and ("too long" in error or "no such file" in error)
    assert code == (2 if words[0] == "segment" else 3), "the figure's name is too long as well"
    assert list(tmp_path.iterdir()) == []


def bad_images(folder: Path) -> str:
    """Records of images that are none."""
    annotations = [
        {"id": 1, "bbox": [2, 2, 9, 9], "segmentation": {"size": [24, 32], "counts": [200, 300, 268]}}
    ]
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(b"no image")
        image = {"image_id": number, "height": 24, "width": 32, "file_name": f"{number}.jpg"}
        (folder / f"{number}.json").write_text(json.dumps({"image": image, "annotations": annotations}))
    return str(folder)


def nothing_at_all(folder: Path) -> str:
    return str(folder)


def not_there(folder: Path) -> str:
    return str(folder / "nowhere")


TRAININGS = {
    "train": ["train", "--steps", "1", "--data", "BAD"],
    "train on cut-outs": [
        "train",
        "--preset",
        "tiny",
        "--steps",
        "1",
        "--cutouts",
        "BAD",
        "--backgrounds",
        "BAD",
    ],
    "train from": ["train", "--steps", "1", "--from", "BAD"],
    "adapt": ["adapt", "--model", "nano", "--steps", "1", "BAD"],
    "detect": ["detect", "train", "BAD", "--model", "nano", "--steps", "1"],
    "text": ["text", "sam", "--steps", "1", "--clip", "BAD"],
    "text from": ["text", "sam", "--steps", "1", "--clip", "BAD", "--from", "BAD"],
    "eval": ["eval", "--model", "nano", "--data", "BAD"],
    "eval of results": ["eval", "--ap", "BAD", "--data", "BAD"],
    "experiment": ["experiment", "E3", "--checkpoint", "BAD"],
    "engine": ["engine", "run", "--from", "BAD"],
    "data export": ["data", "export", "--images", "1", "--cutouts", "BAD", "--backgrounds", "BAD"],
    "data export as COCO": [
        *("data", "export", "--format", "coco", "--images", "1", "--cutouts", "BAD", "--backgrounds", "BAD")
    ],
    "data shrink": ["data", "shrink", "--cutouts", "BAD", "--backgrounds", "BAD"],
}


@pytest.mark.parametrize("bad", [bad_images, nothing_at_all, not_there])
@pytest.mark.parametrize("command", TRAININGS)
def test_bad_data_leave_no_folder_behind(command, bad, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    words = [bad(tmp_path / "data") if word == "BAD" else word for word in TRAININGS[command]]
    assert main([*words, "-o", "deep/run"]) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("minisam: ") and str(tmp_path / "data") in error
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("command", FIGURES)
def test_a_figure_of_no_known_format_is_refused(command, tmp_path, capsys):
    assert main([*FIGURES[command], "-o", str(tmp_path / "a.xyz")]) == 2
    assert "cannot write this format" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*PICTURES, *RECORDS])
def test_no_file_is_called_what_it_is_not(command, tmp_path, capsys):
    suffix, other = (".png", "a.jpg") if command in PICTURES else (".json", "a.png")
    assert main([*FILES[command], "-o", str(tmp_path / other)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"cannot write this format; use a name that ends in {suffix}" in error
    assert list(tmp_path.iterdir()) == []


OTHERS = [
    ("eval", "results.json", '{"worlds": []}'),
    ("eval", "results.json", "no JSON"),
    ("eval", "table.md", "# Mine"),
    ("eval", "figure.png", ""),
    ("experiment", "E3.json", '{"E3": 1}'),
    ("experiment", "E3.json", "[]"),
    ("experiment", "E3.png", "mine"),
    ("train", "model.safetensors", "mine"),
    ("train", "latest.safetensors", "mine"),
    ("train", "metrics.csv", "epoch,step"),
    ("pretrain", "mae.safetensors", "mine"),
    ("clip", "clip.safetensors", "mine"),
    ("engine", "rounds.json", "[]"),
    ("engine", "table.txt", "mine"),
    ("engine", "figure.png", "mine"),
]


@pytest.mark.parametrize(("command", "name", "content"), OTHERS)
def test_what_has_the_name_of_a_result_stays(command, name, content, tmp_path, capsys):
    (tmp_path / name).write_text(content)
    assert main([*FOLDERS[command], "-o", str(tmp_path)]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"minisam: {tmp_path / name} was not")
    assert "is not replaced; choose another name with -o" in error
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


def test_a_benchmark_of_kernels_leaves_a_picture_beside_its_record(tmp_path, capsys):
    (tmp_path / "gpu.png").write_text("mine")
    assert main(["kernel", "bench", "-o", str(tmp_path / "gpu.json")]) == 2
    assert "gpu.png was not written by minisam and is not replaced" in capsys.readouterr().err


def test_results_of_ours_are_replaced(tmp_path):
    (tmp_path / "E3.png").write_text("drawn before figures had a mark")
    (tmp_path / "E3.json").write_text(json.dumps(dict.fromkeys(RESULT)))
    check_replaceable_pair(tmp_path / "E3.json", RESULT)
    save_figure(Figure(figsize=(1, 1)), tmp_path / "E5.png")
    check_replaceable_pair(tmp_path / "E5.json", RESULT)
    (tmp_path / "table.md").write_text(f"{FIRST_TITLE} and more")
    check_replaceable_text(tmp_path / "table.md", FIRST_TITLE)
    weights = WEIGHTS / "nano.safetensors"
    (tmp_path / "model.safetensors").write_bytes(weights.read_bytes())
    write_rows(tmp_path / "metrics.csv", [], PROGRESS)
    check_replaceable_run(tmp_path, ["model.safetensors", "not there"])
    (tmp_path / "model.safetensors").write_text("half of one")
    with pytest.raises(OutputError):
        check_replaceable_run(tmp_path, ["model.safetensors"])
    (tmp_path / "metrics.csv").write_text("epoch,step")
    with pytest.raises(OutputError):
        check_replaceable_run(tmp_path, [])
    (tmp_path / "state.pt").touch()
    check_replaceable_run(tmp_path, ["model.safetensors"])
    check_no_results(tmp_path, ["table.md"])


@pytest.mark.parametrize(("command", "name"), [("demo", "minisam_demo.png"), ("preview", "partworld.png")])
def test_the_usual_name_is_not_taken_from_somebody(command, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (3, 3)).save(name)
    assert main(FIGURES[command]) == 2
    assert f"{name} was not drawn by minisam and is not replaced" in capsys.readouterr().err


def test_a_contact_sheet_is_our_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(FIGURES["preview"]) == 0 and is_own_figure(tmp_path / "partworld.png")
    assert main(FIGURES["preview"]) == 0


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        (["train"], "--from", "model.safetensors"),
        (["train"], "--from-mae", "state.pt"),
        (["text", "sam"], "--from", "text.safetensors"),
        (["text", "sam"], "--clip", "text.safetensors"),
        (["eval"], "--checkpoint", "results.json"),
    ],
)
def test_weights_are_not_replaced_by_those_that_come_of_them(command, option, name, tmp_path, capsys):
    given = tmp_path / name
    given.write_bytes((WEIGHTS / "nano.safetensors").read_bytes())
    before = given.read_bytes()
    assert main([*command, option, str(given), "-o", str(tmp_path)]) == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err
    assert given.read_bytes() == before


def test_a_readme_of_somebody_stays(tmp_path, capsys):
    (tmp_path / "README.md").write_text("# Mine")
    assert main(["experiment", "list", "--page", "-o", str(tmp_path)]) == 2
    assert "README.md is not a page of experiments and is not replaced" in capsys.readouterr().err
    (tmp_path / "README.md").unlink()
    assert main(["experiment", "list", "--page", "-o", str(tmp_path)]) == 0
    assert main(["experiment", "list", "--page", "-o", str(tmp_path)]) == 0
    (tmp_path / "E3.json").write_text("[]")
    assert main(["experiment", "list", "--page", "-o", str(tmp_path)]) == 3
    assert "not a result of an experiment" in capsys.readouterr().err


def test_names_that_lead_to_the_same_file(tmp_path):
    given = tmp_path / "a.png"
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(given)
    (tmp_path / "link.png").symlink_to(given)
    (tmp_path / "around").symlink_to(tmp_path)
    for name in ("a.png", "link.png", "around/a.png", "around/../" + tmp_path.name + "/a.png"):
        with pytest.raises(OutputError, match="is an input"):
            check_output(tmp_path / name, [None, given])
        with pytest.raises(OutputError, match="is an input"):
            check_output_folder(tmp_path, [given], [name])
    check_output(tmp_path / "b.png", [given])
    check_output_folder(tmp_path / "new" / "deep", [given], ["a.png"])
    assert not (tmp_path / "new").exists()
