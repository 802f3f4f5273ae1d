"""Files as they lie about in people's folders: sound, damaged, oddly called, and no files at all.  No chance in it.

`KINDS` names what there is; `make(kind, folder, number)` writes the number-th of that kind and returns the path that
has an image's name.
"""

from __future__ import annotations

import codecs
import json
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Maker = Callable[[Path, int], Path]
KINDS: dict[str, Maker] = {}


def photo(number: int, height: int = 24, width: int = 32) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 5 + number, columns * 4, 255 - rows * 2 - columns], axis=2) % 256
    pixels[height // 4 : height // 2, width // 4 : width // 2] = 250
    return Image.fromarray(pixels.astype(np.uint8))


def png(number: int) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    photo(number).save(buffer, "PNG")
    return buffer.getvalue()


def image(
    name: str, change: Callable[[Image.Image, int], Image.Image] = lambda image, _: image, **options
) -> Maker:
    """A sound image called `name`, which may hold a {}."""

    def make(folder: Path, number: int) -> Path:
        path = folder / name.replace("{}", str(number))
        change(photo(number), number).save(path, **options)
        return path

    return make


def content(name: str, write: Callable[[int], bytes]) -> Maker:
    """A file called `name` with these bytes."""

    def make(folder: Path, number: int) -> Path:
        path = Path(
            os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name.replace("{}", str(number)))))
        )
        path.write_bytes(write(number))
        return path

    return make


def beside(kind: str, text: Callable[[str], bytes]) -> Maker:
    """A valid image with a user's JSON file beside it."""

    def make(folder: Path, number: int) -> Path:
        path = image(f"{kind}{{}}.png")(folder, number)
        path.with_suffix(".json").write_bytes(text(path.name))
        return path

    return make


def theirs(name: str) -> str:
    return json.dumps({"image": {"file_name": name, "height": 24, "width": 32}, "note": "é", "annotations": []},
                      ensure_ascii=False)  # fmt: skip


def deep(top: int) -> Callable[[Image.Image, int], Image.Image]:
    return lambda image, _: Image.fromarray((np.asarray(image)[..., 0] * (top / 255)).astype(np.uint16))


def fractions(image: Image.Image, number: int) -> Image.Image:
    return Image.fromarray(np.asarray(image)[..., 0] / np.float32(255))


def below_zero(image: Image.Image, number: int) -> Image.Image:
    return Image.fromarray(np.asarray(image)[..., 0] - np.int32(99))


def to(mode: str) -> Callable[[Image.Image, int], Image.Image]:
    return lambda image, _: image.convert(mode)


def turned(orientation: int) -> Maker:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return image(f"turned{orientation}_{{}}.jpg", exif=exif)


def sized(width: int, height: int) -> Maker:
    return image(f"{width}by{height}_{{}}.png", lambda _, number: photo(number, height, width))


def claiming(width: int, height: int) -> Callable[[int], bytes]:
    def write(number: int) -> bytes:
        data = bytearray(png(number))
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        return bytes(data)

    return write


def folder_called(folder: Path, number: int) -> Path:
    path = folder / f"folder{number}.png"
    path.mkdir()
    (path / f"inside{number}.txt").write_text("text")
    return path


def link_to(target: str, kind: str) -> Maker:
    def make(folder: Path, number: int) -> Path:
        path = folder / f"{kind}{number}.png"
        path.symlink_to(target.replace("ITSELF", path.name))
        return path

    return make


def pipe(folder: Path, number: int) -> Path:
    os.mkfifo(folder / f"pipe{number}.png")
    return folder / f"pipe{number}.png"


def listening(folder: Path, number: int) -> Path:
    here = os.getcwd()
    os.chdir(folder)  # a socket's path may be 107 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"socket{number}.png")
    finally:
        os.chdir(here)
    return folder / f"socket{number}.png"


def odd_record(kind: str, make_record: Callable[[Path], object]) -> Maker:
    """A sound image, and where its record would be something that is no file."""

    def make(folder: Path, number: int) -> Path:
        path = image(f"{kind}{{}}.png")(folder, number)
        make_record(path.with_suffix(".json"))
        return path

    return make


def locked(folder: Path, number: int) -> Path:
    path = image("locked{}.png")(folder, number)
    path.chmod(0)
    return path


def too_long_for_a_record(folder: Path, number: int) -> Path:
    """A name of 255 bytes, the most that there are."""
    return content(str(number).rjust(251, "m") + ".png", png)(folder, number)


def three_alike(folder: Path, number: int) -> Path:
    image("alike{}.png")(folder, number)
    image("alike{}.jpg")(folder, number)
    return image("alike{}.jpg.png")(folder, number)


def alike_but_for_capitals(folder: Path, number: int) -> Path:
    image("Cap{}.png")(folder, number)
    return image("cap{}.jpg")(folder, number)


KINDS |= {
    "plain": image("plain{}.png"),
    "jpeg": image("plain{}.jpg"),
    "jpeg in capitals": image("CAPITALS{}.JPEG"),
    "webp": image("plain{}.webp"),
    "bmp": image("plain{}.bmp"),
    "gif": image("plain{}.gif", to("P")),
    "tiff": image("plain{}.tif"),
    "tiff of 16 bits": image("deep{}.tiff", deep(65535)),
    "tiff of 12 bits": image("twelve{}.tif", deep(4095)),
    "tiff of floats": image("floats{}.tif", fractions),
    "tiff of integers below 0": image("ct{}.tif", below_zero),
    "tiff of two pages": image("pages{}.tif", save_all=True, append_images=[photo(3)]),
    "animation": image("moving{}.gif", to("P"), save_all=True, append_images=[photo(3).convert("P")]),
    "grey": image("grey{}.png", to("L")),
    "bilevel": image("bits{}.png", to("1")),
    "palette": image("palette{}.png", to("P")),
    "alpha": image("alpha{}.png", to("RGBA")),
    "grey with alpha": image("greyalpha{}.png", to("LA")),
    "cmyk": image("cmyk{}.jpg", to("CMYK")),
    "16 bits": image("sixteen{}.png", deep(65535)),
    "12 bits": image("twelve{}.png", deep(4095)),
    "upside down": turned(3),
    "on its side": turned(6),
    "one pixel": sized(1, 1),
    "one row": sized(900, 1),
    "one column": sized(1, 900),
    "suffix of another format": image("really_jpeg{}.png", format="JPEG"),
    "spaces": image(" two  words {} .png"),
    "chinese": image("山水{}.png"),
    "emoji": image("🦊{}.png"),
    "mathematics": image("$x^{${}.png"),
    "quotes": image("it's \"{}\".png"),
    "percent": image("%s%d{n}{}.png"),
    "backslash": image("back\\slash{}.png"),
    "line break": image("two\nlines{}.png"),
    "escape codes": image("\x1b[31m\x1b]0;title\x07{}.png"),
    "right to left": image("\u202egnp.{}.png"),
    "minus in front": image("-o{}.png"),
    "underscore in front": image("_{}.png"),
    "two dots": image("a..{}.png"),
    "a long name": image("n" * 240 + "{}.png"),
    "too long a name for a record": too_long_for_a_record,
    "called as our figure": image("truth{}_masks.png", to("L")),
    "called as our other figure": image("work{}_segment.png"),
    "three alike": three_alike,
    "alike but for capitals": alike_but_for_capitals,
    "empty": content("empty{}.png", lambda _: b""),
    "text": content("text{}.jpg", lambda _: b"not an image"),
    "web page": content("page{}.png", lambda _: b"<!DOCTYPE html><html></html>"),
    "pointer": content("pointer{}.png", lambda _: b"version https://git-lfs.github.com/spec/v1\nsize 9\n"),
    "cut short": content("short{}.png", lambda number: png(number)[: 60 + number % 40]),
    "a byte changed": content("changed{}.png", lambda number: png(number)[:50] + b"\xff" + png(number)[51:]),
    "zeros": content("zeros{}.tif", lambda _: bytes(4000)),
    "vast": content("vast{}.png", claiming(2**31 - 1, 2**31 - 1)),
    "large on paper": content("claims{}.png", claiming(8000, 9000)),
    "a name of bytes": content("caf\udce9{}.png", png),
    "folder": folder_called,
    "link to nothing": link_to("nowhere.png", "dangling"),
    "link to itself": link_to("ITSELF", "loop"),
    "link to a device": link_to("/dev/zero", "device"),
    "link to a folder": link_to(".", "around"),
    "pipe": pipe,
    "socket": listening,
    "locked": locked,
    "their record": beside("theirs", lambda name: theirs(name).encode()),
    "byte order mark": beside("bom", lambda name: codecs.BOM_UTF8 + theirs(name).encode()),
    "utf-16": beside("wide", lambda name: theirs(name).encode("utf-16")),
    "latin-1": beside("latin", lambda name: theirs(name).encode("latin-1")),
    "a comma too many": beside("comma", lambda name: theirs(name).replace("[]", "[],").encode()),
    "json lines": beside("lines", lambda name: (theirs(name) + "\n" + theirs(name)).encode()),
    "another generator": beside("labelme", lambda name: b'{"generator": "some tool", "shapes": []}'),
    "an empty record": beside("blank", lambda name: b""),
    "a folder as record": odd_record("recordfolder", lambda path: path.mkdir()),
    "a pipe as record": odd_record("recordpipe", lambda path: os.mkfifo(path)),
    "a link to nothing as record": odd_record("recordlink", lambda path: path.symlink_to("nowhere/at/all.json")),
    "notes": content("notes{}.txt", lambda _: b"text"),
    "no suffix": content("README{}", lambda _: b"text"),
    "hidden": content(".hidden{}", lambda _: b"text"),
}  # fmt: skip


def make(kind: str, folder: Path, number: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return KINDS[kind](folder, number)


def make_many(folder: Path, count: int) -> None:
    """At least so many files: every kind in turn, in folders below `folder`."""
    kinds = list(KINDS)
    for number in range(count):
        make(kinds[number % len(kinds)], folder / f"part{number // len(kinds) % 4}", number // len(kinds))


def everything(folder: Path) -> dict[str, bytes | str]:
    """What is there: the bytes of files, the targets of links, and what else a name is."""
    found: dict[str, bytes | str] = {}
    for top, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(top, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = file.read()
            else:
                found[path] = "folder" if os.path.isdir(path) else "special"
    return found
