"""Options that nothing would read in the chosen mode are refused: a user who gives one expects that it matters."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Sequence

from minisam.errors import CommandError


def refuse_unused(
    args: argparse.Namespace,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    why: str,
    names: Collection[str] | None = None,
    used: Collection[str] = (),
) -> None:
    """Raises CommandError for the first option of `add_arguments` that is given: one of `names`, or all but `used`.

    Given means that `args.given` has its name, the attribute of `args`; its value may be the default.
    """
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for action in options_of(parser):
        if action.dest in used or (names is not None and action.dest not in names):
            continue
        if action.dest in args.given:
            raise CommandError(f"{action.option_strings[-1]} {why}; omit it")


def given_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> frozenset[str]:
    """The names of the options on a valid command line, also of those with their default values.

    It takes the defaults from the parser, which is of no use afterwards.
    """
    for action in options_of(parser):
        action.default = argparse.SUPPRESS
    return frozenset(vars(parser.parse_args(argv)))


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options of a parser and of its actions, without --help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from options_of(inner)
        elif action.option_strings and action.default != argparse.SUPPRESS:
            yield action
