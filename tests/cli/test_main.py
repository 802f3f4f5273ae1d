import argparse
import importlib
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from minisam.cli import main as main_module
from minisam.cli.main import COMMANDS, main
from minisam.cli.numbers import LARGEST_SEED, number_from, seed
from minisam.errors import CheckpointError, ImageError, PromptError


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_docstring(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "--debug" in capsys.readouterr().out
    assert importlib.import_module(f"minisam.cli.{command}").__doc__


def test_no_command_is_a_usage_error_and_lists_all(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "minisam demo" in captured.err
    assert all(f"\n    {command} " in captured.err for command in COMMANDS)


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


@pytest.mark.parametrize("printed", ["", '{"figure": "a.png"}'])
@pytest.mark.parametrize("error", [ImageError("no\nimage"), FileNotFoundError("f"), RuntimeError("a bug")])
def test_json_is_one_document_even_after_an_error(monkeypatch, capsys, error, printed):
    def fail(args):
        print(printed, end="")
        raise error

    monkeypatch.setattr("minisam.cli.doctor.run", fail)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            main(["doctor", "--json"])
    else:
        assert main(["doctor", "--json"]) == (3 if isinstance(error, ImageError) else 1)
    out = json.loads(capsys.readouterr().out)
    assert out == ({"figure": "a.png"} if printed else {"error": str(error)})
    monkeypatch.setattr("minisam.cli.doctor.run", lambda args: print("plain") or 0)
    assert main(["doctor"]) == 0 and capsys.readouterr().out == "plain\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a.png"), "a.png: no space left on device"),
        (OSError(1, "Not permitted", b"a\xff"), r"a\udcff: not permitted"),
        (ImageError("\x1b]0;owned\x07.png: no image"), r"\x1b]0;owned\x07.png: no image"),
        (MemoryError(), "not enough memory"),
        (
            RuntimeError(
                "[enforce fail] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
                "52000 bytes. Error code 12"
            ),
            "not enough memory for 52000 bytes; use fewer or smaller images at once",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has\nothers"),
            "not enough memory for 20.50 GiB; use fewer or smaller images at once",
        ),
        (
            RuntimeError("Storage size calculation overflowed with sizes=[1]"),
            "not enough memory; use fewer or smaller images at once",
        ),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory: Unable to allocate 9 TiB"),
    ],
)
def test_a_message_is_one_line_that_can_be_shown(monkeypatch, capsys, error, line):
    def fail(args):
        raise error

    monkeypatch.setattr("minisam.cli.doctor.run", fail)
    assert main(["doctor"]) != 0
    assert capsys.readouterr().err == f"minisam: {line}\n"


def test_a_name_that_is_no_text_can_be_printed(monkeypatch, capsys):
    monkeypatch.setattr("minisam.cli.doctor.run", lambda args: print("caf\udce9.png") or 0)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "caf\\udce9.png\n"


@pytest.mark.parametrize("command", [["pretrain"], ["train"], ["text", "clip"], ["text", "sam"]])
@pytest.mark.parametrize("option", ["--steps", "--save-every", "--threads"])
@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_numbers_that_make_no_sense_are_usage_errors(command, option, number, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, option, number])
    assert stopped.value.code == 2
    assert f"must be a whole number of at least 1, not '{number}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("kernel roofline --batch 0", "at least 1"),
        ("kernel inspect softmax --head-dim 0", "at least 1"),
        ("bench encoder --size 10000000000000", "at most 8192"),
        ("bench encoder --size 100", "multiple of 16"),
        ("bench amg --size 10000000000", "at most 8192"),
        ("bench decoder --prompts 0", "at least 1"),
        ("train --image-size 16000000000", "at most 8192"),
        ("train --image-size 31", "at least 32"),
    ],
)
def test_sizes_that_no_command_can_work_with_are_usage_errors(command, says, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command.split())
    assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_the_ends_of_a_range_are_in_it():
    number = number_from(2, 5)
    assert [number("2"), number("5")] == [2, 5]
    for text in ("1", "6"):
        with pytest.raises(argparse.ArgumentTypeError):
            number(text)


def test_any_other_error_keeps_its_trace(monkeypatch):
    def fail(args):
        raise RuntimeError("a bug")

    monkeypatch.setattr("minisam.cli.doctor.run", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["doctor"])


def test_an_interrupt_is_130(monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("minisam.cli.doctor.run", interrupt)
    assert main(["doctor"]) == 130


INTERRUPTED_IMPORT = """
import os, signal, sys
import minisam.cli.main
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "minisam.cli.doctor":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("what some libraries make of it") from None
sys.meta_path.insert(0, Interrupt())
sys.argv = ["minisam", "doctor"]
sys.exit(minisam.cli.main.main())
"""


def test_an_interrupt_in_an_import_is_130():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "minisam: interrupted\n")


def test_the_command_line_starts_without_torch():
    command = "import sys, minisam.cli.main; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0


def test_a_reader_that_has_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "minisam.cli.main", "text", "words"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("is_program", [True, False])
def test_after_the_work_ctrl_c_is_ignored(is_program, monkeypatch):
    handlers = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.append((number, handler)))
    interrupts = main_module.Interrupts(is_program)
    assert handlers == ([(signal.SIGINT, interrupts.interrupt)] if is_program else [])
    interrupts.end()
    assert handlers[1:] == ([(signal.SIGINT, signal.SIG_IGN)] if is_program else [])


@pytest.mark.parametrize(("words", "ended"), [("lesson list", [True]), ("lesson open 99", [])])
def test_the_work_is_done_when_a_command_is(words, ended, monkeypatch):
    seen = []
    monkeypatch.setattr(main_module.Interrupts, "end", lambda self: seen.append(True))
    main(words.split())
    assert seen == ended


def test_the_largest_seed_is_the_largest_that_torch_takes():
    assert seed(str(LARGEST_SEED)) == LARGEST_SEED and seed("0") == 0
    assert torch.Generator().manual_seed(LARGEST_SEED).initial_seed() == LARGEST_SEED
    with pytest.raises(argparse.ArgumentTypeError, match="must be at most"):
        seed(str(LARGEST_SEED + 1))


@pytest.mark.parametrize(
    ("words", "has_remedy"),
    [
        ("detect train --steps 9 photos", True),
        ("adapt merge --model nano a.safetensors", True),
        ("detect train photos --stepz 9", False),
        ("doctor now", True),
    ],
)
def test_a_name_behind_the_options_is_told_where_it_belongs(words, has_remedy, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    last = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2 and "unrecognized arguments: " in last
    assert ("stand together, before the options" in last) == has_remedy


@pytest.mark.parametrize(
    "words",
    ["segment {}", "segment a.png --text {}", "text words -o {}", "text words --out={}", "pretrain -o {}"],
)
def test_an_empty_word_is_not_taken_for_the_current_folder(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([word.format("") for word in words.split()]) == 2
    assert "one word is empty ('')" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_command_lets_go_of_what_it_held(monkeypatch):
    released = []

    class Held:
        def __del__(self):
            released.append(True)

    def interrupt(args):
        held = Held()
        raise KeyboardInterrupt(id(held))

    monkeypatch.setattr(importlib.import_module("minisam.cli.doctor"), "run", interrupt)
    monkeypatch.setattr(main_module.Interrupts, "leave", lambda self: len(released))
    assert main(["doctor"]) == 1
