import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from minisam.build import WEIGHTS, build_sam
from minisam.config import CONFIGS
from minisam.errors import CheckpointError
from minisam.train.interactive import Rounds
from minisam.train.presets import RECIPES, RECIPES_FROM_WEIGHTS, Phase, Recipe
from minisam.train.sam_run import sam_run
from minisam.train.start import weights_of

SHORT = Recipe(
    steps=6,
    phases=(
        Phase(0.0, 64, 2, 0, object_scale=2.0, affinity=1.0),
        Phase(0.3, 64, 2, 2, object_scale=2.0, affinity=1.0),
        Phase(0.6, 64, 2, 2, Rounds(1, 1), single_round_share=0.5),
    ),
    warmup=2,
    drop_path=0.2,
    dropout=0.1,
)


def train(folder, recipe=SHORT, stop_at=None, save_every=2, **settings):
    run = sam_run("nano", folder, recipe, save_every=save_every, **settings)
    if stop_at is None:
        run.run()
    else:
        run.folder.mkdir(parents=True, exist_ok=True)
        run.resume()
        for _ in range(stop_at):
            run.train_step()
        run.save()
    return run


def losses(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_resumed_run_is_bit_equal(tmp_path, stop_at):
    whole = train(tmp_path / "whole")
    train(tmp_path / "parts", stop_at=stop_at)
    resumed = train(tmp_path / "parts")
    for name, value in whole.task.sam.state_dict().items():
        assert value.equal(resumed.task.sam.state_dict()[name]), name
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert [row["step"] for row in losses(tmp_path / "whole")] == ["6"]


def test_scenes_drawn_ahead_are_the_same_scenes(tmp_path):
    here = train(tmp_path / "here")
    ahead = train(tmp_path / "ahead", draw_ahead=True)
    for name, value in here.task.sam.state_dict().items():
        assert value.equal(ahead.task.sam.state_dict()[name]), name
    assert ahead.task.source.scenes.pool is None


def test_a_phase_without_prompts_trains_the_encoder_alone(tmp_path):
    recipe = Recipe(steps=1, phases=(Phase(0.0, 64, 2, 0, affinity=1.0),))
    run = sam_run("nano", tmp_path, recipe)
    before = {name: value.clone() for name, value in run.task.sam.state_dict().items()}
    row = dict(zip(run.task.metrics, run.train_step().tolist(), strict=True))
    changed = {name for name, value in run.task.sam.state_dict().items() if not value.equal(before[name])}
    assert any(name.startswith("image_encoder.blocks") for name in changed)
    assert not any(name.startswith(("mask_decoder", "prompt_encoder")) for name in changed)
    assert row["rounds"] == 0 and row["oracle"] != row["oracle"]


def test_seeds_differ(tmp_path):
    a, b = (train(tmp_path / str(seed), seed=seed, recipe=replace(SHORT, steps=1)) for seed in (0, 1))
    assert not a.task.sam.state_dict()["image_encoder.neck.0.weight"].equal(
        b.task.sam.state_dict()["image_encoder.neck.0.weight"]
    )


def test_a_run_with_other_settings_is_refused(tmp_path):
    train(tmp_path, stop_at=1)
    with pytest.raises(CheckpointError, match="other settings"):
        train(tmp_path, recipe=replace(SHORT, lr=1e-5))


def test_a_damaged_state_is_refused(tmp_path):
    train(tmp_path, stop_at=1)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(tmp_path)


def test_phases_change_the_network_input_and_the_result_has_its_own_size(tmp_path):
    recipe = Recipe(steps=2, phases=(Phase(0.0, 64, 2, 2), Phase(0.5, 32, 2, 2)))
    run = train(tmp_path, recipe=recipe)
    assert run.task.sam.image_encoder.img_size == 32  # the last phase's
    result = run.task.result()
    assert result.image_encoder.img_size == 64 and not result.training


def test_every_shipped_recipe_starts_at_zero_and_goes_on_in_order():
    for recipe in RECIPES.values():
        starts = [phase.start for phase in recipe.phases]
        assert starts[0] == 0.0 and starts == sorted(starts)
        assert recipe.phase_at(0) is recipe.phases[0]
        assert recipe.phase_at(recipe.steps - 1) is recipe.phases[-1]


def test_other_rounds_only_replace_rounds_that_there_are():
    recipe = SHORT.with_rounds(Rounds(8, 2))
    assert [phase.rounds for phase in recipe.phases] == [Rounds(0, 0), Rounds(0, 0), Rounds(8, 2)]


def test_mixed_precision_trains_in_float32_weights(tmp_path):
    run = train(
        tmp_path,
        recipe=replace(SHORT, steps=3, phases=(replace(SHORT.phases[1], start=0.0),)),
        precision="bf16",
    )
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in run.task.sam.parameters())
    assert all(0 < float(row["loss"]) < 10 for row in losses(tmp_path))


def test_training_overfits_one_batch(tmp_path, monkeypatch):
    import minisam.train.scenes as scenes

    render = scenes.render_scenes
    monkeypatch.setattr(scenes, "render_scenes", lambda **arguments: render(**arguments | {"seed": 5}))
    recipe = Recipe(steps=60, phases=(Phase(0.0, 64, 2, 4, object_scale=2.0, min_area=0.05),), warmup=5)
    run = sam_run("nano", tmp_path, recipe)
    losses = [run.train_step()[0].item() for _ in range(60)]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@pytest.mark.slow
def test_kill_at_any_moment_then_resume(tmp_path):
    command = [sys.executable, "-m", "minisam.cli.main", "train", "--preset", "nano", "--steps", "12"]
    command += ["--save-every", "1", "--threads", "1", "-o"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True, env=environment, capture_output=True)
    delays = torch.rand(8, generator=torch.Generator().manual_seed(0)) * 10 + 3
    for delay in delays.tolist():
        process = subprocess.Popen([*command, str(killed)], env=environment, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(killed)], check=True, env=environment, capture_output=True)
    assert (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()
    assert losses(whole) == losses(killed)


def test_a_run_starts_from_weights_and_is_not_taken_up_from_others(tmp_path):
    started = sam_run("nano", tmp_path, SHORT, start=weights_of(WEIGHTS / "nano.safetensors"))
    for name, value in build_sam("nano").state_dict().items():
        assert value.equal(started.task.sam.state_dict()[name]), name
    started.train_step()
    started.save()
    with pytest.raises(CheckpointError, match="other settings"):
        sam_run("nano", tmp_path, SHORT).resume()
    with pytest.raises(CheckpointError, match="holds the weights of another network"):
        sam_run("nano", tmp_path / "other", SHORT, start=weights_of(WEIGHTS / "tiny.safetensors"))


def test_every_preset_goes_on_from_weights_at_its_own_size_with_a_rate_that_falls_to_nothing():
    assert RECIPES_FROM_WEIGHTS.keys() == RECIPES.keys()
    for preset, recipe in RECIPES_FROM_WEIGHTS.items():
        assert recipe.linear_decay and recipe.milestones == ()
        assert [phase.image_size for phase in recipe.phases] == [CONFIGS[preset].image_size]


def test_the_gradients_of_all_that_is_trained_are_clipped_together(tmp_path, monkeypatch):
    recipe = Recipe(steps=1, phases=(Phase(0.0, 64, 2, 2, affinity=1.0),), clip_norm=1e-6)
    run = sam_run("nano", tmp_path, recipe)
    trained = [
        p for optimizer in run.task.optimizers for group in optimizer.param_groups for p in group["params"]
    ]
    assert {id(p) for p in trained} == {
        id(p) for p in (*run.task.sam.parameters(), *run.task.affinity.parameters())
    }
    seen = []
    for optimizer in run.task.optimizers:
        monkeypatch.setattr(
            optimizer, "step", lambda: seen.append([p.grad.norm() for p in trained if p.grad is not None])
        )
    run.train_step()
    norm = torch.stack(seen[0]).norm().item()
    assert norm == pytest.approx(1e-6, rel=1e-2)
    assert run.task.affinity.metric.weight.grad.norm() > 0


def test_the_recipe_says_how_much_is_dropped_in_training():
    sam = sam_run("nano", None, replace(SHORT, drop_path=0.3, dropout=0.1)).task.sam
    assert sam.image_encoder.blocks[-1].drop_path.rate == 0.3
    transformer = sam.mask_decoder.transformer
    assert transformer.dropout.p == transformer.final_attn_token_to_image.dropout == 0.1
