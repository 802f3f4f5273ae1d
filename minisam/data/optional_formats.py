"""Image formats that a library reads if it is installed: DICOM by pydicom, HEIC by pillow-heif.

A DICOM's values become 8 bits by its own window (PS3.3, C.11.2.1.2), centre c and width w, or by their range:

    black = c − 0.5 − (w − 1) / 2        white = c − 0.5 + (w − 1) / 2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minisam.data.eight_bits import SHOWN, Window, window_of
from minisam.errors import ImageError
from minisam.limits import MAX_PIXELS

DICOM, HEIF = "DICOM", "HEIF"
PREAMBLE = 128
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
FULL_PALETTE = Window(0, 65535)


def optional_format(opened: str | IO[bytes]) -> str | None:
    """DICOM or HEIF, by the first bytes of a file; None for anything else, and for a stream."""
    start = start_of(opened)
    if start is None:
        return None
    if start[PREAMBLE:] == b"DICM":
        return DICOM
    return HEIF if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS else None


def start_of(opened: str | IO[bytes]) -> bytes | None:
    """The first bytes of a file; None for a stream."""
    if isinstance(opened, str):
        with open(opened, "rb") as file:
            return file.read(PREAMBLE + 4)
    if not opened.seekable():
        return None
    opened.seek(0)
    start = opened.read(PREAMBLE + 4)
    opened.seek(0)
    return start


def check_page(page: int, pages: int) -> None:
    """Raises ImageError if there is no page of this number, counted from 1."""
    if not 1 <= page <= pages:
        raise ImageError(f"there is no page {page}; it has {pages}, counted from 1")


def register_heif() -> None:
    """Let Pillow open HEIC.  Raises ImageError if pillow-heif is missing."""
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("a HEIC image; install its reader: pip install pillow-heif") from None
    pillow_heif.register_heif_opener()


def read_dicom(opened: str | IO[bytes], page: int | None, tell: Callable[[str], object]) -> NDArray[np.uint8]:
    """A frame of a DICOM file, [H, W, 3].

    Raises ImageError if pydicom or its decoder is missing, or the file has no image, or no such frame.
    """
    try:
        from pydicom import dcmread
        from pydicom.pixels.utils import pixel_array
    except ImportError:
        raise ImageError("a DICOM image; install its reader: pip install pydicom") from None
    file = dcmread(opened)
    if "PixelData" not in file:
        raise ImageError("a DICOM file without an image")
    if file.Rows * file.Columns > MAX_PIXELS:
        raise ImageError(f"more than {MAX_PIXELS:,} pixels; export it smaller")
    frames = int(file.get("NumberOfFrames") or 1)
    check_page(page or 1, frames)
    if page is None and frames > 1:
        tell(f"the first of {frames} pages")
    try:
        values = pixel_array(file, index=(page or 1) - 1)
    except RuntimeError as error:
        if "missing dependencies" not in str(error):
            raise
        name = file.file_meta.TransferSyntaxUID.name
        raise ImageError(f"compressed as {name}; install a decoder: pip install pylibjpeg[all]") from None
    return dicom_to_rgb(file, values, tell)


def dicom_to_rgb(file: Any, values: NDArray, tell: Callable[[str], object]) -> NDArray[np.uint8]:
    """The values of one frame as 8-bit colours; `tell` is called with the window of grey values."""
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    kind = file.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(values, file)
        return colours if colours.dtype == np.uint8 else FULL_PALETTE.apply(colours)
    if values.ndim == 3:
        return values if values.dtype == np.uint8 else window_of([values]).apply(values)
    values = apply_modality_lut(values, file)
    own = own_window(file)
    window = own or window_of([values])
    if window != Window(0, 255):
        tell(SHOWN.format(window) + (", as the file says" if own else ""))
    grey = window.apply(values)
    return np.dstack([255 - grey if kind == "MONOCHROME1" else grey] * 3)


def own_window(file: Any) -> Window | None:
    """The first window that a DICOM file has for its display."""
    centre, width = file.get("WindowCenter"), file.get("WindowWidth")
    if centre in (None, "") or width in (None, ""):
        return None
    c, w = (float(np.atleast_1d(value)[0]) for value in (centre, width))
    half = (w - 1) / 2
    return Window(c - 0.5 - half, c - 0.5 + half) if half > 0 else None
