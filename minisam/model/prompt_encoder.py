"""The prompt encoder: points, boxes and masks become embeddings (SAM section A, "Prompt encoder").

    point  ->  encode(x, y) + foreground or background embedding
    box    ->  encode(top left) + first corner embedding, encode(bottom right) + second corner embedding
    mask   ->  a small convolutional network, added to the image embedding pixel by pixel by the decoder

A padding point (label −1) has no position, only a learned embedding.  It is not neutral: tokens attend to it, and SAM
was trained with one in every prompt without a box.

B prompts   N tokens of one prompt   E embed_dim   h, w grid of the image embedding
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.model.batched_prompts import as_mask_logits
from minisam.model.fourier_encoding import FourierEncoding
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.learned_tokens import learned_tokens

BACKGROUND, FOREGROUND, TOP_LEFT, BOTTOM_RIGHT = range(4)
PADDING = -1


class PromptEncoder(nn.Module):
    """Prompts in pixels of the network's input -> sparse embeddings [B, N, E], dense embeddings [B, E, h, w].

    `embed_dim` E; `image_embedding_size` (h, w); `input_image_size` (H, W) in pixels, padding included;
    `mask_in_chans` hidden channels of the mask network.
    """

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int,
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.image_embedding_size = image_embedding_size
        self.input_image_size = input_image_size
        self.pe_layer = FourierEncoding(embed_dim // 2)
        self.num_point_embeddings = 4
        self.point_embeddings = nn.ModuleList(
            nn.Embedding(1, embed_dim) for _ in range(self.num_point_embeddings)
        )
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.no_mask_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            activation(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            activation(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )

    @property
    def mask_input_size(self) -> tuple[int, int]:
        """The size of a mask prompt, four times the grid of the image embedding."""
        return 4 * self.image_embedding_size[0], 4 * self.image_embedding_size[1]

    def get_dense_pe(self) -> Tensor:
        """The encoded positions of the image tokens, [1, E, h, w]."""
        return self.pe_layer(self.image_embedding_size)[None]

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Embed B prompts, each of which may have points, boxes and a mask at once.

        points: coordinates [B, N, 2] as (x, y) in pixels, and labels [B, N]: 1 foreground, 0 background, −1
        padding, both of any number type.  boxes: [B, 4], or [B, n, 4] for several in one prompt, as
        (x0, y0, x1, y1); [4] is one prompt's box.  masks: [B or 1, 1, 4·h, 4·w] logits, or booleans.  Order of
        the tokens: points, then boxes.  B may be 0.

        Raises ValueError for points without labels or labels without points.
        """
        if points is not None and (points[0] is None or points[1] is None):
            raise ValueError("points need labels and labels need points: give both")
        if boxes is not None and boxes.dim() == 1:
            boxes = boxes[None]
        tokens = []
        if points is not None:
            tokens.append(self._embed_points(*points, pad=boxes is None))
        if boxes is not None:
            tokens.append(self._embed_boxes(boxes))
        batch = self._get_batch_size(points, boxes, masks)
        sparse = (
            torch.cat(tokens, dim=1)
            if tokens
            else learned_tokens(self.no_mask_embed, 1).new_empty((batch, 0, self.embed_dim))
        )
        if masks is not None:
            return sparse, self._embed_masks(masks).expand(batch, -1, -1, -1)
        return sparse, learned_tokens(self.no_mask_embed, 1)[:, :, None, None].expand(
            batch, -1, *self.image_embedding_size
        )

    def embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        """[B, N, 2] and [B, N] -> [B, N, E], or N + 1 tokens with a padding point at the end.

        Labels 2 and 3 are the corners of a box, as in segment-anything's ONNX model and SAM 2.
        """
        points = points + 0.5  # the centre of the pixel
        labels = labels if labels.is_floating_point() else labels.long()  # −1 needs a signed type
        if pad:
            points = torch.cat([points, points.new_zeros((points.shape[0], 1, 2))], dim=1)
            labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), PADDING)], dim=1)
        label = labels[..., None]
        position = self.pe_layer.forward_with_coords(points, self.input_image_size)
        embedding = torch.where(label == PADDING, learned_tokens(self.not_a_point_embed, 1), position)
        for kind, learned in enumerate(self.kind_embeddings()):
            embedding = torch.where(label == kind, embedding + learned, embedding)
        return embedding

    def embed_boxes(self, boxes: Tensor) -> Tensor:
        """[B, 4] or [B, n, 4] -> [B, 2·n, E], two corner tokens per box."""
        numbers = boxes.flatten(1) + 0.5
        corners = numbers.reshape(numbers.shape[0], numbers.shape[1] // 4, 2, 2)
        position = self.pe_layer.forward_with_coords(corners, self.input_image_size)
        kinds = self.kind_embeddings()[[TOP_LEFT, BOTTOM_RIGHT]]
        return (position + kinds).flatten(1, 2)

    def kind_embeddings(self) -> Tensor:
        """The learned embedding of each kind of token, [4, E]: background, foreground, top left, bottom right."""
        return torch.cat([learned_tokens(embedding, 1) for embedding in self.point_embeddings])

    # segment-anything's names, which code written for it calls, and which its subclasses override.

    def _embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        return self.embed_points(points, labels, pad)

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        return self.embed_boxes(boxes)

    def _embed_masks(self, masks: Tensor) -> Tensor:
        return self.mask_downscaling(as_mask_logits(masks).to(learned_tokens(self.no_mask_embed, 1).dtype))

    def _get_batch_size(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> int:
        """The number of prompts: the first length of the given tensors, 1 if there are none."""
        if points is not None:
            return points[0].shape[0]
        given = boxes if boxes is not None else masks
        return 1 if given is None else given.shape[0]

    def _get_device(self) -> torch.device:
        return learned_tokens(self.no_mask_embed, 1).device
