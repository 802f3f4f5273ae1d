"""Every error that bad input can cause, each with its exit code on the command line.

A message is one line: it names what is wrong and the remedy.
"""

import unicodedata

# Control and format characters, surrogates, and line ends.
NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: object) -> str:
    """A name or a message on one line; terminal control codes and undecodable bytes are written as escapes."""
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
    """An error that the user of the program can fix."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class CommandError(MinisamError, ValueError):
    """The command line names something that does not exist, or that this machine does not have."""

    exit_code = 2


class OutputError(MinisamError):
    """A result cannot be written to its path, or would overwrite something."""

    exit_code = 2


class PromptError(MinisamError, ValueError):
    """A prompt (point, label, box or mask) has the wrong shape, type or values."""

    exit_code = 2


class GeneratorError(MinisamError, ValueError):
    """The automatic mask generator's arguments contradict each other, or do not fit the image."""

    exit_code = 2


class ImageError(MinisamError, ValueError):
    """An image, in a file or in memory, cannot be used."""

    exit_code = 3


class DatasetError(MinisamError, ValueError):
    """A data set, one of its files or one of its masks cannot be used."""

    exit_code = 3


class CheckpointError(MinisamError, ValueError):
    """A checkpoint file is damaged, is not a checkpoint, or holds another network."""

    exit_code = 3


class KernelFileError(MinisamError, ValueError):
    """The file that should hold a user's kernel cannot be loaded."""

    exit_code = 3


class AnswerError(MinisamError, ValueError):
    """The file with the answers to a lesson's exercises cannot be run."""

    exit_code = 3
