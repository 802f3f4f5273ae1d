import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.cli.segment import describe, load_mask
from minisam.config import CONFIGS, build_from_config
from minisam.masks.rle import decode_rle


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    save_checkpoint(build_from_config(CONFIGS["nano"]), path, metadata={})
    return path


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "prompt",
    [
        ["--point", "10,10"],
        ["--point", "10,10", "--point", "12,9", "--negative", "30,5"],
        ["--box", "5,5,20,20"],
        ["--box", "5,5,20,20", "--box", "25,5,40,20", "--single"],
        ["--box", "-0.4,-.4,20,20", "--negative", "-.5,29"],
    ],
)
def test_a_prompt_gives_a_figure_and_masks(photo, weights, capsys, prompt):
    assert main(["segment", str(photo), "--checkpoint", str(weights), "--json", *prompt]) == 0
    answer = json.loads(capsys.readouterr().out)
    with Image.open(answer["figure"]) as figure:
        assert figure.size[0] > 100
    assert len(answer["masks"]) == (1 if "--single" in prompt else 3)
    for record in answer["masks"]:
        mask = decode_rle(record["segmentation"])
        assert mask.shape == (30, 50) and mask.sum() == record["area"]
        x, y, width, height = record["bbox"]
        assert mask[y : y + height, x : x + width].sum() == record["area"]


def test_a_mask_file_is_a_prompt(photo, weights, tmp_path, capsys):
    mask = np.zeros((30, 50), np.uint8)
    mask[5:20, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = ["segment", str(photo), "--checkpoint", str(weights), "--mask", str(tmp_path / "mask.png")]
    assert main([*arguments, "-o", str(tmp_path / "out.png")]) == 0
    assert (tmp_path / "out.png").exists()
    assert "predicted IoU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to segment"),
        (["--point", "100,10"], 2, "outside the image"),
        (["--box", "9,9,9,9"], 2, "area"),
        (["--point", "5,5", "--mask", "PHOTO_OF_ANOTHER_SIZE"], 2, "pixels"),
        (["--mask", "BLACK"], 2, "marks nothing"),
        (["--mask", "BLACK", "-o", "BLACK"], 2, "overwritten"),
        (["--point", "5,5", "--checkpoint", "NOT_A_CHECKPOINT"], 3, "NOT_A_CHECKPOINT"),
    ],
)
def test_one_line_says_what_is_wrong(photo, weights, tmp_path, capsys, arguments, code, message):
    other = tmp_path / "PHOTO_OF_ANOTHER_SIZE"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(other, format="PNG")
    Image.fromarray(np.zeros((30, 50), np.uint8)).save(tmp_path / "BLACK", format="PNG")
    (tmp_path / "NOT_A_CHECKPOINT").write_bytes(b"no weights here")
    arguments = [str(tmp_path / word) if word.isupper() else word for word in arguments]
    if "--checkpoint" not in arguments:
        arguments += ["--checkpoint", str(weights)]
    assert main(["segment", str(photo), *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("minisam: ") and error.count("\n") == 1 and message in error


@pytest.mark.parametrize("model", ["tiny", "nano"])
def test_weights_that_never_saw_a_mask_alone_want_a_point_or_a_box(photo, capsys, model):
    assert main(["segment", str(photo), "--model", model, "--mask", "any.png"]) == 2
    assert f"{model} finds nothing from a mask alone; add a --point or a --box" in capsys.readouterr().err


def test_small_finds_the_object_of_a_rough_mask(tmp_path, capsys):
    """A mask of 0.8 of a disc's diameter gives the disc."""
    rows, columns = np.mgrid[:96, :128]
    distance = np.hypot(rows - 50, columns - 60)
    disc = distance < 30
    Image.fromarray(np.where(disc[..., None], (220, 60, 40), (90, 130, 110)).astype(np.uint8)).save(
        tmp_path / "disc.png"
    )
    Image.fromarray((distance < 24).astype(np.uint8) * 255).save(tmp_path / "rough.png")
    words = [
        "segment",
        str(tmp_path / "disc.png"),
        "--mask",
        str(tmp_path / "rough.png"),
        "--single",
        "--json",
    ]
    assert main(words) == 0
    (record,) = json.loads(capsys.readouterr().out)["masks"]
    found = decode_rle(record["segmentation"])
    assert (found & disc).sum() / (found | disc).sum() > 0.8


def test_text_has_its_own_network(photo, capsys):
    assert main(["segment", str(photo), "--text", "a red disc", "--model", "tiny"]) == 2
    assert "omit --model" in capsys.readouterr().err


def test_a_mask_may_be_cut_out(tmp_path):
    pixels = np.zeros((30, 50, 4), np.uint8)
    pixels[..., :3] = 255
    pixels[5:20, 10:30, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    mask = load_mask(tmp_path / "cut.png", (30, 50))
    assert mask.sum() == 15 * 20 and mask[5:20, 10:30].all()


def test_a_mask_of_zeros_and_ones_is_read(tmp_path):
    mask = np.random.default_rng(0).integers(0, 2, (30, 50), np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert np.array_equal(load_mask(tmp_path / "mask.png", (30, 50)), mask == 1)


def test_the_figure_is_written_over_nothing_that_was_given(photo, weights, tmp_path):
    mask = np.zeros((30, 50), np.uint8)
    mask[5:20, 10:30] = 255
    given = tmp_path / "photo_masks.png"
    Image.fromarray(mask).save(given)
    before = given.read_bytes()
    words = ["segment", str(photo), "--checkpoint", str(weights), "--mask", str(given)]
    assert main(words) == 0 and given.read_bytes() == before
    assert main([*words, "-o", str(given)]) == 2 and given.read_bytes() == before
    assert main([*words, "-o", str(photo)]) == 2
    with Image.open(photo) as image:
        assert image.size == (50, 30)


def test_a_file_that_is_no_image(tmp_path, capsys):
    path = tmp_path / "words.jpg"
    path.write_text("not an image")
    assert main(["segment", str(path), "--point", "1,1"]) == 3
    assert "words.jpg" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "tif", "pdf", "svg"])
def test_the_suffix_chooses_the_format(photo, weights, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    assert main(["segment", str(photo), "--checkpoint", str(weights), "--point", "9,9", "-o", str(out)]) == 0
    begins = {
        "png": b"\x89PNG",
        "jpg": b"\xff\xd8",
        "JPEG": b"\xff\xd8",
        "webp": b"RIFF",
        "tif": b"II*",
        "pdf": b"%PDF",
    }
    assert out.read_bytes().startswith(begins.get(suffix, b"<?xml"))


@pytest.mark.parametrize(
    ("out", "code", "words"),
    [
        ("-", 2, "give it a name"),
        ("out", 2, "cannot write this format; use a name that ends in .png"),
        ("out.bmp", 2, "cannot write this format"),
        ("nodir/out.png", 2, "there is no folder"),
        ("photo.png/out.png", 2, "is not a folder"),
        ("folder.png", 2, "is a folder"),
        ("nano.safetensors", 2, "would be overwritten"),
        ("link.png", 2, "would be overwritten"),
    ],
)
def test_where_nothing_can_be_written_there_is_no_work(
    photo, weights, tmp_path, capsys, monkeypatch, out, code, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nano.safetensors").write_bytes(weights.read_bytes())
    (tmp_path / "link.png").symlink_to("photo.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    monkeypatch.setattr("minisam.checkpoint.load_checkpoint", None)  # no work
    arguments = ["segment", "photo.png", "--checkpoint", "nano.safetensors", "--point", "5,5", "-o", out]
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("minisam: ") and error.count("\n") == 1 and words in error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_the_figure_beside_the_image_replaces_our_own_alone(photo, weights, tmp_path, capsys):
    words = ["segment", str(photo), "--checkpoint", str(weights), "--point", "9,9"]
    figure = tmp_path / "photo_segment.png"
    assert main(words) == 0 and main([*words, "--single"]) == 0
    Image.new("RGB", (3, 3)).save(figure)
    before = figure.read_bytes()
    assert main(words) == 2 and figure.read_bytes() == before
    assert "was not drawn by minisam and is not replaced" in capsys.readouterr().err


@pytest.mark.parametrize("by_file", [False, True])
def test_two_images_of_one_stem_do_not_share_a_figure(by_file, photo, weights, tmp_path, capsys):
    options = ["--checkpoint", str(weights), "--point", "9,9"]
    if by_file:
        (tmp_path / "prompts.txt").write_text('[{"point_coords": [[9, 9]]}]')
        options = [*options[:2], "--prompts", str(tmp_path / "prompts.txt")]
    other = photo.with_suffix(".jpg")
    Image.open(photo).save(other)
    assert main(["segment", str(photo), *options]) == 0
    before = (tmp_path / "photo_segment.png").read_bytes()
    assert main(["segment", str(other), *options]) == 2
    assert "is the figure of photo.png and is not replaced" in capsys.readouterr().err
    assert (tmp_path / "photo_segment.png").read_bytes() == before
    assert main(["segment", str(other), *options, "-o", str(tmp_path / "b.png")]) == 0
    assert main(["segment", str(photo), *options]) == 0


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_a_folder_is_no_image(place, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["segment", place, "--point", "1,1"]) == 3
    assert "a folder, not an image" in capsys.readouterr().err


def test_malformed_numbers_are_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["segment", "photo.png", "--point", "ten,10"])
    assert stopped.value.code == 2
    assert "2 finite numbers" in capsys.readouterr().err


def test_an_image_in_no_folder_is_no_image(capsys):
    assert main(["segment", "http://example.org/a.png", "--point", "1,1"]) == 3
    assert capsys.readouterr().err.endswith("a.png: no such image file\n")


def test_a_picture_to_look_for_is_black_where_it_is_transparent(monkeypatch, tmp_path):
    pixels = np.full((8, 9, 4), 200, np.uint8)
    pixels[..., 3] = 255 * (np.arange(9) < 4)
    Image.fromarray(pixels).save(tmp_path / "crop.png")
    model = SimpleNamespace(sam="the network", embed_image=lambda image: image)
    monkeypatch.setattr("minisam.text.text_sam.load_text_sam", lambda checkpoint: model)
    sam, image = describe(tmp_path / "crop.png", None)
    assert sam == "the network" and (image[:, :4] == 200).all() and not image[:, 4:].any()
