"""A PNG in few colours, because images of full colour would make a notebook too large to be shown."""

from __future__ import annotations

import io

from PIL import Image


def few_colours(png: bytes, colours: int = 128, widest: int | None = None) -> bytes:
    """The same image in at most that many colours, and reduced to `widest` pixels if it is wider.

    The colours cover all that occur: a red mark of a few pixels on a photo stays red.
    """
    file = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if widest is not None and image.width > widest:
        image = image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)
    few = image.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(file, format="png", optimize=True)
    return file.getvalue()
