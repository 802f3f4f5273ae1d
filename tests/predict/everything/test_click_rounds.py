"""Batches are decoded without a question to the device, in rounds that fit a fixed memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import minisam
from minisam.build import build_sam
from minisam.config import CONFIGS, build_from_config
from minisam.data.partworld import render_scenes
from minisam.predict import SamAutomaticMaskGenerator, SamPredictor
from minisam.predict.everything import click_rounds
from minisam.predict.everything.click_rounds import LOGITS_A_ROUND, clicks_a_round, decode, decode_in_rounds
from minisam_kernels.launch import INTERPRETED

COPIED_FROM_PYTHON = (torch.tensor, torch.as_tensor, torch.from_numpy, torch.Tensor.new_tensor)
LENIENT = {"points_per_side": 5, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.05}


class OneDevice(TorchDispatchMode):
    """Refuses operations between devices, and keeps the names of the others.

    The meta device itself refuses what would read a number: item, nonzero, a boolean index, a copy to the CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
        if len({x.device for x in tensors}) > 1:
            raise RuntimeError(f"{func} brings something to another device")
        self.names.add(func.name())
        return out


class NothingCopied(TorchFunctionMode):
    """Refuses tensors made from Python's or NumPy's numbers, which a device has to wait for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in COPIED_FROM_PYTHON:
            raise RuntimeError(f"{func} copies numbers to the device")
        return func(*args, **(kwargs or {}))


def on_no_device(model: str) -> SamPredictor:
    """A predictor with an image, of shapes alone."""
    with torch.device("meta"):
        sam = build_from_config(CONFIGS[model])
        size = sam.image_encoder.img_size
        predictor = SamPredictor(sam)
        image = torch.empty(1, CONFIGS[model].prompt_dim, *sam.prompt_encoder.image_embedding_size)
    predictor.features, predictor.input_size, predictor.original_size = image, (size, size), (size, size)
    return predictor


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("backend", ["triton", "torch"])
def test_nothing_is_asked_of_the_device(backend, multimask_output):
    if backend == "triton" and not INTERPRETED:
        pytest.skip("kernels take no meta tensors where they are compiled; un-skip: run without a GPU")
    predictor = on_no_device("nano")
    coords = torch.empty(25, 2, dtype=torch.float64, device="meta")
    labels = torch.empty(25, 1, dtype=torch.int, device="meta")
    with minisam.use_backend(backend), OneDevice() as seen, NothingCopied():
        low_res, iou = decode(predictor, coords, labels, 7, multimask_output)
    masks = 3 if multimask_output else 1
    assert low_res.shape == (25, masks, 32, 32) and iou.shape == (25, masks)
    kernels = {"minisam::token_to_image", "minisam::image_to_token"}
    assert kernels & seen.names == (kernels if backend == "triton" else set())


QUESTIONS = {
    "a number": lambda x: x.max().item(),
    "numbers": lambda x: x.tolist(),
    "a condition": lambda x: bool((x > 0).any()),
    "places": lambda x: (x > 0).nonzero(),
    "a boolean index": lambda x: x[x > 0],
    "a copy": lambda x: x.cpu(),
    "an array": lambda x: x.numpy(),
    "a list copied there": lambda x: x / x.new_tensor([1.0, 2.0, 3.0]),
    "a tensor brought there": lambda x: torch.ones(3).to(x.device),
    "an index brought there": lambda x: x[torch.zeros(2, dtype=torch.long)],
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_would_be_noticed(question, monkeypatch):
    """Each of these, planted in the loop, fails the test above."""
    predict = SamPredictor.predict_low_res_torch

    def asks(self, *arguments, **options):
        masks, iou = predict(self, *arguments, **options)
        QUESTIONS[question](iou)
        return masks, iou

    monkeypatch.setattr(SamPredictor, "predict_low_res_torch", asks)
    predictor = on_no_device("nano")
    coords = torch.empty(4, 2, dtype=torch.float64, device="meta")
    labels = torch.empty(4, 1, dtype=torch.int, device="meta")
    with pytest.raises((RuntimeError, TypeError)), OneDevice(), NothingCopied():
        decode(predictor, coords, labels, 2, True)


def test_rounds_fit_a_fixed_memory():
    vit_b = on_no_device("vit_b")
    for batch, multimask_output, masks in ((64, True, 3), (64, False, 1), (7, True, 3)):
        clicks = clicks_a_round(vit_b, batch, multimask_output)
        assert clicks >= 32 * 32 and clicks % batch == 0
        assert clicks * masks * 256 * 256 <= LOGITS_A_ROUND
    assert clicks_a_round(vit_b, 5000, True) == 5000  # a batch is decoded whole, however large
    assert clicks_a_round(SamPredictor(build_sam("nano")), 64, True) == 64


@pytest.fixture(scope="module")
def nano():
    return build_sam("nano")


@pytest.fixture(scope="module")
def image():
    return render_scenes(seed=5, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy().copy()


def test_a_round_is_its_batches(nano, image, monkeypatch):
    """Whole rounds, one that is cut short, and one that is a part of a batch."""
    predictor, points = SamPredictor(nano), np.random.default_rng(0).random((25, 2)) * 60
    predictor.set_image(image)
    expected = list(decode_in_rounds(predictor, points, 6, True))
    monkeypatch.setattr(click_rounds, "clicks_a_round", lambda *arguments: 12)
    rounds = list(decode_in_rounds(predictor, points, 6, True))
    assert [len(one.points) for one in rounds] == [12, 12, 1]
    for part in range(3):
        ours, wanted = (np.concatenate([one[part] for one in found]) for found in (rounds, expected))
        np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("clicks", [7, 14, 1000])
def test_records_do_not_depend_on_rounds(nano, image, monkeypatch, clicks):
    options = {**LENIENT, "crop_n_layers": 1, "points_per_batch": 7, "output_mode": "coco_rle"}
    generator = SamAutomaticMaskGenerator(nano, **options)
    expected = generator.generate(image)
    monkeypatch.setattr(click_rounds, "clicks_a_round", lambda *arguments: clicks)
    assert generator.generate(image) == expected and len(expected) > 5


@pytest.mark.skipif(
    not INTERPRETED, reason="compiled kernels need a GPU's tensors; un-skip: run without a GPU"
)
def test_records_of_the_kernels(nano, image, monkeypatch):
    """Up to rounding, those of the torch code, although nothing was filtered before all was decoded."""
    options = {**LENIENT, "points_per_side": 2, "points_per_batch": 3}
    generator = SamAutomaticMaskGenerator(nano, **options)
    expected = generator.generate(image)

    def by_kernels(*arguments):
        with minisam.use_backend("triton"):
            return decode(*arguments)

    monkeypatch.setattr(click_rounds, "decode", by_kernels)
    monkeypatch.setattr(click_rounds, "clicks_a_round", lambda *arguments: 1000)
    found = generator.generate(image)
    assert [one["point_coords"] for one in found] == [one["point_coords"] for one in expected] != []
    for one, other in zip(found, expected, strict=True):
        assert one["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-4)
        assert (one["segmentation"] != other["segmentation"]).mean() < 1e-3
