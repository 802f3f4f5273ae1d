"""The default settings of every run, as in `recipes.json`.

    python tests/recipes.py     writes the file again, where a recipe is meant to change

The shipped weights, docs/training and docs/results come of these numbers: a run that is repeated is the same run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minisam.adapt.rsprompter.config import VARIANTS as DETECTORS
from minisam.adapt.rsprompter.config import published_config, small_config
from minisam.build import CONFIGS
from minisam.cli.main import COMMANDS, build_parser
from minisam.config import build_from_config
from minisam.data.partworld import VARIANTS, WORLDS
from minisam.engine.settings import ENGINES
from minisam.pretrain.recipes import PRETRAINING
from minisam.text.clip import Clip
from minisam.text.clip_task import ClipRecipe
from minisam.text.text_sam_task import TextRecipe
from minisam.train.presets import RECIPES, RECIPES_FROM_WEIGHTS, RECIPES_ON_CUTOUTS

FILE = Path(__file__).with_suffix(".json")


def recipes() -> dict[str, Any]:
    """By the command that they belong to, as JSON holds them."""
    found = {
        "networks": CONFIGS,
        "train": RECIPES,
        "train --from": RECIPES_FROM_WEIGHTS,
        "train --cutouts": RECIPES_ON_CUTOUTS,
        "pretrain": PRETRAINING,
        "text": {"clip": ClipRecipe(), "network": Clip().config, "sam": TextRecipe()},
        "engine run": ENGINES,
        "knobs of worlds": {name: world.knobs for name, world in (WORLDS | VARIANTS).items()},
    }
    plain: dict[str, Any] = {
        command: {name: asdict(one) for name, one in own.items()} for command, own in found.items()
    }
    plain["detect train"] = detectors()
    plain["options"] = {name: action.default for name, action in options()}
    return json.loads(json.dumps(plain, default=str))


def detectors() -> dict[str, Any]:
    """The sizes of every detector on nano, small and published."""
    sam = build_from_config(CONFIGS["nano"])
    return {
        f"{variant} {name}": asdict(config(sam, variant, ("disc",)))
        for variant in DETECTORS
        for name, config in (("small", small_config), ("published", published_config))
    }


def options() -> Iterator[tuple[str, argparse.Action]]:
    """Every option of every command, such as `minisam eval --images`."""
    for command in COMMANDS:
        for choices in subcommands(build_parser(command)):
            yield from options_of(choices[command])


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if action.default != argparse.SUPPRESS:
            yield f"{parser.prog} {'/'.join(action.option_strings) or action.dest}", action
    for choices in subcommands(parser):
        for inner in choices.values():
            yield from options_of(inner)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[dict[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield action.choices


if __name__ == "__main__":
    FILE.write_text(json.dumps(recipes(), indent=1) + "\n", encoding="utf-8")
