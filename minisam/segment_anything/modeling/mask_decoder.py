"""segment-anything's `modeling.mask_decoder`; its `MLP` is our `HypernetworkHead`."""

from minisam.model.hypernetwork_head import HypernetworkHead as MLP
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.mask_decoder import MaskDecoder

__all__ = [
    "MLP",
    "LayerNorm2d",
    "MaskDecoder",
]
