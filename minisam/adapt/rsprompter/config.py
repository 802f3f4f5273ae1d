"""The sizes of an RSPrompter: those of the paper's code, and small ones for networks of 64 to 256 pixels.

A level of the pyramid is the logarithm of its stride in tokens: −2 is a quarter of a token (4 pixels for patches of
16), 0 is the grid of the image embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from minisam.detect.region_proposals import ProposalRecipe
from minisam.errors import MinisamError
from minisam.model import Sam

VARIANTS = {
    "anchor": "proposed boxes, each written as five prompt tokens (RSPrompter-anchor)",
    "query": "learned queries, each written as prompt tokens and a coarse mask (RSPrompter-query)",
    "seg": "proposed boxes with a convolutional mask head, without SAM's decoder (SAM-seg)",
    "det": "proposed boxes as box prompts of the frozen SAM (SAM-det)",
}


@dataclass(frozen=True)
class PrompterConfig:
    """Defaults are RSPrompter's for images of 1024 pixels; `classes` are names, and `after` blocks counted from 0."""

    variant: str
    classes: tuple[str, ...]
    after: tuple[int, ...]
    hidden: int = 32
    """Channels of the aggregator."""
    width: int = 256
    """Channels of the pyramid."""
    levels: tuple[int, ...] = (-2, -1, 0, 1, 2)
    box_levels: int = 4
    """How many levels, from the finest on, boxes take their features from."""
    finest: float = 56.0
    """The side in pixels from which a box leaves the finest level, for FPN's rule."""
    norm: str = "batch"
    proposals: ProposalRecipe = field(default_factory=ProposalRecipe)
    boxes: int = 256
    """Sampled boxes of an image."""
    positive_share: float = 0.25
    most_masks: int | None = None
    """The most positive boxes of an image that get a mask in training, each of which is decoded; None for all."""
    box_width: int = 1024
    box_norm: bool = False
    """A batch norm in the box head, which has none in the paper's code (minisam/detect/roi_box_head.py)."""
    prompt_width: int = 256
    points: int = 5
    """Prompt tokens of an object."""
    sine: bool = True
    mask_loss: str = "bce"
    """bce: the mean over all pixels of the input; focal: SAM's 20 focal + 1 dice."""
    train_decoder: bool = True
    train_encoder: bool = False
    queries: int = 70
    query_width: int = 128
    query_layers: int = 6
    query_heads: int = 8
    deformable: bool = True
    loss_points: int = 12_544
    """Points at which masks of queries are compared."""
    fine_at: int | None = None
    """The number of the last points of the query decoder that get fine masks in training; None for all."""

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise MinisamError(f"no detector is called {self.variant!r}; use {', '.join(VARIANTS)}")
        if not self.classes:
            raise MinisamError("a detector needs at least one class")


def published_config(
    sam: Sam, variant: str, classes: tuple[str, ...], train_encoder: bool = False
) -> PrompterConfig:
    """The sizes of the paper's code for a network like vit_b, vit_l or vit_h: every second block from the first on."""
    after = tuple(range(0, len(sam.image_encoder.blocks), 2))
    config = PrompterConfig(variant, classes, after, train_encoder=train_encoder)
    if variant == "seg":
        return replace(config, boxes=512, proposals=replace(config.proposals, scales=(8.0,)))
    return replace(config, boxes=512) if variant == "det" else config


def small_config(
    sam: Sam, variant: str, classes: tuple[str, ...], train_encoder: bool = False
) -> PrompterConfig:
    """Sizes for tiny and nano, on one core: the global blocks, three levels, 64 channels, GroupNorm."""
    encoder = sam.image_encoder
    after = tuple(place for place, block in enumerate(encoder.blocks) if block.window_size == 0)
    return PrompterConfig(
        variant,
        classes,
        after or (len(encoder.blocks) - 1,),
        width=64,
        levels=(-1, 0, 1),
        box_levels=3,
        finest=7 * encoder.patch_size / 2,
        norm="group",
        proposals=ProposalRecipe(scales=(4.0, 5.7), per_level=200, per_level_in_test=200, kept=100),
        boxes=128,
        most_masks=8,
        box_width=256,
        box_norm=True,
        mask_loss="focal",
        train_encoder=train_encoder,
        queries=30,
        query_width=96,
        query_layers=3,
        query_heads=8,
        deformable=False,
        loss_points=1024,
        fine_at=2,
    )
