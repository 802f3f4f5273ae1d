"""The commands that take cut-outs: data preview, bench and shrink; train and eval."""

import json

import pytest
from cutout_folders import two_folders, write_background, write_cutout
from PIL import Image

from minisam.cli.main import main
from minisam.data.cutouts import open_cutouts
from minisam.data.cutouts.folder import load_cutout
from minisam.data.cutouts.split import is_held_out


@pytest.fixture
def options(tmp_path):
    open_cutouts.cache_clear()
    cutouts, backgrounds = two_folders(tmp_path / "data")
    return ["--cutouts", str(cutouts), "--backgrounds", str(backgrounds)]


def test_preview_draws_a_sheet_and_says_what_was_left_out(options, tmp_path, capsys):
    Image.new("RGB", (80, 80)).save(tmp_path / "data" / "cutouts" / "flat.png")
    out = tmp_path / "sheet.png"
    assert main(["data", "preview", *options, "--images", "3", "--size", "64", "-o", str(out)]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (2 * (4 * 64 + 4 + 4) - 8, 2 * (64 + 4) - 4)
    assert "left out 1" in (said := capsys.readouterr().err) and "no alpha channel" in said


def test_preview_of_the_held_out_part_is_another_sheet(options, tmp_path):
    sheets = [tmp_path / "a.png", tmp_path / "b.png"]
    for sheet, part in zip(sheets, ("training", "held out"), strict=True):
        assert (
            main(
                [
                    "data",
                    "preview",
                    *options,
                    "--images",
                    "2",
                    "--size",
                    "64",
                    "--part",
                    part,
                    "-o",
                    str(sheet),
                ]
            )
            == 0
        )
    assert sheets[0].read_bytes() != sheets[1].read_bytes()


def test_shrink_writes_small_copies_that_keep_their_part(options, tmp_path, capsys):
    write_cutout(tmp_path / "data" / "cutouts" / "large.png", size=(1010, 510))  # of which 1000 x 500 show
    (tmp_path / "data" / "cutouts" / "note.txt").touch()
    target = tmp_path / "small"
    command = [
        "data",
        "shrink",
        *options,
        "--cutout-side",
        "100",
        "--background-side",
        "120",
        "-o",
        str(target),
    ]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("wrote") for line in lines) == 25 + 24
    assert sum(line.startswith("left out") for line in lines) == 1
    counts = [f"25 files in {target / 'cutouts'}", f"24 files in {target / 'backgrounds'}"]
    assert [line for line in lines if "files in" in line] == counts
    with Image.open(target / "cutouts" / "large.webp") as image:
        assert image.size == (104, 54) and image.has_transparency_data
    with Image.open(target / "backgrounds" / "0.jpg") as image:
        assert image.size == (120, 90)
    folders = tmp_path / "data" / "cutouts", target / "cutouts"
    before = open_cutouts(tmp_path / "data" / "cutouts", tmp_path / "data" / "backgrounds").cutout_names
    after = open_cutouts(target / "cutouts", target / "backgrounds").cutout_names
    assert [name.rsplit(".")[0] for name in before] == [name.rsplit(".")[0] for name in after]
    assert not any(is_held_out(name) for name in after)
    for name in before:
        one, two = (load_cutout(next(folder.glob(f"{name.rsplit('.')[0]}.*")))[0] for folder in folders)
        assert two.size == (min(100, one.width), min(50, one.height))
    assert main(command) == 0
    assert sum(line.startswith("kept") for line in capsys.readouterr().out.splitlines()) == 49


def test_shrink_leaves_out_what_would_have_the_name_of_another_copy(options, tmp_path, capsys):
    data = tmp_path / "data"
    write_cutout(data / "cutouts" / "same.png")
    write_cutout(data / "cutouts" / "same.webp", colour=(0, 0, 200))
    write_background(data / "backgrounds" / "1.png", seed=99)
    command = ["data", "shrink", *options, "-o", str(tmp_path / "small")]
    for first, copies in (("wrote", 25 + 24), ("kept", 25 + 24)):
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.startswith(first) for line in lines) == copies
        assert [line for line in lines if line.startswith("left out")] == [
            f"left out {data / 'cutouts' / 'same.webp'}: its copy would have the name of same.png's",
            f"left out {data / 'backgrounds' / '1.png'}: its copy would have the name of 1.jpg's",
        ]


def test_bench_times_cutouts(options, capsys, monkeypatch):
    monkeypatch.setattr("minisam.cli.data.BENCH_SIZES", (32,))
    monkeypatch.setattr("minisam.cli.data.WARM_BATCHES", 1)
    assert main(["data", "bench", *options, "--batch-size", "1", "--repeats", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["world"] == "cut-outs" and record["ms_per_image"]["32"] > 0


def test_training_writes_weights_and_a_curve_of_the_held_out_part(options, tmp_path, monkeypatch):
    monkeypatch.setattr("minisam.evaluate.cutouts.VALIDATION_IMAGES", 4)
    run = tmp_path / "run"
    command = ["train", "--preset", "tiny", *options, "--steps", "1", "--save-every", "1", "-o", str(run)]
    command += ["--threads", "1", "--image-size", "64", "--batch-size", "2"]
    assert main(command) == 0
    assert (run / "model.safetensors").exists()
    header, values = (run / "validation.csv").read_text().splitlines()
    assert header.startswith("step,masks,oracle,top1,box_single")
    assert values.startswith("1,")


def test_eval_measures_the_world_photo(options, capsys):
    command = [
        "eval",
        "--model",
        "nano",
        *options,
        "--images",
        "2",
        "--targets",
        "1",
        "--clicks",
        "1",
        "--json",
    ]
    assert main(command) == 0
    results = json.loads(capsys.readouterr().out)
    assert list(results["worlds"]) == ["photo"]


GONE = ["--cutouts", "/gone", "--backgrounds", "/gone"]


@pytest.mark.parametrize(
    ("command", "message", "code"),
    [
        (["data", "preview", "--cutouts", "x"], "give both, or neither", 2),
        (["train", "--backgrounds", "x"], "give both, or neither", 2),
        (["eval", "--cutouts", "x"], "give both, or neither", 2),
        (
            ["eval", "--cutouts", "x", "--backgrounds", "y", "--worlds", "micro"],
            "--worlds is not for --cutouts, which measures only the world photo; omit it",
            2,
        ),
        (["train", "--preset", "nano", "--cutouts", "x", "--backgrounds", "y"], "no recipe for nano", 2),
        (["data", "preview", *GONE], "/gone: no such folder", 3),
        (["data", "export", *GONE], "/gone: no such folder", 3),
        (["data", "bench", *GONE], "/gone: no such folder", 3),
        (["data", "shrink", *GONE], "/gone: no such folder", 3),
        (["eval", *GONE], "/gone: no such folder", 3),
        (["train", "--recipe", "tiny", *GONE], "/gone: no such folder", 3),
    ],
)
def test_what_cannot_be_is_said_in_one_line(command, message, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    needed = ["-o", "out"] if command[:2] in (["data", "export"], ["data", "shrink"]) else []
    assert main([*command, *needed]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1


def test_baselines_stand_beside_the_network(options, capsys):
    command = ["eval", "--model", "nano", *options, "--images", "2", "--targets", "1", "--clicks", "1"]
    assert main([*command, "--baselines"]) == 0
    assert "| filled box |" in capsys.readouterr().out
    assert main([*command, "--baselines", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert 0 < results["baselines"]["filled box"]["box_single"]["value"] <= 1
    assert main(["eval", "--baselines"]) == 2
    assert "needs --data or --cutouts" in capsys.readouterr().err
