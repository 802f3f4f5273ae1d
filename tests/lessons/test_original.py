"""Lesson 10's stored answers are segment-anything's own, and minisam gives the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.bench.original import INSTALL_COMMAND, is_installed
from minisam.lesson.find import FOLDER
from minisam.lesson.source import run_file
from minisam.predict import SamPredictor

TOLERANCE = 1e-5
ORIGINAL = run_file(FOLDER / "10_sam" / "original.py")


@pytest.fixture(scope="module")
def stored():
    return dict(np.load(FOLDER / "10_sam" / "original.npz"))


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float32
    return float(abs(ours - theirs).max() / abs(theirs).max())


def minisam_answers() -> dict[str, np.ndarray]:
    predictor, answers = SamPredictor(ORIGINAL.build_small()), {}
    for name, (_, original_size, labels) in ORIGINAL.PROMPTS.items():
        prompt = ORIGINAL.draw_prompt(name)
        predictor.set_torch_image(torch.from_numpy(prompt["image"][None]).float(), original_size)
        logits, iou, _ = predictor.predict(prompt["points"], np.array(labels), return_logits=True)
        answers[f"{name}/embedding"] = predictor.get_image_embedding()[0].numpy()
        answers[f"{name}/logits"], answers[f"{name}/iou"] = logits, iou
    return answers


def test_minisam_gives_the_stored_answers(stored):
    ours = minisam_answers()
    assert ours.keys() == stored.keys() and len(ours) == 3 * len(ORIGINAL.PROMPTS)
    for name, theirs in stored.items():
        assert relative_error(ours[name], theirs) <= TOLERANCE, name


def test_another_weight_is_seen(stored):
    sam = ORIGINAL.build_small()
    with torch.no_grad():
        sam.image_encoder.blocks[0].attn.rel_pos_h.mul_(1.01)
    predictor, name = SamPredictor(sam), "one click on a square"
    prompt = ORIGINAL.draw_prompt(name)
    predictor.set_torch_image(torch.from_numpy(prompt["image"][None]).float(), ORIGINAL.PROMPTS[name][1])
    logits, _, _ = predictor.predict(prompt["points"], prompt["labels"], return_logits=True)
    assert relative_error(logits, stored[f"{name}/logits"]) > TOLERANCE


def test_the_stored_masks_tell_something(stored):
    """Both signs in every answer, no two alike, and no two predicted IoUs too close to rank."""
    for name in ORIGINAL.PROMPTS:
        logits, iou = stored[f"{name}/logits"], np.sort(stored[f"{name}/iou"])
        assert (logits > 0).any() and (logits < 0).any() and np.diff(iou).min() > 0.01
        assert relative_error(logits[:1], logits[1:2]) > 0.1


@pytest.mark.skipif(not is_installed(), reason=INSTALL_COMMAND)
def test_the_original_gives_the_stored_answers(stored):
    fresh = ORIGINAL.ask_the_original()
    assert fresh.keys() == stored.keys()
    for name, theirs in stored.items():
        assert relative_error(fresh[name], theirs) <= TOLERANCE, name


def test_the_stored_file_is_small():
    assert (FOLDER / "10_sam" / "original.npz").stat().st_size < 200_000
