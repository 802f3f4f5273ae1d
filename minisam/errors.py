"""Every error that bad input can cause, each with the exit code that the command line gives it.

A message is one line: it names the thing that is wrong and what to do about it.
"""

import unicodedata

# Control and format characters, halves of characters, and what ends a line.
NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: object) -> str:
    """A name or a message on one line; escape codes for the terminal and bytes that are no text are spelt out."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in NOT_SHOWN
        else character
        for character in shown
    )


class MinisamError(Exception):
    """Something went wrong that the person running the program can mend."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class CommandError(MinisamError, ValueError):
    """The command line asks for something that there is not."""

    exit_code = 2


class OutputError(MinisamError):
    """A result cannot be written where it should go, or something would be lost there."""

    exit_code = 2


class PromptError(MinisamError, ValueError):
    """A prompt (point, label, box or mask) has the wrong shape, type or values."""

    exit_code = 2


class GeneratorError(MinisamError, ValueError):
    """The automatic mask generator's arguments contradict each other, or do not fit the image."""

    exit_code = 2


class ImageError(MinisamError, ValueError):
    """An image, in a file or in memory, cannot be used as one."""

    exit_code = 3


class DatasetError(MinisamError, ValueError):
    """A data set, one of its files or one of its masks cannot be used."""

    exit_code = 3


class CheckpointError(MinisamError, ValueError):
    """A checkpoint file is damaged, is not a checkpoint, or holds another network."""

    exit_code = 3


class KernelFileError(MinisamError, ValueError):
    """The file that should hold somebody's kernel cannot be loaded."""

    exit_code = 3


class AnswerError(MinisamError, ValueError):
    """The file that should hold the answers to a lesson's exercises cannot be run."""

    exit_code = 3
