"""segment-anything's `utils.onnx`: the prompt encoder and the mask decoder as one network to export."""

from minisam.export.sam_onnx_model import SamOnnxModel

__all__ = ["SamOnnxModel"]
