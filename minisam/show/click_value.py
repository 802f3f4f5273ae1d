"""What was clicked on a photo, as arrays: the prompt, and the masks for it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from minisam.data.images import check_image_array
from minisam.errors import PromptError
from minisam.model import Sam
from minisam.show.prompt_figure import PromptResult, prompt_figure
from minisam.web.photos import Photo, Photos
from minisam.web.prompt import read_prompt
from minisam.web.results import png
from minisam.web.session import Session


@dataclass(frozen=True)
class ClickValue:
    """points [N, 2] with labels [N] and boxes [n, 4], in pixels of the image; masks [3, H, W], iou_predictions [3].

    Without a prompt, N, n and the number of masks are 0.  `index` is the mask that was chosen on the page, at first
    the one with the highest predicted IoU.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]
    masks: NDArray[np.bool_]
    iou_predictions: NDArray[np.floating]
    index: int

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """The chosen mask [H, W], or None."""
        return self.masks[self.index] if len(self.masks) else None


class ClickedPhoto:
    """One image, and a network that answers prompts on it as shown."""

    def __init__(self, image: NDArray[np.uint8], sam: Sam) -> None:
        self.image = check_image_array(image)
        self.session = Session(sam)
        self.photo: Photo = Photos().drop("image.png", png(self.image), Path.cwd())

    def prompt_of(
        self, points: ArrayLike | None, labels: ArrayLike | None, boxes: ArrayLike | None
    ) -> dict[str, Any]:
        """The page's form of a prompt in pixels of the image.  Raises PromptError if it is none."""
        sx, sy = self.photo.scale
        try:
            clicks = np.asarray([] if points is None else points, np.float64).reshape(-1, 2) / (sx, sy)
            corners = np.asarray([] if boxes is None else boxes, np.float64).reshape(-1, 4) / (sx, sy, sx, sy)
            given = np.ones(len(clicks)) if labels is None else np.asarray(labels, np.float64).reshape(-1, 1)
            rows = np.column_stack([clicks, given]).tolist() if len(clicks) else []
        except (TypeError, ValueError):
            raise PromptError("points are [N, 2] with labels [N], boxes [n, 4]") from None
        prompt = {"points": rows, "boxes": corners.tolist()}
        if rows or prompt["boxes"]:
            self.session.decode(self.photo, read_prompt(prompt))
        return prompt

    def value(self, prompt: Mapping[str, Any]) -> ClickValue:
        """The masks for a prompt of the page."""
        parts = {"points": prompt.get("points") or [], "boxes": prompt.get("boxes") or []}
        if not (parts["points"] or parts["boxes"]):
            none = np.zeros((0, *self.photo.size), bool)
            empty = np.zeros((0, 2), np.float32), np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
            return ClickValue(*empty, none, np.zeros(0, np.float32), 0)
        read = read_prompt(parts)
        predicted = self.session.decode(self.photo, read, size=self.photo.size)
        assert predicted is not None
        masks, iou = predicted
        index = prompt.get("index")
        chosen = index if type(index) is int and 0 <= index < len(masks) else int(iou.argmax())
        scaled = read.scaled(self.photo.scale)
        return ClickValue(scaled.points, scaled.labels, scaled.boxes, masks, iou, chosen)

    def figure(self, value: ClickValue) -> bytes:
        """A PNG: the image, or the image with the prompt and its masks."""
        if not len(value.masks):
            height, width = self.photo.shown
            shown = Image.fromarray(self.image).resize((width, height), Image.Resampling.LANCZOS)
            return png(np.asarray(shown))
        points = (value.points, value.labels) if len(value.points) else (None, None)
        boxes = value.boxes if len(value.boxes) else None
        result = PromptResult("", self.image, value.masks, value.iou_predictions, *points, boxes)
        file = io.BytesIO()
        prompt_figure(result).savefig(file, format="png", dpi=110)
        return file.getvalue()
