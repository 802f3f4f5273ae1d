"""`minisam --print-completion SHELL`: completion of commands, options, choices and file names, by the library shtab.

bash    minisam --print-completion bash > ~/.local/share/bash-completion/completions/minisam
zsh     minisam --print-completion zsh > FOLDER/_minisam, where FOLDER is in fpath
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Prints the script of a shell and ends the program; `const` makes the parser with all commands."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: Any, option: object = None
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.exit(1, "minisam: completion needs the library shtab: pip install shtab\n")
        complete = self.const()
        for action in actions_of(complete):
            if action.type is Path:
                action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
        print(shtab.complete(complete, shell=values))
        parser.exit()


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument of a parser and of its sub-commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from actions_of(inner)
