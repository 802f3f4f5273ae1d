"""What E6 says of a round: ratios of sums, with intervals over images and engines; its control and its criterion."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

import minisam.experiments.e06_engine as e06
from minisam.build import WEIGHTS, build_sam
from minisam.engine.training import training_seed
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.world import measure_world
from minisam.experiments.e06_engine import ENGINE, as_expected
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import engine_models
from minisam.experiments.shared.engine_models import after_a_click, control_models, last_trainings
from minisam.experiments.shared.engine_rounds import collected, draw_bars


def record(clicks, ious, seconds=0.0, stage="assisted-manual"):
    return {
        "annotations": [{"true_iou": iou, "source": "model"} for iou in ious],
        "engine": {"stage": stage, "clicks": clicks, "seconds": seconds, "left": 0, "rejected": 0},
    }


def test_clicks_are_counted_over_all_pictures_not_picture_by_picture():
    found = collected(
        [[record(8, [0.95], 10.0), record(4, [0.95, 0.8, 0.5], 9.0)], [record(0, []), record(4, [0.91])]]
    )
    assert found.clicks.value == pytest.approx(16 / 5)
    assert found.seconds.value == pytest.approx(19 / 5)
    assert found.masks.value == pytest.approx(5 / 4)
    assert found.over_90.value == pytest.approx(3 / 5)


def test_pictures_that_differ_have_an_interval_and_equal_ones_none():
    equal = collected([[record(6, [0.95, 0.5])] * 5] * 3)
    for what in vars(equal).values():
        assert what.low == what.value == what.high
    different = collected([[record(2, [0.95]), record(8, [0.95])] * 3] * 2)
    assert different.clicks.low < different.clicks.value == 5 < different.clicks.high


def test_engines_that_differ_widen_the_interval_to_their_ends():
    engines = [[record(clicks, [0.95])] * 4 for clicks in (1, 2, 6)]
    found = collected(engines).clicks
    assert (found.low, found.value, found.high) == pytest.approx((1, 3, 6))


def test_rounds_without_a_mask_are_no_division_by_nothing():
    assert collected([[record(8, [])]]).clicks.value == 8


def test_the_control_goes_on_from_the_first_model_with_its_pictures_and_the_engines_seeds(
    tmp_path, monkeypatch
):
    trainings = []
    monkeypatch.setattr(engine_models, "trained_on", lambda *arguments: trainings.append(arguments))
    paths = control_models(tmp_path, ENGINE)
    assert list(paths) == [one.name for one in ENGINE.rounds()]
    first, *later = paths.values()
    assert first == tmp_path / "models" / "0-labelled" / "model.safetensors"
    assert {path.parent.parent for path in later} == {tmp_path / "control"}
    assert [start for *_, start in trainings] == [first, *later[:-1]]
    assert [home / "model.safetensors" for _, home, *_ in trainings] == later
    assert {data for data, *_ in trainings} == {tmp_path / "labelled"}
    seeds = [seed for *_, seed, _ in trainings]
    assert seeds == [training_seed(ENGINE, number) for number in (1, 2, 3, 4)] and len(set(seeds)) == 4


def test_the_last_training_on_parts_of_the_masks_differs_in_nothing_else(tmp_path, monkeypatch):
    trainings = []
    monkeypatch.setattr(
        engine_models, "trained_on", lambda *arguments, **named: trainings.append((arguments, named))
    )
    paths = last_trainings(tmp_path, ENGINE)
    start = tmp_path / "models" / "2-semi" / "model.safetensors"
    assert [(data, recipe, seed, of_start) for (data, _, _, recipe, seed, of_start), _ in trainings] == [
        (tmp_path / "data", ENGINE.recipe(4), training_seed(ENGINE, 4), start)
    ] * 2
    assert [home / "model.safetensors" for (_, home, *_), _ in trainings] == list(paths.values())
    left_out = {which: named["repeats"] for which, (_, named) in zip(paths, trainings, strict=True)}
    assert left_out == {
        "without": (("3-automatic", 0),),
        "alone": (("1-manual-1", 0), ("1-manual-2", 0), ("2-semi", 0)),
    }


def around(value, half=0.01):
    return Estimate(value, value - half, value + half)


@pytest.mark.parametrize(
    ("gains", "clicks", "expected"),
    [
        ((0.05, 0.03, 0.02), (9.0, 8.0, 5.0), True),
        ((0.05, 0.03, 0.005), (9.0, 8.0, 5.0), False),
        ((0.05, -0.03, 0.02), (9.0, 8.0, 5.0), False),
        ((0.05, 0.03, 0.02), (9.0, 9.5, 5.0), False),
        ((0.05, 0.03, 0.02), (9.0, 5.0, 8.0), False),
    ],
)
def test_every_stage_has_to_gain_and_every_round_to_need_fewer_clicks(gains, clicks, expected):
    assert as_expected([around(gain) for gain in gains], [around(count) for count in clicks]) is expected


def test_models_are_measured_in_the_engines_world():
    engine, settings = replace(ENGINE, knobs={"object_scale": 1.5}), Settings(images=9, seeds=(0, 2))
    measured = after_a_click(WEIGHTS / "nano.safetensors", engine, settings)
    usual = measure_world(
        build_sam("nano"), engine.world, 9, seeds=(0, 2), clicks=1, knobs={"object_scale": 1.5}
    )
    assert measured.image_index.equal(usual.image_index)
    torch.testing.assert_close(measured.centre_shown, usual.centre_shown)


LEVELS = {"0-labelled": 0.40, "1-manual-1": 0.45, "1-manual-2": 0.50, "2-semi": 0.58, "3-automatic": 0.60}
CLICKS = {"labelled": 0, "1-manual-1": 8, "1-manual-2": 7, "2-semi": 4, "3-automatic": 0}


@pytest.mark.parametrize(("worse", "passed"), [({}, True), ({"2-semi": 9}, False)])
def test_the_outcome_compares_the_last_models_of_the_stages(worse, passed, tmp_path, monkeypatch):
    clicks, engines = CLICKS | worse, []

    def engine_run(folder, engine):
        engines.append((folder, engine))
        return SimpleNamespace(run=lambda: None)

    stubs = {
        "EngineRun": engine_run,
        "control_models": lambda folder, engine: {name: folder / "control" / name / "x" for name in LEVELS},
        "last_trainings": lambda folder, engine: {
            "without": folder / "2-semi" / "x",
            "alone": folder / "0-labelled" / "x",
        },
        "after_a_click": lambda path, engine, settings: SimpleNamespace(
            image_index=torch.tensor([0, 0, 1]),
            centre_shown=torch.full((3, 1), 0.42 if "control" in path.parts else LEVELS[path.parent.name]),
        ),
        "read_work": lambda folder: iter([record(clicks[folder.name], [0.95, 0.8])] * 2),
        "rounds_figure": lambda rounds, miou, counts, folder: Figure(),
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(e06, name, stub)
    outcome = e06.run(None, Settings(work=tmp_path))
    assert outcome.passed is passed
    seeds = (500, 501, 502)
    assert engines == [(tmp_path / "E6" / f"engine-{seed}", replace(ENGINE, seed=seed)) for seed in seeds]
    assert {which: gain[0] for which, gain in outcome.values["gain"].items()} == {
        "assisted-manual over labelled": 0.1,
        "semi-automatic over assisted-manual": 0.08,
        "fully-automatic over semi-automatic": 0.02,
    }
    assert outcome.values["last model over the control's"][0] == 0.18
    assert outcome.values["last model over one trained without the last masks"][0] == 0.02
    assert outcome.values["last model over one trained on the last masks alone"][0] == 0.2
    assert outcome.values["collected"]["1-manual-1"]["clicks"][0] == 4
    assert outcome.values["collected"]["3-automatic"]["over_90"][0] == 0.5
    assert outcome.values["mIoU of each seed"]["2-semi"] == [0.58] * 3


def test_bars_have_their_intervals():
    axes = Figure().subplots()
    draw_bars(axes, [Estimate(0.5, 0.4, 0.8), Estimate(2.0, 1.0, 2.5)], ["red", "blue"])
    (bars,) = [one for one in axes.containers if hasattr(one, "patches")]
    assert [bar.get_height() for bar in bars] == [0.5, 2.0]
    _, _, (intervals,) = bars.errorbar.lines
    ends = [segment[:, 1].tolist() for segment in intervals.get_segments()]
    assert ends == [pytest.approx([0.4, 0.8]), pytest.approx([1.0, 2.5])]
