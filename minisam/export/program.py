"""A part as bytes of a file: ONNX, or torch.export's program."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from minisam.errors import MinisamError
from minisam.export.parts import Part
from minisam.model import Sam

OPSET = 20
"""The newest operators that every supported onnxruntime and onnxruntime-web have."""
LARGEST_ONNX = 2**31 - 2**20
"""Bytes; ONNX is a protobuf, which may not be larger."""


def to_onnx(part: Part, sam: Sam) -> bytes:
    """One file, weights included, with the network's sizes as metadata.

    Raises MinisamError if a package is missing or if the weights are too large for the format.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MinisamError(
            f"{error.name} is missing, which ONNX needs: pip install 'minisam[export]'"
        ) from None
    weights = sum(weight.nbytes for weight in set(part.module.state_dict(keep_vars=True).values()))
    if weights > LARGEST_ONNX:
        raise MinisamError("this part is larger than the 2 GB that an ONNX file may have; export to .pt2")
    with quiet(), sdpa_kernel(SDPBackend.MATH), tempfile.TemporaryDirectory() as folder:
        program = torch.onnx.export(
            part.module,
            part.example,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=part.free,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(about(sam))
        path = Path(folder) / "part.onnx"
        program.save(path)
        return path.read_bytes()


def to_program(part: Part, sam: Sam) -> bytes:
    """A file for `torch.export.load`; the network's sizes are in its extra file `minisam.json`."""
    with quiet():
        program = torch.export.export(part.module, part.example, dynamic_shapes=part.free)
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"minisam.json": json.dumps(about(sam))})
    return file.getvalue()


def about(sam: Sam) -> dict[str, str]:
    """What a program needs to prepare an image, and to make a mask of logits."""
    values = {
        "image_size": sam.image_encoder.img_size,
        "pixel_mean": sam.pixel_mean.flatten().tolist(),
        "pixel_std": sam.pixel_std.flatten().tolist(),
        "image_format": sam.image_format,
        "mask_threshold": sam.mask_threshold,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' notes, which are for those who write exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
