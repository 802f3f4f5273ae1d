from pathlib import Path

import pytest

from minisam.build import WEIGHTS
from minisam.cli.main import main
from minisam.engine.run import EngineRun


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["run", "-o", "x", "--preset", "huge"],
        ["run", "-o", "x", "--images", "1", "2"],
        ["run", "-o", "x", "--threads", "-1"],
        ["run", "-o", "x", "--images", "0", "1", "1", "1"],
        ["run", "-o", "x", "--steps", "0", "5"],
    ],
)
def test_usage_errors(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["engine", *arguments])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--manual-rounds", "97"], "96 images cannot be annotated in 97 rounds"),
        (["--seed", "2000"], "0 to 1999"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, words, tmp_path, capsys):
    out = tmp_path / "engine"
    assert main(["engine", "run", "-o", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (Path("nowhere.safetensors"), "nowhere.safetensors"),
        (WEIGHTS / "tiny.safetensors", "holds tiny weights"),
    ],
)
def test_weights_that_cannot_be_started_from_are_a_bad_file(weights, words, tmp_path, capsys):
    out = tmp_path / "engine"
    assert main(["engine", "run", "-o", str(out), "--from", str(weights)]) == 3
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not out.exists()


def test_a_folder_of_another_engine_is_left_alone(tmp_path, capsys):
    (tmp_path / "engine.json").write_text('{"preset":"nano"}')
    assert main(["engine", "run", "-o", str(tmp_path), "--images", "1", "2", "1", "1"]) == 3
    assert "other settings" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["engine.json"]


def test_one_image_in_one_round(tmp_path, monkeypatch):
    settings = []
    monkeypatch.setattr(EngineRun, "run", lambda self: settings.append(self.settings) or [])
    words = "--images 3 1 5 6 --manual-rounds 1 --held-out 2"
    assert main(["engine", "run", "-o", str(tmp_path / "engine"), *words.split()]) == 0
    (one,) = settings
    assert (one.labelled, one.manual, one.semi, one.automatic) == (3, 1, 5, 6)
    assert (one.manual_rounds, one.held_out) == (1, 2)
