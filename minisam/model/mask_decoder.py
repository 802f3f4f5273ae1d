"""The mask decoder: image embedding + prompt embeddings -> masks and their predicted quality (SAM section A).

    tokens = [iou_token, mask_token_0 … mask_token_3, prompt tokens]
    tokens, image = two_way_transformer(image embedding + dense prompt, tokens)
    mask_m = hypernetwork_m(mask_token_m) · upscale(image)            iou = mlp(iou_token)

Mask 0 is for unambiguous prompts. Masks 1 to 3 are for ambiguous ones: whole, part and subpart, in no fixed order.
The mask prompt is *added* to the image embedding.

P prompts   I images   E transformer_dim   M masks (4)   h, w grid of the image embedding
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.model.fast.fast_paths import by_fast_path
from minisam.model.fast.onednn_linear import faster_linear_layers
from minisam.model.hypernetwork_head import HypernetworkHead, hypernetwork_masks, hypernetwork_weights
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.learned_tokens import learned_tokens


class MaskDecoder(nn.Module):
    """Predicts `num_multimask_outputs` masks for an ambiguous prompt and one more for an unambiguous one.

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

        image_embeddings [I, E, h, w], image_pe [1, E, h, w], sparse [P, n, E], dense [P, E, h, w].  One image is used
        for all prompts; P images have one prompt each; other cases need `image_index` [P], the image of each prompt.
        `multimask_output` selects masks 1 to 3 instead of mask 0.  Raises ValueError if it is unclear which prompt
        belongs to which image.
        """
        prompts = image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        if getattr(self.predict_masks, "__func__", None) is PREDICT_MASKS:
            return self.predict_masks(*prompts, image_index, chosen)

        # An overridden predict_masks has segment-anything's arguments and predicts all masks
        if image_index is None:
            masks, ious = self.predict_masks(*prompts)
        else:
            masks, ious = self.predict_masks(*prompts, image_index=image_index)
        return masks[:, chosen], ious[:, chosen]

    @faster_linear_layers
    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        image_index: Tensor | None = None,
        chosen: slice = slice(None),
    ) -> tuple[Tensor, Tensor]:
        """All masks [P, M, 4·h, 4·w] and predicted IoUs [P, M], or the `chosen` ones; arguments as in `forward`."""
        prompts, images = sparse_prompt_embeddings.shape[0], image_embeddings.shape[0]
        if image_index is None and images not in (1, prompts):
            raise ValueError(
                f"{prompts} prompts on {images} images: image_index must say which prompt has which image"
            )

        # Put the output tokens before the tokens of each prompt
        iou_token = learned_tokens(self.iou_token, 1)
        mask_tokens = learned_tokens(self.mask_tokens, self.num_mask_tokens)
        output_tokens = torch.cat([iou_token, mask_tokens]).expand(prompts, -1, -1)
        tokens = torch.cat([output_tokens, sparse_prompt_embeddings], dim=1)

        # Use a fast path to the same result, if there is one (fast/dispatcher.py)
        inputs = image_embeddings, image_pe, tokens, dense_prompt_embeddings, image_index, chosen
        if (predicted := by_fast_path(self, *inputs)) is not None:
            return predicted

        # Give each prompt its image, and add its mask prompt
        if image_index is not None and images > 1:
            image_embeddings = image_embeddings[image_index]
        src = image_embeddings + dense_prompt_embeddings

        # Let tokens and image attend to each other
        tokens, src_tokens = self.transformer(src, image_pe, tokens)
        iou_token, mask_tokens = tokens[:, 0], tokens[:, 1 : 1 + self.num_mask_tokens]

        # Upscale the image, and classify its pixels with the weights predicted from each mask token
        upscaled = self.output_upscaling(src_tokens.transpose(1, 2).unflatten(2, src.shape[-2:]))
        weights = hypernetwork_weights(self.output_hypernetworks_mlps, mask_tokens, chosen)
        masks = hypernetwork_masks(weights, upscaled)

        # Predict the IoU of each mask
        ious = self.iou_prediction_head(iou_token)[:, chosen]
        return masks, ious


PREDICT_MASKS = MaskDecoder.predict_masks
