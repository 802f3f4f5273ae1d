import importlib
import os
import subprocess
import sys

import pytest

from minisam.cli.main import COMMANDS, main
from minisam.errors import CheckpointError, ImageError, PromptError


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_docstring(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "--debug" in capsys.readouterr().out
    assert importlib.import_module(f"minisam.cli.{command}").__doc__


@pytest.mark.parametrize(
    ("error", "code"),
    [(PromptError("p"), 2), (ImageError("i"), 3), (CheckpointError("c"), 3), (FileNotFoundError("f"), 1)],
)
def test_errors_become_exit_codes_and_one_line(monkeypatch, capsys, error, code):
    def fail(args):
        raise error

    monkeypatch.setattr("minisam.cli.doctor.run", fail)
    assert main(["doctor"]) == code
    assert capsys.readouterr().err == f"minisam: {error}\n"
    with pytest.raises(type(error)):
        main(["doctor", "--debug"])


@pytest.mark.parametrize("command", [["pretrain"], ["train"], ["text", "clip"], ["text", "sam"]])
@pytest.mark.parametrize("option", ["--steps", "--save-every", "--threads"])
@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_numbers_that_make_no_sense_are_usage_errors(command, option, number, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, option, number])
    assert stopped.value.code == 2
    assert f"a whole number from 1 is wanted, not '{number}'" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("minisam.cli.doctor.run", interrupt)
    assert main(["doctor"]) == 130


def test_a_reader_that_has_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "minisam.cli.main", "text", "words"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_no_command_is_a_usage_error():
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
