"""Results as a Markdown table for readers and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.sizes import SizeResult
from minisam.evaluate.world import CLICK_COUNTS, WorldResult

FIRST_TITLE = "mIoU of one prompt"
MASKS = {
    "oracle": "1 click, best of 3",
    "top1": "1 click, top-1",
    "valid_iou": "validIoU",
    "box_oracle": "box, best of 3",
    "box_top1": "box, top-1",
    "box_single": "box, mask 0",
}
CLICKS = {
    f"{first}_{count}": f"{count} ({first})" for first in ("centre", "random") for count in CLICK_COUNTS
}
RANKING = {
    "spearman": "Spearman",
    "rank_agreement": "pairs in order",
    "top1_gain": "top-1 − mean of 3",
    "calibration_error": "calibration error",
}


def markdown_tables(results: Sequence[WorldResult]) -> str:
    """Three tables with one row per world: masks, clicks, ranking; ± is half of the 95 % interval.

    A fourth, by size, follows for each world that has sizes.
    """
    parts = [
        (FIRST_TITLE, MASKS),
        ("mIoU after N clicks, the first in the centre or at random", CLICKS),
        ("Predicted IoU against true IoU, the three masks of a click in the centre", RANKING),
    ]
    tables = [f"{title}\n\n{markdown_table(results, columns)}" for title, columns in parts]
    tables += [f"{r.world} by the share of the image\n\n{size_table(r.sizes)}" for r in results if r.sizes]
    return "\n\n".join(tables) + "\n"


def markdown_table(results: Sequence[WorldResult], columns: dict[str, str]) -> str:
    """One table; `columns` maps metrics to headings; metrics that no world has are left out."""
    columns = {metric: heading for metric, heading in columns.items() if metric in results[0].metrics}
    rows = [
        ["world", "masks", *columns.values()],
        *([r.world, str(r.masks), *(r.metrics[metric].plus_minus() for metric in columns)] for r in results),
    ]
    if len(results) > 1:
        means = (sum(r.metrics[metric].value for r in results) / len(results) for metric in columns)
        rows.append(["mean", str(sum(r.masks for r in results)), *(f"{mean:.3f}" for mean in means)])
    return aligned(rows)


def size_table(sizes: Sequence[SizeResult]) -> str:
    """One row per size, one column per metric."""
    headings = [(MASKS | CLICKS)[metric] for metric in sizes[0].metrics]
    rows = [
        [size.name, str(size.masks), *(value.plus_minus() for value in size.metrics.values())]
        for size in sizes
    ]
    return aligned([["share", "masks", *headings], *rows])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first of them headings, as a Markdown table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def results_json(
    results: Sequence[WorldResult],
    about: dict[str, object],
    baselines: Mapping[str, Mapping[str, Estimate]] | None = None,
) -> str:
    """`about` the evaluation, then every metric with both ends of its interval, by world and by baseline."""
    worlds = {result.world: asdict(result) for result in results}
    for world in worlds.values():
        if not world["sizes"]:
            del world["sizes"]
    content: dict[str, object] = {"about": about, "worlds": worlds}
    if baselines:
        content["baselines"] = {
            name: {metric: asdict(value) for metric, value in metrics.items()}
            for name, metrics in baselines.items()
        }
    return json.dumps(content, indent=2) + "\n"
