"""`minisam amg`: records of an image and of a folder, split, killed and gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from minisam.build import WEIGHTS
from minisam.cli.amg import LIMITS
from minisam.cli.main import main
from minisam.data.images import load_image
from minisam.data.partworld import render_scenes
from minisam.data.sa1b import read_record
from minisam.data.segmentation_folder import open_folder
from minisam.masks.rle import decode_rle
from minisam.predict.everything.generator_arguments import RANGES

QUICK = ["--checkpoint", str(WEIGHTS / "nano.safetensors"), "--points-per-side", "5"]
QUICK += ["--pred-iou-thresh", "0.2", "--stability-score-thresh", "0.05"]


@pytest.mark.parametrize("name", ["points_per_side", "crop_n_layers"])
def test_the_command_takes_what_the_generator_takes(name: str):
    assert LIMITS[name] == RANGES[name]


@pytest.fixture(autouse=True)
def one_thread():
    """The same bits here and in other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw_images(folder: Path, count: int) -> Path:
    """Scenes, in two folders, as PNG."""
    images = render_scenes(seed=7, batch_size=min(count, 6)).images.permute(0, 2, 3, 1).numpy()
    (folder / "more").mkdir(parents=True)
    for index in range(count):
        path = folder / ("more" if index % 3 == 0 else ".") / f"scene{index:03}.png"
        Image.fromarray(np.rot90(images[index % len(images)], index // 6)).save(path)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return draw_images(tmp_path_factory.mktemp("pictures"), 4)


@pytest.fixture(scope="module")
def serial(pictures, tmp_path_factory):
    """The records of one run over all images."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("serial")
    assert main(["amg", str(pictures), "-o", str(out), *QUICK]) == 0
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.json")}


def test_a_record_for_each_picture(pictures, serial):
    assert sorted(contents(serial)) == [
        "more/scene000.json",
        "more/scene003.json",
        "scene001.json",
        "scene002.json",
    ]
    for name in contents(serial):
        record = read_record(serial / name)
        image = load_image(pictures / record["image"]["file_name"])
        assert record["annotations"]
        for annotation in record["annotations"]:
            mask = decode_rle(annotation["segmentation"])  # type: ignore
            assert mask.shape == image.shape[:2] and mask.sum() == annotation["area"]  # type: ignore


def test_beside_the_images_the_records_are_a_data_set(pictures, tmp_path, capsys):
    Image.open(pictures / "scene001.png").save(tmp_path / "photo.png")
    assert main(["amg", str(tmp_path / "photo.png"), *QUICK, "--figure", "--json"]) == 0
    captured = capsys.readouterr()
    done = json.loads(captured.out)
    assert done == {"written": [str(tmp_path / "photo.json")], "valid": [], "unreadable": []}
    assert "MB of memory" in captured.err
    with Image.open(tmp_path / "photo_masks.png") as figure:
        assert figure.width > 2 * load_image(tmp_path / "photo.png").shape[1]
    folder = open_folder(tmp_path)
    assert len(folder.names) == 1 and len(folder.read(0).segments) > 1
    assert main(["amg", str(tmp_path), *QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] == [str(tmp_path / "photo.json")]


def test_the_files_of_a_single_image_are_told(pictures, tmp_path, capsys):
    Image.open(pictures / "scene001.png").save(tmp_path / "photo.png")
    record, figure = tmp_path / "photo.json", tmp_path / "photo_masks.png"
    assert main(["amg", str(tmp_path / "photo.png"), *QUICK]) == 0
    masks = len(json.loads(record.read_text())["annotations"])
    assert capsys.readouterr().out == f"{masks} masks: {record}\n" and not figure.exists()
    assert main(["amg", str(tmp_path / "photo.png"), *QUICK, "--figure"]) == 0
    told = f"already there, by the same settings: {record}\nfigure: {figure}\n"
    assert capsys.readouterr().out == told and figure.exists()


def test_what_is_valid_stays_and_what_is_not_is_made_again(pictures, serial, tmp_path, capsys):
    before = contents(serial)
    broken, stale = serial / "scene001.json", serial / "scene002.json"
    broken.write_bytes(before["scene001.json"][:-40])
    stale.write_bytes(before["scene002.json"].replace(b'"points_per_side":5', b'"points_per_side":6'))
    times = {file: file.stat().st_mtime_ns for file in serial.rglob("*.json")}
    assert main(["amg", str(pictures), "-o", str(serial), *QUICK]) == 0
    assert "2 records written, 2 already there" in capsys.readouterr().out
    assert contents(serial) == before
    unchanged = {file for file, written in times.items() if file.stat().st_mtime_ns == written}
    assert unchanged == set(times) - {broken, stale}


def test_shards_make_what_one_run_makes(pictures, serial, tmp_path):
    for index in (2, 1, 3):
        assert main(["amg", str(pictures), "-o", str(tmp_path), *QUICK, "--shard", f"{index}/3"]) == 0
    assert contents(tmp_path) == contents(serial)


def test_only_the_first_shard_reports_what_is_no_image(tmp_path, capsys):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    for index in (1, 2):
        code = main(["amg", str(tmp_path), *QUICK, "--shard", f"{index}/2", "--json"])
        captured = capsys.readouterr()
        told = [str(tmp_path / "gone.png")] if index == 1 else []
        assert json.loads(captured.out)["unreadable"] == told and code == (3 if told else 0)
        assert ("gone.png" in captured.err) == (index == 1)


def start(pictures: Path, out: Path, *arguments: str) -> subprocess.Popen:
    """The command in a separate process."""
    command = [
        sys.executable,
        "-m",
        "minisam.cli.main",
        "amg",
        str(pictures),
        "-o",
        str(out),
        *QUICK,
        *arguments,
    ]
    return subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def kill_after(process: subprocess.Popen, out: Path, records: int, seconds: float) -> None:
    """kill -9 when so many records are there, or it has ended, and some seconds are over."""
    while process.poll() is None and len(contents(out)) < records:
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_and_gone_on_with(pictures, serial, tmp_path):
    kill_after(start(pictures, tmp_path), tmp_path, records=1, seconds=0)
    survived = contents(tmp_path)
    assert survived and survived.items() <= contents(serial).items()
    assert main(["amg", str(pictures), "-o", str(tmp_path), *QUICK]) == 0
    assert contents(tmp_path) == contents(serial)


@pytest.mark.slow
def test_two_workers_killed_twenty_times(tmp_path):
    """Whenever they are killed, what they leave together is what one run leaves: nothing missing, nothing twice."""
    pictures, serial, out = draw_images(tmp_path / "pictures", 60), tmp_path / "serial", tmp_path / "out"
    assert main(["amg", str(pictures), "-o", str(serial), *QUICK]) == 0
    rng = random.Random(0)
    for kill in range(20):
        workers = [start(pictures, out, "--shard", f"{index}/2") for index in (1, 2)]
        here = len(contents(out))
        kill_after(workers[kill % 2], out, records=here + rng.randrange(1, 5), seconds=rng.random() / 2)
        workers[1 - kill % 2].kill()
        workers[1 - kill % 2].communicate()
        assert contents(out).items() <= contents(serial).items()
    for index in (1, 2):
        process = start(pictures, out, "--shard", f"{index}/2")
        process.communicate()
        assert process.returncode == 0
    assert contents(out) == contents(serial)
    assert len(contents(out)) == 60


def test_an_unreadable_picture_does_not_stop_the_others(pictures, tmp_path, capsys):
    (tmp_path / "b.png").write_text("no image")
    for name in ("a.png", "c.png"):
        Image.open(pictures / "scene001.png").save(tmp_path / name)
    assert main(["amg", str(tmp_path), *QUICK]) == 3
    captured = capsys.readouterr()
    assert "2 records written, 0 already there, 1 image unreadable; " in captured.out
    assert f"new masks, in {tmp_path}" in captured.out
    assert "b.png" in captured.err
    assert main(["amg", str(tmp_path / "b.png"), *QUICK]) == 3
    assert capsys.readouterr().err.startswith("minisam: ")


def test_what_others_have_written_stays_and_the_rest_is_done(pictures, tmp_path, capsys):
    for name in ("photo.png", "other.png"):
        Image.open(pictures / "scene001.png").save(tmp_path / name)
    theirs = tmp_path / "photo.json"
    theirs.write_text('{"image":{"file_name":"photo.png","height":9,"width":9},"annotations":[]}')
    before = theirs.read_bytes()
    assert main(["amg", str(tmp_path), *QUICK]) == 3
    captured = capsys.readouterr()
    assert "photo.json was not written by minisam amg and is not replaced" in captured.err
    assert "1 record written, 0 already there, 1 image without a new record; " in captured.out
    assert main(["amg", str(tmp_path / "photo.png"), *QUICK]) == 2
    assert theirs.read_bytes() == before and (tmp_path / "other.json").exists()


def test_an_image_of_the_same_name_does_not_take_the_record(pictures, tmp_path, capsys):
    Image.open(pictures / "scene001.png").save(tmp_path / "a.png")
    assert main(["amg", str(tmp_path / "a.png"), *QUICK]) == 0
    before = (tmp_path / "a.json").read_bytes()
    Image.open(pictures / "scene001.png").save(tmp_path / "a.bmp")
    assert main(["amg", str(tmp_path / "a.bmp"), *QUICK]) == 2
    assert "a.json is the record of a.png and is not replaced" in capsys.readouterr().err
    assert (tmp_path / "a.json").read_bytes() == before


def test_a_figure_goes_over_our_own_alone(pictures, tmp_path, capsys):
    Image.open(pictures / "scene001.png").save(tmp_path / "cat.png")
    Image.new("L", (9, 9)).save(tmp_path / "cat_masks.png")
    before = (tmp_path / "cat_masks.png").read_bytes()
    assert main(["amg", str(tmp_path), *QUICK, "--figure"]) == 3
    captured = capsys.readouterr()
    assert "cat_masks.png was not drawn by minisam and is not replaced" in captured.err
    assert "1 image left out because of its name" in captured.out
    assert (tmp_path / "cat_masks.png").read_bytes() == before


def test_figures_go_into_a_new_folder(pictures, tmp_path, capsys):
    for name in ("a.png", "below/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(pictures / "scene001.png").save(tmp_path / "in" / name)
    command = ["amg", str(tmp_path / "in"), *QUICK, "--figure", "-o", str(tmp_path / "out" / "new")]
    assert main(command) == 0
    found = {path.relative_to(tmp_path / "out/new").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {"a.json", "a_masks.png", "below/b.json", "below/b_masks.png"}


@pytest.mark.parametrize("counts", [[300, 5], 10**13, None, [[1]], "~~", {"a": 1}])
def test_an_altered_record_is_done_again(pictures, serial, counts):
    path = serial / "scene001.json"
    before = path.read_bytes()
    record = json.loads(before)
    record["annotations"][0]["segmentation"]["counts"] = counts
    path.write_text(json.dumps(record))
    assert main(["amg", str(pictures), "-o", str(serial), *QUICK]) == 0
    assert path.read_bytes() == before


def test_a_full_disk_ends_the_run(pictures, tmp_path, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "photo.json")

    monkeypatch.setattr("minisam.cli.amg_worker.write_json", full)
    assert main(["amg", str(pictures), "-o", str(tmp_path), *QUICK]) == 1
    assert capsys.readouterr().err.endswith("minisam: photo.json: no space left on device\n")


def test_a_figure_is_of_its_record(pictures, tmp_path):
    command = ["amg", str(pictures / "scene001.png"), "-o", str(tmp_path), *QUICK]
    figure = tmp_path / "scene001_masks.png"
    assert main([*command, "--figure"]) == 0
    first = figure.read_bytes()
    assert main([*command, "--points-per-side", "2"]) == 0
    assert main([*command, "--points-per-side", "2", "--figure"]) == 0
    assert figure.read_bytes() != first


def test_a_file_where_the_folder_should_be(pictures, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/deeper"):
        assert main(["amg", str(pictures), "-o", str(tmp_path / place), *QUICK]) == 2
        error = capsys.readouterr().err
        assert "cannot be a folder" in error and "MB of memory" not in error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_picture_of_one_pixel_has_crops_too(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert main(["amg", str(tmp_path), *QUICK, "--preset", "paper"]) == 0


def test_a_region(pictures, tmp_path):
    image = pictures / "scene001.png"
    side = load_image(image).shape[0]
    assert main(["amg", str(image), "-o", str(tmp_path), *QUICK, "--roi", f"0,0,{side // 2},{side}"]) == 0
    by_box = read_record(tmp_path / "scene001.json")["annotations"]
    assert by_box
    assert all(one["point_coords"][0][0] < side // 2 for one in by_box)  # type: ignore
    mask = np.zeros((side, side), np.uint8)
    mask[:, : side // 2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = ["amg", str(image), "-o", str(tmp_path), *QUICK, "--roi-mask", str(tmp_path / "mask.png")]
    assert main(arguments) == 0
    assert read_record(tmp_path / "scene001.json")["annotations"] == by_box


def test_the_papers_preset_and_single_masks(pictures, tmp_path):
    image = str(pictures / "scene001.png")
    assert main(["amg", image, "-o", str(tmp_path), *QUICK, "--preset", "paper", "--single"]) == 0
    settings = read_record(tmp_path / "scene001.json")["generator"]["settings"]  # type: ignore
    expected = {
        "crop_n_layers": 2,
        "min_mask_region_area": 100,
        "multimask_output": False,
        "points_per_side": 5,
    }
    assert settings.items() >= expected.items()


def test_without_a_checkpoint_thresholds_suit_the_weights_that_ship(pictures, tmp_path):
    image = str(pictures / "scene001.png")
    for arguments, thresholds in (([], (0.5, 0.6)), (["--preset", "default"], (0.88, 0.95))):
        options = ["-o", str(tmp_path), "--points-per-side", "4", *arguments]
        assert main(["amg", image, *options]) == 0
        settings = read_record(tmp_path / "scene001.json")["generator"]["settings"]  # type: ignore
        assert (settings["pred_iou_thresh"], settings["stability_score_thresh"]) == thresholds


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.png"], 3, "missing.png: no such image file"),
        (["."], 2, "no image files in this folder"),
        (["photo.png", "--points-per-batch", "0"], 2, "--points-per-batch must be from 1 to 65536, got 0"),
        (["photo.png", "--points-per-side", "99999999999"], 2, "--points-per-side must be from 1 to 1024"),
        (["photo.png", "--points-per-side", "0"], 2, "--points-per-side must be from 1 to 1024"),
        (["photo.png", "--crop-n-layers", "-1"], 2, "--crop-n-layers must be from 0 to 6, got -1"),
        (["photo.png", "--crop-n-layers", "60"], 2, "--crop-n-layers must be from 0 to 6, got 60"),
        (
            ["photo.png", "--min-mask-region-area", "-1"],
            2,
            "--min-mask-region-area must be from 0 to 1000000000",
        ),
        (["photo.png", "--pred-iou-thresh", "nan"], 2, "--pred-iou-thresh must be from -1 to 1, got nan"),
        (["photo.png", "--roi-mask", "nowhere.png"], 3, "nowhere.png: no such image file"),
        (["photo.png", "--roi", "500,500,600,600"], 2, "has no pixel of the image of 12 x 9"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path, capsys, arguments, code, words):
    if arguments != ["."]:
        Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(tmp_path / "photo.png")
    assert main(["amg", str(tmp_path / arguments[0]), *QUICK, *arguments[1:]]) == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("minisam: ") and words in error


@pytest.mark.parametrize("wrong", ["0/2", "3/2", "1", "1/2/3", "a/b", "-1/2"])
def test_shards_that_are_none(capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        main(["amg", "photo.png", f"--shard={wrong}"])
    assert stopped.value.code == 2
    assert "I/N" in capsys.readouterr().err
