"""Many prompts on several images at once, in the scale of the network, for experiments and the engine."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from minisam.model import Sam


@dataclass(frozen=True)
class Prompted:
    """P prompts on several images: embeddings [I, E, h', w'] and which image each prompt is on, [P]."""

    sam: Sam
    embeddings: Tensor
    image_index: Tensor

    def predict(
        self,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits [P, C, h, w] and predicted IoU [P, C]: C is 3 for a first prompt, 1 with a mask input."""
        sparse, dense = self.sam.prompt_encoder(points, boxes, mask_input)
        image_pe = self.sam.prompt_encoder.get_dense_pe()
        logits, iou = self.sam.mask_decoder(
            self.embeddings,
            image_pe,
            sparse,
            dense,
            multimask_output=mask_input is None,
            image_index=self.image_index,
        )
        return logits.float(), iou.float()

    def predict_all(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """All four masks of boxes [P, 4]: logits [P, 4, h, w] and predicted IoU [P, 4]."""
        sparse, dense = self.sam.prompt_encoder(None, boxes, None)
        image_pe = self.sam.prompt_encoder.get_dense_pe()
        logits, iou = self.sam.mask_decoder.predict_masks(
            self.embeddings, image_pe, sparse, dense, self.image_index
        )
        return logits.float(), iou.float()
