import csv

import pytest

from minisam.checkpoint import load_checkpoint, read_metadata
from minisam.cli.main import main


def test_a_short_run_leaves_weights_metrics_and_a_figure(tmp_path, capsys):
    arguments = ["train", "--preset", "nano", "--steps", "2", "--threads", "1", "-o", str(tmp_path)]
    assert main(arguments) == 0
    assert "model.safetensors" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "model.safetensors").image_encoder.img_size == 64
    assert read_metadata(tmp_path / "model.safetensors")["preset"] == "nano"
    with (tmp_path / "metrics.csv").open() as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [2]
    assert (tmp_path / "progress.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--preset", "huge"],
        ["--precision", "int3"],
        ["--steps", "many"],
        ["--steps", "0"],
        ["--save-every", "0"],
        ["--threads", "-1"],
        ["--rounds", "8", "-2"],
        ["--seed", "99999999999999999999"],
        ["--from", "a", "--from-mae", "b"],
    ],
)
def test_usage_errors(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments])
    assert stopped.value.code == 2
