"""A run that is repeated is the same run: recipes and options are as they were when the results in docs/ were made."""

from __future__ import annotations

import json
import re

import constants
import pytest
from recipes import FILE, options, recipes

SAID = re.compile(r"default:? (-?\d+(?:\.\d+)?|[a-z]+)\)")
RECIPES = recipes()


def changes(now: object, before: object, where: str) -> list[str]:
    """What has another value or is gone; what has come since is no change."""
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        now, before = dict(enumerate(now)), dict(enumerate(before))
    if isinstance(now, dict) and isinstance(before, dict):
        inside = ((name, now.get(name, "gone"), value) for name, value in before.items())
        return [change for name, one, value in inside for change in changes(one, value, f"{where}, {name}")]
    return [] if now == before else [f"{where}: {before} is now {now}"]


@pytest.mark.parametrize("command", RECIPES)
def test_a_recipe_is_as_it_was(command: str):
    before = json.loads(FILE.read_text(encoding="utf-8"))[command]
    assert before and changes(RECIPES[command], before, command) == []


def test_constants_and_default_arguments_are_as_they_were():
    """A file or a name that is gone or new is no change."""
    now, before = constants.constants(), json.loads(constants.FILE.read_text(encoding="utf-8"))
    shared = {file: own for file, own in before.items() if file in now}
    held = {
        file: {name: value for name, value in own.items() if name in now[file]}
        for file, own in shared.items()
    }
    assert (
        sum(map(len, held.values())) > 0.9 * sum(map(len, before.values())) and changes(now, held, "") == []
    )


def test_a_default_is_what_the_help_says():
    said = {name: match[1] for name, one in options() if (match := SAID.search(one.help or ""))}
    of_the_parser = {name: one for name, one in options() if name in said and one.default is not None}
    assert len(of_the_parser) > 20
    for name, one in of_the_parser.items():
        default = one.default[0] if isinstance(one.default, list) else one.default
        number = isinstance(default, int | float)
        assert (float(said[name]) == default) if number else (said[name] == default), name
