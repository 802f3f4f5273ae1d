"""RSPrompter-query: learned queries that write prompts, without proposals and without NMS.

    pyramid -> pixel decoder -> query decoder: at every point a class, a coarse mask and prompt tokens per query
    tokens + SAM's encoding of the coarse mask, without gradient -> SAM's decoder, mask 0 -> fine mask

In training, only matched queries are decoded: the loss has no other fine masks.

B images   Q queries   n matched queries of all images
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.adapt.rsprompter.features import PrompterFeatures
from minisam.adapt.rsprompter.instances import Instances, Sizes, parts
from minisam.adapt.rsprompter.pixel_decoder import PixelDecoder
from minisam.adapt.rsprompter.prompted_masks import decode_prompts
from minisam.adapt.rsprompter.query_decoder import QueryDecoder, QueryPoint
from minisam.adapt.rsprompter.query_loss import class_loss, point_mask_loss, uncertain_points
from minisam.adapt.rsprompter.query_matching import match_queries, values_at
from minisam.detect.boxes import boxes_of
from minisam.detect.two_stage import Targets
from minisam.model import Sam

MOST = 100


class QueryPrompter(PrompterFeatures):
    """`loss` in training, `detect` afterwards."""

    loss_names = ("class", "coarse", "fine")

    def __init__(self, sam: Sam, config: PrompterConfig) -> None:
        levels = config.levels if config.levels[0] == -2 else (-2, *config.levels)
        super().__init__(sam, config, levels)
        prompt_dim, dim = sam.prompt_encoder.embed_dim, config.query_width
        self.pixel_decoder = PixelDecoder(
            config.width, dim, prompt_dim, len(levels), config.query_heads, 4 * dim, config.deformable
        )
        self.query_decoder = QueryDecoder(
            dim,
            prompt_dim,
            len(config.classes),
            config.queries,
            config.query_layers,
            config.query_heads,
            4 * dim,
            config.points,
        )
        sam.mask_decoder.requires_grad_(config.train_decoder)

    def points(self, images: Tensor) -> tuple[Tensor, list[QueryPoint]]:
        """Image embeddings, and what the queries say at every point."""
        embedding, pyramid = self.encode(images)
        return embedding, self.query_decoder(*self.pixel_decoder(pyramid))

    def fine_masks(self, embedding: Tensor, tokens: Tensor, coarse: Tensor, image_index: Tensor) -> Tensor:
        """Tokens [n, K, E] and coarse masks [n, h, w] -> logits [n, h, w]."""
        _, dense = self.sam.prompt_encoder(None, None, coarse.detach()[:, None])
        return decode_prompts(self.sam, embedding, tokens, image_index, dense)

    def loss(
        self, images: Tensor, targets: list[Targets], generators: list[torch.Generator]
    ) -> dict[str, Tensor]:
        """Images [B, 3, S, S], normalised and padded, and their true objects; everything random from `generators`."""
        embedding, points = self.points(images)
        with_fine = len(points) - (self.config.fine_at or len(points))
        total = {name: embedding.new_zeros(()) for name in self.loss_names}
        for number, point in enumerate(points):
            of_point = self.point_loss(embedding, point, targets, generators, fine=number >= with_fine)
            total = {name: total[name] + of_point[name] for name in total}
        return total

    def point_loss(
        self,
        embedding: Tensor,
        point: QueryPoint,
        targets: list[Targets],
        generators: list[torch.Generator],
        fine: bool,
    ) -> dict[str, Tensor]:
        """The three losses of one point; without `fine`, the fine masks' is 0 and the points suit the coarse ones."""
        count = self.config.loss_points
        labels = torch.full(point.logits.shape[:2], point.logits.shape[2] - 1, device=point.logits.device)
        pairs, image_index, masks = [], [], []
        for image, (target, generator) in enumerate(zip(targets, generators, strict=True)):
            everywhere = torch.rand((count, 2), generator=generator).to(embedding.device)
            queries, objects = match_queries(
                point.logits[image].detach(),
                point.coarse[image].detach(),
                target.labels,
                target.masks,
                everywhere,
            )
            labels[image, queries] = target.labels[objects]
            pairs.append(queries)
            image_index.append(torch.full_like(queries, image))
            masks.append(target.masks[objects])
        queries, index = torch.cat(pairs), torch.cat(image_index)
        coarse = point.coarse[index, queries]
        shown, fine_logits = coarse, None
        if fine and len(queries):
            fine_logits = self.fine_masks(embedding, point.tokens[index, queries], coarse, index)
            shown = fine_logits
        split = shown.split([len(one) for one in pairs])
        chosen = torch.cat(
            [uncertain_points(own, count, g) for own, g in zip(split, generators, strict=True)]
        )
        wanted = values_at(torch.cat(masks).float(), chosen)
        losses = {
            "class": class_loss(point.logits, labels),
            "coarse": point_mask_loss(values_at(coarse, chosen), wanted),
            "fine": embedding.new_zeros(()),
        }
        if fine_logits is not None:
            losses["fine"] = point_mask_loss(values_at(fine_logits, chosen), wanted)
        return losses

    @torch.inference_mode()
    def detect(self, images: Tensor, sizes: Sequence[Sizes]) -> list[Instances]:
        """The objects of each image [B, 3, S, S], normalised and padded: at most 100 pairs of query and class."""
        embedding, points = self.points(images)
        last, found = points[-1], []
        for image, size in enumerate(sizes):
            scores = last.logits[image].softmax(dim=1)[:, :-1]
            best, place = scores.flatten().topk(min(MOST, scores.numel()))
            queries, labels = place // scores.shape[1], place % scores.shape[1]
            used, which = queries.unique(return_inverse=True)
            of_query, certainty = self.final_masks(
                embedding[image : image + 1], last.tokens[image, used], last.coarse[image, used], size
            )
            not_empty = of_query.any(dim=(1, 2))[which]
            which, labels, best = which[not_empty], labels[not_empty], best[not_empty]
            total = best * certainty[which]
            order = total.argsort(descending=True, stable=True)
            masks = of_query[which[order]]
            found.append(
                Instances(boxes_of(masks.cpu()).to(masks.device), labels[order], total[order], masks)
            )
        return found

    def final_masks(
        self, embedding: Tensor, tokens: Tensor, coarse: Tensor, sizes: Sizes
    ) -> tuple[Tensor, Tensor]:
        """Masks [n, H, W] bool, and the mean probability inside each, [n]."""
        masks, certainty = [], []
        for rows in parts(len(tokens)):
            index = torch.zeros(rows.stop - rows.start, dtype=torch.int64, device=tokens.device)
            logits = self.fine_masks(embedding, tokens[rows], coarse[rows], index)
            full = self.sam.postprocess_masks(logits[:, None], sizes.scaled, sizes.original)[:, 0]
            inside = full > self.sam.mask_threshold
            masks.append(inside)
            sums = (full.sigmoid() * inside).sum(dim=(1, 2))
            certainty.append(sums / inside.sum(dim=(1, 2)).clamp(min=1))
        return torch.cat(masks), torch.cat(certainty)
