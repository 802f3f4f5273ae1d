"""Thirty photographs of public packages, with 113 objects outlined by hand, as a folder for `minisam eval --data`.

    python docs/training/photographs/collect.py PACKAGES DIR

PACKAGES has the unpacked packages, one folder each, under the names in outlines.json (docs/training tells how to get
them).  The photographs are scaled down to the size at which they were outlined; none of them is part of minisam.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image, ImageOps

OUTLINES = Path(__file__).with_name("outlines.json")


def collect(packages: Path, folder: Path) -> list[str]:
    """Write NAME.jpg and NAME.json (SA-1B's schema) for every photograph; the paths that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for record in json.loads(OUTLINES.read_text()):
        source, image = packages / record["source"], record["image"]
        if not source.is_file():
            missing.append(record["source"])
            continue
        photo = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
        size = (image["width"], image["height"])
        photo.resize(size, Image.Resampling.LANCZOS).save(folder / image["file_name"], quality=92)
        record = {"image": image, "annotations": record["annotations"]}
        (folder / image["file_name"]).with_suffix(".json").write_text(json.dumps(record))
    return missing


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for path in collect(Path(sys.argv[1]), Path(sys.argv[2])):
        print(f"missing: {path}")
