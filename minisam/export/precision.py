"""ONNX files with smaller numbers: half precision, or weights and activations of linear layers in 8 bits.

fp16   all weights and operations in float16; inputs and outputs stay float32
int8   matrix products in int8, with scales measured while the network runs (dynamic quantisation)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from minisam.errors import MinisamError
from minisam.export.program import quiet


def reduced(content: bytes, precision: str) -> bytes:
    """The same network as `content`, smaller.  `precision` is one of PRECISIONS.

    Raises MinisamError without onnxruntime, which has both conversions.
    """
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            return PRECISIONS[precision](content, Path(folder))
    except ImportError as error:
        raise MinisamError(f"{error.name} is missing: pip install 'minisam[export]'") from None


def to_half(content: bytes, folder: Path) -> bytes:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True)
    return model.SerializeToString()


def to_int8(content: bytes, folder: Path) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    (folder / "full.onnx").write_bytes(content)
    quantize_dynamic(folder / "full.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    return (folder / "int8.onnx").read_bytes()


PRECISIONS: dict[str, Callable[[bytes, Path], bytes]] = {"fp16": to_half, "int8": to_int8}
