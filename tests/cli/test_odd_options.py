"""Every number and every file that the command line takes: what makes no sense is one line with the right exit code."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from PIL import Image
from recipes import options

from minisam.cli.main import main
from minisam.cli.numbers import positive, share

NEEDED = {
    "segment": "a.png --point 1,1",
    "amg": "a.png",
    "detect": "train a.png",
    "engine run": "-o e",
    "adapt": "photos",
    "data export": "-o d",
    "data shrink": "--cutouts photos --backgrounds photos -o s",
    "export": "encoder",
    "convert": "in.safetensors out.pth",
    "kernel check": "k.py:f --like softmax",
    "kernel inspect": "softmax",
    "kernel trace": "softmax",
    "kernel roofline": "softmax",
    "lesson open": "1",
    "lesson check": "1",
    "lesson hint": "1",
    "lesson solution": "1",
    "lesson quiz": "1",
    "lesson handout": "1 -o h",
    "lesson build": "1",
    "lesson grade": "photos",
}
"""What else a command has to be given."""
NEVER = ("nan", "inf", "-inf", "1e309", "1" + "0" * 30, "", " ", "one", "1,", "0x10")
"""No number that any option takes."""
ZERO = {
    *(
        "segment --point",
        "segment --negative",
        "click --port",
        "amg --crop-n-layers",
        "amg --min-mask-region-area",
    ),
    *("amg --pred-iou-thresh", "amg --stability-score-thresh", "amg --box-nms-thresh", "detect --min-score"),
    *("detect --validation", "train --validation", "train --rounds", "text sam --captions", "adapt --late"),
}
"""Options for which 0 has a meaning; so it has for every seed and every lesson."""
BELOW_ZERO = {
    "amg --pred-iou-thresh",
    "amg --stability-score-thresh",
    "segment --point",
    "segment --negative",
}
FRACTION = ("share.<locals>.number", "positive", "float", "numbers.<locals>.parse")


def numeric() -> dict[str, argparse.Action]:
    """Options and arguments that are numbers, without `minisam`."""
    found = {name.removeprefix("minisam "): action for name, action in options()}
    kinds = {name: getattr(action.type, "__qualname__", None) for name, action in found.items()}
    others = ("Path", "shard", "world_name", "add_kernel_name.<locals>.name", None)
    return {name: action for name, action in found.items() if kinds[name] not in others}


OPTIONS = {name.removeprefix("minisam "): action for name, action in options()}
NUMERIC = numeric()


def refusal(words: list[str], capsys) -> tuple[int, str]:
    """The exit code and what is said, which is one line but for argparse's usage above it."""
    try:
        code = main(words)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    out, err = capsys.readouterr()
    *usage, last = err.splitlines() or [""]
    assert not out and last.startswith("minisam"), (words, out, err)
    assert not usage or usage[0].startswith(("usage:", "minisam: this takes about")), (words, err)
    return code, last


def words_for(name: str, action: argparse.Action, text: str) -> list[str]:
    command, _, option = name.rpartition(" ")
    needed = NEEDED.get(command, "").split()
    count = {"--point": 2, "--negative": 2, "--box": 4, "--roi": 4}.get(option, 1)
    text = ",".join([text] * count)
    if not option.startswith("-"):
        return [*command.split(), text, *needed[1:]]
    if isinstance(action.nargs, int):
        return [*command.split(), *needed, option, *[text] * action.nargs]
    return [*command.split(), *needed, f"{option}={text}"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30), (90, 120, 60)).save("a.png")
    Path("photos").mkdir()
    return tmp_path


def test_the_options_are_those_that_take_numbers():
    assert len(NUMERIC) > 70 and set(NUMERIC) >= ZERO | BELOW_ZERO
    assert not [name for name, action in NUMERIC.items() if action.type in (int, float) and "amg" not in name
                and not action.choices]  # fmt: skip


@pytest.mark.parametrize("name", NUMERIC)
def test_a_number_that_makes_no_sense_is_refused(name, here, capsys):
    action = NUMERIC[name]
    texts = list(NEVER)
    if name not in BELOW_ZERO:
        texts.append("-1")
    if name not in ZERO and not name.endswith(("--seed", "lesson")):
        texts.append("0")
    if getattr(action.type, "__qualname__", "") not in FRACTION:
        texts += ["1.5", "-0.5"]
    before = sorted(here.rglob("*"))
    for text in texts:
        code, last = refusal(words_for(name, action, text), capsys)
        about = (name.split()[-1].strip("-"), "argument N:", "unrecognized")
        assert code == 2 and any(words in last for words in about), (text, last)
    assert sorted(here.rglob("*")) == before


WITH_DEVICE = [name.removesuffix(" --device") for name in OPTIONS if name.endswith("--device")]


@pytest.mark.parametrize("command", WITH_DEVICE)
def test_a_device_that_this_machine_lacks_is_refused(command, here, capsys):
    before = sorted(here.rglob("*"))
    words = {"bench": "amg"}.get(command, NEEDED.get(command, "")).split()
    code, last = refusal([*command.split(), *words, "--device", "tpu"], capsys)
    assert code == 2 and last.startswith("minisam: no device 'tpu' on this machine; use cpu"), last
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "code", "about"),
    [
        ("train --data LOOP", 3, "loop"),
        ("train --recipe tiny --cutouts LOOP --backgrounds LOOP", 3, "loop"),
        ("engine run -o e --from LOOP", 3, "loop"),
        ("eval --data LOOP --model nano", 3, "loop"),
        ("lesson check 1 LOOP", 3, "loop"),
        ("detect a.png --detector a.png -o NOTHING", 2, "one word is empty"),
        ("detect a.png --detector a.png -o .", 2, "is a folder"),
        ("adapt merge NOTHING", 2, "one word is empty"),
        ("adapt merge /", 3, "no such adapter file"),
    ],
)
def test_links_to_themselves_and_empty_names_are_one_line(words, code, about, here, capsys):
    Path("loop").symlink_to("loop")
    names = {"LOOP": "loop", "NOTHING": ""}
    found, last = refusal([names.get(word, word) for word in words.split()], capsys)
    assert (found, about in last) == (code, True), last


def test_the_ends_of_a_share_are_in_it_where_they_make_sense():
    assert [share()(text) for text in ("0", "1", "0.5", "1e-9")] == [0, 1, 0.5, 1e-9]
    for ends, texts in (({"zero": False}, ("0", "-0.0")), ({"one": False}, ("1", "1.0"))):
        for text in texts:
            with pytest.raises(argparse.ArgumentTypeError, match=r"must be .* 0 and .* 1, not"):
                share(**ends)(text)
    assert share(zero=False)("1") == 1 and share(one=False)("0") == 0
    assert positive("1e-9") == 1e-9 and positive("1e9") == 1e9
