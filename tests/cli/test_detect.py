"""`minisam detect`: training on a COCO folder, objects of an image and of a folder, and what is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_prompters import DrawnImages

from minisam.adapt.rsprompter.instances import Instances
from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.data.coco import coco_annotation, write_coco
from minisam.data.coco_results import read_results
from minisam.data.images import load_image, save_image
from minisam.data.sa1b import annotate, write_record

SHORT = ["--steps", "2", "--batch-size", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four images in COCO's format, one of them without objects, and a category without an image."""
    home = tmp_path_factory.mktemp("coco")
    drawn, number, entries, annotations = DrawnImages((2, 1, 0, 2)), 0, [], []
    for index, picture in enumerate(drawn.pictures, start=10):
        save_image(home / f"{index}.png", picture.image)
        entries.append({"id": index, "height": 64, "width": 64, "file_name": f"{index}.png"})
        for segment in picture.segments:
            number += 1
            annotations.append(coco_annotation(segment.mask(), number, index, segment.category))
    write_coco(home / "instances.json", entries, annotations, {7: "disc", 9: "square", 11: "never seen"})
    return home


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    save_checkpoint(build_from_config(CONFIGS["nano"]), path)
    return str(path)


@pytest.fixture(scope="module")
def detector(folder, checkpoint, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "detector"
    assert main(["detect", "train", str(folder), "--checkpoint", checkpoint, "-o", str(run), *SHORT]) == 0
    return str(run / "detector.safetensors")


def detect(*arguments):
    return main(["detect", *map(str, arguments)])


def test_training_leaves_a_detector_and_says_its_ap(detector, folder, checkpoint, tmp_path, capsys):
    run = tmp_path / "again"
    assert detect("train", folder, "--checkpoint", checkpoint, "-o", run, *SHORT, "--validation", 0.3) == 0
    printed = capsys.readouterr().out
    assert "on 1 held-out images: box AP" in printed and "detector.safetensors" in printed
    assert {path.name for path in run.iterdir()} >= {
        "detector.safetensors",
        "metrics.csv",
        "validation.csv",
        "state.pt",
    }


def test_an_image_gives_a_figure_and_results_beside_it(detector, folder, checkpoint, tmp_path, capsys):
    image = tmp_path / "photo.png"
    save_image(image, load_image(folder / "10.png"))
    options = ("--detector", detector, "--checkpoint", checkpoint, "--min-score", "0.1")
    assert detect(image, *options, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in printed["categories"]] == ["disc", "square", "never seen"]
    assert load_image(tmp_path / "photo_detect.png").shape[2] == 3
    results = read_results(tmp_path / "photo_detect.json")
    assert len(results) == len(printed["results"]) > 0
    assert all(one.score >= 0.1 and one.category_id in (1, 2, 3) and one.box is not None for one in results)
    assert detect(image, *options) == 0  # again, over its own files
    assert "figure: " in capsys.readouterr().out
    assert detect(image, *options[:-1], "1") == 0
    assert "no object with a score" in capsys.readouterr().out
    other = image.with_suffix(".bmp")
    other.write_bytes(image.read_bytes())
    assert detect(other, *options) == 2
    assert "is the figure of photo.png and is not replaced" in capsys.readouterr().err


def test_a_score_that_is_just_enough(tmp_path, capsys, monkeypatch):
    save_image(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    masks[:, 2:12, 3:15] = True
    scores = torch.tensor([0.75, 0.5, 0.4999])
    found = Instances(torch.tensor([[3.0, 2, 15, 12]] * 3), torch.tensor([0, 1, 0]), scores, masks)
    prompter = SimpleNamespace(config=SimpleNamespace(classes=("disc", "square")))
    monkeypatch.setattr("minisam.cli.detect.loaded", lambda args: prompter)
    monkeypatch.setattr("minisam.adapt.rsprompter.measure.detect_objects", lambda *_: found)
    assert detect(tmp_path / "a.png", "--detector", "x", "--min-score", "0.5") == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "disc 0.75  box 3,2,15,12, 20.0% of the image"
    assert second == "square 0.50  box 3,2,15,12, 20.0% of the image"
    results = read_results(tmp_path / "a_detect.json")
    assert [(one.category_id, one.score, one.box) for one in results] == [
        (1, 0.75, (3, 2, 12, 10)),
        (2, 0.5, (3, 2, 12, 10)),
    ]


def test_a_folder_gives_results_that_eval_measures(detector, folder, checkpoint, tmp_path, capsys):
    out = tmp_path / "results.json"
    assert detect("--data", folder, "--detector", detector, "--checkpoint", checkpoint, "-o", out) == 0
    assert f"4 images: {out}" in capsys.readouterr().out
    results = read_results(out)
    assert {one.image_id for one in results} <= {10, 11, 12, 13}
    assert {one.category_id for one in results} <= {7, 9, 11}
    assert main(["eval", "--ap", str(out), "--data", str(folder), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert set(scores) == {"box", "mask", "boundary"} and scores["mask"]["classes"][2]["AP"] is None


def test_a_world_can_be_trained_on(checkpoint, tmp_path):
    options = ("--images", "4", "--variant", "query", "--steps", "1", "--batch-size", "1")
    assert (
        detect("train", "--world", "aerial", "--checkpoint", checkpoint, "-o", tmp_path / "run", *options)
        == 0
    )
    assert (tmp_path / "run" / "detector.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one IMAGE"),
        (["a.png", "b.png"], 2, "give one IMAGE"),
        (["a.png"], 2, "--detector FILE is needed"),
        (["a.png", "--detector", "absent.safetensors"], 3, "a.png"),
        (["train"], 2, "give one folder"),
        (["train", "d", "--world", "aerial"], 2, "give one folder"),
        (["train", "--world", "moon"], 2, "moon"),
        (["train", "absent"], 3, "absent"),
        (["train", "d", "--detector", "x"], 2, "omit them with train"),
        (["train", "d", "--validation", "0.5"], 3, "d: "),
    ],
)
def test_bad_arguments_are_one_line(arguments, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["detect", *arguments]) == code
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1


def test_folders_without_categories_or_objects_are_refused(folder, checkpoint, detector, tmp_path, capsys):
    content = json.loads((folder / "instances.json").read_text())
    for name, change in (("categories", {"categories": []}), ("annotations", {"annotations": []})):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(content | change))
        assert detect("train", file, "--checkpoint", checkpoint, "-o", tmp_path / "run") == 3
        assert name in capsys.readouterr().err
    for change in ({"category_id": "7"}, {"category_id": [7]}, {"segmentation": []}):
        file = tmp_path / "none.json"
        file.write_text(json.dumps(content | {"annotations": [a | change for a in content["annotations"]]}))
        assert detect("train", file, "--checkpoint", checkpoint, "-o", tmp_path / "run") == 3
        assert "no annotation has a segmentation and a category_id" in capsys.readouterr().err
    crowds = [a | {"iscrowd": 1} for a in content["annotations"]]
    (tmp_path / "crowds.json").write_text(json.dumps(content | {"annotations": crowds}))
    assert detect("train", tmp_path / "crowds.json", "--checkpoint", checkpoint, "-o", tmp_path / "run") == 3
    assert "all annotations are crowds (iscrowd 1), and nothing is learned" in capsys.readouterr().err
    records = tmp_path / "sa1b"
    records.mkdir()
    write_record(records, np.zeros((40, 40, 3), np.uint8), [annotate(np.ones((40, 40), bool), 1)], 1, ".png")
    assert detect("train", records, "--checkpoint", checkpoint, "-o", tmp_path / "run") == 3
    assert "COCO's format" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content | {"categories": [{"id": 7, "name": "cat"}]}))
    options = ("--detector", detector, "--checkpoint", checkpoint, "-o", tmp_path / "r.json")
    assert detect("--data", other, *options) == 3
    assert "none of its categories" in capsys.readouterr().err


def test_another_sam_or_file_is_refused_and_nothing_is_overwritten(
    detector, folder, checkpoint, tmp_path, capsys
):
    image = folder / "10.png"
    assert detect(image, "--detector", detector, "-o", tmp_path / "f.png") == 3
    assert "stands on other weights" in capsys.readouterr().err
    assert detect(image, "--detector", checkpoint, "--checkpoint", checkpoint, "-o", tmp_path / "f.png") == 3
    assert "holds no detector" in capsys.readouterr().err
    (tmp_path / "f.json").write_text('{"mine": 1}')
    assert detect(image, "--detector", detector, "--checkpoint", checkpoint, "-o", tmp_path / "f.png") == 2
    assert "not replaced" in capsys.readouterr().err
    assert detect(image, "--detector", detector, "--checkpoint", checkpoint, "-o", image) == 2
    assert (tmp_path / "f.json").read_text() == '{"mine": 1}'
    assert not list(tmp_path.glob("*.png"))


def test_damaged_images_of_a_folder_are_left_out_and_named(detector, folder, checkpoint, tmp_path, capsys):
    (tmp_path / "instances.json").write_text((folder / "instances.json").read_text())
    for path in folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(b"broken" if path.name == "11.png" else path.read_bytes())
    out = tmp_path / "results.json"
    assert (
        detect(
            "--data",
            tmp_path / "instances.json",
            "--detector",
            detector,
            "--checkpoint",
            checkpoint,
            "-o",
            out,
        )
        == 3
    )
    assert "left out 1" in capsys.readouterr().err and out.exists()


def test_the_commands_variants_are_those_of_the_configuration():
    from minisam.adapt.rsprompter.config import VARIANTS
    from minisam.cli import detect_training

    assert tuple(VARIANTS) == detect_training.VARIANTS
