"""Every kind of image file gives the right RGB or one ImageError; arrays are checked with a remedy."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisam.data import images, to_rgb
from minisam.data.images import check_image_array, load_image, save_image
from minisam.errors import ImageError
from minisam.limits import MAX_PIXELS

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (13, 17, 3), np.uint8)


def smooth_photo(height: int = 48, width: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5 % 256, columns * 4 % 256, 255 - rows * 2 - columns], axis=2).astype(np.uint8)


def saved(folder: Path, image: Image.Image, name: str, **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.PNG"])
def test_lossless_formats_give_the_exact_pixels(tmp_path: Path, name: str):
    options = {"lossless": True} if name.endswith("webp") else {}
    np.testing.assert_array_equal(load_image(saved(tmp_path, Image.fromarray(PHOTO), name, **options)), PHOTO)


def test_jpeg_and_what_is_returned(tmp_path: Path):
    photo = smooth_photo()
    loaded = load_image(saved(tmp_path, Image.fromarray(photo), "a.jpg", quality=98))
    assert loaded.dtype == np.uint8 and loaded.flags.c_contiguous and loaded.flags.writeable
    assert np.abs(loaded.astype(int) - photo).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, mode: str):
    upright = np.zeros((2, 3), np.uint8)
    upright[0, 0], upright[0, 2], upright[1, 0] = 50, 100, 200
    turn = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1], 5: lambda a: a.T, 6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a.T, 2),
        8: lambda a: np.rot90(a, 3),
    }  # fmt: skip
    stored = np.ascontiguousarray(turn[orientation](upright))
    deep = stored.astype(np.uint16) * 257
    image = Image.fromarray(deep) if mode == "I;16" else Image.fromarray(stored).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(saved(tmp_path, image, "a.png", exif=exif))
    np.testing.assert_array_equal(loaded, np.repeat(upright[:, :, None], 3, axis=2))


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path):
    ramp = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    loaded = load_image(saved(tmp_path, Image.fromarray(ramp), "a.png"))
    np.testing.assert_array_equal(loaded[..., 0], np.round(ramp / 257).astype(np.uint8))
    assert (loaded == loaded[..., :1]).all()


def test_sixteen_bit_colour_is_scaled(tmp_path: Path):
    colour = RNG.integers(0, 65536, (5, 4, 3)).astype(">u2")
    scanlines = b"".join(b"\0" + row.tobytes() for row in colour)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 5, 16, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")
    )
    assert np.abs(load_image(tmp_path / "a.png").astype(int) - colour / 257).max() <= 1


@pytest.mark.parametrize("top", [1023, 4095, 16383])
def test_a_camera_of_fewer_bits_is_shown_in_its_own_range(tmp_path: Path, top: int, capsys):
    ramp = np.linspace(0, top, 600).astype(np.uint16).reshape(20, 30)
    loaded = load_image(saved(tmp_path, Image.fromarray(ramp), "a.png"))
    np.testing.assert_array_equal(loaded[..., 2], np.round(ramp.astype(int) * 255 / top))
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"a.png: more than 8 bits per value, of which 0 … {top}" in error


@pytest.mark.parametrize(("top", "shown"), [(16383, 255), (16384, 64), (16639, 65)])
def test_colour_of_which_two_bits_are_empty_is_shown_in_its_own_range(
    tmp_path: Path, top: int, shown: int, capsys
):
    """16384 is the first value with one of the two; from there on 65535 is white, and nothing is said."""
    cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless")
    colour = np.zeros((2, 2, 3), np.uint16)
    colour[0, 0] = top
    cv2.imwrite(str(tmp_path / "a.png"), colour)
    assert load_image(tmp_path / "a.png")[0, 0].tolist() == pytest.approx([shown] * 3, abs=1)
    assert bool(capsys.readouterr().err) == (top == 16383)


@pytest.mark.parametrize("name", ["a.png", "raw.tif", "packed.tif"])
def test_so_is_its_colour(tmp_path: Path, name: str, capsys):
    cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless")
    colour = RNG.integers(0, 4096, (5, 4, 3)).astype(np.uint16)
    colour[0, 0], colour[0, 1] = 0, 4095
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1 if name == "raw.tif" else 5] if name.endswith("tif") else []
    cv2.imwrite(str(tmp_path / name), colour[..., ::-1], options)
    np.testing.assert_array_equal(load_image(tmp_path / name), np.round(colour.astype(int) * 255 / 4095))
    assert "0 … 4095" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.png", "raw.tif", "packed.tif"])
@pytest.mark.parametrize("alpha", [65535, 65280])
def test_so_is_colour_with_an_opaque_alpha(tmp_path: Path, name: str, alpha: int, capsys):
    cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless")
    colour = RNG.integers(0, 4096, (5, 4, 4)).astype(np.uint16)
    colour[0, 0], colour[0, 1], colour[..., 3] = 0, 4095, alpha
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1 if name == "raw.tif" else 5] if name.endswith("tif") else []
    cv2.imwrite(str(tmp_path / name), colour[..., [2, 1, 0, 3]], options)
    expected = np.round(colour[..., :3].astype(int) * 255 / 4095)
    np.testing.assert_array_equal(load_image(tmp_path / name), expected)
    assert "0 … 4095" in capsys.readouterr().err
    colour[2, 2, 3] = 0
    cv2.imwrite(str(tmp_path / name), colour[..., [2, 1, 0, 3]], options)
    assert load_image(tmp_path / name)[2, 2].tolist() == [255] * 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_tiff_is_read_in_every_mode(tmp_path: Path, mode: str):
    grey = smooth_photo()[..., 0]
    image = (
        Image.fromarray(grey.astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(grey).convert(mode)
    )
    loaded = load_image(saved(tmp_path, image, "a.tif"))
    expected = (grey > 0) * 255 if mode == "1" else grey
    assert np.abs(loaded[..., 1].astype(int) - expected).max() <= (255 if mode == "1" else 1)


def test_the_first_page_of_a_tiff_counts_and_that_is_said(tmp_path: Path, capsys):
    pages = [Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO), Image.fromarray(PHOTO // 2)]
    path = saved(tmp_path, pages[0], "a.tiff", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(load_image(path), PHOTO)
    assert "a.tiff: the first of 3 pages" in capsys.readouterr().err


def test_an_image_comes_from_a_path_a_file_or_bytes(tmp_path: Path):
    path = saved(tmp_path, Image.fromarray(PHOTO), "a.png")
    content = path.read_bytes()
    for source in (path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content)):
        np.testing.assert_array_equal(load_image(source), PHOTO)
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_image(file), PHOTO)
    for source, words in [
        (b"", "these bytes: not an image"),
        (io.BytesIO(content[:-30]), "this open file: a damaged"),
        (io.StringIO("a"), "binary mode"),
        (None, "from a NoneType; give a path, an open file or bytes"),
        (PHOTO, "from a ndarray"),
        (3, "from a int"),
    ]:
        with pytest.raises(ImageError, match=words):
            load_image(source)  # type: ignore


def test_a_large_deep_image_takes_little_more_than_its_pixels(tmp_path: Path):
    """Three bytes per pixel are returned, and two are Pillow's own."""
    saved(tmp_path, Image.fromarray(np.zeros((3000, 3000), np.uint16)), "a.png")
    tracemalloc.start()
    load_image(tmp_path / "a.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3000 * 3000 * 3 + to_rgb.PIXELS_AT_ONCE * 32


def test_cmyk_becomes_rgb(tmp_path: Path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(load_image(saved(tmp_path, cmyk, "a.jpg", quality=95)).astype(int) - [255, 0, 0]).max() < 8


def test_grey_and_bilevel_become_rgb(tmp_path: Path):
    grey = PHOTO[..., 0]
    np.testing.assert_array_equal(load_image(saved(tmp_path, Image.fromarray(grey), "a.png"))[..., 2], grey)
    bits = grey > 99
    np.testing.assert_array_equal(
        load_image(saved(tmp_path, Image.fromarray(bits), "b.png"))[..., 1], bits * 255
    )


def test_palette_keeps_its_colours_and_gif_its_first_frame(tmp_path: Path):
    index = RNG.integers(0, 4, (6, 5)).astype(np.uint8)
    colours = np.array([[9, 8, 7], [250, 0, 0], [0, 120, 3], [1, 2, 200]], np.uint8)
    image = Image.fromarray(index, "L").convert("P")
    image.putdata(index.ravel().tolist())
    image.putpalette(colours.ravel().tolist())
    other = Image.new("P", image.size)
    np.testing.assert_array_equal(load_image(saved(tmp_path, image, "a.png")), colours[index])
    gif = saved(tmp_path, image, "a.gif", save_all=True, append_images=[other])
    np.testing.assert_array_equal(load_image(gif), colours[index])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_transparent_pixels_lie_over_white(tmp_path: Path, mode: str):
    pixels = {"RGBA": (10, 20, 30, 0), "LA": (10, 0), "P": 3, "L": 3}
    image = Image.new(mode, (4, 4), pixels[mode])
    if mode == "P":
        image.putpalette(range(12))
    options = {"transparency": 3} if mode in "PL" else {}
    assert (load_image(saved(tmp_path, image, "a.png", **options)) == 255).all()


@pytest.mark.parametrize("behind", [(255, 255, 255), (0, 0, 0), (10, 60, 110)])
def test_another_colour_may_show_through(tmp_path: Path, behind: tuple[int, int, int]):
    image = Image.new("RGBA", (3, 1), (0, 100, 200, 0))
    image.putpixel((1, 0), (0, 100, 200, 128))
    image.putpixel((2, 0), (0, 100, 200, 255))
    through, mixed, opaque = load_image(saved(tmp_path, image, "a.png"), behind=behind)[0].tolist()
    assert tuple(through) == behind and opaque == [0, 100, 200]
    half = [(own + other) / 2 for own, other in zip((0, 100, 200), behind, strict=True)]
    assert mixed == pytest.approx(half, abs=1)


def test_half_transparent_is_mixed(tmp_path: Path):
    image = Image.new("RGBA", (2, 2), (0, 100, 200, 128))
    expected = 255 + (np.array([0, 100, 200]) - 255) * 128 / 255
    assert np.abs(load_image(saved(tmp_path, image, "a.png")) - expected).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_sides(tmp_path: Path, size: tuple[int, int]):
    path = saved(tmp_path, Image.new("RGB", size, (1, 2, 3)), "a.png")
    assert load_image(path).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", [(10_000, 8_001), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_by_size_alone(tmp_path: Path, size: tuple[int, int]):
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", *size)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match="more than 80,000,000 pixels; scale it down"):
        load_image(tmp_path / "a.png")


def test_an_image_of_just_the_largest_size_is_read(tmp_path: Path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(PHOTO), "a.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 13 * 17)
    assert load_image(path).shape == PHOTO.shape
    monkeypatch.setattr(images, "MAX_PIXELS", 13 * 17 - 1)
    with pytest.raises(ImageError, match="more than 220 pixels"):
        load_image(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif"])
def test_truncation_is_one_clear_error(tmp_path: Path, name: str):
    data = saved(tmp_path, Image.fromarray(smooth_photo()), name).read_bytes()
    for length in np.linspace(0, len(data) - 40, 30).astype(int):
        (tmp_path / name).write_bytes(data[:length])
        with pytest.raises(ImageError) as caught:
            load_image(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)


def test_missing_file_folder_and_other_formats(tmp_path: Path):
    with pytest.raises(ImageError, match=r"nowhere\.png: no such image file"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="a folder, not an image"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="no such image file"):
        load_image("a\0b.png")
    (tmp_path / "notes.png").write_text("not an image")
    Image.fromarray(PHOTO).save(tmp_path / "b.png", format="ICO")
    for name in ("notes.png", "b.png"):
        with pytest.raises(ImageError, match="not an image in one of the formats PNG"):
            load_image(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError):
        load_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 5, 3), np.float32), "float32.*astype"),
        (np.ones((4, 5, 3), np.float32), r"use \(image \* 255\)\.round\(\)\.astype"),
        (np.full((4, 5, 3), 200.0), r"float64.*use image\.round\(\)\.clip\(0, 255\)\.astype"),
        (np.full((4, 5, 3), 200), r"int64.*use image\.astype"),
        (np.full((4, 5, 3), 65535, np.uint16), r"uint16.*use \(image / 65535 \* 255\)\.round\(\)\.astype"),
        (np.ones((4, 5, 3), bool), r"bool.*use \(image \* 255\)\.astype"),
        (np.ones((4, 5, 3), complex), r"complex128.*use image\.real$"),
        (np.full((4, 5, 3), "a"), "U1.*use numbers"),
        ("photo.jpg", "str.*load_image"),
        (Image.new("RGB", (4, 5)), r"np\.array\(image\.convert"),
        (np.zeros((4, 5), np.uint8), "grey.*dstack"),
        (np.zeros((4, 5, 1), np.uint8), "grey.*dstack"),
        (np.zeros((4, 5, 4), np.uint8), r"alpha.*image\[:, :, :3\]"),
        (np.zeros((3, 4, 5), np.uint8), r"channels first.*transpose\(1, 2, 0\)"),
        (np.zeros((4, 5, 7), np.uint8), "7 channels"),
        (np.zeros((0, 5, 3), np.uint8), "empty"),
        (np.zeros((2, 4, 5, 3), np.uint8), "4 axes"),
        (np.zeros((), np.uint8), "0 axes"),
        ([[1, 2, 3]], "list.*NumPy"),
        (None, "NoneType"),
    ],
)
def test_array_that_is_no_image_names_the_remedy(image: object, words: str):
    with pytest.raises(ImageError, match=words) as caught:
        check_image_array(image)
    assert "\n" not in str(caught.value)


def test_good_array_is_handed_on_uncopied_and_views_become_contiguous():
    assert check_image_array(PHOTO) is PHOTO
    flipped = check_image_array(PHOTO[:, :, ::-1])
    assert flipped.flags.c_contiguous and (flipped == PHOTO[:, :, ::-1]).all()
    frozen = PHOTO.copy()
    frozen.flags.writeable = False
    assert check_image_array(frozen).flags.writeable


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3), (5, 6, 4)])
def test_save_then_load(tmp_path: Path, shape: tuple):
    image = np.full(shape, 255, np.uint8)
    image[..., :3] = RNG.integers(0, 256, image[..., :3].shape)
    save_image(tmp_path / "a.png", image)
    expected = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image[..., :3]
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), expected)


def test_save_refuses_what_it_cannot_write(tmp_path: Path):
    for name, image in [("a.tiff", PHOTO), ("a", PHOTO), ("a.png", PHOTO / 255), ("a.png", PHOTO[:, :0])]:
        with pytest.raises(ImageError):
            save_image(tmp_path / name, image)
    with pytest.raises(ImageError, match="alpha"):
        save_image(tmp_path / "a.jpg", np.zeros((2, 2, 4), np.uint8))
    assert list(tmp_path.iterdir()) == []


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, overwrite, cut, insert or double some bytes, more often near the header."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        place = int(rng.integers(min(64, len(changed)) if rng.random() < 0.5 else len(changed)))
        kind = rng.integers(5)
        if kind == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[place : place + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
        elif kind == 2:
            del changed[max(place, 8) : place + int(rng.integers(1, 20))]
        elif kind == 3:
            changed[place:place] = rng.bytes(int(rng.integers(1, 20)))
        else:
            changed = changed[: max(place, 8)]
    return bytes(changed)


def fuzz(folder: Path, count: int) -> int:
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = []
    for image, kind, options in [
        (Image.fromarray(smooth_photo()), "PNG", {"exif": exif}),
        (Image.fromarray(smooth_photo()), "JPEG", {"exif": exif}),
        (Image.fromarray(smooth_photo()), "JPEG", {"progressive": True}),
        (Image.fromarray(smooth_photo()).convert("CMYK"), "JPEG", {}),
        (Image.fromarray(smooth_photo()), "WEBP", {"exif": exif}),
        (Image.fromarray(smooth_photo()), "BMP", {}),
        (Image.fromarray(smooth_photo()).convert("P"), "GIF", {"transparency": 1}),
        (Image.fromarray(smooth_photo()).convert("P"), "PNG", {"transparency": 1}),
        (Image.fromarray(smooth_photo()[..., 0].astype(np.uint16) * 99), "PNG", {}),
        (Image.fromarray(smooth_photo()), "TIFF", {}),
        (Image.fromarray(smooth_photo()[..., 0].astype(np.float32)), "TIFF", {"compression": "tiff_lzw"}),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        seeds.append(buffer.getvalue())
    rng = np.random.default_rng(1)
    path = folder / "mutant"
    loaded = 0
    for number in range(count):
        path.write_bytes(mutate(seeds[number % len(seeds)], rng))
        try:
            image = load_image(path)
        except ImageError as error:
            assert "\n" not in str(error)
            continue
        loaded += 1
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[0] * image.shape[1] <= MAX_PIXELS
    return loaded


def test_fuzzed_files_give_an_array_or_an_image_error(tmp_path: Path):
    assert 0 < fuzz(tmp_path, 200) < 200


@pytest.mark.slow
def test_many_fuzzed_files_give_an_array_or_an_image_error(tmp_path: Path):
    assert 0 < fuzz(tmp_path, 5000) < 5000


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPEG", "a.JPG"])
def test_a_jpeg_has_no_alpha_channel(name, tmp_path):
    with pytest.raises(ImageError, match=r"JPEG has no alpha channel; write a \.png"):
        save_image(tmp_path / name, np.zeros((4, 5, 4), np.uint8))
    assert not list(tmp_path.iterdir())
    save_image(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    assert load_image(tmp_path / name).shape == (4, 5, 3)


def test_a_png_has_the_texts_about_it_and_other_formats_none(tmp_path: Path):
    image = np.zeros((4, 5, 3), np.uint8)
    for name in ("a.png", "b.PNG", "c.jpg", "d.webp"):
        save_image(tmp_path / name, image, {"Software": "minisam", "threshold": "0.5"})
        with Image.open(tmp_path / name) as file:
            file.load()
            found = {key: file.info.get(key) for key in ("Software", "threshold")}
        has_texts = name.lower().endswith(".png")
        assert found == ({"Software": "minisam", "threshold": "0.5"} if has_texts else dict.fromkeys(found))
