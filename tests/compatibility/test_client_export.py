"""The decoder in ONNX: exported by torch's older exporter, run by onnxruntime, fed as the original's notebook does."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from compatibility.surface import IMAGE, ours, predictors, sams
from parity.oracle import SMALL

from minisam.utils.onnx import SamOnnxModel

INSTALL = "pip install onnx onnxruntime"
onnx = pytest.importorskip("onnx", reason=INSTALL)
onnxruntime = pytest.importorskip("onnxruntime", reason=INSTALL)

E, GRID, SIZE = SMALL.prompt_dim, SMALL.image_size // SMALL.patch_size, SMALL.image_size
INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
OUTPUTS = ("masks", "iou_predictions", "low_res_masks")


def exported(return_single_mask: bool) -> bytes:
    """As export_onnx_model.py does it: drawn inputs, and the number of points free."""
    model = SamOnnxModel(sams()[0], return_single_mask)
    drawn = {
        "image_embeddings": torch.randn(1, E, GRID, GRID),
        "point_coords": torch.randint(0, 1024, (1, 5, 2)).float(),
        "point_labels": torch.randint(0, 4, (1, 5)).float(),
        "mask_input": torch.randn(1, 1, 4 * GRID, 4 * GRID),
        "has_mask_input": torch.tensor([1.0]),
        "orig_im_size": torch.tensor([150.0, 225.0]),
    }
    assert tuple(drawn) == INPUTS
    free = {"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of itself, and of every number it holds fast
        torch.onnx.export(
            model,
            tuple(drawn.values()),
            file,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )
    return file.getvalue()


@pytest.mark.parametrize("single", [True, False])
def test_exported_decoder(single):
    session = onnxruntime.InferenceSession(exported(single), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == list(INPUTS)
    transform = ours("utils.transforms").ResizeLongestSide(SIZE)
    embedding = predictors()[0].get_image_embedding().numpy()
    low_res = predictors()[0].predict(np.array([[30.0, 20.0]]), np.array([1]))[2][:1]
    model = SamOnnxModel(sams()[0], single)
    for points, labels, mask in (
        ([[30, 20], [0, 0]], [1, -1], None),
        ([[30, 20], [50, 40], [0, 0]], [1, 0, -1], low_res),
        ([[5, 6], [60, 40]], [2, 3], None),
    ):
        coords = transform.apply_coords(np.array(points), IMAGE.shape[:2]).astype(np.float32)[None]
        given = {
            "image_embeddings": embedding,
            "point_coords": coords,
            "point_labels": np.array([labels], np.float32),
            "mask_input": np.zeros((1, 1, 4 * GRID, 4 * GRID), np.float32) if mask is None else mask[None],
            "has_mask_input": np.array([mask is not None], np.float32),
            "orig_im_size": np.array(IMAGE.shape[:2], np.float32),
        }
        found = session.run(None, given)
        expected = model(*(torch.from_numpy(given[name]) for name in INPUTS))
        assert found[0].shape == (1, 1 if single else 4, *IMAGE.shape[:2])
        for our, their in zip(found, expected, strict=True):
            np.testing.assert_allclose(our, their.numpy(), atol=1e-3 * float(their.abs().max()))
