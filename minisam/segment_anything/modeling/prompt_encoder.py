"""segment-anything's `modeling.prompt_encoder`; its `PositionEmbeddingRandom` is our `FourierEncoding`."""

from minisam.model.fourier_encoding import FourierEncoding as PositionEmbeddingRandom
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.prompt_encoder import PromptEncoder

__all__ = [
    "LayerNorm2d",
    "PositionEmbeddingRandom",
    "PromptEncoder",
]
