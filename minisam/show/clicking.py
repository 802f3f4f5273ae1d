"""`minisam.show.click(image)`: clicks in a notebook, and a figure where there is none."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minisam.model import Sam
from minisam.show.click_value import ClickedPhoto, ClickValue

if TYPE_CHECKING:
    from minisam.show.click_widget import ClickWidget


class ClickFigure:
    """A figure in place of the widget, with the same `prompt` and `value`."""

    def __init__(self, clicked: ClickedPhoto, prompt: dict[str, Any]) -> None:
        self.clicked, self.prompt = clicked, prompt

    @property
    def value(self) -> ClickValue:
        return self.clicked.value(self.prompt)

    def _repr_png_(self) -> bytes:
        return self.clicked.figure(self.value)


def click(
    image: NDArray[np.uint8],
    sam: Sam | None = None,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
) -> ClickWidget | ClickFigure:
    """Click on an image [H, W, 3]; `sam` is the included default network unless given.

    points [N, 2], labels [N] (1 unless given) and boxes [n, 4] are the prompt to start with, in pixels of the image.
    The result's `value` has the prompt and the masks as arrays (`ClickValue`), at any time.

    It is a widget in a notebook with a kernel, and needs anywidget (`pip install -e '.[lessons]'`); elsewhere it is a
    figure of the image with the prompt and its masks.

    Raises ImageError for another array, PromptError for a prompt that does not fit it.
    """
    from minisam.build import build_sam

    clicked = ClickedPhoto(image, build_sam() if sam is None else sam)
    prompt = clicked.prompt_of(points, labels, boxes)
    if importlib.util.find_spec("anywidget") is None or not is_notebook():
        return ClickFigure(clicked, prompt)
    from minisam.show.click_widget import ClickWidget

    return ClickWidget(clicked, prompt)


def is_notebook() -> bool:
    """Whether a Jupyter kernel or marimo runs this code."""
    ipython, marimo = sys.modules.get("IPython"), sys.modules.get("marimo")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        return True
    return marimo is not None and bool(marimo.running_in_notebook())
