"""`minisam.show.frames(draw, values)`: a figure for each of several values, and a slider that selects one.

All figures are drawn beforehand, so that the slider needs no kernel: it works in Jupyter, on a web page and offline.
Viewers without scripts show the figure of the first selection.
"""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar

from minisam.show.few_colours import few_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Value = TypeVar("Value")
COLOURS = 32


@dataclass(frozen=True)
class Frames:
    """Images of equal size with a slider: `name` says what it selects, `labels` what each image is for."""

    images: tuple[bytes, ...]  # PNG
    labels: tuple[str, ...]
    name: str
    describe: str
    first: int = 0
    play: bool = False

    def _repr_png_(self) -> bytes:
        return self.images[self.first]

    def _repr_html_(self) -> str:
        """A <figure> that contains everything it needs."""
        urls = [f"data:image/png;base64,{b64encode(image).decode()}" for image in self.images]
        content = {"name": self.name, "labels": self.labels, "images": urls}
        content |= {"describe": self.describe, "first": self.first, "play": self.play}
        data = json.dumps(content, ensure_ascii=False, indent=0).replace("<", "\\u003c")
        alt = escape(f"{self.describe}; {self.name}: {self.labels[self.first]}")
        script = (files("minisam.web") / "page" / "frames.js").read_text(encoding="utf-8")
        return (
            '<figure class="minisam-frames" style="margin: 1em 0">\n'
            f'<img src="{urls[self.first]}" alt="{alt}" style="max-width: 100%; height: auto">\n'
            f'<script type="application/json">\n{data}\n</script>\n<script>\n{script}</script>\n</figure>\n'
        )


def frames(
    draw: Callable[[Value], Figure],
    values: Mapping[str, Value],
    name: str,
    describe: str,
    first: int = 0,
    play: bool = False,
    dpi: int = 80,
) -> Frames:
    """One figure for each value, drawn by `draw`, and a slider that selects one; figures have to be of equal size.

    values: the value for each label of the slider; name: what the slider selects; describe: what the figures show, for
    readers who cannot see them; first: the number of the figure that is shown first; play: with a button that shows
    one after the other.

    Raises ValueError without values, and if `first` is not one of them.
    """
    import matplotlib.pyplot as plt

    if not 0 <= first < len(values):
        raise ValueError(f"first = {first}, but there are {len(values)} figures")
    images = []
    for value in values.values():
        figure, file = draw(value), io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi)
        plt.close(figure)
        images.append(few_colours(file.getvalue(), COLOURS))
    return Frames(tuple(images), tuple(values), name, describe, first, play)
