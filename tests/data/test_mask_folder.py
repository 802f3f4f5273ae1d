"""Masks in image files: every layout, every way to number objects, and files that cannot be used."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from minisam.data.mask_folder import MaskFolder, values_of
from minisam.data.segmentation_folder import open_folder
from minisam.errors import DatasetError, ImageError
from minisam.train.pictures import prepare

H, W = 20, 30
ONE = np.zeros((H, W), bool)
ONE[3:9, 4:20] = True
TWO = np.zeros((H, W), bool)
TWO[12:18, 10:26] = True


def write(path, array, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image = Image.fromarray(array, "L").convert("P")
        image.putdata(array.ravel().tolist())
        image.putpalette([200, 10, 10] * 256)
    image.save(path)
    return path


def photo(path):
    return write(path, np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8))


def read(folder, index=0):
    opened = open_folder(folder)
    assert isinstance(opened, MaskFolder)
    return [segment.mask() for segment in opened.read(index).segments]


NUMBERED = np.where(ONE, 7, 0) + np.where(TWO, 9, 0)
COLOURED = np.zeros((H, W, 3), np.uint8)
COLOURED[ONE], COLOURED[TWO] = (255, 0, 0), (0, 0, 255)
SEEN_THROUGH = np.dstack([COLOURED, np.where(ONE | TWO, 255, 0).astype(np.uint8)])
SEEN_THROUGH[0, 0, :3] = 90  # a colour without opacity


@pytest.mark.parametrize(
    ("array", "palette"),
    [
        (NUMBERED.astype(np.uint8), False),
        (NUMBERED.astype(np.uint8), True),
        (np.where(NUMBERED == 0, 0, NUMBERED + 1000).astype(np.uint16), False),
        (COLOURED, False),
        (SEEN_THROUGH, False),
    ],
    ids=["grey", "palette", "16 bits", "colours", "transparent"],
)
def test_every_value_is_an_object(tmp_path, array, palette):
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat.png", array, palette)
    found = read(tmp_path)
    assert len(found) == 2
    assert {mask.tobytes() for mask in found} == {ONE.tobytes(), TWO.tobytes()}


@pytest.mark.parametrize("white", [1, 255, True])
def test_black_and_white_is_one_object(tmp_path, white):
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat.png", ONE if white is True else ONE.astype(np.uint8) * white)
    (found,) = read(tmp_path)
    assert np.array_equal(found, ONE)


def test_grey_edges_belong_to_the_brighter_half(tmp_path):
    photo(tmp_path / "images" / "cat.jpg")
    soft = ONE.astype(np.uint8) * 255
    soft[3, 4:12] = np.linspace(40, 120, 8)
    soft[9, 4:12] = np.linspace(130, 220, 8)
    write(tmp_path / "masks" / "cat.png", soft)
    (found,) = read(tmp_path)
    expected = ONE.copy()
    expected[3, 4:12], expected[9, 4:12] = False, True
    assert np.array_equal(found, expected)


def test_few_numbered_objects_are_not_grey_edges(tmp_path):
    """Levels 1 to 9 and 255, of a few pixels each, are ten objects; black and 255 are not most of the image."""
    levels = np.zeros((H, W), np.uint8)
    for value in range(1, 10):
        levels[2 * value : 2 * value + 2, :20] = value * 20
    levels[:2, :20] = 255
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat.png", levels)
    assert len(read(tmp_path)) == 10


def test_a_border_of_255_in_a_palette_is_no_object(tmp_path):
    numbers = np.where(ONE, 3, 0).astype(np.uint8)
    numbers[0] = 255
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat.png", numbers, palette=True)
    (found,) = read(tmp_path)
    assert np.array_equal(found, ONE)


def of_indices(path, indices, palette, **options):
    image = Image.fromarray(indices.astype(np.uint8), "L").convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(palette)
    image.save(path, **options)
    return path


def test_black_of_a_palette_is_the_background_wherever_it_stands(tmp_path):
    """Pillow puts white first when it makes a palette of black and white itself, as for GIF."""
    white = Image.fromarray(ONE.astype(np.uint8) * 255)
    for name, image in (("a.gif", white.convert("RGB")), ("a.png", white.convert("RGB").quantize(2))):
        image.save(tmp_path / name)
        with Image.open(tmp_path / name) as file:
            assert file.mode == "P"
        assert ((values_of(tmp_path / name) > 0) == ONE).all()
    colours = [255, 0, 0, 0, 0, 0, 0, 0, 255]
    path = of_indices(tmp_path / "b.png", np.where(ONE, 0, np.where(TWO, 2, 1)), colours)
    assert np.unique(values_of(path)[ONE]).tolist() == [256]
    assert np.unique(values_of(path)[TWO]).tolist() == [2] and not values_of(path)[~(ONE | TWO)].any()
    unseen = of_indices(tmp_path / "c.png", np.where(ONE, 0, 1), [255, 0, 0, 0, 255, 0], transparency=1)
    assert ((values_of(unseen) > 0) == ONE).all()


def test_a_palette_that_begins_with_black_or_has_none_is_taken_by_its_indices(tmp_path):
    """More classes than colours: the others are black too.  Without black, 0 is the background."""
    numbers = np.where(ONE, 3, np.where(TWO, 5, 0))
    for palette in ([0, 0, 0, 9, 8, 7] + [0] * 762, [50, 60, 70] * 256):
        assert (values_of(of_indices(tmp_path / "a.png", numbers, palette)) == numbers).all()
        values_of.cache_clear()
    border = np.where(TWO, 255, np.where(ONE, 3, 0))
    palette = [50, 60, 70] * 255 + [0, 0, 0]
    assert (values_of(of_indices(tmp_path / "b.png", border, palette)) == np.where(ONE, 3, 0)).all()


def test_a_palette_of_greys_has_edges_and_a_white_that_is_no_border(tmp_path):
    soft = ONE.astype(np.uint8) * 255
    soft[3, 4:14] = [20, 60, 100, 126, 127, 128, 129, 160, 200, 240]
    Image.fromarray(soft).save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as file:
        assert file.mode == "P"
    expected = ONE.copy()
    expected[3, 4:9] = False
    assert (values_of(tmp_path / "a.gif") == expected).all()
    Image.fromarray(ONE.astype(np.uint8) * 255).convert("P").save(tmp_path / "b.png")
    assert (values_of(tmp_path / "b.png") == 255 * ONE).all()


def test_a_jpeg_has_one_object_or_is_refused(tmp_path):
    """At quality 100, JPEG adds a few values beside 0 and 255, such as 1 and 254."""
    rows, columns = np.mgrid[:96, :128]
    disc = (rows - 50) ** 2 + (columns - 60) ** 2 < 30**2
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "a.jpg", quality=100)
    with Image.open(tmp_path / "a.jpg") as file:
        assert 2 < len(np.unique(np.asarray(file))) <= 8
    assert (values_of(tmp_path / "a.jpg") == disc).all()
    Image.fromarray(np.where(disc, 90, np.where(rows < 10, 200, 0)).astype(np.uint8)).save(tmp_path / "b.jpg")
    with pytest.raises(DatasetError, match=r"b\.jpg: a JPEG does not keep .* save masks as PNG"):
        values_of(tmp_path / "b.jpg")


@pytest.mark.parametrize(
    ("image", "masks"),
    [
        ("images/cat.png", ["masks/cat_0.png", "masks/cat_1.png"]),
        ("images/cat.png", ["masks/cat/a.png", "masks/cat/b.png"]),
        ("cat.jpg", ["cat_mask_0.png", "cat_mask_1.png"]),
        ("images/cat.png", ["labels/cat_a.bmp", "labels/cat_b.bmp"]),
    ],
)
def test_a_file_per_object(tmp_path, image, masks):
    photo(tmp_path / image)
    for path, mask in zip(masks, (ONE, TWO), strict=True):
        write(tmp_path / path, mask.astype(np.uint8) * 255)
    found = read(tmp_path)
    assert np.array_equal(found[0], ONE) and np.array_equal(found[1], TWO)


@pytest.mark.parametrize(
    ("images", "masks", "belongs"),
    [
        (["cat", "cat_2"], ["cat.png", "cat_2.png"], {"cat": ["cat.png"], "cat_2": ["cat_2.png"]}),
        (
            ["cat", "cat_2"],
            ["cat_1.png", "cat_2_1.png", "cat_2_2.png"],
            {"cat": ["cat_1.png"], "cat_2": ["cat_2_1.png", "cat_2_2.png"]},
        ),
        (["cat", "cat_2"], ["cat_2.png", "cat_3.png"], {"cat": ["cat_3.png"], "cat_2": ["cat_2.png"]}),
        (["cat", "cat_2"], ["cat.png", "cat_3.png"], {"cat": ["cat.png"]}),
        (["a_b"], ["a.png", "a_b_c_d.png", "a_bc.png"], {"a_b": ["a_b_c_d.png"]}),
    ],
)
def test_a_mask_file_belongs_to_the_longest_name_that_fits(tmp_path, images, masks, belongs):
    for image in images:
        photo(tmp_path / "images" / f"{image}.jpg")
    for mask in masks:
        write(tmp_path / "masks" / mask, ONE)
    opened = open_folder(tmp_path)
    assert isinstance(opened, MaskFolder)
    found = {
        image.stem: [path.name for path in files]
        for image, files in zip(opened.images, opened.masks, strict=True)
    }
    assert found == belongs


@pytest.mark.parametrize("home", ["masks/cat", "cat_mask"])
def test_a_numbered_mask_beside_one_of_the_images_name_is_named_as_left_out(tmp_path, home):
    photo(tmp_path / ("images/cat.jpg" if home.startswith("masks") else "cat.jpg"))
    for ending in (".png", "_1.png", "_2.png"):
        write(tmp_path / f"{home}{ending}", ONE)
    opened = open_folder(tmp_path)
    assert isinstance(opened, MaskFolder) and len(opened.masks[0]) == 1
    assert [os.path.basename(name)[-6:] for name in opened.skipped] == ["_1.png", "_2.png"]
    assert "its image has the mask file cat" in opened.skipped.summary()


def test_images_without_masks_are_named_and_left_out(tmp_path):
    for name in ("cat", "dog"):
        photo(tmp_path / "images" / f"{name}.jpg")
    write(tmp_path / "masks" / "cat.png", ONE)
    opened = open_folder(tmp_path)
    assert list(opened.names) == ["images/cat.jpg"]
    assert [str(name).endswith("dog.jpg") for name in opened.skipped] == [True]


@pytest.mark.parametrize("masks", ["masks/cat.png", "masks/cat_1.png", "masks/cat/1.png"])
def test_two_images_of_one_stem_do_not_share_masks(tmp_path, masks):
    photo(tmp_path / "images/cat.bmp")
    photo(tmp_path / "images/cat.png")
    write(tmp_path / masks, 255 * ONE.astype(np.uint8))
    opened = open_folder(tmp_path)
    assert isinstance(opened, MaskFolder) and opened.names == ["images/cat.bmp"]
    assert list(opened.skipped.values()) == ["the masks of its name are used for cat.bmp"]
    assert [os.path.basename(name) for name in opened.skipped] == ["cat.png"]


def test_a_mask_of_another_size_is_named(tmp_path):
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat_0.png", ONE)
    write(tmp_path / "masks" / "cat_1.png", ONE[:10])
    first, second = open_folder(tmp_path).read(0).segments
    assert first.mask().any()
    with pytest.raises(DatasetError, match=r"cat_1.png: 10x30 pixels, but its image has 20x30"):
        second.mask()


def test_empty_and_damaged_masks_leave_the_others(tmp_path):
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat_0.png", np.zeros((H, W), np.uint8))
    write(tmp_path / "masks" / "cat_1.png", ONE)
    (tmp_path / "masks" / "cat_2.png").write_bytes(b"not an image")
    opened = open_folder(tmp_path)
    _, masks = prepare(opened.read(0), 32, 8, 0.001, np.random.default_rng(0), opened.skipped)
    assert len(masks) == 1
    reasons = {str(name).rpartition("/")[2]: reason for name, reason in opened.skipped.items()}
    assert reasons["cat_0.png"] == "an empty mask" and "cannot be read as a mask" in reasons["cat_2.png"]


def test_a_photograph_is_not_a_mask_file(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    with pytest.raises(DatasetError, match="this is a photograph"):
        values_of(write(tmp_path / "cat.png", array))
    with pytest.raises(ImageError, match="cannot be read as a mask"):
        values_of(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", [".tif", ".gif"])
def test_objects_on_several_pages_are_not_lost_silently(tmp_path, suffix):
    first, second = (Image.fromarray(mask.astype(np.uint8) * 255) for mask in (ONE, TWO))
    path = tmp_path / f"cat{suffix}"
    first.save(path, save_all=True, append_images=[second])
    with pytest.raises(DatasetError, match="2 pages; save each page as a separate mask file"):
        values_of(path)


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe: run it on Linux")
def test_smaller_copies_on_further_pages_are_no_objects(tmp_path):
    """A pyramid of overviews, as GDAL writes it."""
    photo(tmp_path / "images/cat.png")
    mask = Image.fromarray(NUMBERED.astype(np.uint8))
    (tmp_path / "masks").mkdir()
    copies = [mask.resize((W // 2, H // 2), 0), mask.resize((W // 4, H // 4), 0)]
    mask.save(tmp_path / "masks/cat.tif", save_all=True, append_images=copies)
    first, second = read(tmp_path)
    assert np.array_equal(first, ONE) and np.array_equal(second, TWO)


def test_a_pipe_is_no_mask_and_no_image(tmp_path):
    os.mkfifo(tmp_path / "cat.png")
    with pytest.raises(ImageError, match=r"cannot be read as a mask \(not a file"):
        values_of(tmp_path / "cat.png")


def test_other_files_of_the_same_names_are_another_folder(tmp_path):
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat.png", ONE)
    before = open_folder(tmp_path).fingerprint()
    write(tmp_path / "masks" / "cat.png", np.random.default_rng(0).integers(0, 2, (H, W)).astype(np.uint8))
    assert open_folder(tmp_path).fingerprint() != before


def test_a_folder_that_is_opened_again_shows_what_is_there_now(tmp_path):
    photo(tmp_path / "images" / "cat.jpg")
    write(tmp_path / "masks" / "cat_0.png", ONE)
    assert np.array_equal(read(tmp_path)[0], ONE)
    write(tmp_path / "masks" / "cat_0.png", TWO)
    write(tmp_path / "masks" / "cat_1.png", ONE)
    found = read(tmp_path)
    assert np.array_equal(found[0], TWO) and np.array_equal(found[1], ONE)


@pytest.mark.parametrize("alpha", [1, 128, 254, 255])
@pytest.mark.parametrize("colour", [(9, 9, 9), (250, 10, 40)])
def test_only_what_cannot_be_seen_is_background(alpha, colour, tmp_path):
    array = np.zeros((H, W, 4), np.uint8)
    array[..., :3] = colour
    array[ONE, 3], array[TWO, 3] = alpha, 255
    values = values_of(write(tmp_path / "a.png", array))
    assert ((values > 0) == (ONE | TWO)).all() and len(np.unique(values[ONE | TWO])) == 1


def test_of_grey_edges_the_brighter_half_is_inside(tmp_path):
    soft = ONE.astype(np.uint8) * 255
    soft[3, 4:14] = [20, 60, 100, 126, 127, 128, 129, 160, 200, 240]
    expected = ONE.copy()
    expected[3, 4:9] = False
    assert (values_of(write(tmp_path / "a.png", soft)) == expected).all()


@pytest.mark.parametrize("suffix", [".JPG", ".Jpeg", ".PNG", ".WebP", ".TIF", ".BMP"])
@pytest.mark.parametrize(
    ("image", "mask"), [("images/a", "masks/a"), ("images/a", "masks/a/1"), ("a", "a_mask")]
)
def test_a_suffix_counts_in_any_case(image, mask, suffix, tmp_path):
    photo(tmp_path / f"{image}{suffix}")
    kept = suffix if suffix in (".PNG", ".TIF", ".BMP") else ".PNG"  # the others would change the values
    write(tmp_path / f"{mask}{kept}", ONE.astype(np.uint8) * 255)
    opened = open_folder(tmp_path)
    (segment,) = opened.read(0).segments
    assert len(opened.names) == 1 and (segment.mask() == ONE).all()


@pytest.mark.parametrize(("others", "is_one"), [(0.04, True), (0.06, False)])
def test_one_object_is_nearly_all_black_and_white(others, is_one, tmp_path):
    """At most one pixel in twenty is grey; more of them are other objects."""
    array = np.zeros((40, 50), np.uint8)
    array[20:] = 255
    count = round(others * array.size)
    array.reshape(-1)[:count] = 40 + np.arange(count) % 60
    found = np.unique(values_of(write(tmp_path / "a.png", array)))
    assert found.tolist() == ([0, 1] if is_one else [0, *range(40, 100), 255])


@pytest.mark.parametrize("changed", ["images/a.png", "masks/a.png"])
def test_a_changed_image_or_mask_is_another_data_set(tmp_path, changed):
    """A run that resumes must find the same files."""
    photo(tmp_path / "images" / "a.png")
    write(tmp_path / "masks" / "a.png", ONE.astype(np.uint8) * 255)
    before = open_folder(tmp_path).fingerprint()
    assert open_folder(tmp_path).fingerprint() == before
    with open(tmp_path / changed, "ab") as file:
        file.write(b"more")
    assert open_folder(tmp_path).fingerprint() != before
