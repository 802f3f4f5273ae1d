"""How well prompts of every kind find their targets: crops, captions, captions of other objects, points.

For each target the mask with the highest predicted IoU is evaluated, which is the one that a user would see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from minisam.evaluate.clicks import full_size_masks
from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.model.prompt_encoder import FOREGROUND
from minisam.predict.external_tokens import append_tokens
from minisam.text.crops import masked_crops
from minisam.text.pairs import phrasings
from minisam.text.targets import Targets
from minisam.text.text_sam import TextSam

NEVER = 1e-12
"""A very small weight, for the case of a single image."""
EXPANSION = 1.5
"""The expansion of crops in evaluation; training draws it from 1 to 2."""


class Measured:
    """Targets with image embeddings, to be prompted by tokens [P, 1, E], points, or both."""

    def __init__(self, sam: Sam, targets: Targets) -> None:
        self.sam, self.targets = sam, targets
        self.embeddings = sam.image_encoder(sam.preprocess(targets.images))
        self.points = interior_points(targets.masks)[0][:, None].float()

    def ious(self, token: Tensor | None = None, point: bool = False) -> Tensor:
        """The IoU of the mask shown for each target, [P]."""
        return mask_iou(self.masks(token, point), self.targets.masks)

    def masks(self, token: Tensor | None = None, point: bool = False) -> Tensor:
        """The masks shown, [P, S, S] bool, for a token [P, 1, E], a point in the middle of the target, or both."""
        count, size = self.targets.masks.shape[:2]
        encoder = self.sam.prompt_encoder
        labels = torch.full((count, 1), FOREGROUND)
        sparse, dense = encoder((self.points, labels) if point else None, None, None)
        if token is not None:
            sparse, dense = append_tokens(sparse, dense, token)
        logits, predicted = self.sam.mask_decoder(
            self.embeddings, encoder.get_dense_pe(), sparse, dense, True, self.targets.image_index
        )
        shown = logits[torch.arange(count), predicted.argmax(dim=1)][:, None]
        return full_size_masks(shown, size)[:, 0]


def crop_embeddings(model: TextSam, targets: Targets, zero: bool = False, look_inside: bool = True) -> Tensor:
    """CLIP's embeddings of the targets' crops, [P, C]: outside zeroed or not, output inside the mask or everywhere."""
    zeroed = torch.full((len(targets.masks),), zero)
    crops, inside = masked_crops(
        targets.scenes,
        targets.image_index,
        targets.scene_masks,
        EXPANSION,
        zeroed,
        model.clip.config.crop_size,
    )
    return model.clip.encode_crops(crops, inside if look_inside else None)


def captions_of_others(targets: Targets, seed: int = 0) -> list[str]:
    """For each target the caption of a random target of another image."""
    generator = torch.Generator().manual_seed(seed)
    others = (targets.image_index[:, None] != targets.image_index).float() + NEVER
    chosen = torch.multinomial(others, 1, generator=generator)[:, 0]
    return [targets.captions[index] for index in chosen.tolist()]


def prompts(model: TextSam, targets: Targets) -> dict[str, Callable[[Measured], Tensor]]:
    """Every kind of prompt by its name, as a function from the measured targets to IoUs [P]."""
    clip, external = model.clip, model.external
    texts = clip.encode_texts(targets.captions)
    others = clip.encode_texts(captions_of_others(targets))
    short = clip.encode_texts([phrasings(caption)[-1] for caption in targets.captions])
    crop = crop_embeddings(model, targets)
    caption = external(texts, "text")
    return {
        "image": lambda m: m.ious(external(crop, "image")),
        "caption": lambda m: m.ious(caption),
        "random caption": lambda m: m.ious(external(others, "text")),
        "caption + point": lambda m: m.ious(caption, point=True),
        "point": lambda m: m.ious(point=True),
        "image + point": lambda m: m.ious(external(crop, "image"), point=True),
        "short caption": lambda m: m.ious(external(short, "text")),
        "caption uncentred": lambda m: m.ious(external(texts, "image")),
        "image zeroed": lambda m: m.ious(external(crop_embeddings(model, targets, zero=True), "image")),
        "image unmasked": lambda m: m.ious(
            external(crop_embeddings(model, targets, look_inside=False), "image")
        ),
    }


def mean_ious(model: TextSam, batches: Iterable[Targets]) -> dict[str, float]:
    """The mean IoU of every kind of prompt over all targets."""
    found: dict[str, list[Tensor]] = {}
    for targets in batches:
        measured = Measured(model.sam, targets)
        for name, answer in prompts(model, targets).items():
            found.setdefault(name, []).append(answer(measured))
    return {name: torch.cat(ious).mean().item() for name, ious in found.items()}
