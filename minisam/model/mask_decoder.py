"""The mask decoder: image embedding + prompt embeddings -> masks and their predicted quality (SAM section A).

    tokens = [iou_token, mask_token_0 … mask_token_3, prompt tokens]
    tokens, image = two_way_transformer(image embedding + dense prompt, tokens)
    mask_m = hypernetwork_m(mask_token_m) · upscale(image)            iou = mlp(iou_token)

Mask 0 is for prompts that leave no doubt; masks 1 to 3 are whole, part and subpart in no fixed order, for a
prompt that could mean any of them.  The mask prompt is *added* to the image embedding.

P prompts   I images   E transformer_dim   M masks (4)   h, w grid of the image embedding
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.model.hypernetwork_head import HypernetworkHead, hypernetwork_masks
from minisam.model.layer_norm_2d import LayerNorm2d


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
        masks, iou_predictions = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, image_index
        )
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, chosen], iou_predictions[:, chosen]

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All four masks [P, M, 4·h, 4·w] and predicted IoUs [P, M]; arguments as in `forward`."""
        prompts, images = sparse_prompt_embeddings.shape[0], image_embeddings.shape[0]
        if image_index is not None:
            image_embeddings = image_embeddings[image_index]
        elif images not in (1, prompts):
            raise ValueError(
                f"{prompts} prompts on {images} images: image_index must say which prompt has which image"
            )

        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1)
        src = image_embeddings + dense_prompt_embeddings
        tokens, src_tokens = self.transformer(src, image_pe, tokens)
        iou_token, mask_tokens = tokens[:, 0], tokens[:, 1 : 1 + self.num_mask_tokens]

        upscaled = self.output_upscaling(src_tokens.transpose(1, 2).unflatten(2, src.shape[-2:]))
        weights = [mlp(mask_tokens[:, m]) for m, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = hypernetwork_masks(torch.stack(weights, dim=1), upscaled)
        return masks, self.iou_prediction_head(iou_token)
