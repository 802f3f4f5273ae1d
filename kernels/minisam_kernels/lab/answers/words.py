"""An exception in one line, with advice if its cause is a missing GPU."""

from __future__ import annotations

import torch

from minisam_kernels.lab.answers.borrowing import BorrowedError

LONGEST = 300  # characters of a message


def stops_with(error: BaseException) -> str:
    """One line that describes an exception; SystemExit and KeyboardInterrupt are described as ending the program."""
    if isinstance(error, BorrowedError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"ends the program ({type(error).__name__}: exit code {error.code or 0})"
    return f"stops with {one_line(error)}"


def one_line(error: BaseException) -> str:
    """ "ValueError: message"; of a message with several lines the last one, where Triton puts the reason."""
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:
        lines = []
    text = f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return f"{text}{_without_a_gpu(text)}"


def _without_a_gpu(text: str) -> str:
    """Advice on messages that occur on a machine without a GPU."""
    if torch.cuda.is_available():
        return ""
    if "active driver" in text:
        return (
            " (there is no GPU here: leave out lines that need one, such as triton.runtime.driver.active… and "
            "@triton.autotune, and launch with fixed block sizes)"
        )
    if any(words in text for words in ("NVIDIA driver", "CUDA enabled", "CUDA-capable", "HIP GPUs")):
        return ' (there is no GPU here: leave out device="cuda", and make tensors with device=x.device)'
    return ""
