"""Code that trains segment-anything's parts, or subclasses its prompt encoder and mask decoder."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from compatibility.surface import ours, sams, theirs
from parity.oracle import SMALL, assert_same, random
from torch import nn

from minisam.bench.twins import randomise

SIZE, E, GRID = SMALL.image_size, SMALL.prompt_dim, SMALL.image_size // SMALL.patch_size
BOXES = torch.tensor([[10.0, 12.0, 60.0, 70.0], [30.0, 5.0, 120.0, 90.0]])


def test_medsam_training():
    results = []
    for sam in copy.deepcopy(sams()):
        for parameter in sam.prompt_encoder.parameters():
            parameter.requires_grad = False
        embedding = sam.image_encoder(random(1, 1, 3, SIZE, SIZE))
        with torch.no_grad():
            sparse, dense = sam.prompt_encoder(points=None, boxes=BOXES[:1, None, :], masks=None)
        low_res, _ = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        mask = F.interpolate(low_res, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
        F.binary_cross_entropy_with_logits(mask, torch.ones_like(mask)).backward()
        gradients = {name: p.grad for name, p in sam.named_parameters() if p.grad is not None}
        results.append((mask.detach(), gradients))
    (our, our_gradients), (their, their_gradients) = results
    assert_same(our, their)
    unasked = their_gradients.keys() - our_gradients.keys()
    # Masks that are not requested, and the common part of all keys, which does not affect a softmax.
    assert all("output_hypernetworks_mlps." in name or name.endswith("k_proj.bias") for name in unasked)
    assert all(their_gradients[name].abs().max() < 1e-6 for name in unasked)
    for name in ("image_encoder.blocks.0.attn.qkv.weight", "mask_decoder.mask_tokens.weight"):
        assert_same(our_gradients[name], their_gradients[name], 1e-4)


def test_medsam_training_with_as_many_images_as_boxes():
    our, their = sams()
    images = random(1, 2, 3, SIZE, SIZE)
    with torch.no_grad():
        sparse, dense = our.prompt_encoder(None, BOXES[:, None, :], None)
        image_pe = our.prompt_encoder.get_dense_pe()
        low_res, _ = our.mask_decoder(our.image_encoder(images), image_pe, sparse, dense, False)
        for n in range(2):
            sparse, dense = their.prompt_encoder(None, BOXES[n : n + 1], None)
            one, _ = their.mask_decoder(
                their.image_encoder(images[n : n + 1]), image_pe, sparse, dense, False
            )
            assert_same(low_res[n : n + 1], one)


def test_medsam_text_prompt_encoder():
    def make(side: Any) -> nn.Module:
        class TextPromptEncoder(side("modeling.prompt_encoder").PromptEncoder):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                self.text_encoder_head = nn.Linear(7, arguments[0])

            def forward(self, points, boxes, masks, tokens):
                batch = self._get_batch_size(points, boxes, masks, tokens)
                sparse = torch.empty((batch, 0, self.embed_dim), device=self._get_device())
                if points is not None:
                    coords, labels = points
                    sparse = torch.cat(
                        [sparse, self._embed_points(coords, labels, pad=(boxes is None))], dim=1
                    )
                if boxes is not None:
                    sparse = torch.cat([sparse, self._embed_boxes(boxes)], dim=1)
                if tokens is not None:
                    sparse = torch.cat([sparse, self.text_encoder_head(tokens)[:, None]], dim=1)
                if masks is not None:
                    return sparse, self._embed_masks(masks)
                dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
                return sparse, dense.expand(batch, -1, *self.image_embedding_size)

            def _get_batch_size(self, points, boxes, masks, tokens):
                if tokens is not None:
                    return tokens.shape[0]
                return super()._get_batch_size(points, boxes, masks)

        return TextPromptEncoder(E, (GRID, GRID), (SIZE, SIZE), 16).eval()

    encoders = [make(side) for side in (ours, theirs)]
    randomise(encoders[0], 2)
    encoders[1].load_state_dict(encoders[0].state_dict(), strict=True)
    points = torch.rand(2, 3, 2) * SIZE, torch.tensor([[1, 0, -1], [1, 1, 0]])
    masks = random(3, 2, 1, 4 * GRID, 4 * GRID)
    with torch.no_grad():
        for given in (
            (None, None, None, random(1, 2, 7)),
            (points, BOXES, masks, random(1, 2, 7)),
            (points, None, None, None),
        ):
            assert_same(*(encoder(*given) for encoder in encoders))


def test_a_private_method_that_a_subclass_replaces_is_called():
    results, state = [], {}
    for side in (ours, theirs):

        class Own(side("modeling.prompt_encoder").PromptEncoder):
            def _embed_points(self, points, labels, pad):
                return super()._embed_points(points, labels, pad) * 2

            def _embed_boxes(self, boxes):
                return super()._embed_boxes(boxes) * 3

            def _embed_masks(self, masks):
                return super()._embed_masks(masks) * 5

        torch.manual_seed(0)
        encoder = Own(E, (GRID, GRID), (SIZE, SIZE), 16)
        state = state or encoder.state_dict()
        encoder.load_state_dict(state)
        points = torch.ones(2, 1, 2), torch.ones(2, 1)
        with torch.no_grad():
            results.append(encoder(points, BOXES, random(3, 2, 1, 4 * GRID, 4 * GRID)))
    assert_same(*results)


def test_lightning_sam():
    """The data set scales images, masks and boxes [N, 4] of whole numbers; the model calls the parts one by one."""
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    mask = (np.arange(60)[:, None] > np.arange(90)[None] / 2).astype(np.uint8)
    boxes = np.array([[20, 15, 45, 40], [3, 4, 80, 50]])
    results = []
    for side, sam in zip((ours, theirs), sams(), strict=True):
        transform = side("utils.transforms").ResizeLongestSide(SIZE)
        resized = torch.from_numpy(transform.apply_image(image)).permute(2, 0, 1).float()
        small = torch.from_numpy(transform.apply_image(mask)).float()
        scaled = torch.from_numpy(transform.apply_boxes(boxes, image.shape[:2])).float()
        height, width = resized.shape[1:]
        padded = F.pad(resized, (0, SIZE - width, 0, SIZE - height)) / 255
        with torch.no_grad():
            (embedding,) = sam.image_encoder(padded[None])
            sparse, dense = sam.prompt_encoder(points=None, boxes=scaled, masks=None)
            low_res, iou = sam.mask_decoder(
                image_embeddings=embedding.unsqueeze(0),
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        results.append((small, scaled, low_res, iou))
    assert_same(*results)


def test_sam_hq_mask_decoder():
    def make(side: Any) -> nn.Module:
        decoder, transformer = side("modeling.mask_decoder"), side("modeling.transformer")

        class MaskDecoderHQ(decoder.MaskDecoder):
            def __init__(self):
                super().__init__(
                    transformer_dim=E,
                    transformer=transformer.TwoWayTransformer(
                        depth=2, embedding_dim=E, mlp_dim=96, num_heads=8
                    ),
                    num_multimask_outputs=3,
                    activation=nn.GELU,
                    iou_head_depth=3,
                    iou_head_hidden_dim=48,
                )
                self.hf_token = nn.Embedding(1, E)
                self.hf_mlp = decoder.MLP(E, E, E // 8, 3)
                self.num_mask_tokens = self.num_mask_tokens + 1
                self.embedding_encoder = nn.Sequential(
                    nn.ConvTranspose2d(E, E // 4, kernel_size=2, stride=2),
                    decoder.LayerNorm2d(E // 4),
                    nn.GELU(),
                    nn.ConvTranspose2d(E // 4, E // 8, kernel_size=2, stride=2),
                )

            def forward(self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings):
                output = [self.iou_token.weight, self.mask_tokens.weight, self.hf_token.weight]
                prompts = sparse_prompt_embeddings.shape[0]
                tokens = torch.cat(
                    [torch.cat(output).expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1
                )
                src = torch.repeat_interleave(image_embeddings, prompts, dim=0) + dense_prompt_embeddings
                positions = torch.repeat_interleave(image_pe, prompts, dim=0)
                b, c, h, w = src.shape
                hidden, src = self.transformer(src, positions, tokens)
                mask_tokens = hidden[:, 1 : 1 + self.num_mask_tokens]
                features = self.embedding_encoder(image_embeddings)
                upscaled = self.output_upscaling(src.transpose(1, 2).view(b, c, h, w))
                weights = [mlp(mask_tokens[:, n]) for n, mlp in enumerate(self.output_hypernetworks_mlps)]
                weights.append(self.hf_mlp(mask_tokens[:, -1]))
                weights = torch.stack(weights, dim=1)
                b, c, h, w = upscaled.shape
                masks = (weights[:, :-1] @ upscaled.view(b, c, h * w)).view(b, -1, h, w)
                fine = (weights[:, -1:] @ (upscaled + features).view(b, c, h * w)).view(b, -1, h, w)
                return torch.cat([masks, fine], dim=1), self.iou_prediction_head(hidden[:, 0])

        return MaskDecoderHQ().eval()

    decoders = [make(side) for side in (ours, theirs)]
    randomise(decoders[0], 5)
    decoders[1].load_state_dict(decoders[0].state_dict(), strict=True)
    inputs = (random(1, 1, E, GRID, GRID), random(2, 1, E, GRID, GRID), random(3, 2, 3, E))
    with torch.no_grad():
        assert_same(*(decoder(*inputs, random(4, 2, E, GRID, GRID)) for decoder in decoders))
