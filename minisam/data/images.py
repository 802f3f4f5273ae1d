"""Image files and arrays: everything becomes uint8 [H, W, 3], RGB, the right way up.

What a file may hold on the way there:
- an EXIF orientation is applied, so that clicks land where a viewer shows the picture;
- transparent pixels are laid over white, as a page or a notebook shows them, unless another colour is given;
- 16-bit grey is scaled to 8 bits (65535 -> 255), not clipped; CMYK, palettes and grey become RGB;
- of an animation the first frame counts.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from minisam.errors import ImageError
from minisam.files import write_atomically

READ_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
WRITE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
# Below the 89 million at which Pillow itself starts to warn; 240 MB as RGB.
MAX_PIXELS = 80_000_000
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def load_image(path: str | os.PathLike[str], behind: tuple[int, int, int] = WHITE) -> np.ndarray:
    """Read a PNG, JPEG, WebP, BMP or GIF file as uint8 [H, W, 3] RGB; `behind` shows through transparent pixels.

    Raises:
        ImageError: there is no such file, it is not an image of these formats, it is damaged or truncated,
            or it has more than `MAX_PIXELS` pixels.
    """
    name = os.fspath(path)
    if os.path.isdir(path):
        raise ImageError(f"{name}: a folder, not an image")
    if not os.path.isfile(path):
        raise ImageError(f"{name}: no such image file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=READ_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                return _to_rgb(ImageOps.exif_transpose(image), behind)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name}: more than {MAX_PIXELS:,} pixels; scale it down, the network sees 1024 a side at most"
        ) from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name}: not an image in one of the formats {', '.join(READ_FORMATS)}") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read this image") from None
    # Pillow's decoders raise nearly anything when bytes are damaged: struct.error, KeyError, SyntaxError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: a damaged or truncated image ({reason}); export it again") from error


def check_image_array(image: object) -> np.ndarray:
    """Return `image` as a writable, C-contiguous uint8 [H, W, 3] array, copying only where it must.

    Raises:
        ImageError: it is anything else; the message says how to convert it.
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
        raise ImageError(f"image is {image.dtype}, not uint8; use {_to_uint8(image)}.astype(np.uint8)")
    return np.require(image, requirements=["C_CONTIGUOUS", "WRITEABLE"])


def _to_uint8(image: np.ndarray) -> str:
    """The expression that brings an array's values to 0 … 255, guessed from its largest."""
    largest = image.max()
    if image.dtype.kind == "f":
        return "(image * 255).round()" if largest <= 1 else "image.round().clip(0, 255)"
    if image.dtype.kind == "b":
        return "(image * 255)"
    return "image" if largest <= 255 else f"(image / {largest} * 255).round()"


def save_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write uint8 [H, W], [H, W, 3] or [H, W, 4] atomically; the suffix of `path` chooses the format.

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
    write_atomically(path, lambda file: Image.fromarray(image).save(file, format=WRITE_FORMATS[suffix]))


def _to_rgb(image: Image.Image, behind: tuple[int, int, int]) -> np.ndarray:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        return np.repeat((grey * 255 + 32767)[:, :, None] // 65535, 3, axis=2).astype(np.uint8)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, behind), image)
    return np.array(image.convert("RGB"))
