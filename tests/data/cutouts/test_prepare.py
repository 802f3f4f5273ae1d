"""Smaller copies of both folders: sizes, formats, and which files are kept or left out."""

from __future__ import annotations

from cutout_folders import write_background, write_cutout
from PIL import Image

from minisam.data.cutouts.prepare import MARGIN, prepare_folders


def test_cut_outs_and_backgrounds_have_their_own_largest_sides(tmp_path):
    write_cutout(tmp_path / "c" / "kind" / "one.png", (200, 110))
    write_background(tmp_path / "b" / "two.png", (300, 150))
    lines = list(prepare_folders(tmp_path / "c", tmp_path / "b", tmp_path / "out", 60, 100))
    assert [line.split()[0] for line in lines] == ["wrote", "1", "wrote", "1"]
    with Image.open(tmp_path / "out" / "cutouts" / "kind" / "one.webp") as cutout:
        # of 190 x 100 visible pixels, and transparent ones around them
        assert cutout.size == (60 + 2 * MARGIN, 32 + 2 * MARGIN) and cutout.mode == "RGBA"
        alpha = cutout.getchannel("A")
        assert alpha.getpixel((0, 0)) == 0 and alpha.getpixel((32, 18)) == 255
    with Image.open(tmp_path / "out" / "backgrounds" / "two.jpg") as background:
        assert background.size == (100, 50) and background.mode == "RGB"


def test_what_is_there_is_kept_and_what_is_named_is_left_out(tmp_path):
    for seed, name in enumerate(("one", "two")):
        write_cutout(tmp_path / "c" / f"{name}.png", colour=(seed, 40, 40))
        write_background(tmp_path / "b" / f"{name}.jpg", seed=seed)
    folders = tmp_path / "c", tmp_path / "b", tmp_path / "out"
    lines = list(prepare_folders(*folders, leave_out=("two.png",)))
    assert sum(line.startswith("wrote") for line in lines) == 3
    assert [line for line in lines if line.startswith("left out")] == [
        f"left out {tmp_path / 'c' / 'two.png'}: left out by name"
    ]
    before = (tmp_path / "out" / "cutouts" / "one.webp").stat().st_mtime_ns
    again = list(prepare_folders(*folders, leave_out=("two.png",)))
    assert sum(line.startswith("kept") for line in again) == 3
    assert (tmp_path / "out" / "cutouts" / "one.webp").stat().st_mtime_ns == before


def test_of_copies_of_a_file_the_first_is_kept(tmp_path):
    for kind, write, suffix in (("c", write_cutout, ".png"), ("b", write_background, ".jpg")):
        write(tmp_path / kind / f"m{suffix}")
        (tmp_path / kind / f"z{suffix}").symlink_to(tmp_path / kind / f"m{suffix}")
        (tmp_path / kind / f"a{suffix}").write_bytes((tmp_path / kind / f"m{suffix}").read_bytes())
    lines = list(prepare_folders(tmp_path / "c", tmp_path / "b", tmp_path / "out"))
    assert sorted(line for line in lines if line.startswith("left out")) == [
        f"left out {tmp_path / kind / (name + suffix)}: the same file as {of}{suffix}"
        for kind, suffix in (("b", ".jpg"), ("c", ".png"))
        for name, of in (("m", "a"), ("z", "m"))
    ]
    files = sorted(path.name for path in (tmp_path / "out").rglob("*.*"))
    assert files == ["a.jpg", "a.webp"]
