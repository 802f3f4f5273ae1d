"""The collected masks as files, in SA-1B's schema: all code that reads SA-1B can read them.

    DIR/sa_00017.png
    DIR/sa_00017.json   {"image", "annotations", "engine": {stage, clicks, seconds, left, rejected}}

In addition to SA-1B's keys, an annotation has its source, clicks, seconds and true_iou.  If objects were skipped, the
image's clicks and seconds are more than those of its masks.  Both files are written completely, the record last: an
existing record is complete, and its image is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minisam.data.images import save_image
from minisam.data.sa1b import annotate, read_record
from minisam.engine.scenes import UnlabelledPicture
from minisam.engine.work import CollectedMask, Work
from minisam.json_files import write_json
from minisam.predict.everything.record_files import ANNOTATIONS_AN_IMAGE

DIGITS = 4


def record_path(folder: Path, number: int) -> Path:
    return folder / f"sa_{number:05}.json"


def write_work(folder: Path, picture: UnlabelledPicture, work: Work, stage: str) -> None:
    """Write an image and the masks collected on it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = record_path(folder, picture.number)
    image_path = path.with_suffix(".png")
    height, width = picture.image.shape[:2]
    first = picture.number * ANNOTATIONS_AN_IMAGE
    content = {
        "image": {
            "image_id": picture.number,
            "width": width,
            "height": height,
            "file_name": image_path.name,
        },
        "annotations": [annotation(mask, first + place) for place, mask in enumerate(work.masks)],
        "engine": {
            "stage": stage,
            "clicks": work.clicks,
            "seconds": round(work.seconds, DIGITS),
            "left": work.left,
            "rejected": work.rejected,
        },
    }
    save_image(image_path, picture.image)
    write_json(path, content)


def annotation(collected: CollectedMask, annotation_id: int) -> dict[str, Any]:
    """One mask in SA-1B's schema, with the engine's additional keys."""
    predicted_iou, stability = (
        round(collected.predicted_iou, DIGITS),
        round(collected.stability_score, DIGITS),
    )
    common = annotate(collected.mask.numpy(), annotation_id, predicted_iou, stability, collected.point)
    return {
        **common,
        "source": collected.source,
        "clicks": collected.clicks,
        "seconds": round(collected.seconds, DIGITS),
        "true_iou": round(collected.true_iou, DIGITS),
    }


def read_work(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a folder and the folders in it, in the order of their names.

    Raises DatasetError if one is damaged.
    """
    for path in sorted(folder.rglob("sa_*.json")):
        yield dict(read_record(path))
