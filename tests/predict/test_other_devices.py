"""Prediction on a device without float64, mocked: the same masks, and every step of the network on it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from mock_device import MockDevice
from PIL import Image

from minisam import SamAutomaticMaskGenerator, SamPredictor, build_sam
from minisam.build import WEIGHTS
from minisam.cli.device_options import FALLBACKS
from minisam.cli.main import main
from minisam.data.sa1b import read_record
from minisam.device import WITHOUT_FLOAT64, bring_to

IMAGE = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
PROMPTS = {
    "points": {"point_coords": [[10, 12], [30, 40]], "point_labels": [1, 0]},
    "box": {"box": [5, 5, 30, 30]},
    "mask": {"point_coords": [[10, 12]], "point_labels": [1], "mask_input": np.ones((1, 32, 32), np.float32)},
}


def predictor():
    return SamPredictor(build_sam("nano"))


@pytest.mark.parametrize("name", WITHOUT_FLOAT64)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_predict(name, prompt):
    here, there = predictor(), predictor()
    here.set_image(IMAGE)
    with MockDevice(name) as device:
        there.model.to(name)
        assert there.device.type == name
        there.set_image(IMAGE)
        before = device.used
        results = there.predict(**PROMPTS[prompt])
        assert device.used > before + 100
    for one, other in zip(results, here.predict(**PROMPTS[prompt]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_every_mask():
    settings = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    here = SamAutomaticMaskGenerator(build_sam("nano"), **settings).generate(IMAGE)
    with MockDevice() as device:
        there = SamAutomaticMaskGenerator(build_sam("nano").to("mps"), **settings).generate(IMAGE)
        assert device.used > 100
    assert len(here) == len(there) > 3
    for one, other in zip(here, there, strict=True):
        assert (one["segmentation"] != other["segmentation"]).mean() < 1e-3


@pytest.mark.ci
@pytest.mark.parametrize("command", ["segment", "amg"])
def test_commands(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    Image.fromarray(IMAGE).save(tmp_path / "photo.png")
    words = [command, str(tmp_path / "photo.png"), "--checkpoint", str(WEIGHTS / "nano.safetensors")]
    words += (
        ["--point", "10,12"] if command == "segment" else ["--points-per-side", "2", "--pred-iou-thresh", "0"]
    )
    with MockDevice() as device:
        assert main([*words, "--device", "mps"]) == 0
        assert device.used > 100
    if command == "amg":
        assert read_record(tmp_path / "photo.json")["image"]["width"] == 60  # type: ignore


def test_the_mock_is_a_device_of_its_own():
    with MockDevice() as device:
        there, here = torch.ones(2, device="mps"), torch.ones(2)
        assert there.device.type == "mps" and here.device.type == "cpu" and device.used == 1
        assert here.to("mps").device.type == "mps" and here.device.type == "cpu"
        assert (2 * there).device.type == "mps" and there.cpu().device.type == "cpu"
        for wrong in (lambda: there + here, lambda: torch.cat([there, here])):
            with pytest.raises(RuntimeError, match="on mps and on the CPU"):
                wrong()
        for wrong in (there.double, lambda: torch.ones(1, dtype=torch.float64).to("mps"), there.numpy):
            with pytest.raises(TypeError):
                wrong()


def test_float64_stays_where_there_is_float64():
    wide = torch.ones(2, dtype=torch.float64)
    assert bring_to(wide, torch.device("cpu")).dtype == torch.float64
    assert bring_to(wide.half(), torch.device("cpu")).dtype == torch.float16


def test_missing_operations_run_on_the_cpu_if_the_user_does_not_object():
    """torch reads these variables when it is imported."""
    program = (
        "import os, sys; from minisam.cli.main import main\n"
        f"os.environ[{FALLBACKS[1]!r}] = '0'\n"
        "try: main(['--version'])\n"
        f"except SystemExit: print('torch' in sys.modules, [os.environ[name] for name in {FALLBACKS!r}])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.splitlines()[-1] == "False ['1', '0']"
