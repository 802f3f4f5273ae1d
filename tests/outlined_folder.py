"""A folder of photographs with outlined objects in SA-1B's format, for tests."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from minisam.masks.rle import encode_rle


def write_photographs(folder: Path, count: int = 3, size: tuple[int, int] = (60, 90)) -> None:
    """Images [h, w] of noise, each with a white whole and inside it a black part."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        random = np.random.default_rng(i)
        image = random.integers(60, 190, (*size, 3)).astype(np.uint8)
        whole, part = np.zeros(size, bool), np.zeros(size, bool)
        whole[15:50, 20:70], part[20:35, 30 : 50 + i] = True, True
        image[whole], image[part] = 255, 0
        Image.fromarray(image).save(folder / f"{i}.png")
        record = {
            "image": {"file_name": f"{i}.png", "height": size[0], "width": size[1]},
            "annotations": [
                {"id": k, "segmentation": encode_rle(mask)} for k, mask in enumerate((whole, part))
            ],
        }
        (folder / f"{i}.json").write_text(json.dumps(record))
