"""segment-anything's `modeling.common`."""

from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.mlp_block import MLPBlock

__all__ = [
    "LayerNorm2d",
    "MLPBlock",
]
