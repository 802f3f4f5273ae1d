"""The mask decoder: image embedding + prompt embeddings -> masks and their predicted quality (SAM section A).

    tokens = [iou_token, mask_token_0 … mask_token_3, prompt tokens]
    tokens, image = two_way_transformer(image embedding + dense prompt, tokens)
    mask_m = hypernetwork_m(mask_token_m) · upscale(image)            iou = mlp(iou_token)

Mask 0 is for prompts that leave no doubt; masks 1 to 3 are whole, part and subpart in no fixed order, for a
prompt that could mean any of them.  The mask prompt is *added* to the image embedding.  Where it is faster the same
is computed prompt by prompt (absorbed_two_way_transformer.py, token_upscaling.py); the plain way defines the result.

P prompts   I images   E transformer_dim   M masks (4)   h, w grid of the image embedding
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from minisam.model.fast.absorbed_two_way_transformer import (
    absorbed_two_way_transformer,
    absorbing_wins,
    prompts_per_block,
)
from minisam.model.fast.fused_two_way_transformer import fused_two_way_transformer, fusing_is_open
from minisam.model.fast.token_upscaling import TokenUpscaling, doubles_tokens
from minisam.model.hypernetwork_head import HypernetworkHead, hypernetwork_masks
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.learned_tokens import learned_tokens
from minisam.model.two_way_transformer import TwoWayTransformer


class MaskDecoder(nn.Module):
    """Predicts `num_multimask_outputs` masks for an ambiguous prompt and one more for a clear one.

    The arguments and parameter names are segment-anything's.
    """

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: nn.Module,
        num_multimask_outputs: int = 3,
        activation: type[nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        self.transformer_dim = transformer_dim
        self.transformer = transformer
        self.num_multimask_outputs = num_multimask_outputs
        self.num_mask_tokens = num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, transformer_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(transformer_dim, transformer_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(transformer_dim // 4),
            activation(),
            nn.ConvTranspose2d(transformer_dim // 4, transformer_dim // 8, kernel_size=2, stride=2),
            activation(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            HypernetworkHead(transformer_dim, transformer_dim, transformer_dim // 8, 3)
            for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = HypernetworkHead(
            transformer_dim, iou_head_hidden_dim, self.num_mask_tokens, iou_head_depth
        )

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Masks [P, 3 or 1, 4·h, 4·w] as logits and predicted IoU [P, 3 or 1] for P prompts.

        image_embeddings [I, E, h, w], image_pe [1, E, h, w], sparse [P, n, E], dense [P, E, h, w].  One image
        serves all prompts; P images take one prompt each; anything else needs `image_index` [P], the image of
        each prompt.  `multimask_output` chooses masks 1 to 3 over mask 0.  Raises ValueError where it is
        unclear which prompt belongs to which image.
        """
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        prompts = image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        if (
            type(self).predict_masks is not MaskDecoder.predict_masks
        ):  # a subclass's own, as in segment-anything
            index = {} if image_index is None else {"image_index": image_index}
            masks, ious = self.predict_masks(*prompts, **index)
            return masks[:, chosen], ious[:, chosen]
        return self.predict_chosen(chosen, *prompts, image_index)

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All four masks [P, M, 4·h, 4·w] and predicted IoUs [P, M]; arguments as in `forward`."""
        prompts = image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        return self.predict_chosen(slice(None), *prompts, image_index)

    def predict_chosen(
        self,
        chosen: slice,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        image_index: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The masks and predicted IoUs of the `chosen` ones among the M mask tokens."""
        prompts, images = sparse.shape[0], image_embeddings.shape[0]
        if image_index is None and images not in (1, prompts):
            raise ValueError(
                f"{prompts} prompts on {images} images: image_index must say which prompt has which image"
            )
        mask_tokens = learned_tokens(self.mask_tokens, self.num_mask_tokens)
        output_tokens = torch.cat([learned_tokens(self.iou_token, 1), mask_tokens])
        tokens = torch.cat([output_tokens.expand(prompts, -1, -1), sparse], dim=1)
        if absorbing_wins(self.transformer, tokens, image_pe) and doubles_tokens(self.output_upscaling):
            if image_index is None:
                image_index = (
                    torch.arange(prompts) if images == prompts else torch.zeros(prompts, dtype=torch.long)
                )
            return self.predict_by_prompt(chosen, image_embeddings, image_pe, tokens, dense, image_index)

        fused = fusing_is_open(self.transformer, tokens, image_pe)
        if images == 1:
            image_index = None
        if fused and is_one_for_all(dense):
            dense = dense[:1]
        elif image_index is not None:
            image_embeddings, image_index = image_embeddings[image_index], None
        src = image_embeddings + dense
        if fused:
            transformer = cast(TwoWayTransformer, self.transformer)
            tokens, src_tokens = fused_two_way_transformer(transformer, src, image_pe, tokens, image_index)
        else:
            tokens, src_tokens = self.transformer(src, image_pe, tokens)
        upscaled = self.output_upscaling(src_tokens.transpose(1, 2).unflatten(2, src.shape[-2:]))
        return hypernetwork_masks(self.mask_weights(tokens, chosen), upscaled), self.ious(tokens, chosen)

    def predict_by_prompt(
        self,
        chosen: slice,
        image_embeddings: Tensor,
        image_pe: Tensor,
        tokens: Tensor,
        dense: Tensor,
        image_index: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The same as `predict_chosen` for tokens [P, T, E], with no more than a few prompts' images in memory."""
        transformer, grid = cast(TwoWayTransformer, self.transformer), (image_pe.shape[2], image_pe.shape[3])
        upscaling = TokenUpscaling(self.output_upscaling)
        masks: dict[int, Tensor] = {}
        ious: dict[int, Tensor] = {}
        for prompts, src in prompts_by_image(image_embeddings, dense, image_index):
            remaining = iter(prompts.tolist())
            for queries, images in absorbed_two_way_transformer(transformer, src, image_pe, tokens[prompts]):
                weights, predicted = self.mask_weights(queries, chosen), self.ious(queries, chosen)
                for image, weight, iou in zip(images, weights, predicted, strict=True):
                    prompt = next(remaining)
                    masks[prompt] = upscaling.masks(image, weight, grid)
                    ious[prompt] = iou
        order = range(len(tokens))
        return torch.stack([masks[n] for n in order]), torch.stack([ious[n] for n in order])

    def mask_weights(self, tokens: Tensor, chosen: slice) -> Tensor:
        """What the `chosen` mask tokens among tokens [P, T, E] ask of a pixel: [P, chosen, E / 8]."""
        mask_tokens = tokens[:, 1 : 1 + self.num_mask_tokens]
        heads = list(enumerate(self.output_hypernetworks_mlps))[chosen]
        return torch.stack([mlp(mask_tokens[:, m]) for m, mlp in heads], dim=1)

    def ious(self, tokens: Tensor, chosen: slice) -> Tensor:
        """The predicted IoUs of the `chosen` masks, [P, chosen], from tokens [P, T, E]."""
        return self.iou_prediction_head(tokens[:, 0])[:, chosen]


def is_one_for_all(dense: Tensor) -> bool:
    """Whether dense embeddings [P, E, h, w] are one, expanded: what the prompt encoder gives without mask prompts."""
    return dense.stride(0) == 0 or len(dense) == 1


def prompts_by_image(
    image_embeddings: Tensor, dense: Tensor, image_index: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Sets of prompts, by number, with what they see: [1, E, h, w] where it is the same for all, else one each."""
    differentiated = torch.is_grad_enabled() and dense.requires_grad  # every row has a gradient of its own
    if is_one_for_all(dense) and not differentiated:
        for image in image_index.unique():
            yield (image_index == image).nonzero()[:, 0], image_embeddings[image][None] + dense[:1]
    else:
        dense = dense.expand(len(image_index), -1, -1, -1)
        for prompts in torch.arange(len(image_index)).split(prompts_per_block(image_embeddings)):
            yield prompts, image_embeddings[image_index[prompts]] + dense[prompts]
