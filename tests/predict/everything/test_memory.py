"""The memory estimate against what a run takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.bench.measure import in_own_process, peak_memory
from minisam.bench.twins import randomise
from minisam.config import CONFIGS, build_from_config
from minisam.predict import SamAutomaticMaskGenerator
from minisam.predict.everything.memory import MemoryEstimate, estimate_memory

nano = build_from_config(CONFIGS["nano"])


def test_what_grows_with_what():
    base = estimate_memory(nano, (100, 100), 64, "coco_rle")
    assert base.weights == sum(4 * parameter.numel() for parameter in nano.parameters())
    assert estimate_memory(nano, (200, 100), 64, "coco_rle").pixels == 2 * base.pixels
    assert estimate_memory(nano, (100, 100), 128, "coco_rle").decoder > base.decoder
    assert estimate_memory(nano, (100, 100), 64, "binary_mask").records == 200 * 100 * 100
    larger = estimate_memory(nano, (4000, 4000), 64, "coco_rle")
    assert larger.records == base.records and larger.total > base.total


def test_the_sum_of_the_tensors_that_exist_at_the_same_time():
    """nano at 300 x 200: 8 x 8 tokens of 96 channels, masks of 32 x 32, 4 of each prompt."""
    image = np.zeros((300, 200, 3), np.uint8)
    crop, logits, above = image.copy(), np.zeros((2, 300, 200), np.float32), np.zeros((3, 300, 200), bool)
    found = estimate_memory(nano, (300, 200), 64, "coco_rle")
    assert found.pixels == sum(array.nbytes for array in (image, crop, logits, above))
    tokens = np.zeros((8 * 8, 96), np.float32)
    assert found.encoder == 12 * tokens.nbytes
    assert found.decoder == 64 * tokens.nbytes + 2 * np.zeros((64, 4, 32, 32), np.float32).nbytes
    assert found.records == 200 * 2000 * np.zeros(1, np.int64).nbytes


def test_encoding_and_decoding_are_not_at_the_same_time():
    assert MemoryEstimate(1, 20, 300, 4000, 50000).total == 54301
    assert MemoryEstimate(1, 300, 20, 4000, 50000).total == 54301


def peak_of_a_run(model: str, size: int | None) -> int:
    """Bytes, the libraries' own included; without a size nothing is run."""
    torch.set_num_threads(1)
    sam = build_from_config(CONFIGS[model])
    randomise(sam, seed=0)
    if size is not None:
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        SamAutomaticMaskGenerator(sam, points_per_side=8, pred_iou_thresh=0.5).generate(image)
    return peak_memory()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "size"), [("tiny", 2000), ("vit_b", 1024)])
def test_a_run_takes_what_was_said(model, size):
    estimate = estimate_memory(build_from_config(CONFIGS[model]), (size, size), 64, "coco_rle")
    before, after = (in_own_process(peak_of_a_run, model, pixels) for pixels in (None, size))
    working = after - before
    assert 0.4 * working < estimate.total - estimate.weights < 2.5 * working
