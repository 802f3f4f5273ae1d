"""What of two folders is used, what is left out and why, and which sixth is never trained on."""

import os

import pytest
from cutout_folders import two_folders, write_background, write_cutout
from PIL import Image

from minisam.data.cutouts.folder import (
    CutoutFolders,
    level_for,
    load_background,
    load_cutout,
    open_cutouts,
    pyramid,
)
from minisam.data.cutouts.split import is_held_out
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, ImageError


@pytest.fixture(autouse=True)
def opened_anew():
    open_cutouts.cache_clear()


def test_a_sixth_is_held_out_whatever_the_format_of_the_file():
    names = [f"animals/{number}.png" for number in range(6000)]
    held_out = [name for name in names if is_held_out(name)]
    assert 900 < len(held_out) < 1100
    assert all(is_held_out(name.replace(".png", ".webp")) for name in held_out)
    assert {
        is_held_out("a/x.png"),
        is_held_out("b/x.png"),
        is_held_out("c/x.png"),
        is_held_out("d/x.png"),
    } != {True}


def test_training_and_held_out_names_share_nothing_and_are_all(tmp_path):
    folders = two_folders(tmp_path)
    parts = {part: open_cutouts(*folders, part) for part in ("training", "held out", "all")}
    for names in ("cutout_names", "background_names"):
        training, held_out = (set(getattr(parts[part], names)) for part in ("training", "held out"))
        assert not training & held_out
        assert training | held_out == set(getattr(parts["all"], names))
        assert all(is_held_out(name) for name in held_out)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and links: run it on Linux")
def test_every_file_that_is_not_used_has_a_reason(tmp_path):
    cutouts, backgrounds = two_folders(tmp_path)
    write_cutout(cutouts / ".hidden.png")
    write_cutout(cutouts / ".folder" / "in.png")
    write_cutout(cutouts / "symbols" / "plus.png")
    write_cutout(cutouts / "small.png", size=(39, 30))
    Image.new("RGB", (64, 64)).save(cutouts / "opaque.png")
    (cutouts / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (cutouts / "sound.ogg").write_bytes(b"OggS")
    (cutouts / "empty.webp").touch()
    (cutouts / "z_copy.png").symlink_to(cutouts / "kind1" / "1.png")
    (cutouts / "z_dangling.png").symlink_to(cutouts / "gone.png")
    os.mkfifo(cutouts / "z_pipe.png")
    (backgrounds / "tiny.jpg").write_bytes(write_background(tmp_path / "t.jpg", size=(300, 63)).read_bytes())
    folders = open_cutouts(cutouts, backgrounds, "all", ("symbols",))
    reasons = {name.removeprefix(f"{cutouts}/"): reason for name, reason in folders.skipped.items()}
    assert reasons[".hidden.png"] == reasons[".folder/in.png"] == "a hidden file"
    assert reasons["symbols/plus.png"] == "left out by name"
    assert reasons["small.png"] == "fewer than 40 pixels per side"
    assert reasons["opaque.png"] == "no alpha channel"
    assert reasons["damaged.png"].startswith("cannot be read")
    assert reasons["sound.ogg"] == "not a PNG or WEBP file"
    assert reasons["empty.webp"].startswith("cannot be read")
    assert reasons["z_copy.png"] == "the same file as kind1/1.png"
    assert (
        reasons["z_dangling.png"]
        == reasons["z_pipe.png"]
        == "cannot be read (not a file, or a link to nothing)"
    )
    assert folders.skipped[str(backgrounds / "tiny.jpg")] == "fewer than 64 pixels per side"
    assert len(folders.skipped) == 12
    assert len(folders.cutout_names) == len(folders.background_names) == 24


@pytest.mark.parametrize(
    ("left_out", "name", "is_out"),
    [
        ("plants/flowers", "plants/flowers/rose.png", True),
        ("flowers", "plants/flowers/rose.png", True),
        ("plants/flowers/", "plants/flowers/plastic/rose.png", True),
        ("rose.png", "plants/flowers/rose.png", True),
        ("plants/flow", "plants/flowers/rose.png", False),
        ("rose", "plants/flowers/rose.png", False),
    ],
)
def test_what_leave_out_names(left_out, name, is_out, tmp_path):
    cutouts, backgrounds = two_folders(tmp_path)
    write_cutout(cutouts / name)
    assert (name not in open_cutouts(cutouts, backgrounds, "all", (left_out,)).cutout_names) == is_out


def test_folders_that_cannot_be_used_say_why(tmp_path):
    cutouts, backgrounds = two_folders(tmp_path)
    with pytest.raises(DatasetError, match="gone: no such folder"):
        open_cutouts(tmp_path / "gone", backgrounds)
    with pytest.raises(
        DatasetError, match=r"no PNG or WebP file with an alpha channel that can be used.*no alpha"
    ):
        Image.new("RGB", (80, 80)).save(tmp_path / "x.png")
        (tmp_path / "flat").mkdir()
        (tmp_path / "x.png").rename(tmp_path / "flat" / "x.png")
        open_cutouts(tmp_path / "flat", backgrounds)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match="nothing: no image file that can be used"):
        open_cutouts(cutouts, tmp_path / "nothing")


def test_the_fingerprint_follows_names_and_sizes(tmp_path):
    folders = two_folders(tmp_path)
    before = open_cutouts(*folders, "all").fingerprint()
    open_cutouts.cache_clear()
    assert open_cutouts(*folders, "all").fingerprint() == before
    open_cutouts.cache_clear()
    write_cutout(folders[0] / "kind1" / "1.png", size=(300, 200))
    assert open_cutouts(*folders, "all").fingerprint() != before
    open_cutouts.cache_clear()
    (folders[1] / "2.png").unlink()
    assert len({before, open_cutouts(*folders, "all").fingerprint()}) == 2


def test_a_cutout_is_cropped_to_what_shows_and_its_colours_are_premultiplied(tmp_path):
    image = Image.new("RGBA", (100, 80), (255, 255, 255, 0))
    image.paste((200, 100, 50, 255), (20, 30, 60, 70))
    image.paste((10, 20, 30, 100), (0, 0, 10, 10))  # less than half opaque: it does not count as the object
    image.save(tmp_path / "a.png")
    level = load_cutout(tmp_path / "a.png")[0]
    assert (level.mode, level.size) == ("RGBa", (40, 40))
    assert level.getpixel((3, 3)) == (200, 100, 50, 255)


def test_a_cutout_that_hardly_shows_is_an_error(tmp_path):
    Image.new("RGBA", (80, 80), (255, 0, 0, 127)).save(tmp_path / "ghost.png")
    with pytest.raises(ImageError, match="more than half opaque"):
        load_cutout(tmp_path / "ghost.png")


def test_images_in_memory_have_a_largest_size_and_halves(tmp_path):
    assert max(load_cutout(write_cutout(tmp_path / "c.png", size=(1200, 800)))[0].size) == 512
    assert max(load_background(write_background(tmp_path / "b.png", size=(3000, 2000)))[0].size) == 1280
    levels = pyramid(Image.new("RGB", (256, 128)), 512)
    assert [level.size for level in levels] == [(256, 128), (128, 64), (64, 32), (32, 16)]
    assert [level_for(levels, side).size[0] for side in (1000, 256, 255, 128, 129, 1)] == [
        256,
        256,
        256,
        128,
        256,
        32,
    ]


def test_the_fingerprint_knows_which_folder_a_name_is_in(tmp_path):
    for folder in ("cutouts", "backgrounds"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png", "c.png"):
            (tmp_path / folder / name).write_bytes(b"1")

    def fingerprint(cutouts: tuple[str, ...], backgrounds: tuple[str, ...]) -> str:
        folders = tmp_path / "cutouts", tmp_path / "backgrounds"
        return CutoutFolders(*folders, cutouts, backgrounds, Skipped()).fingerprint()

    assert fingerprint(("a.png", "b.png"), ("c.png",)) != fingerprint(("a.png",), ("b.png", "c.png"))
