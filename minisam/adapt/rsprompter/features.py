"""What every RSPrompter starts from: a Sam's image embedding, and a pyramid made from the tokens after its blocks.

    image -> frozen encoder -> embedding, tokens after several blocks -> aggregator -> splitter -> pyramid

The encoder is frozen, as in the paper; the released configurations train it by mistake (adapt.md, errata).
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from minisam.adapt.places import set_training
from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.adapt.rsprompter.feature_aggregator import FeatureAggregator
from minisam.adapt.rsprompter.feature_splitter import FeatureSplitter
from minisam.model import Sam


class PrompterFeatures(nn.Module):
    """The common part of all variants: `sam`, whose weights become float32, aggregator and splitter."""

    def __init__(self, sam: Sam, config: PrompterConfig, levels: tuple[int, ...]) -> None:
        super().__init__()
        encoder, prompt_dim = sam.image_encoder, sam.prompt_encoder.embed_dim
        self.config = config
        self.sam = sam.float()
        sam.requires_grad_(False)
        sam.image_encoder.requires_grad_(config.train_encoder)
        embed_dim = encoder.patch_embed.proj.out_channels
        self.aggregator = FeatureAggregator(
            embed_dim, len(config.after), prompt_dim, config.hidden, config.norm
        )
        self.splitter = FeatureSplitter(prompt_dim, config.width, levels)

    @property
    def image_size(self) -> int:
        return self.sam.image_encoder.img_size

    def strides(self, levels: tuple[int, ...]) -> list[float]:
        """Of levels of the pyramid, in pixels."""
        return [self.sam.image_encoder.patch_size * 2.0**level for level in levels]

    def encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images [B, 3, S, S], normalised and padded -> image embeddings [B, E, h, w] and the pyramid."""
        with nullcontext() if self.config.train_encoder else torch.no_grad():
            embedding, states = self.sam.image_encoder.forward_features(images, self.config.after)
        return embedding, self.splitter(self.aggregator(states))

    def train(self, mode: bool = True) -> PrompterFeatures:
        """Frozen parts stay in evaluation mode."""
        set_training(self, mode)
        return self
