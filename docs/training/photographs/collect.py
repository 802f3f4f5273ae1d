"""Photographs of public packages with outlined objects, as a folder for `--data` of `minisam eval` or `minisam train`.

    python docs/training/photographs/collect.py PACKAGES DIR              the 30 of outlines.json, to measure on
    python docs/training/photographs/collect.py PACKAGES DIR --training   those of training.json, to train on

PACKAGES has the unpacked packages, one folder each, under the names in these files (docs/training tells how to get
them).  FILE.rcc#K is the image number K, from 0, of a Qt resource file: of its WebP images in RGB with at least 480
pixels per side, in their order.  The photographs are scaled down to the size at which they were outlined; none of them
is part of minisam.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

HOME = Path(__file__).parent
OUTLINES, TRAINING = HOME / "outlines.json", HOME / "training.json"
SMALLEST_SIDE = 480


def collect(packages: Path, folder: Path, outlines: Path = OUTLINES) -> list[str]:
    """Write NAME.jpg and NAME.json (SA-1B's schema) for every photograph; the paths that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for record in json.loads(outlines.read_text()):
        image = record["image"]
        source = open_source(packages, record["source"])
        if source is None:
            missing.append(record["source"])
            continue
        photo = ImageOps.exif_transpose(source).convert("RGB")
        size = (image["width"], image["height"])
        photo.resize(size, Image.Resampling.LANCZOS).save(folder / image["file_name"], quality=92)
        record = {"image": image, "annotations": record["annotations"]}
        (folder / image["file_name"]).with_suffix(".json").write_text(json.dumps(record))
    return missing


def open_source(packages: Path, source: str) -> Image.Image | None:
    """The image at PATH or PATH.rcc#K below `packages`; None if it is not there."""
    path, _, number = source.partition("#")
    if not (packages / path).is_file():
        return None
    if not number:
        return Image.open(packages / path)
    images = list(images_in((packages / path).read_bytes()))
    return images[int(number)] if int(number) < len(images) else None


def images_in(resources: bytes) -> Iterator[Image.Image]:
    """The large WebP images in RGB of a Qt resource file, found by their RIFF headers."""
    place = resources.find(b"RIFF")
    while place >= 0:
        end = place + 4
        if resources[place + 8 : place + 12] == b"WEBP":
            end = place + 8 + int.from_bytes(resources[place + 4 : place + 8], "little")
            try:
                image = Image.open(io.BytesIO(resources[place:end]))
                image.load()
            except (UnidentifiedImageError, OSError):
                image = None
            if image is not None and image.mode == "RGB" and min(image.size) >= SMALLEST_SIDE:
                yield image
        place = resources.find(b"RIFF", end)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--training"]
    if len(words) != 2:
        sys.exit(__doc__)
    for path in collect(Path(words[0]), Path(words[1]), TRAINING if "--training" in sys.argv else OUTLINES):
        print(f"missing: {path}")
