"""E10: are the borders of SAM's masks an edge map?  Against Canny and Sobel, as scenes get richer.  (SAM table 3)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.edge_detection import distinct_masks, edges_of_masks
from minisam.evaluate.edge_filters import canny_edges, sobel_edges
from minisam.evaluate.edge_map import true_edges
from minisam.evaluate.edge_scores import EdgeCounts, count_edges, resampled_edge_scores
from minisam.evaluate.mask_matching import overlaps
from minisam.evaluate.targets import evaluation_scenes
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam
from minisam.predict.predictor import SamPredictor
from minisam.train.targets import low_resolution_targets

RICHNESS = (0.0, 0.5, 1.0)
SAM, RIGHT, EXACT = "SAM", "SAM, right masks alone", "true masks as coarse as SAM's"
METHODS = {SAM: "o-", "Canny": "s-", "Sobel": "^-", RIGHT: "o:", EXACT: "d:"}
SCORES = ("ods", "ois", "ap", "r50")
RIGHT_FROM = 0.5


def run(sam: Sam, settings: Settings) -> Outcome:
    """The paper's recipe, then the same recipe with SAM's wrong masks left out, and with the true masks."""
    counts: dict[float, dict[str, list[EdgeCounts]]] = {}
    right: dict[float, float] = {}
    shown: tuple[Tensor, dict[str, NDArray[np.floating]]] | None = None
    bar = tqdm(total=len(RICHNESS) * len(settings.seeds) * settings.images, desc="E10", delay=2, disable=None)
    for richness in RICHNESS:
        counts[richness] = {method: [] for method in METHODS}
        shares = []
        for image, labels in scenes(sam, settings, richness):
            maps, share = edge_maps(sam, image, labels)
            truth = true_edges(labels).cpu().numpy()
            for method, strength in maps.items():
                counts[richness][method].append(count_edges(strength, [truth]))
            shares.append(share)
            if shown is None and richness == RICHNESS[-1]:
                shown = image, {**maps, "true edges": truth.astype(float)}
            bar.update()
        right[richness] = float(np.mean(shares))
    bar.close()
    assert shown is not None

    weights = image_weights(torch.arange(len(settings.seeds) * settings.images))
    scores = {r: {m: estimates(c, weights) for m, c in of.items()} for r, of in counts.items()}
    textured = counts[RICHNESS[-1]]
    ahead = {
        other: estimate(lambda w, other=other: ods(textured[SAM], w) - ods(textured[other], w), weights)
        for other in ("Canny", "Sobel")
    }
    passed = ahead["Canny"].low > 0 and ahead["Sobel"].value > 0.1 and ahead["Sobel"].low > 0
    best = {method: of["ods"].value for method, of in scores[RICHNESS[-1]].items()}
    finding = (
        "On textured scenes SAM's edges have an ODS (F-measure at the best threshold for all images) of "
        f"{best[SAM]:.2f}, Canny's {best['Canny']:.2f}, Sobel's {best['Sobel']:.2f}: SAM's is "
        f"{ahead['Canny'].signed()} above the first and {ahead['Sobel'].signed()} above the second. "
        f"{right[RICHNESS[-1]]:.0%} of SAM's masks have an IoU above {RIGHT_FROM} with any object in the scene; these "
        f"alone reach {best[RIGHT]:.2f}. True masks drawn as coarsely as SAM's reach {best[EXACT]:.2f}."
    )
    values = {
        "scores": {
            str(r): {m: {s: as_json(e) for s, e in of.items()} for m, of in methods.items()}
            for r, methods in scores.items()
        },
        "sam_ods_minus": {other: as_json(e) for other, e in ahead.items()},
        "share_of_right_masks": {str(r): round(share, 4) for r, share in right.items()},
    }
    return Outcome(passed, finding, values, draw(scores, *shown))


def scenes(sam: Sam, settings: Settings, richness: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Images [3, S, S] uint8 with their label maps [3, S, S]."""
    for seed in settings.seeds:
        size = sam.image_encoder.img_size
        for batch in evaluation_scenes("train", settings.images, size, seed, sam.device, richness=richness):
            yield from zip(batch.images, batch.labels, strict=True)


@torch.inference_mode()
def edge_maps(sam: Sam, image: Tensor, labels: Tensor) -> tuple[dict[str, NDArray[np.floating]], float]:
    """The edge map [S, S] of each method, and the share of SAM's masks that are correct."""
    predictor, size = SamPredictor(sam), (image.shape[1], image.shape[2])
    predictor.set_image(image.permute(1, 2, 0).contiguous().cpu().numpy())
    things = torch.stack([labels[l] == node for l in range(3) for node in labels[l].unique() if node >= 0])
    masks = distinct_masks(predictor)
    full = torch.cat([sam.postprocess_masks(m[None], size, size)[0] > 0 for m in masks.split(32)])
    iou = overlaps(full.cpu().numpy(), np.zeros(len(full)), things.cpu().numpy()).iou
    right = torch.from_numpy(iou.max(axis=1, initial=0) > RIGHT_FROM).to(masks.device)
    exact = 8 * low_resolution_targets(things, (masks.shape[-2], masks.shape[-1])) - 4
    maps = {
        SAM: edges_of_masks(predictor, masks),
        "Canny": canny_edges(image).cpu().numpy(),
        "Sobel": sobel_edges(image).cpu().numpy(),
        RIGHT: edges_of_masks(predictor, masks[right]),
        EXACT: edges_of_masks(predictor, exact),
    }
    return maps, right.float().mean().item()


def estimates(counts: list[EdgeCounts], weights: Tensor) -> dict[str, Estimate]:
    """Each score with its interval, images resampled."""
    resampled = resampled_edge_scores(counts, weights.numpy())
    return {
        name: estimate(lambda _, name=name: torch.tensor([getattr(s, name) for s in resampled]), weights)
        for name in SCORES
    }


def ods(counts: list[EdgeCounts], weights: Tensor) -> Tensor:
    """In each of the resamples, weights [R, images] -> [R]."""
    return torch.tensor([scores.ods for scores in resampled_edge_scores(counts, weights.numpy())])


def draw(
    scores: dict[float, dict[str, dict[str, Estimate]]], image: Tensor, maps: dict[str, NDArray[np.floating]]
) -> Figure:
    """ODS over richness, and one textured scene with its edge maps."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = cast("list[SubFigure]", figure.subfigures(1, 2, width_ratios=(1, 1.55)))
    axes = left.subplots()
    for method, style in METHODS.items():
        curve = [scores[richness][method]["ods"] for richness in RICHNESS]
        line = axes.plot(RICHNESS, [e.value for e in curve], style, label=method)[0]
        axes.fill_between(
            RICHNESS, [e.low for e in curve], [e.high for e in curve], color=line.get_color(), alpha=0.15
        )
    axes.set(xlabel="richness: textures, shadows, noise", ylabel="ODS", ylim=(0, 1), xticks=RICHNESS)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    panels = iter(right.subplots(2, 3).flat)
    show(next(panels), "an image of richness 1", image.permute(1, 2, 0).cpu().numpy(), None)
    names = (SAM, RIGHT, "Canny", "Sobel", "true edges")
    for name, panel in zip(names, panels, strict=True):
        show(panel, name, maps[name] ** 0.7, "gray_r")
    return figure


def show(axes: Axes, title: str, picture: NDArray, cmap: str | None) -> None:
    axes.imshow(picture, cmap=cmap)
    axes.set_title(title, fontsize=9)
    axes.set(xticks=[], yticks=[])


EXPERIMENT = Experiment(
    id="E10",
    title="Edges",
    echoes="SAM table 3 and figure 10, zero-shot edge detection",
    question="Are the borders of SAM's masks better edges than those of filters, where textures fool filters?",
    criterion="at richness 1 SAM's ODS is above Canny's and more than 0.1 above Sobel's, the intervals of both "
    "differences above zero",
    run=run,
)
