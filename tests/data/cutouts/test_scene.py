"""Scenes of cut-outs: they follow from the seed, their masks are exact, and damaged files do not stop them."""

import numpy as np
import pytest
import torch
from cutout_folders import two_folders, write_cutout
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minisam.data.cutouts import open_cutouts, render_cutouts
from minisam.data.cutouts.camera import photograph
from minisam.data.cutouts.folder import load_cutout, pyramid
from minisam.data.cutouts.light import cast_shadow, relight
from minisam.data.cutouts.paste import Sprite, lay_over, warp
from minisam.data.cutouts.placement import KINDS, Placement, sample_placements
from minisam.data.cutouts.scene import enlarge
from minisam.errors import DatasetError

FLAT = Placement(cutout=0, centre=(0.5, 0.5), side=0.5, angle=0.0, stretch=1.0, mirrored=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return two_folders(tmp_path_factory.mktemp("cutouts"))


def two_coloured(width=64, height=32):
    """The left half red, the right half blue, all opaque."""
    image = Image.new("RGBa", (width, height), (255, 0, 0, 255))
    image.paste((0, 0, 255, 255), (width // 2, 0, width, height))
    return pyramid(image, 512)


def pasted(place, size=64, levels=None):
    sprite = warp(levels or two_coloured(), place, size)
    assert sprite is not None
    image, label = np.zeros((size, size, 3), np.float32), np.zeros((size, size), bool)
    label[sprite.rows, sprite.columns] = lay_over(image, sprite)
    return image, label


def test_a_seed_gives_the_same_scene_in_any_batch(folders):
    one, two = render_cutouts(*folders, 7, 4, 64).scenes, render_cutouts(*folders, 7, 2, 64).scenes
    assert torch.equal(one.images[:2], two.images)
    assert torch.equal(one.labels[:2], two.labels)
    assert torch.equal(one.area[:2], two.area)
    other = render_cutouts(*folders, 8, 2, 64).scenes
    assert not torch.equal(two.images, other.images)


def test_without_enlarged_scenes_nothing_else_is_drawn(folders):
    """The world photo stays as it is."""
    one, two = (
        render_cutouts(*folders, 7, 3, 64).scenes,
        render_cutouts(*folders, 7, 3, 64, enlarged=0.0).scenes,
    )
    assert torch.equal(one.images, two.images) and torch.equal(one.labels, two.labels)


def test_enlarged_scenes_have_larger_objects(folders):
    """The files have few pixels: without enlarging, no object is larger than they allow."""
    plain, enlarged = (render_cutouts(*folders, 3, 24, 256, enlarged=share).scenes for share in (0.0, 1.0))
    largest = [float(scenes.area.max()) for scenes in (plain, enlarged)]
    assert 2 < largest[1] / largest[0] < 9
    share = render_cutouts(*folders, 3, 24, 256, enlarged=0.5).scenes
    assert share.images.shape == (24, 3, 256, 256) and share.labels.shape == (24, 3, 256, 256)


def test_enlarging_keeps_every_label_over_its_object():
    """A white object on black: white pixels have its label, and a constant image stays constant."""
    label = np.full((40, 40), -1, np.int16)
    label[8:20, 10:30] = 3
    image = np.repeat(np.where(label == 3, np.float32(255), 0)[:, :, None], 3, axis=2)
    image, label = enlarge(image, label, 100)
    assert image.shape == (100, 100, 3) and image.dtype == np.float32 and label.dtype == np.int16
    ys, xs = np.nonzero(label == 3)
    assert (ys.min(), ys.max() + 1, xs.min(), xs.max() + 1) == (20, 50, 25, 75)
    assert ((image[:, :, 0] > 127.5) == (label == 3)).all() and set(np.unique(label)) == {-1, 3}
    flat, _ = enlarge(np.full((8, 8, 3), 17, np.float32), np.zeros((8, 8), np.int16), 21)
    np.testing.assert_allclose(flat, 17, atol=1e-4)


def test_training_and_held_out_scenes_are_of_different_files(folders):
    scenes = [render_cutouts(*folders, 0, 4, 64, part).scenes.images for part in ("training", "held out")]
    assert not torch.equal(*scenes)


def test_areas_levels_and_labels_belong_together(folders):
    scenes = render_cutouts(*folders, 3, 12, 64).scenes
    assert scenes.images.dtype == torch.uint8 and scenes.images.shape == (12, 3, 64, 64)
    assert (scenes.labels[:, 1:] == -1).all()
    assert (scenes.parent == -1).all()
    for image in range(12):
        for node in range(scenes.area.shape[1]):
            visible = (scenes.labels[image, 0] == node).sum()
            assert scenes.area[image, node] == visible
            assert (scenes.level[image, node] == 0) == (visible > 0)
    assert (scenes.area > 0).any(dim=1).all()


def test_a_mask_is_where_the_object_shows():
    image, mask = pasted(FLAT)
    expected = np.zeros((64, 64), bool)
    expected[24:40, 16:48] = True
    assert (mask == expected).all()
    assert (image[24:40, 17:31] == (255, 0, 0)).all() and (image[24:40, 33:47] == (0, 0, 255)).all()
    assert (image[~expected] == 0).all()


def test_turning_and_mirroring():
    _, mask = pasted(replaced(angle=np.pi / 2))
    assert mask[16:48, 24:40].mean() > 0.9 and mask.sum() == pytest.approx(512, abs=40)
    mirrored, _ = pasted(replaced(mirrored=True))
    assert (mirrored[24:40, 17:31] == (0, 0, 255)).all()
    turned, _ = pasted(replaced(angle=np.pi / 2))
    assert (turned[18:30, 26:38] == (255, 0, 0)).all()  # clockwise on the screen: left becomes top


def replaced(**changes):
    return Placement(**{**FLAT.__dict__, **changes})


def test_an_object_at_the_edge_is_cut_off_and_one_outside_is_none():
    _, mask = pasted(replaced(centre=(0.0, 0.5)))
    assert mask[24:40, :16].all() and mask.sum() == 16 * 16
    assert warp(two_coloured(), replaced(centre=(2.0, 0.5)), 64) is None


def test_a_small_cutout_is_not_blown_up():
    _, mask = pasted(replaced(side=1.0), size=512)
    columns = mask.any(axis=0)
    assert columns.sum() == pytest.approx(1.6 * 64, abs=2)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-0.3, 1.3),
    st.floats(-0.3, 1.3),
    st.floats(0.05, 1.2),
    st.floats(-3.2, 3.2),
    st.floats(0.7, 1.4),
    st.booleans(),
)
def test_any_placement_stays_inside_the_image(x, y, side, angle, stretch, mirrored):
    sprite = warp(two_coloured(), Placement(0, (x, y), side, angle, stretch, mirrored), 48)
    if sprite is not None:
        assert sprite.top >= 0 and sprite.top + sprite.pixels.shape[0] <= 48
        assert sprite.left >= 0 and sprite.left + sprite.pixels.shape[1] <= 48
        assert (sprite.pixels[:, :, :3] <= sprite.pixels[:, :, 3:] + 1).all()  # premultiplied


def test_half_transparent_pixels_are_mixed():
    image = np.full((4, 4, 3), 100, np.float32)
    sprite = Sprite(np.full((2, 2, 4), 51, np.float32), 1, 1)  # alpha 0.2
    assert not lay_over(image, sprite).any()
    assert np.allclose(image[1:3, 1:3], 100 * 0.8 + 51)
    assert (image[0] == 100).all()


def test_light_keeps_alpha_and_draws_colours_towards_the_background():
    sprite = warp(two_coloured(), FLAT, 64)
    assert sprite is not None
    green = np.zeros((*sprite.pixels.shape[:2], 3), np.float32)
    green[:, :, 1] = 200
    lit = [relight(np.random.default_rng(seed), sprite, green) for seed in range(40)]
    for one in lit:
        assert (one.pixels[:, :, 3] == sprite.pixels[:, :, 3]).all()
        assert (one.pixels[:, :, :3] >= 0).all() and (one.pixels[:, :, :3] <= one.pixels[:, :, 3:]).all()
    assert np.mean([one.pixels[:, :, 1].mean() for one in lit]) > sprite.pixels[:, :, 1].mean() + 10


def test_a_shadow_only_darkens_and_lies_near_its_object():
    sprite = warp(two_coloured(), FLAT, 64)
    assert sprite is not None
    for seed in range(20):
        image = np.full((64, 64, 3), 100, np.float32)
        cast_shadow(np.random.default_rng(seed), image, sprite)
        assert image.max() == 100 and image.min() < 95
        assert (image[:4] == 100).all() and (image[60:] == 100).all()


def test_the_camera_gives_bytes_of_the_same_size_and_sometimes_grey():
    grey = 0
    for seed in range(200):
        colours = np.random.default_rng(seed).uniform(0, 255, (8, 8, 1, 1, 3)).astype(np.float32)
        image = np.broadcast_to(colours, (8, 8, 4, 4, 3)).transpose(0, 2, 1, 3, 4).reshape(32, 32, 3).copy()
        photo = photograph(np.random.default_rng(seed), image)
        assert photo.dtype == np.uint8 and photo.shape == (32, 32, 3)
        spread = np.ptp(photo.astype(int), axis=2).mean()
        grey += spread < 25
    assert 8 <= grey <= 40


def test_sizes_reach_from_specks_to_nearly_the_whole_image():
    random = np.random.default_rng(0)
    scenes = [sample_placements(random, 100) for _ in range(600)]
    sides = [place.side for places in scenes for place in places]
    assert min(sides) < 0.06 and max(sides) > 1.0
    assert {len(places) for places in scenes} >= set(range(1, 25))
    assert sum(kind.weight for kind in KINDS) == pytest.approx(1)
    repeating = sum(len({p.cutout for p in places}) <= 3 for places in scenes if len(places) >= 8)
    assert 0.2 < repeating / sum(len(places) >= 8 for places in scenes) < 0.5
    assert max(len(places) for places in scenes) == 30


def test_most_objects_stand_nearly_upright_and_half_are_mirrored():
    random = np.random.default_rng(1)
    places = [place for _ in range(600) for place in sample_placements(random, 100)]
    turned = np.mean([abs(place.angle) > 0.5 for place in places])
    assert turned == pytest.approx(0.25 * (1 - 0.5 / np.pi), abs=0.03)
    assert np.mean([place.mirrored for place in places]) == pytest.approx(0.5, abs=0.03)
    assert np.std([np.log(place.stretch) for place in places]) == pytest.approx(0.08, abs=0.005)
    assert {round(x, 1) for place in places for x in place.centre} == {n / 10 for n in range(11)}


def test_a_file_damaged_inside_is_named_and_another_drawn(tmp_path):
    cutouts, backgrounds = two_folders(tmp_path)
    names = open_cutouts(cutouts, backgrounds).cutout_names
    for name in names[:8]:
        path = cutouts / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    open_cutouts.cache_clear()
    load_cutout.cache_clear()
    drawn = render_cutouts(cutouts, backgrounds, 0, 16, 64)
    damaged = {str(cutouts / name) for name in names[:8]}
    assert drawn.skipped and set(drawn.skipped) <= damaged
    assert all("cannot be decoded" in reason for reason in drawn.skipped.values())
    again = render_cutouts(cutouts, backgrounds, 0, 16, 64)
    assert torch.equal(drawn.scenes.images, again.scenes.images)


def test_nothing_but_damaged_files_is_an_error(tmp_path):
    cutouts, backgrounds = two_folders(tmp_path, cutouts=0)
    for number in range(12):
        Image.new("RGBA", (64, 64), (255, 0, 0, 90)).save(write_cutout(cutouts / f"{number}.png"))
    open_cutouts.cache_clear()
    with pytest.raises(DatasetError, match="hardly any file can be used"):
        render_cutouts(cutouts, backgrounds, 0, 1, 64)


def test_sizes_that_cannot_be_drawn(folders):
    for batch, size in ((0, 64), (1, 31)):
        with pytest.raises(ValueError, match="at least 1 image of 32 px"):
            render_cutouts(*folders, 0, batch, size)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("width", "height"), [(20, 12), (12, 20), (16, 16)])
def test_a_cutout_at_its_own_size_keeps_its_pixels(width, height, mirrored):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    pixels[..., 3] = 255
    levels = (Image.fromarray(pixels).convert("RGBa"),)
    place = replaced(centre=(32 / 64, 30 / 64), side=max(width, height) / 64, mirrored=mirrored)
    sprite = warp(levels, place, 64)
    assert (sprite.left, sprite.top) == (32 - width // 2, 30 - height // 2)
    assert np.array_equal(sprite.pixels, pixels[:, ::-1] if mirrored else pixels)
