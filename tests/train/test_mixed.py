"""Batches of PartWorld and cut-outs: shares, masks, a second process, and runs that resume."""

import csv
from dataclasses import replace

import pytest
import torch
from cutout_folders import two_folders, write_cutout
from outlined_folder import write_photographs

from minisam.checkpoint import load_checkpoint
from minisam.data.cutouts import open_cutouts, render_cutouts
from minisam.data.outlined import outlined_scenes
from minisam.data.partworld import render_scenes
from minisam.data.skipped import Skipped
from minisam.errors import CheckpointError
from minisam.train.interactive import Rounds
from minisam.train.mixed import CutoutsOn, MixedSource, draw_mixed
from minisam.train.presets import Phase, Recipe
from minisam.train.sam_run import sam_run

PHASE = Phase(
    0.0,
    64,
    4,
    3,
    Rounds(1, 1),
    cutouts=0.5,
    clear_prompts=True,
    mask_first_share=0.5,
    worlds=("train", "cartoon"),
)
RECIPE = Recipe(steps=4, phases=(PHASE,), warmup=1, ema_decay=0.9)


@pytest.fixture
def folders(tmp_path):
    open_cutouts.cache_clear()
    return CutoutsOn(*two_folders(tmp_path / "data"))


def test_a_batch_has_its_share_of_cutouts_and_the_rest_of_partworld(folders):
    source = MixedSource([folders], RECIPE, 0, "cpu", in_background=False)
    batch = source.batch(0, PHASE, torch.Generator().manual_seed(0))
    assert batch.images.shape == (4, 3, 64, 64)
    assert batch.masks.shape == (4, 3, 64, 64) and batch.masks.flatten(2).any(dim=2).all()
    has_parts = (batch.labels[:, 1] >= 0).flatten(1).any(dim=1)
    assert not has_parts[:2].any() and has_parts[2:].any()


@pytest.mark.parametrize(("share", "cutouts"), [(0.0, 0), (0.3, 1), (1.0, 4)])
def test_shares_are_rounded_to_images(folders, share, cutouts):
    phase = Phase(0.0, 64, 4, 1, cutouts=share)
    source = MixedSource([folders], Recipe(steps=1, phases=(phase,)), 0, "cpu", in_background=False)
    asked = source.arguments(0)
    assert (asked["cutout_images"], asked["world_images"]) == (cutouts, 4 - cutouts)
    assert len(source.batch(0, phase, torch.Generator()).images) == 4


def test_every_step_asks_for_its_own_seed_and_the_next_world(folders):
    phase = replace(PHASE, object_scale=1.5, richness=0.7)
    source = MixedSource([folders], replace(RECIPE, phases=(phase,)), 3, "cpu", in_background=False)
    assert source.arguments(5) == {
        "seed": 3 * 1_000_003 + 5 * 7919 + 1,
        "image_size": 64,
        "cutout_images": 2,
        "layered": 0.0,
        "enlarged": 0.0,
        "folders": source.folders[0],
        "outlined": None,
        "outlined_images": 0,
        "world_images": 2,
        "world": "cartoon",
        "object_scale": 1.5,
        "richness": 0.7,
    }
    assert source.arguments(6)["world"] == "train"


def test_every_step_draws_one_pair_of_folders_and_a_run_needs_all_of_them(folders, tmp_path):
    other = CutoutsOn(*two_folders(tmp_path / "other", cutouts=12))
    source = MixedSource([folders, other], RECIPE, 0, "cpu", in_background=False)
    drawn = [source.arguments(step)["folders"] for step in range(40)]
    assert 10 < drawn.count(source.folders[0]) < 30 and set(drawn) == set(source.folders)
    assert drawn == [source.arguments(step)["folders"] for step in range(40)]
    alone = [MixedSource([one], RECIPE, 0, "cpu", in_background=False).about() for one in (folders, other)]
    assert source.about()["cutouts"] == f"{alone[0]['cutouts']}+{alone[1]['cutouts']}"


def test_both_kinds_are_drawn_from_the_seed(folders):
    scenes = draw_mixed(7, 64, 2, folders, 2, "cartoon", object_scale=1.5).scenes
    pasted = render_cutouts(folders.cutouts, folders.backgrounds, 7, 2, 64).scenes
    world = render_scenes(7, 2, 64, "cartoon", object_scale=1.5)
    assert torch.equal(scenes.images, torch.cat([pasted.images, world.images]))
    assert torch.equal(scenes.area, torch.cat([pasted.area, world.area]))


@pytest.mark.parametrize("kind", ["layered", "enlarged"])
def test_the_phase_says_how_many_scenes_are_layered_or_enlarged(folders, kind):
    recipe = replace(RECIPE, phases=(replace(PHASE, cutouts=1.0, **{kind: 1.0}),))
    source = MixedSource([folders], recipe, 0, "cpu", in_background=False)
    got = source.batch(0, recipe.phases[0], torch.Generator().manual_seed(0)).images
    given = source.arguments(0)
    assert given[kind] == 1.0
    pair = (folders.cutouts, folders.backgrounds)
    all_of_them, none = (
        render_cutouts(*pair, given["seed"], len(got), given["image_size"], **{kind: share}).scenes
        for share in (1.0, 0.0)
    )
    assert torch.equal(got, all_of_them.images) and not torch.equal(got, none.images)


def test_a_folder_with_masks_gives_the_phases_share_of_the_images(folders, tmp_path):
    write_photographs(tmp_path)
    phase = replace(PHASE, batch_size=4, cutouts=0.5, outlined=0.25, min_area=0.0)
    recipe = replace(RECIPE, phases=(phase,))
    source = MixedSource([folders], recipe, 0, "cpu", in_background=False, outlined=tmp_path)
    asked = source.arguments(0)
    assert (asked["cutout_images"], asked["outlined_images"], asked["world_images"]) == (1, 1, 2)
    drawn = source.batch(0, phase, torch.Generator().manual_seed(0))
    alone, _ = outlined_scenes(tmp_path, asked["seed"], 1, 64)
    assert torch.equal(drawn.images[1], alone.images[0])
    without = MixedSource([folders], recipe, 0, "cpu", in_background=False)
    assert without.arguments(0)["world_images"] == 2
    assert "data" not in without.about() and len(str(source.about()["data"])) > 8


def test_what_could_not_be_used_gathers(folders):
    source = MixedSource([folders], RECIPE, 0, "cpu", in_background=False)
    drawn = source.drawn[0]._replace(skipped=Skipped({"cat.png": "damaged"}))
    source.drawn.draw = lambda **_: drawn
    source.batch(0, PHASE, torch.Generator())
    assert source.skipped["cat.png"] == "damaged"


def test_steps_differ_and_a_second_process_draws_the_same(folders):
    here = MixedSource([folders], RECIPE, 3, "cpu", in_background=False)
    there = MixedSource([folders], RECIPE, 3, "cpu", in_background=True)
    try:
        for step in (0, 1):
            one, two = (s.batch(step, PHASE, torch.Generator().manual_seed(step)) for s in (here, there))
            assert torch.equal(one.images, two.images) and torch.equal(one.masks, two.masks)
        assert not torch.equal(here.drawn[0].scenes.images, here.drawn[1].scenes.images)
    finally:
        there.close()


def weights(sam):
    return torch.cat([value.flatten().float() for value in sam.state_dict().values()])


def test_a_run_resumes_bit_for_bit_with_its_average(folders, tmp_path):
    whole = sam_run("nano", tmp_path / "whole", RECIPE, cutouts=[folders])
    expected = weights(whole.run().result())
    assert not torch.equal(expected, weights(whole.task.sam))  # the result is the average
    first = sam_run("nano", tmp_path / "parts", RECIPE, cutouts=[folders], save_every=2)
    first.folder.mkdir()
    first.train_step()
    first.train_step()
    first.save()
    second = sam_run("nano", tmp_path / "parts", RECIPE, cutouts=[folders])
    assert torch.equal(weights(second.run().result()), expected)
    with (tmp_path / "parts" / "metrics.csv").open() as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [4]


def test_a_run_does_not_resume_with_other_files(folders, tmp_path):
    run = sam_run("nano", tmp_path / "run", RECIPE, cutouts=[folders])
    run.folder.mkdir()
    run.train_step()
    run.save()
    used = open_cutouts(folders.cutouts.resolve(), folders.backgrounds.resolve()).cutout_names
    write_cutout(folders.cutouts / used[0], size=(300, 300))
    open_cutouts.cache_clear()
    with pytest.raises(CheckpointError, match="other settings"):
        sam_run("nano", tmp_path / "run", RECIPE, cutouts=[folders]).run()


def test_the_validation_measures_the_average(folders, tmp_path):
    seen = []
    run = sam_run(
        "nano",
        tmp_path / "run",
        RECIPE,
        cutouts=[folders],
        validation=lambda sam: seen.append(weights(sam)) or {"n": 1.0},
    )
    result = run.run().result()
    assert torch.equal(seen[-1], weights(result))
    written = weights(load_checkpoint(tmp_path / "run" / "latest.safetensors"))
    torch.testing.assert_close(written, weights(result), rtol=1e-3, atol=1e-4)  # float16
