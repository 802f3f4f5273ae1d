"""`minisam bench train`: every part of every phase, and the same step as the training loop."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from minisam.bench import training
from minisam.bench.training import PARTS, PhaseTime, TrainingReport, measure_training, timed_step
from minisam.cli.main import main
from minisam.train.presets import RECIPES, Recipe
from minisam.train.sam_run import sam_run

NANO = RECIPES["nano"]
QUICK = replace(
    NANO,
    phases=tuple(
        replace(phase, batch_size=2, prompts_per_image=min(1, phase.prompts_per_image))
        for phase in NANO.phases
    ),
)


def test_the_step_is_that_of_the_training_loop():
    phase = replace(QUICK.phases[1], start=0.0, affinity=0.3)
    recipe: Recipe = replace(QUICK, phases=(phase,), ema_decay=0.5)
    timed, looped = sam_run("nano", None, recipe).task, sam_run("nano", None, recipe)
    timed.set_learning_rate(0)
    seconds = timed_step(timed, 0)
    looped.train_step()
    assert seconds.keys() == set(PARTS) and min(seconds.values()) > 0
    for (name, one), other in zip(timed.sam.named_parameters(), looped.task.sam.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)
    for name, value in looped.task.average.values.items():
        torch.testing.assert_close(timed.average.values[name], value, atol=1e-6, rtol=1e-5, msg=name)
    timed.close()
    looped.task.close()


def test_the_report_has_a_row_for_each_phase():
    before = torch.get_num_threads()
    report = measure_training("nano", QUICK, 1, before)
    assert [(phase.images, phase.prompts) for phase in report.phases] == [(2, 0), (2, 2), (2, 2)]
    assert all(phase.seconds.keys() == set(PARTS) for phase in report.phases)
    assert len(report.table().splitlines()) == 2 + 3
    assert all(phase["images_per_second"] > 0 for phase in report.to_dict()["phases"])


def test_each_phase_has_its_own_steps_and_the_first_does_not_count(monkeypatch):
    recipe = replace(
        QUICK,
        phases=tuple(
            replace(phase, image_size=size, start=start)
            for phase, size, start in zip(QUICK.phases, (32, 48, 64), (0.0, 0.4, 0.75), strict=True)
        ),
    )
    seconds, measured = [99.0, 1.0, 8.0, 2.0], []

    def step(task, turn):
        phase = task.recipe.phase_at(turn)
        measured.append((turn, phase.image_size))
        return dict.fromkeys(PARTS, seconds[turn] * phase.image_size)

    monkeypatch.setattr(training, "timed_step", step)
    report = measure_training("nano", recipe, 3, torch.get_num_threads())
    assert measured == [(turn, size) for turn in range(4) for size in (32, 48, 64)]
    assert [phase.image_size for phase in report.phases] == [32, 48, 64] and report.steps == 3
    for phase in report.phases:
        assert phase.seconds == dict.fromkeys(PARTS, 2.0 * phase.image_size)


def test_images_per_second():
    phase = PhaseTime(64, 6, 12, dict.fromkeys(PARTS, 0.5))
    assert phase.images_per_second == 6 / (0.5 * len(PARTS))
    report = TrainingReport("nano", "fp32", 1, 1, "cpu", {}, [phase])
    assert report.table().splitlines()[-1].split()[-1] == "2.00"


def test_the_command_prints_what_it_writes(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(RECIPES, "nano", QUICK)
    threads, out = str(torch.get_num_threads()), tmp_path / "t.json"
    assert (
        main(
            [
                "bench",
                "train",
                "--model",
                "nano",
                "--repeats",
                "1",
                "--threads",
                threads,
                "--json",
                "-o",
                str(out),
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(out.read_text()) and report["benchmark"] == "training"


@pytest.mark.parametrize("options", [["--model", "small"], ["--cutouts", "x"]])
def test_what_cannot_be_trained_is_said_in_one_line(options, capsys):
    assert main(["bench", "train", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
