"""Image files and arrays: everything becomes uint8 [H, W, 3], RGB, upright.

How a file is converted:
- an EXIF orientation is applied, and clicks therefore refer to the image as viewers show it;
- transparent pixels are blended with white, as in a web page or a notebook, unless another colour is given;
- 16-bit values are scaled to 8 bits (65535 -> 255), not clipped; values of a camera with fewer bits are scaled by
  their range, with a note (minisam/data/eight_bits.py); CMYK, palettes and grey become RGB;
- an animation gives its first frame, a TIFF file its first page, unless `page` says another;
- DICOM and HEIC are read by optional libraries (minisam/data/optional_formats.py).
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from minisam.data.deep_colour import is_deep_colour, unpack_lower_bytes
from minisam.data.eight_bits import FULL_FROM, SHOWN, advice
from minisam.data.optional_formats import (
    DICOM,
    HEIF,
    check_page,
    optional_format,
    read_dicom,
    register_heif,
    start_of,
)
from minisam.data.tiff_kinds import mend_planes, why_unreadable
from minisam.data.to_rgb import scale_deep_colour_, to_rgb
from minisam.errors import ImageError, printable
from minisam.files import write_atomically
from minisam.limits import MAX_PIXELS

READ_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
READ_SUFFIXES = {".jpg", ".tif", ".dcm", ".heic", ".heif", *(f".{name.lower()}" for name in READ_FORMATS)}
WRITE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
ORIENTATION = 0x0112
Source = str | os.PathLike[str] | bytes | IO[bytes]


def say(message: str) -> None:
    """A note for the user on an image that was read."""
    print(f"minisam: {printable(message)}", file=sys.stderr)


class LoadedImage(NamedTuple):
    """pixels uint8 [H, W, 3] RGB, and the EXIF orientation that the file had, 1 … 8."""

    pixels: np.ndarray
    orientation: int


def load_image(
    source: Source,
    behind: tuple[int, int, int] = WHITE,
    tell: Callable[[str], object] = say,
    page: int | None = None,
) -> np.ndarray:
    """Read a PNG, JPEG, WebP, BMP, GIF, TIFF, DICOM or HEIC image as uint8 [H, W, 3] RGB.

    `source` is a path, an open binary file, or a file's content as bytes.  `behind` shows through transparent
    pixels.  `tell` is called with a line if values were scaled by their range, or if pages were left out.  `page`,
    from 1, is a page of a TIFF, or a frame of a DICOM or an animation; None is the first.

    Raises:
        ImageError: there is no such file, it is not an image of these formats, it is damaged or truncated,
            it has more than `MAX_PIXELS` pixels, or no such page; or the library for its format is missing.
    """
    return read_image(source, behind, tell, page=page).pixels


def read_image(
    source: Source,
    behind: tuple[int, int, int] = WHITE,
    tell: Callable[[str], object] = say,
    upright: bool = True,
    page: int | None = None,
) -> LoadedImage:
    """`load_image`, with the orientation; `upright=False` returns the pixels as stored.  Raises the same errors."""
    name, opened = _name_and_file(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            kind = optional_format(opened)
            if kind == DICOM:
                return LoadedImage(read_dicom(opened, page, lambda what: tell(f"{name}: {what}")), 1)
            if kind == HEIF:
                register_heif()
            loaded, deep = _read(opened, behind, lambda what: tell(f"{name}: {what}"), upright, page)
            if deep and int(loaded.pixels.max()) < FULL_FROM >> 8:
                lower, _ = _read(opened, behind, lambda what: None, upright, page, lower_bytes=True)
                window = scale_deep_colour_(loaded.pixels, lower.pixels)
                tell(f"{name}: {SHOWN.format(window)}")
            return loaded
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name}: more than {MAX_PIXELS:,} pixels; scale it down, the network uses at most 1024 per side"
        ) from None
    except Image.UnidentifiedImageError:
        reason = (
            why_unreadable(start_of(opened))
            or f"not an image in one of the formats {', '.join(READ_FORMATS)}"
        )
        raise ImageError(f"{name}: {reason}") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read this image") from None
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error.__cause__
    # Pillow's decoders raise almost any exception for damaged bytes: struct.error, KeyError, SyntaxError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: a damaged or truncated image ({reason}); export it again") from error


def _read(
    opened: str | IO[bytes],
    behind: tuple[int, int, int],
    tell: Callable[[str], object],
    upright: bool,
    page: int | None,
    lower_bytes: bool = False,
) -> tuple[LoadedImage, bool]:
    """An image as Pillow decodes it, and whether its 8 bits are the upper byte of 16-bit colour."""
    with Image.open(opened, formats=[*READ_FORMATS, *{HEIF} & Image.OPEN.keys()]) as image:
        select_page(image, page, tell)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        mend_planes(image)
        if lower_bytes:
            unpack_lower_bytes(image)
        deep = not lower_bytes and is_deep_colour(image)
        orientation = image.getexif().get(ORIENTATION, 1)
        if upright:
            ImageOps.exif_transpose(image, in_place=True)
        if lower_bytes:
            image = image.convert("RGB")  # without the lower bytes of alpha
        pixels = to_rgb(image, behind, tell)
        return LoadedImage(pixels, orientation if orientation in range(1, 9) else 1), deep


def select_page(image: Image.Image, page: int | None, tell: Callable[[str], object]) -> None:
    """Go to a page or frame, counted from 1.  Raises ImageError if there is no such page."""
    if page is not None:
        check_page(page, getattr(image, "n_frames", 1))
        image.seek(page - 1)
    elif image.format == "TIFF" and (pages := getattr(image, "n_frames", 1)) > 1:
        tell(f"the first of {pages} pages")


def _name_and_file(source: object) -> tuple[str, str | IO[bytes]]:
    """Its name in errors, and the object that Pillow opens.  Raises ImageError if there is nothing to open."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "these bytes", io.BytesIO(source)
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
        if os.path.isdir(name):
            raise ImageError(f"{name}: a folder, not an image")
        if not os.path.isfile(name):
            there = os.path.lexists(name) if "\0" not in name else False
            what = "not a file, or a link to nothing" if there else "no such image file"
            raise ImageError(f"{name}: {what}")
        return name, name
    if not hasattr(source, "read"):
        raise ImageError(
            f"cannot read an image from a {type(source).__name__}; give a path, an open file or bytes"
        )
    if isinstance(source, io.TextIOBase):
        raise ImageError('an image is read from a file that is open in binary mode: open(path, "rb")')
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "this open file", source  # pyright: ignore[reportReturnType]


def check_image_array(image: object) -> np.ndarray:
    """Return `image` as a writable, C-contiguous uint8 [H, W, 3] array, copying only where it must.

    Raises:
        ImageError: it has another type or shape; the message says how to convert it.
    """
    if not isinstance(image, np.ndarray):
        hint = " (a file: minisam.data.images.load_image)" if isinstance(image, str | os.PathLike) else ""
        hint = ' (np.array(image.convert("RGB")))' if isinstance(image, Image.Image) else hint
        raise ImageError(f"image is a {type(image).__name__}; give a NumPy array, uint8 [H, W, 3], RGB{hint}")
    shape = "x".join(map(str, image.shape))
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        raise ImageError(f"image is grey ({shape}); use np.dstack([image] * 3)")
    if image.ndim != 3:
        raise ImageError(f"image has {image.ndim} axes ({shape}); give one image, [H, W, 3]")
    if image.size == 0:
        raise ImageError(f"image is empty ({shape}); give at least one pixel")
    if image.shape[2] == 4:
        raise ImageError(f"image has an alpha channel ({shape}); use image[:, :, :3]")
    if image.shape[2] != 3 and image.shape[0] == 3:
        raise ImageError(f"image has its channels first ({shape}); use image.transpose(1, 2, 0)")
    if image.shape[2] != 3:
        raise ImageError(f"image has {image.shape[2]} channels ({shape}); give three, RGB")
    if image.dtype != np.uint8:
        count = np.isfinite(image).sum() if image.dtype.kind == "f" else image.size
        finite = f", and {count} of {image.size} values are finite" if count < image.size else ""
        raise ImageError(f"image is {image.dtype}, not uint8{finite}; use {advice(image)}")
    return np.require(image, requirements=["C_CONTIGUOUS", "WRITEABLE"])


def save_image(
    path: str | os.PathLike[str], image: np.ndarray, about: Mapping[str, str] | None = None
) -> None:
    """Write uint8 [H, W], [H, W, 3] or [H, W, 4] atomically; the suffix of `path` selects the format.

    A PNG stores the texts in `about` as metadata.

    Raises:
        ImageError: the suffix names no format in `WRITE_FORMATS`, or the array is no such image.
        OSError: see `minisam.files.write_atomically`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITE_FORMATS:
        raise ImageError(f"{os.fspath(path)}: cannot write this format; use {', '.join(WRITE_FORMATS)}")
    if image.dtype != np.uint8 or not image.size or image.ndim < 2 or image.shape[2:] not in ((), (3,), (4,)):
        raise ImageError(f"cannot write {image.dtype} {list(image.shape)} as an image; give uint8 [H, W, 3]")
    if suffix in (".jpg", ".jpeg") and image.shape[2:] == (4,):
        raise ImageError(f"{os.fspath(path)}: JPEG has no alpha channel; write a .png")
    texts = PngInfo()
    for key, text in (about or {}).items():
        texts.add_text(key, text)
    options = {"pnginfo": texts} if suffix == ".png" else {}
    write_atomically(
        path, lambda file: Image.fromarray(image).save(file, format=WRITE_FORMATS[suffix], **options)
    )
