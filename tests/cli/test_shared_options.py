"""One name for one option across all commands, a help text for each, and a start without heavy libraries."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from recipes import options

import minisam
from minisam.cli.main import COMMANDS, build_parser, main

OPTIONS = dict(options())
OTHER_NAMES = {
    "--out": ("--output", "--output-dir", "--output-file", "--outfile", "--out-dir", "--dest", "--save"),
    "--model": ("--model-type", "--network", "--arch-name", "--sam"),
    "--checkpoint": ("--weights", "--ckpt", "--checkpoint-path"),
    "--threads": ("--num-threads", "--workers", "--num-workers", "--jobs", "--cpus"),
    "--device": ("--gpu-id", "--cuda", "--cpu"),
    "--seed": ("--random-seed",),
    "--single": ("--single-mask",),
    "--json": ("--as-json",),
}


def with_option(name: str) -> dict[str, argparse.Action]:
    return {command: action for command, action in OPTIONS.items() if name in action.option_strings}


@pytest.mark.parametrize("command", OPTIONS)
def test_each_option_has_a_help_text(command):
    assert OPTIONS[command].help


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_an_option_has_one_name(name):
    assert with_option(name)
    for other in OTHER_NAMES[name]:
        assert not with_option(other)


def test_out_has_its_short_name_everywhere():
    named = with_option("-o") | with_option("--out")
    assert len(named) > 15
    assert {tuple(action.option_strings) for action in named.values()} == {("-o", "--out")}
    assert {action.type for action in named.values()} == {Path}


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("--threads", lambda action: (action.default in (None, 2), action.type("3"))),
        ("--device", lambda action: (action.default, action.type, action.choices)),
        ("--seed", lambda action: (action.default, action.type)),
        ("--precision", lambda action: action.default),
        ("--json", lambda action: (action.default, action.nargs)),
        ("--checkpoint", lambda action: (action.default, action.type)),
    ],
)
def test_a_name_means_the_same_everywhere(name, same):
    assert len({same(action) for action in with_option(name).values()}) == 1


def test_every_command_that_computes_takes_threads():
    with_device = {command.rsplit(" ", 1)[0] for command in with_option("--device")}
    with_threads = {command.rsplit(" ", 1)[0] for command in with_option("--threads")}
    assert with_device - with_threads == {"minisam data bench"}  # it measures one core


def test_help_needs_no_torch():
    """torch, NumPy and the others would take seconds of CPU time."""
    program = (
        "import sys; from minisam.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([m for m in ('torch', 'numpy', 'PIL', 'matplotlib') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.splitlines()[-1] == "[]" and all(command in printed for command in COMMANDS)


@pytest.mark.parametrize("program", [["-m", "minisam"], ["-m", "minisam.cli.main"]])
def test_version(program):
    printed = subprocess.run(
        [sys.executable, *program, "--version"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == f"minisam {minisam.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", minisam.__version__)


def test_python_m_minisam_ends_with_the_commands_exit_code(monkeypatch):
    monkeypatch.setattr("minisam.cli.main.main", lambda: 3)
    monkeypatch.delitem(sys.modules, "minisam.__main__", raising=False)
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module("minisam.__main__")
    assert stopped.value.code == 3


def test_without_a_command_there_are_no_options_of_commands():
    assert "--point" not in build_parser().format_help()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("minisam seg", "segment"),
        ("minisam segment --chec", "--checkpoint"),
        ("minisam kernel in", "inspect"),
    ],
)
def test_bash_completes(words, completed, capsys, tmp_path):
    pytest.importorskip("shtab", reason="pip install -e '.[test]' brings shtab")
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", "bash"])
    assert stopped.value.code == 0
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)
    typed = words.split()
    program = f"""source {script}
        COMP_WORDS=({words}) COMP_CWORD={len(typed) - 1}
        $(complete -p minisam | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        echo "${{COMPREPLY[@]}}" """
    answer = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert completed in answer.stdout.split()


def test_completion_names_its_library(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", "bash"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "minisam: completion needs the library shtab: pip install shtab\n"
