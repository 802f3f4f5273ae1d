"""A run on files resumes with identical results, also when drawing ahead, and does not resume with other files."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import pad

from minisam.data.partworld import VARIANTS
from minisam.data.partworld.export import annotated_pictures, write_as_coco, write_sa1b
from minisam.errors import CheckpointError
from minisam.train.interactive import Rounds
from minisam.train.pictures import open_split
from minisam.train.presets import RECIPES, RECIPES_FROM_WEIGHTS, Phase, Recipe
from minisam.train.sam_run import sam_run
from minisam.train.sources import PartWorldSource, PictureSource

RECIPE = Recipe(
    steps=4,
    phases=(
        Phase(0.0, 32, 2, 0, affinity=1.0),
        Phase(0.25, 32, 2, 2, affinity=1.0),
        Phase(0.5, 64, 2, 3, Rounds(1, 1)),
    ),
    warmup=1,
    dropout=0.1,
)


@pytest.fixture(autouse=True)
def opened_anew():
    open_split.cache_clear()


@pytest.fixture
def folder(tmp_path):
    write_sa1b(tmp_path / "data", annotated_pictures("train", 6, 64, object_scale=2.0))
    return tmp_path / "data"


def train(out, data, stop_at=None, **settings):
    run = sam_run("nano", out, RECIPE, save_every=1, data=data, held_out=0.2, **settings)
    if stop_at is None:
        run.run()
    else:
        out.mkdir()
        for _ in range(stop_at):
            run.train_step()
            run.save()
    return run


@pytest.mark.parametrize(("distinct", "drawn_at"), [(None, 7), (4, 3)])
def test_every_step_asks_for_the_scenes_of_its_phase(distinct, drawn_at):
    phases = (
        Phase(0.0, 32, 5, 2, object_scale=1.5, richness=0.7, worlds=("train", "cartoon", "heldout")),
        Phase(0.5, 64, 3, 2, object_scale=0.5, richness=0.2, worlds=("micro", "train", "cartoon", "heldout")),
    )
    source = PartWorldSource(Recipe(steps=10, phases=phases), 3, "cpu", False, distinct)
    assert source.arguments(7) == {
        "world": "heldout",
        "seed": 3 * 1_000_003 + drawn_at * 7919 + 1,
        "batch_size": 3,
        "image_size": 64,
        "device": "cpu",
        "object_scale": 0.5,
        "richness": 0.2,
    }
    assert source.arguments(1) == source.arguments(7) | {
        "world": "cartoon",
        "seed": 3 * 1_000_003 + 7919 + 1,
        "batch_size": 5,
        "image_size": 32,
        "object_scale": 1.5,
        "richness": 0.7,
    }


def rows_of(path):
    with path.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]


def biases(sam):
    """Two numbers for the network of a step."""
    bias = sam.image_encoder.blocks[0].attn.qkv.bias
    return {"weights": bias.abs().sum().item(), "size": sam.image_encoder.img_size}


def test_a_resumed_run_is_bit_equal_and_drawing_ahead_changes_nothing(folder, tmp_path):
    whole = train(tmp_path / "whole", folder, validation=biases)
    train(tmp_path / "parts", folder, stop_at=3, validation=biases).task.close()
    resumed = train(tmp_path / "parts", folder, validation=biases, draw_ahead=True)
    for name, value in whole.task.sam.state_dict().items():
        assert value.equal(resumed.task.sam.state_dict()[name]), name
    for name in ("metrics.csv", "validation.csv"):
        assert rows_of(tmp_path / "whole" / name) == rows_of(tmp_path / "parts" / name)
    validation = rows_of(tmp_path / "whole" / "validation.csv")
    assert [row["step"] for row in validation] == ["1", "2", "3", "4"]
    assert {row["size"] for row in validation} == {"64"}
    assert len({row["weights"] for row in validation}) == 4


def test_measuring_leaves_the_run_as_it_is(folder, tmp_path):
    measured = train(tmp_path / "measured", folder, stop_at=2, validation=biases)
    plain = train(tmp_path / "plain", folder, stop_at=2)
    assert not (tmp_path / "plain" / "validation.csv").exists()
    for name, value in measured.task.sam.state_dict().items():
        assert value.equal(plain.task.sam.state_dict()[name]), name


@pytest.mark.parametrize("change", ["a mask", "the share", "back to PartWorld"])
def test_a_run_does_not_go_on_with_other_files(folder, tmp_path, change):
    train(tmp_path / "run", folder, stop_at=1)
    if change == "a mask":
        (folder / "sa_1.json").write_text((folder / "sa_1.json").read_text() + " ")
        open_split.cache_clear()
    share = 0.5 if change == "the share" else 0.2
    data = None if change == "back to PartWorld" else folder
    with pytest.raises(CheckpointError, match="other settings"):
        sam_run("nano", tmp_path / "run", RECIPE, data=data, held_out=share).run()


def test_damage_along_the_way_is_gathered(folder):
    files, training, _ = open_split(folder.resolve(), 0.2)
    victim = (folder / files.names[training[0]]).with_suffix(".png")
    victim.write_bytes(b"nothing")
    source = PictureSource(folder, 0.2, RECIPE, 0, "cpu", in_background=False)
    for step in range(10):
        source.batch(step, RECIPE.phase_at(step), torch.Generator())
    assert list(source.skipped) == [files.names[training[0]]]
    assert str(victim.name) in source.skipped.summary()


def test_both_sources_give_the_same_kind_of_batch(folder, tmp_path):
    write_as_coco(tmp_path / "coco", annotated_pictures("train", 3, 48))
    sources = [
        PartWorldSource(RECIPE, 0, "cpu", in_background=False),
        PictureSource(folder, 0.2, RECIPE, 0, "cpu", in_background=False),
        PictureSource(tmp_path / "coco", 0.0, RECIPE, 0, "cpu", in_background=False),
    ]
    for source in sources:
        for step in range(RECIPE.steps):
            phase = RECIPE.phase_at(step)
            batch = source.batch(step, phase, torch.Generator().manual_seed(step))
            size, M = phase.image_size, phase.prompts_per_image
            assert len(batch.images) == phase.batch_size
            assert all(
                image.shape == (3, size, size) and image.dtype == torch.uint8 for image in batch.images
            )
            assert batch.masks.shape == (phase.batch_size, M, size, size) and batch.masks.dtype == torch.bool
            assert batch.masks.flatten(2).any(dim=2).all()
            assert batch.labels.shape == (phase.batch_size, 3, size, size)
            assert batch.labels.dtype == torch.int16
        source.close()


def test_distinct_batches_come_again_with_other_targets(tmp_path):
    phases = (Phase(0.0, 32, 2, 8),)
    recipe = Recipe(steps=6, phases=phases)
    source = PartWorldSource(recipe, 3, "cpu", in_background=False, distinct_batches=2)
    endless = PartWorldSource(recipe, 3, "cpu", in_background=False)
    drawn = [source.batch(t, phases[0], torch.Generator().manual_seed(t)) for t in range(4)]
    labels = [batch.labels for batch in drawn]
    for t in (0, 1):
        assert labels[t].equal(endless.batch(t, phases[0], torch.Generator()).labels)
        assert labels[t].equal(labels[t + 2]) and not drawn[t].masks.equal(drawn[t + 2].masks)
    assert not labels[0].equal(labels[1])
    assert not labels[2].equal(endless.batch(2, phases[0], torch.Generator()).labels)

    run = sam_run("nano", tmp_path / "run", RECIPE, distinct_batches=1)
    run.folder.mkdir()
    run.train_step()
    run.save()
    for other in (None, 2):
        with pytest.raises(CheckpointError, match="other settings"):
            sam_run("nano", tmp_path / "run", RECIPE, distinct_batches=other).run()


def test_the_worlds_of_a_phase_take_turns():
    mixed = Phase(0.0, 32, 2, 8, worlds=("train", "cartoon", "train"))
    source = PartWorldSource(Recipe(steps=6, phases=(mixed,)), 3, "cpu", in_background=False)
    plain = PartWorldSource(Recipe(steps=6, phases=(Phase(0.0, 32, 2, 8),)), 3, "cpu", in_background=False)
    drawn = [source.arguments(step)["world"] for step in range(6)]
    assert drawn == ["train", "cartoon", "train"] * 2
    for step, alike in enumerate((True, False, True)):
        images = [one.batch(step, mixed, torch.Generator()).images for one in (source, plain)]
        assert torch.equal(*images) == alike


def test_no_recipe_draws_from_a_world_that_is_held_out():
    for recipe in (*RECIPES.values(), *RECIPES_FROM_WEIGHTS.values()):
        for phase in recipe.phases:
            assert set(phase.worlds) <= {"train"} | set(VARIANTS) - {"map"}


def test_oblong_pictures_are_padded_with_the_mean_colour(folder, tmp_path, monkeypatch):
    """SAM pads after normalising: the network sees zeros there, and not a black border."""
    run = sam_run("nano", tmp_path / "run", RECIPE, data=folder, held_out=0.2)
    batch = run.task.source.batch(0, RECIPE.phases[0], torch.Generator())
    oblong = [image[:, :20] for image in batch.images]
    monkeypatch.setattr(run.task.source, "batch", lambda *_: batch._replace(images=oblong))
    seen = []
    encode = run.task.sam.image_encoder.forward
    monkeypatch.setattr(run.task.sam.image_encoder, "forward", lambda x: seen.append(x) or encode(x))
    assert not run.train_step()[0].isnan()
    expected = [
        pad((image - run.task.sam.pixel_mean) / run.task.sam.pixel_std, (0, 0, 0, 12)) for image in oblong
    ]
    assert seen[0].equal(torch.stack(expected))


def test_a_phase_without_affinity_reads_only_the_masks_it_needs(folder):
    phases = (Phase(0.0, 32, 2, 3, affinity=1.0), Phase(0.5, 48, 4, 5, min_area=0.25))
    source = PictureSource(folder, 0.2, replace(RECIPE, phases=phases), 7, "cpu", False)
    asked = [source.arguments(step) for step in (0, 3)]
    assert [one["all_masks"] for one in asked] == [True, False]
    names = ("batch_size", "image_size", "masks_per_image", "min_area", "validation")
    assert [asked[1][name] for name in names] == [4, 48, 5, 0.25, 0.2]
    assert asked[0]["seed"] != asked[1]["seed"]
