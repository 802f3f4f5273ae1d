"""`minisam data`: the contact sheet, the benchmark, and one-line errors."""

from __future__ import annotations

import argparse
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cutout_folders import two_folders
from PIL import Image

from minisam.cli import data
from minisam.cli.main import main
from minisam.data.cutouts import render_cutouts
from minisam.data.partworld import render_scenes
from minisam.data.partworld.export import SEEDS
from minisam.data.segmentation_folder import open_folder
from minisam.locks import claimed


def test_preview_shows_the_images(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    words = f"data preview --world micro --seed 3 --images 2 --size 32 -o {out}"
    assert main(words.split()) == 0
    assert capsys.readouterr().out.strip() == str(out)
    sheet = np.asarray(Image.open(out))
    first = render_scenes(3, 2, 32, "micro").images[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(sheet[:32, :32], first)


@pytest.mark.parametrize("knob", ["fog=1", "contrast=7", "contrast=much", "contrast"])
def test_a_bad_knob_is_a_usage_error(knob, tmp_path, capsys):
    assert main(["data", "preview", "--size", "32", "--knob", knob, "-o", str(tmp_path / "a.png")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_bench_prints_json(capsys):
    assert main(["data", "bench", "--batch-size", "1", "--repeats", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["ms_per_image"]) == {"64", "256", "512"}
    assert all(value > 0 for value in record["ms_per_image"].values())


@pytest.mark.parametrize("cutouts", [None, "folder"])
def test_bench_is_the_median_of_the_measured_batches_per_image(cutouts, monkeypatch):
    warm = data.WARM_BATCHES if cutouts else 2
    durations = [100.0] * warm + [1.0, 50.0, 2.0]
    now, seeds = [0.0], []

    def draw(args, seed, images, size, skipped):
        now[0] += durations[len(seeds)]
        seeds.append(seed)
        assert (images, size) == (4, 64)
        return SimpleNamespace(images=torch.zeros(1))

    monkeypatch.setattr(data, "draw", draw)
    monkeypatch.setattr(data, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    args = argparse.Namespace(cutouts=cutouts, repeats=3, batch_size=4)
    assert data.time_scenes(args, 64) == pytest.approx(1e3 * 2 / 4)
    assert len(seeds) == len(durations) and min(seeds) >= 0


def test_an_exported_data_set_is_trained_on_and_measured(tmp_path, capsys):
    folder = tmp_path / "data"
    assert main(f"data export --images 4 --size 64 --format coco -o {folder}".split()) == 0
    assert capsys.readouterr().out == f"4 images with masks: {folder}\n"
    run = tmp_path / "run"
    words = f"train --preset nano --steps 1 --threads 1 --data {folder} --validation 0.25 -o {run}"
    assert main(words.split()) == 0
    assert (run / "validation.csv").read_text().startswith("step,masks,oracle,top1,")
    weights = run / "model.safetensors"
    capsys.readouterr()
    assert main(f"eval --checkpoint {weights} --data {folder} --clicks 1 --targets 2 --json".split()) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["worlds"]["data"]["images"] == 4
    assert printed.err == ""


@pytest.mark.parametrize("part", ["training", "held out"])
def test_an_exported_data_set_of_cutouts(part, tmp_path, capsys):
    cutouts, backgrounds = two_folders(tmp_path)
    (cutouts / "broken.png").write_bytes(b"nothing")
    out, chosen = (
        tmp_path / "data",
        ["--part", part, "--cutouts", str(cutouts), "--backgrounds", str(backgrounds)],
    )
    assert (
        main(["data", "export", "--images", "9", "--size", "48", "--seed", "3", "-o", str(out), *chosen]) == 0
    )
    printed = capsys.readouterr()
    assert printed.out == f"9 images with masks: {out}\n" and "left out 1: " in printed.err
    folder = open_folder(out)
    assert sorted(folder.names) == [f"sa_{number}.json" for number in range(1, 10)]
    for batch, numbers in ((0, range(8)), (1, range(1))):
        scenes = render_cutouts(cutouts, backgrounds, 3 * SEEDS + batch, 8, 48, part).scenes
        for number in numbers:
            picture = folder.read(list(folder.names).index(f"sa_{8 * batch + number + 1}.json"))
            np.testing.assert_array_equal(picture.image, scenes.images[number].permute(1, 2, 0))
            labels = scenes.labels[number, 0].numpy()
            wanted = [labels == node for node in np.unique(labels[labels >= 0])]
            np.testing.assert_array_equal([one.mask() for one in picture.segments], wanted)


def test_knobs_of_partworld_are_refused_for_cutouts(tmp_path, capsys):
    cutouts, backgrounds = two_folders(tmp_path)
    for action in (["preview"], ["export"]):
        words = ["--cutouts", str(cutouts), "--backgrounds", str(backgrounds), "--knob", "contrast=0.5"]
        assert main(["data", *action, *words, "-o", str(tmp_path / "x.png")]) == 2
        assert capsys.readouterr().err.count("--knob is for PartWorld, not for --cutouts") == 1


def test_pictures_that_are_damaged_are_said_once(tmp_path, capsys):
    assert main(f"data export --images 3 --size 64 -o {tmp_path}".split()) == 0
    (tmp_path / "sa_2.png").write_bytes(b"nothing")
    assert main(f"eval --model nano --data {tmp_path} --clicks 1 --targets 1 --json".split()) == 0
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and error[0].startswith("left out 1: ") and "sa_2" in error[0]


@pytest.mark.parametrize("words", ["train --data {}", "eval --data {}"])
def test_no_data_set_is_one_line(words, tmp_path, capsys):
    assert main(words.format(tmp_path / "nowhere").split()) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("words", ["--seed 2000", "--size 3", "--knob contrast=7"])
def test_bad_exports_are_usage_errors(words, tmp_path, capsys):
    assert main(["data", "export", "-o", str(tmp_path), *words.split()]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("form", "name"), [("sa1b", "sa_2.png"), ("coco", "images/000002.png")])
def test_an_export_replaces_no_image(form, name, tmp_path, capsys):
    image = tmp_path / name
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(b"of the user")
    words = f"data export --images 2 --size 64 --format {form} -o {tmp_path}"
    assert main(words.split()) == 3
    assert f"({image.name}); choose another folder" in capsys.readouterr().err
    assert image.read_bytes() == b"of the user" and not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("form", ["sa1b", "coco"])
def test_two_exports_into_one_folder_are_not_mixed(form, tmp_path, capsys):
    words = f"data export --images 1 --size 64 --format {form} -o {tmp_path / 'new'}"
    (tmp_path / "new").mkdir()
    with claimed(tmp_path / "new"):
        assert main(words.split()) == 1
    assert "another run is using this folder" in capsys.readouterr().err
    assert not list((tmp_path / "new").iterdir())
    assert main(words.split()) == 0
