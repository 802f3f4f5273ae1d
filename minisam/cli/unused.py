"""Options that nothing would read in the chosen mode are refused: a user who gives one expects that it matters."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator

from minisam.errors import CommandError


def refuse_unused(
    args: argparse.Namespace,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    why: str,
    names: Collection[str] | None = None,
    used: Collection[str] = (),
) -> None:
    """Raises CommandError for the first option of `add_arguments` that is given: one of `names`, or all but `used`.

    Given means another value than the default, and a name is the attribute of `args`.
    """
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for action in options_of(parser):
        if action.dest in used or (names is not None and action.dest not in names):
            continue
        if getattr(args, action.dest, action.default) != action.default:
            raise CommandError(f"{action.option_strings[-1]} {why}; omit it")


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options of a parser and of its actions, without --help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from options_of(inner)
        elif action.option_strings and action.default != argparse.SUPPRESS:
            yield action
