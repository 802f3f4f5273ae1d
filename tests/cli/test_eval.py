"""`minisam eval` from the arguments to the files in its folder."""

import json

import pytest
import torch

from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.locks import claimed

SMALL = ["--images", "2", "--targets", "2", "--clicks", "2"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    save_checkpoint(build_from_config(CONFIGS["nano"]), path)
    return str(path)


def test_writes_table_json_and_figure(checkpoint, tmp_path, capsys):
    folder = tmp_path / "results" / "nano"
    assert (
        main(["eval", "--checkpoint", checkpoint, "--worlds", "thin", "train", *SMALL, "-o", str(folder)])
        == 0
    )
    assert sorted(path.name for path in folder.iterdir()) == ["figure.png", "results.json", "table.md"]
    printed = capsys.readouterr().out
    assert printed == (folder / "table.md").read_text()
    read = json.loads((folder / "results.json").read_text())
    assert list(read["worlds"]) == ["train", "thin"]
    assert read["about"]["network"] == "nano.safetensors"
    assert read["about"]["image_size"] == 64


def test_json_is_all_that_is_printed(checkpoint, capsys):
    words = ["eval", "--checkpoint", checkpoint, "--worlds", "train", *SMALL, "--seed", "5", "--json"]
    assert main(words) == 0
    read = json.loads(capsys.readouterr().out)
    numbers = {"image_size": 64, "images": 2, "targets_per_image": 2, "clicks": 2, "seed": 5}
    versions = {"network": "nano.safetensors", "device": "cpu", "torch": torch.__version__}
    assert read["about"] == numbers | versions
    assert set(read["worlds"]["train"]["metrics"]) >= {
        "oracle",
        "top1",
        "valid_iou",
        "box_top1",
        "centre_2",
        "spearman",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--worlds", "moon"],
        ["--images", "0"],
        ["--seed", "-1"],
        ["--clicks", "10"],
        ["--model", "tiny", "--checkpoint", "x"],
    ],
)
def test_bad_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["eval", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_damaged_checkpoint_is_exit_code_3(tmp_path, capsys):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"not weights")
    assert main(["eval", "--checkpoint", str(path), *SMALL]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_results_of_two_runs_are_not_mixed_and_a_failed_one_leaves_no_folder(
    checkpoint, tmp_path, capsys
):
    words = ["eval", "--checkpoint", checkpoint, "--worlds", "train", *SMALL, "-o", str(tmp_path / "new")]
    (tmp_path / "new").mkdir()
    with claimed(tmp_path / "new"):
        assert main(words) == 1
    assert "another run is using this folder" in capsys.readouterr().err
    (tmp_path / "new").rmdir()
    (tmp_path / "empty").mkdir()
    assert main(["eval", "--data", str(tmp_path / "empty"), *words[1:3], "-o", str(tmp_path / "new")]) == 3
    assert not (tmp_path / "new").exists()
