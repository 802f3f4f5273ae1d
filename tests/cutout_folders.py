"""Two small folders to test with: drawn cut-outs in flat colours, and backgrounds."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def write_cutout(path: Path, size=(90, 60), colour=(200, 40, 40), shape="ellipse") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGBA", size)
    getattr(ImageDraw.Draw(image), shape)([5, 5, size[0] - 6, size[1] - 6], fill=(*colour, 255))
    image.save(path)
    return path


def write_background(path: Path, size=(200, 150), seed=0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(60, 180, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def two_folders(root: Path, cutouts=24, backgrounds=24) -> tuple[Path, Path]:
    """Enough of each that some are held out."""
    colours = np.random.default_rng(1).integers(0, 256, (cutouts, 3)).tolist()
    for number, colour in enumerate(colours):
        shape = "ellipse" if number % 2 else "rectangle"
        suffix = ".webp" if number % 3 == 0 else ".png"
        write_cutout(
            root / "cutouts" / f"kind{number % 4}" / f"{number}{suffix}", colour=tuple(colour), shape=shape
        )
    for number in range(backgrounds):
        write_background(root / "backgrounds" / f"{number}.{'jpg' if number % 2 else 'png'}", seed=number)
    return root / "cutouts", root / "backgrounds"
