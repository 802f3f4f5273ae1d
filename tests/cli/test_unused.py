"""An option that the chosen mode would not read is refused before any work, in one line that says what it is for."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from recipes import options

from minisam.cli.main import main
from minisam.train.presets import FIRST_PROMPT_ONLY, RECIPES

PAIR = "--cutouts none --backgrounds none"
MODES = {
    "detect a.png --detector none": (
        *("--variant", "--world", "--images", "--sizes", "--steps", "--batch-size", "--validation"),
        *("--train-encoder", "--seed", "--save-every"),
    ),
    "detect --data none --detector none": ("--min-score", "--steps", "--variant"),
    "detect train none": ("--min-score", "--json", "--images"),
    "detect train --world aerial": ("--min-score", "--json", "--detector", "--data"),
    "train": ("--validation", "--leave-out"),
    f"train --data none {PAIR}": ("--validation",),
    "adapt merge a.safetensors": (
        *("--method", "--prompts", "--decoder", "--full-size", "--rank", "--late", "--steps", "--lr"),
        *("--batch-size", "--validation", "--save-every", "--patience", "--seed", "--device", "--threads", "--log"),
    ),
    "eval --ap none --data none": (
        *("--model", "--checkpoint", "--adapter", "--cutouts", "--backgrounds", "--leave-out", "--baselines"),
        *("--images", "--targets", "--clicks", "--seed", "--device", "--threads"),
    ),
    "eval --model nano": ("--leave-out", "--baselines"),
    f"eval --model nano {PAIR}": ("--data", "--worlds"),
    "data preview": ("--part", "--leave-out"),
    f"data preview {PAIR}": ("--world", "--knob"),
    f"data bench {PAIR}": ("--world", "--device"),
    "bench train": ("--leave-out",),
    "experiment": ("--model", "--checkpoint", "--quick", "--images", "--seeds", "--threads", "--out", "--work"),
    "experiment list --page": ("--model", "--quick", "--images", "--seeds", "--work"),
    "experiment E3 --quick": ("--images", "--seeds"),
    "kernel bench softmax": ("--quick",),
    "export encoder": ("--return-single-mask", "--demo"),
    "export --demo d": ("--out", "--return-single-mask", "--precision"),
    "segment a.png --prompts none": ("--point", "--negative", "--box", "--mask", "--text", "--like"),
    "segment a.png --text 'red'": ("--model", "--adapter", "--like"),
}  # fmt: skip
OTHER = {
    "--device": "cuda",
    "--leave-out": "x",
    "--knob": "contrast=0.5",
    "--log": "tensorboard",
    "--world": "micro",
}
BOTH = {"--point": "1,1", "--negative": "1,1", "--box": "1,1,2,2", "--text": "red", "--validation": "0.5"}


def another_value(option: str, action: argparse.Action) -> list[str]:
    """The option with a value that is not its default."""
    if action.nargs == 0:
        return [action.option_strings[-1]]  # --no-decoder, not --decoder
    if option in OTHER | BOTH:
        return [option, (OTHER | BOTH)[option]]
    if action.choices:
        return [option, str(next(one for one in action.choices if one != action.default))]
    return [option, "none" if action.type is Path else "0.5" if option in ("--lr", "--min-score") else "7"]


def default_value(option: str, action: argparse.Action) -> list[str]:
    """The option with the value that it has anyway; as a number or a name, where it can be given so."""
    if action.nargs == 0 or action.default in (None, [], argparse.SUPPRESS):
        return []
    values = action.default if isinstance(action.default, list) else [action.default]
    return [option, *map(str, values)]


def cases():
    actions = {name.removeprefix("minisam "): action for name, action in options()}
    for mode, names in MODES.items():
        for option in names:
            own = [
                action
                for name, action in actions.items()
                if (option in action.option_strings and mode.startswith(name.rpartition(" ")[0] + " ")) or
                (option in action.option_strings and mode == name.rpartition(" ")[0])
            ]  # fmt: skip
            yield mode, another_value(option, own[-1])
            if usual := default_value(option, own[-1]):
                yield mode, usual


@pytest.mark.parametrize(
    ("mode", "given"), list(cases()), ids=lambda one: one if isinstance(one, str) else " ".join(one)
)
def test_an_option_that_nothing_reads_is_refused(mode, given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main([*mode.replace("'", "").split(), *given])
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    assert code == 2 and (not out or list(json.loads(out)) == ["error"])
    said = err.splitlines()[-1].replace("-o and", "--out and")
    assert said.startswith("minisam") and (given[0] in said or "give what to export" in said or "no world" in said
                                           or "leave out the others" in said), said  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_rounds_are_for_recipes_that_have_some(capsys, monkeypatch):
    first_only = tuple(replace(phase, rounds=FIRST_PROMPT_ONLY) for phase in RECIPES["nano"].phases)
    monkeypatch.setitem(RECIPES, "nano", replace(RECIPES["nano"], phases=first_only))
    assert main(["train", "--preset", "nano", "--rounds", "1", "1"]) == 2
    assert "the recipe of nano has no rounds after the first prompt" in capsys.readouterr().err


def test_a_hint_that_there_is_not_is_refused(capsys):
    assert main(["lesson", "hint", "1", "--number", "1"]) == 0
    count = int(capsys.readouterr().out.split(" of ")[1].split(":")[0])
    assert main(f"lesson hint 1 --number {count}".split()) == 0
    assert f"hint {count} of {count}: " in capsys.readouterr().out
    assert main(f"lesson hint 1 --number {count + 1}".split()) == 2
    assert f"has {count} hints" in capsys.readouterr().err
