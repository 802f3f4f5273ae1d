"""The decoder on kernels gives every prompt the masks of the right image, with the right dense prompt."""

from __future__ import annotations

import pytest
import torch
from strategies import normal

import minisam
from minisam.bench.twins import randomise
from minisam.model import MaskDecoder, TwoWayTransformer
from minisam.model.fast.fused_mask_decoder import fused_masks
from minisam_kernels.launch import INTERPRETED

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]
DEVICE = "cpu" if INTERPRETED else "cuda"
WIDTH, GRID = 32, (2, 3)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.tensor(normal(seed, *shape), dtype=torch.float32, device=DEVICE)


@pytest.mark.parametrize(
    ("images", "index", "dense"),
    [(1, None, 1), (1, [0, 0, 0], 3), (2, [1, 0, 1], 1), (2, [1, 0, 1], 3), (3, None, 3)],
)
def test_prompts_have_their_image_and_their_dense_prompt(images, index, dense):
    decoder = MaskDecoder(
        transformer_dim=WIDTH, transformer=TwoWayTransformer(1, WIDTH, 2, mlp_dim=8), iou_head_hidden_dim=8
    )
    randomise(decoder, seed=0)
    decoder = decoder.to(DEVICE).eval()
    image, pe, sparse = drawn(1, images, WIDTH, *GRID), drawn(2, 1, WIDTH, *GRID), drawn(3, 3, 2, WIDTH)
    prompts = drawn(4, dense, WIDTH, *GRID).expand(3, -1, -1, -1)
    own = torch.tensor(index, device=DEVICE) if index else None
    learned = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(3, -1, -1)
    tokens = torch.cat([learned, sparse], dim=1)
    places = index or [0 if images == 1 else number for number in range(3)]
    with torch.no_grad():
        each = [
            decoder.predict_masks(image[[place]], pe, sparse[[number]], prompts[[number]])
            for number, place in enumerate(places)
        ]
        with minisam.use_backend("triton"):
            masks, ious = fused_masks(decoder, image, pe, tokens, prompts, own, slice(1, 3))
    for number, (wanted_masks, wanted_ious) in enumerate(each):
        torch.testing.assert_close(masks[number], wanted_masks[0, 1:3], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(ious[number], wanted_ious[0, 1:3], atol=1e-4, rtol=1e-3)
