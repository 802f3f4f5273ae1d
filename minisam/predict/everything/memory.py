"""An estimate of the memory that the automatic mask generator will need.

    weights  +  the larger of encoding the image and decoding one batch of clicks  +  pixels  +  records

It counts the largest tensors that exist at the same time, in float32, without the memory of the libraries.
"""

from __future__ import annotations

from dataclasses import dataclass

from minisam.model import Sam

FLOAT = 4
ENCODER_TENSORS = (
    12  # of the size of the tokens: them, queries, keys, values, a perceptron's hidden layer twice
)
DECODER_TENSORS = 64  # of the size of an image embedding: a few prompts' images and their upscaled selves
MASKS_AN_IMAGE = 200
RUNS_A_MASK = 2000


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes."""

    weights: int
    encoder: int
    decoder: int
    pixels: int
    records: int

    @property
    def total(self) -> int:
        return self.weights + max(self.encoder, self.decoder) + self.pixels + self.records


def estimate_memory(
    sam: Sam, size: tuple[int, int], points_per_batch: int, output_mode: str
) -> MemoryEstimate:
    """For an image of `size` (H, W) pixels with about `MASKS_AN_IMAGE` masks."""
    tokens = sam.prompt_encoder.image_embedding_size[0] * sam.prompt_encoder.image_embedding_size[1]
    channels = sam.image_encoder.patch_embed.proj.out_channels
    low_res = sam.prompt_encoder.mask_input_size[0] * sam.prompt_encoder.mask_input_size[1]
    pixels = size[0] * size[1]
    masks = sam.mask_decoder.num_mask_tokens
    return MemoryEstimate(
        weights=sum(parameter.numel() * parameter.element_size() for parameter in sam.parameters()),
        encoder=ENCODER_TENSORS * FLOAT * tokens * channels,
        decoder=FLOAT
        * (DECODER_TENSORS * tokens * sam.prompt_encoder.embed_dim + 2 * points_per_batch * masks * low_res),
        # The image and its crop; one mask's logits, twice, and the pixels above the thresholds.
        pixels=pixels * (2 * 3 + 2 * FLOAT + 3),
        records=MASKS_AN_IMAGE * (pixels if output_mode == "binary_mask" else 8 * RUNS_A_MASK),
    )
