"""Distillation: the student learns the teacher's embeddings, fits its decoder, and is an ordinary network."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from small_networks import SMALL, outputs, small_sam

from minisam.adapt import distil
from minisam.adapt.distil import DistilRecipe, DistilTask, explained_variance, student_of
from minisam.build import build_sam
from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.checkpoint.digest import weights_digest
from minisam.config import CONFIGS
from minisam.data.partworld import render_scenes
from minisam.errors import MinisamError
from minisam.seeds import hash_seed
from minisam.train.run import TrainingRun

THINNER = replace(SMALL, encoder_dim=16, encoder_depth=2, window_size=3, global_attn_indexes=(1,))
SHORT = DistilRecipe(steps=12, batch_size=2, warmup=2, worlds=("train",))


def test_a_student_is_the_teacher_with_another_image_encoder():
    teacher = small_sam()
    student = student_of(teacher, THINNER)
    for name, value in student.state_dict().items():
        if not name.startswith("image_encoder."):
            assert torch.equal(value, teacher.state_dict()[name]), name
    assert outputs(student)[0].shape == outputs(teacher)[0].shape
    trained = {name.split(".")[0] for name, p in student.named_parameters() if p.requires_grad}
    assert trained == {"image_encoder"}


def test_nanos_geometry_on_tinys_grid():
    """The cost of nano at 128 pixels: 16 x 16 tokens of 96 channels; only the tables of positions are larger."""
    student = student_of(build_sam("tiny"), CONFIGS["nano"])
    encoder = student.image_encoder
    assert encoder.pos_embed.shape == (1, 16, 16, 96) and encoder.neck[0].out_channels == 96
    nano = build_sam("nano").image_encoder
    sizes, of_nano = ({n: p.numel() for n, p in one.named_parameters()} for one in (encoder, nano))
    larger = {name for name in sizes if sizes[name] != of_nano[name]}
    assert sizes.keys() == of_nano.keys()
    assert all("pos" in name or name == "patch_embed.proj.weight" for name in larger)


def test_the_student_learns_the_teachers_embeddings(tmp_path):
    teacher = small_sam()
    student = student_of(teacher, THINNER)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    images = list(render_scenes(99, 4, 48).images)
    start = explained_variance(student, teacher, images)
    task = DistilTask(student, teacher, SHORT)
    task.scenes.arguments = lambda step: task.scene_arguments(0)  # another seed costs a second
    run = TrainingRun(task, tmp_path / "run")
    run.run(progress_bar=False)
    assert explained_variance(student.eval(), teacher, images) > start + 0.1
    changed = {
        n.split(".")[0] for n, value in student.state_dict().items() if not torch.equal(value, before[n])
    }
    assert changed == {"image_encoder"}
    assert run.rows[-1]["loss"] > 0 and run.rows[-1]["explained"] < 1


def test_the_metrics_of_a_step_are_of_its_scenes():
    teacher = small_sam()
    with torch.no_grad():  # a mean that is far from 0, and another at each position
        teacher.image_encoder.neck[3].bias += 3 * torch.randn(SMALL.prompt_dim)
    task = DistilTask(student_of(teacher, THINNER), teacher, SHORT)
    loss, metrics = task.loss(4, torch.Generator())
    images = [teacher.preprocess(one) for one in render_scenes(**task.scene_arguments(4)).images]
    with torch.no_grad():
        wanted, found = (sam.image_encoder(torch.stack(images)) for sam in (teacher, task.student))
    torch.testing.assert_close(loss, (found - wanted).square().mean())
    explained = 1 - loss / wanted.var(dim=0).mean()
    torch.testing.assert_close(metrics["explained"], explained.detach())


def test_the_metric_is_zero_for_the_mean_and_one_for_the_teacher():
    teacher = small_sam()
    images = list(render_scenes(1, 16, 48).images)
    assert explained_variance(teacher, teacher, images) == pytest.approx(1)
    mean = teacher.image_encoder(torch.stack([teacher.preprocess(one) for one in images])).mean(dim=0)
    constant = small_sam()
    constant.image_encoder.forward = lambda x: mean.expand(len(x), -1, -1, -1)  # pyright: ignore
    assert explained_variance(constant, teacher, images) == pytest.approx(1 / 16, abs=0.01)


def test_a_student_is_saved_and_loaded(tmp_path):
    student = student_of(small_sam(), THINNER)
    save_checkpoint(student, tmp_path / "student.safetensors")
    for one, other in zip(
        outputs(student), outputs(load_checkpoint(tmp_path / "student.safetensors")), strict=True
    ):
        assert torch.equal(one, other)


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(MinisamError, match="windows of 7 tokens do not fit the teacher's grid of 6"):
        student_of(small_sam(), replace(THINNER, window_size=7))


def test_the_shares_of_processes_add_up_to_the_loss_of_the_batch(monkeypatch):
    task = DistilTask(student_of(small_sam(), THINNER), small_sam(), replace(SHORT, batch_size=3))

    def losses(rows: slice) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(distil, "own_rows", lambda count: rows)
        return task.loss(0, torch.Generator())[1]

    first, second, whole = (losses(rows) for rows in (slice(0, 1), slice(1, 3), slice(0, 3)))
    for name, value in whole.items():
        torch.testing.assert_close(first[name] + second[name], value, msg=name)


def test_the_scenes_of_a_step_follow_from_the_seed_and_worlds_take_turns():
    recipe = replace(SHORT, worlds=("train", "wiry", "xray"))
    task = DistilTask(student_of(small_sam(), THINNER), small_sam(), recipe, seed=5)
    for step in (0, 1, 2, 3):
        world = ("train", "wiry", "xray", "train")[step]
        wanted = {
            "seed": hash_seed(5, step),
            "batch_size": 2,
            "image_size": 48,
            "device": "cpu",
            "world": world,
        }
        assert task.scene_arguments(step) == wanted
    assert task.about() == {"recipe": asdict(recipe), "teacher": weights_digest(small_sam()), "seed": 5}


def test_the_rate_warms_up_and_falls_to_zero_and_matrices_have_muons():
    recipe = DistilRecipe(steps=40, warmup=4, lr=1e-2, muon_lr=3e-2, weight_decay=0.25)
    task = DistilTask(student_of(small_sam(), THINNER), small_sam(), recipe)
    adamw, muon = task.optimizers
    for step in (0, 2, 4, 39):
        factor = min(1, (step + 1) / 4) * (1 - step / 40)
        assert task.set_learning_rate(step) == pytest.approx(1e-2 * factor)
        for optimizer, base in ((adamw, 1e-2), (muon, 3e-2)):
            assert all(group["lr"] == pytest.approx(base * factor) for group in optimizer.param_groups)
    assert {group["weight_decay"] for group in muon.param_groups} == {0.25}
    trained = [p for optimizer in (adamw, muon) for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in task.student.image_encoder.parameters()}
    assert not task.teacher.training and task.batch_size(0) == recipe.batch_size


def test_a_student_has_the_width_and_depth_it_is_given_and_the_teachers_pixels():
    teacher = small_sam()
    teacher.pixel_mean, teacher.pixel_std = torch.full((3, 1, 1), 7.0), torch.full((3, 1, 1), 3.0)
    encoder = student_of(teacher, THINNER).image_encoder
    assert (encoder.patch_embed.proj.out_channels, len(encoder.blocks), encoder.blocks[0].attn.num_heads) == (
        16,
        2,
        2,
    )
    assert [block.window_size for block in encoder.blocks] == [3, 0]
    student = student_of(
        teacher, replace(THINNER, encoder_heads=4, window_size=6)
    )  # a window as wide as the grid
    assert student.image_encoder.blocks[0].attn.num_heads == 4
    assert student.pixel_mean.equal(teacher.pixel_mean) and student.pixel_std.equal(teacher.pixel_std)
    assert student.pixel_mean is not teacher.pixel_mean and student.pixel_std is not teacher.pixel_std
