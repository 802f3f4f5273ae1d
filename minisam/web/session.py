"""What the page needs of the network: encode a photo once, decode prompts on it.

    photo --encode, once--> embedding --decode, once per prompt--> masks and predicted IoUs

All work with the network runs in one thread: two tabs wait for each other, and memory does not depend on the number of
connections.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.model import Sam
from minisam.predict import SamPredictor
from minisam.predict.given_numbers import as_numpy
from minisam.predict.prompts import check_boxes, check_points
from minisam.threads import cpu_threads
from minisam.web.photos import Photo, Photos
from minisam.web.prompt import Prompt

MOST_EMBEDDINGS = 16
SMALL_GRID = 32 * 32
"""A decoder with at most so many image tokens takes longer on several threads than on one."""
Result = TypeVar("Result")


class Session:
    """Photos, and the embeddings of the last ones."""

    def __init__(self, sam: Sam) -> None:
        self.sam = sam.eval()
        self.photos = Photos()
        self.predictors: OrderedDict[int, SamPredictor] = OrderedDict()
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="minisam")

    def encode(self, photo: Photo, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Make the embedding of a photo."""
        self._in_turn(lambda: self._predictor(photo), is_wanted)

    def decode(
        self,
        photo: Photo,
        prompt: Prompt,
        only_best: bool = False,
        size: tuple[int, int] | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> tuple[NDArray[np.bool_], NDArray[np.floating]] | None:
        """Masks [C, H, W] of the size shown (or of `size`) and predicted IoUs [C] for a prompt on the photo as shown.

        C is 3; with `only_best` it is 1, and the mask has a preview's size.
        None if the page no longer waits when its turn comes.

        Raises PromptError for a prompt that does not fit the photo.
        """
        size = photo.previewed if only_best else size or photo.shown
        return self._in_turn(lambda: self._decode(photo, prompt, only_best, size), is_wanted)

    def close(self) -> None:
        """End the thread; work that waits is dropped."""
        self.worker.shutdown(wait=True, cancel_futures=True)

    def _in_turn(self, work: Callable[[], Result], is_wanted: Callable[[], bool]) -> Result | None:
        return self.worker.submit(lambda: work() if is_wanted() else None).result()

    def _predictor(self, photo: Photo) -> SamPredictor:
        if photo.number not in self.predictors:
            predictor = SamPredictor(self.sam)
            predictor.set_image(photo.pixels())
            self.predictors[photo.number] = predictor
            if len(self.predictors) > MOST_EMBEDDINGS:
                self.predictors.popitem(last=False)
        self.predictors.move_to_end(photo.number)
        return self.predictors[photo.number]

    @torch.no_grad()
    def _decode(
        self, photo: Photo, prompt: Prompt, only_best: bool, size: tuple[int, int]
    ) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
        predictor = self._predictor(photo)
        points, labels, boxes = as_tensors(predictor, prompt.scaled(photo.scale))
        with threads_for(self.sam):
            low_res, iou = predictor.predict_low_res_torch(points, labels, boxes)
        if only_best:
            best = iou[0].argmax()
            low_res, iou = low_res[:, best][:, None], iou[:, best][:, None]
        masks = self.sam.postprocess_masks(low_res, predictor.input_size, size)[0] > self.sam.mask_threshold
        return as_numpy(masks), as_numpy(iou[0])


def as_tensors(predictor: SamPredictor, prompt: Prompt) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Points [1, N, 2], labels [1, N] and boxes [1, n, 4] in pixels of the network's input; None for what is missing.

    Raises PromptError for points and boxes outside the image, and for boxes without an area.
    """
    points = labels = boxes = None
    size, device = predictor.original_size, predictor.device
    if len(prompt.points):
        coords, values = check_points(prompt.points, prompt.labels, size, 1)
        points = predictor.transform.apply_coords_torch(torch.from_numpy(coords).to(device)[None], size)
        labels = torch.from_numpy(values).to(device)[None]
    if len(prompt.boxes):
        corners = torch.from_numpy(check_boxes(prompt.boxes, size)).to(device)
        boxes = predictor.transform.apply_boxes_torch(corners.reshape(1, -1, 4), size)
    return points, labels, boxes


def threads_for(sam: Sam) -> AbstractContextManager[None]:
    """One thread while a small decoder runs on the CPU."""
    height, width = sam.prompt_encoder.image_embedding_size
    is_small = sam.device.type == "cpu" and height * width <= SMALL_GRID
    return cpu_threads(1) if is_small else nullcontext()
