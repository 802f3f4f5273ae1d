"""segment-anything's `utils.onnx`."""

from minisam.utils.amg import calculate_stability_score
from minisam.utils.onnx import SamOnnxModel

__all__ = [
    "SamOnnxModel",
    "calculate_stability_score",
]
