"""Every error that bad input can cause, each with the exit code that the command line gives it.

A message is one line: it names the thing that is wrong and what to do about it.
"""


class MinisamError(Exception):
    """Something went wrong that the person running the program can mend."""

    exit_code = 1


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
