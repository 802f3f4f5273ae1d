"""The HQ token: an additional mask token that uses finer features, with a frozen SAM (Ke et al. 2023).

    feature = compress_vit(early tokens) + embedding_encoder(image embedding) + maskfeature(upscaled embedding)
    mask_hq = MLP(hq token) · feature
    shown   = each of SAM's masks + mask_hq,  or mask_hq alone

Early tokens are those after the first global block of the image encoder.  They are appended to the image embedding as
additional channels: all code that passes embeddings passes them too.  The HQ token is included in the self-attention
of the tokens and changes SAM's masks slightly. With `mode` "off" it is left out, and the result is identical to
SAM's.

P prompts   E transformer_dim   D channels of the early tokens   h, w grid of the image embedding
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from minisam.adapt.places import freeze_all, trained_names
from minisam.errors import MinisamError
from minisam.model import ImageEncoderViT, MaskDecoder, Sam
from minisam.model.hypernetwork_head import HypernetworkHead, hypernetwork_masks, hypernetwork_weights
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.learned_tokens import learned_tokens

Mode = Literal["add", "only", "off"]


class EarlyFeaturesEncoder(ImageEncoderViT):
    """[B, 3, H, W] -> the image embedding and after it the tokens of one block: [B, E + D, h, w]."""

    def __init__(self, encoder: ImageEncoderViT, block: int) -> None:
        adopt(self, encoder)
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        embedding, (tokens,) = self.forward_features(x, after=(self.block,))
        return torch.cat([embedding, tokens.permute(0, 3, 1, 2)], dim=1)


class HQMaskDecoder(MaskDecoder):
    """A MaskDecoder whose masks are finer; the predicted IoUs are those of SAM's masks.

    `mode` is "add" (the token's mask is added to each of SAM's), "only" (the token's mask, with the highest of their
    predicted IoUs), or "off" (SAM).
    """

    def __init__(self, decoder: MaskDecoder, early_dim: int, mode: Mode = "add") -> None:
        adopt(self, decoder)
        self.of_sam = (decoder,)  # of the same parts; a tuple, because this module already owns them
        dim = decoder.transformer_dim
        self.mode: Mode = mode
        self.hf_token = nn.Embedding(1, dim)
        self.hf_mlp = HypernetworkHead(dim, dim, dim // 8, 3)
        self.compress_vit_feat = nn.Sequential(
            nn.ConvTranspose2d(early_dim, dim, kernel_size=2, stride=2),
            LayerNorm2d(dim),
            nn.GELU(),
            nn.ConvTranspose2d(dim, dim // 8, kernel_size=2, stride=2),
        )
        self.embedding_encoder = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
        )
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(dim // 8, dim // 4, kernel_size=3, padding=1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 8, kernel_size=3, padding=1),
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
        """As in `MaskDecoder`, for image_embeddings [I, E + D, h, w]; with `mode` "only" there is one mask."""
        prompts = image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        if self.mode == "off":
            embeddings = image_embeddings[:, : self.transformer_dim].contiguous()
            return self.of_sam[0](embeddings, *prompts, multimask_output, image_index)
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        of_sam, of_token, ious = self.masks_and_token(image_embeddings, *prompts, image_index, chosen)
        if self.mode == "only":
            return of_token, ious.amax(dim=1, keepdim=True)
        return of_sam + of_token, ious

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        image_index: Tensor | None = None,
        chosen: slice = slice(None),
    ) -> tuple[Tensor, Tensor]:
        """As in `MaskDecoder`, with the token's mask added; with `mode` "only" it takes the place of each of SAM's."""
        prompts = image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        if self.mode == "off":
            embeddings = image_embeddings[:, : self.transformer_dim].contiguous()
            return self.of_sam[0].predict_masks(embeddings, *prompts, image_index, chosen)
        of_sam, of_token, ious = self.masks_and_token(image_embeddings, *prompts, image_index, chosen)
        return of_token.expand_as(of_sam) if self.mode == "only" else of_sam + of_token, ious

    def masks_and_token(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        image_index: Tensor | None = None,
        chosen: slice = slice(None),
    ) -> tuple[Tensor, Tensor, Tensor]:
        """SAM's masks, the `chosen` ones, [P, M, 4·h, 4·w]; the token's [P, 1, 4·h, 4·w]; predicted IoUs [P, M]."""
        prompts, images = len(sparse_prompt_embeddings), len(image_embeddings)
        if image_index is None:
            if images not in (1, prompts):
                raise ValueError(
                    f"{prompts} prompts on {images} images: image_index must say which prompt has which image"
                )
            image_index = torch.zeros(prompts, dtype=torch.long) if images == 1 else torch.arange(prompts)
        embeddings, early = image_embeddings.split(
            [self.transformer_dim, image_embeddings.shape[1] - self.transformer_dim], dim=1
        )

        # Put the output tokens, the HQ token last, before the tokens of each prompt
        iou_token = learned_tokens(self.iou_token, 1)
        mask_tokens = learned_tokens(self.mask_tokens, self.num_mask_tokens)
        output_tokens = torch.cat([iou_token, mask_tokens, learned_tokens(self.hf_token, 1)])
        tokens = torch.cat([output_tokens.expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1)

        # Let tokens and image attend to each other
        src = embeddings[image_index] + dense_prompt_embeddings
        tokens, src_tokens = self.transformer(src, image_pe, tokens)
        last = 1 + self.num_mask_tokens
        iou_token, mask_tokens, hq_token = tokens[:, 0], tokens[:, 1:last], tokens[:, last : last + 1]

        # SAM's masks from the upscaled embedding, the token's from that and the features of the image
        upscaled = self.output_upscaling(src_tokens.transpose(1, 2).unflatten(2, src.shape[-2:]))
        fine = self.compress_vit_feat(early) + self.embedding_encoder(embeddings)
        fine = fine[image_index] + self.embedding_maskfeature(upscaled)
        of_sam = hypernetwork_masks(
            hypernetwork_weights(self.output_hypernetworks_mlps, mask_tokens, chosen), upscaled
        )
        of_token = hypernetwork_masks(self.hf_mlp(hq_token), fine)
        return of_sam, of_token, self.iou_prediction_head(iou_token)[:, chosen]


def add_hq_token(sam: Sam, mode: Mode = "add") -> list[str]:
    """Freeze `sam` and give it an HQ token, in place; returns the names of what is trained.

    Raises MinisamError for an unknown mode, or an image encoder without a global block.
    """
    if mode not in get_args(Mode):
        raise MinisamError(f"the HQ token's mode is {', '.join(get_args(Mode))}, not {mode!r}")
    blocks = list(sam.image_encoder.blocks)
    early = next((index for index, block in enumerate(blocks) if not getattr(block, "window_size", 0)), None)
    if early is None:
        raise MinisamError("the HQ token reads the first global block, and this image encoder has none")
    freeze_all(sam)
    like = sam.image_encoder.patch_embed.proj.weight
    sam.image_encoder = EarlyFeaturesEncoder(sam.image_encoder, early)
    sam.mask_decoder = HQMaskDecoder(sam.mask_decoder, like.shape[0], mode).to(like).train(sam.training)
    for name in ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature"):
        sam.mask_decoder.get_submodule(name).requires_grad_(True)
    return trained_names(sam)


def adopt(new: nn.Module, module: nn.Module) -> None:
    """Copy all attributes of `module` to `new`, of a subclass: its parts with their names, and its settings."""
    nn.Module.__init__(new)
    vars(new).update(vars(module))
    for kind in ("_parameters", "_buffers", "_modules"):  # separate containers with the same contents
        vars(new)[kind] = dict(vars(module)[kind])
