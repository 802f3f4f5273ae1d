"""The results of an engine: a table, the same as JSON, and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisam.engine.figure import engine_figure
from minisam.files import write_atomically
from minisam.json_files import write_json

if TYPE_CHECKING:
    from minisam.engine.tally import RoundResult

COLUMNS = {
    "pictures": ("pictures", "d"),
    "masks": ("masks", "d"),
    "masks_a_picture": ("masks/picture", ".1f"),
    "clicks_a_mask": ("clicks/mask", ".2f"),
    "seconds_a_mask": ("seconds/mask", ".1f"),
    "over_90": ("IoU > .9", ".0%"),
    "over_75": ("IoU > .75", ".0%"),
}
MIOU = "mIoU then"


def report_rows(results: Sequence[RoundResult]) -> list[dict[str, Any]]:
    """One row per round: its name and stage, `Tally.summary`, and the metrics of the model trained after it."""
    return [
        {"round": one.round.name, "stage": one.round.stage, **one.tally.summary(), "held_out": one.metrics}
        for one in results
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for a terminal; the last column is one click on held-out scenes, its interval in brackets."""
    header = ["round", *(title for title, _ in COLUMNS.values()), MIOU]
    lines = [header]
    for row in rows:
        value, low, high = row["held_out"]["top1"]
        cells = [format(row[name], form) for name, (_, form) in COLUMNS.items()]
        lines.append([row["round"], *cells, f"{value:.3f} [{low:.3f}, {high:.3f}]"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    return "\n".join(text.rstrip() for text in texts) + "\n"


def write_report(folder: Path, results: Sequence[RoundResult]) -> None:
    """Write rounds.json, table.txt and figure.png, each completely or not at all."""
    rows = report_rows(results)
    write_json(folder / "rounds.json", rows)
    write_atomically(folder / "table.txt", lambda file: file.write(table(rows).encode()))
    figure = engine_figure(folder, results, rows)
    write_atomically(folder / "figure.png", lambda file: figure.savefig(file, format="png", dpi=100))
