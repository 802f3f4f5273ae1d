"""When an experiment came out as expected: its criterion and its numbers, from measurements that are given by hand.

Networks are not trained and scenes are not drawn; every target has the same IoU, and intervals have no width.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minisam.build import build_sam
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.measure import Measurements
from minisam.experiments import (
    e01_ambiguity,
    e01b_masks,
    e03_clicks,
    e04_feedback,
    e05_rounds,
    e07_mae,
    e10_edges,
    e11_boxes,
    e12_resolution,
    e13_adapt,
    e15_failure,
    e16_combine,
)
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import arms, prompters, training
from minisam.experiments.shared.prompted_targets import PromptedTargets

IMAGE = torch.tensor([0, 0, 1, 1, 1, 2])
TARGETS = len(IMAGE)
SETTINGS = Settings(images=3, seeds=(4, 5))


def measured(shown=0.5, best=0.5, valid=0.5, random_shown=0.5) -> Measurements:
    """Six targets on three images; IoU after each click, or a number for all nine."""

    def clicks(values):
        return torch.tensor([values] * 9 if isinstance(values, float) else values).expand(TARGETS, 9)

    empty = {field.name: torch.empty(0) for field in fields(Measurements)}
    return Measurements(
        **empty
        | {
            "image_index": IMAGE,
            "centre_shown": clicks(shown),
            "random_shown": clicks(random_shown),
            "centre_iou": torch.tensor([best - 0.2, best, best - 0.1]).expand(TARGETS, 3),
            "valid_iou": torch.full((TARGETS,), valid),
        }
    )


def stub_arms(monkeypatch, module, of_arm):
    """In place of `measure_arms`: two runs of each arm."""

    def measure_arms(settings, arms, clicks):
        assert settings is SETTINGS and arms is module.ARMS and clicks == 9
        return {arm: [measured(of_arm[arm])] * 2 for arm in arms}, IMAGE

    monkeypatch.setattr(module, "measure_arms", measure_arms)


def rising(first: float, **changes: float) -> list[float]:
    """After 1 to 9 clicks; `at3` and so on in their places."""
    curve = [first + 0.03 * n for n in range(9)]
    for place, value in changes.items():
        curve[int(place.removeprefix("at")) - 1] = value
    return curve


# --- E1, E1b, E3 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oracle", "valid", "passed"), [(0.16, 0.04, True), (0.14, 0.04, False), (0.16, 0.02, False)]
)
def test_three_outputs_have_to_gain_for_the_target_and_for_any_object(oracle, valid, passed, monkeypatch):
    trained = []

    def train(settings, name, change, recipe, seed):
        trained.append((name, change.keywords["kind"], recipe, seed))
        return name

    def measure(network, world, images, seeds, clicks):
        assert (world, images, seeds, clicks) == ("train", 3, (4, 5), 1)
        three = network == "E1-three"
        return measured(0.3 + 0.01 * three, best=0.5 + oracle * three, valid=0.6 + valid * three)

    monkeypatch.setattr(e01_ambiguity, "trained_decoder", train)
    monkeypatch.setattr(e01_ambiguity, "measure_world", measure)
    monkeypatch.setattr(e01_ambiguity, "example_clicks", lambda settings: [("image", "click")])
    answers = []
    monkeypatch.setattr(e01_ambiguity, "draw_answers", lambda axes, *given: answers.append(given))
    outcome = e01_ambiguity.run(None, SETTINGS)
    assert outcome.passed is passed
    kinds = e01_ambiguity.ARMS["one output"], e01_ambiguity.ARMS["three outputs"]
    assert trained == [
        (name, kind, e01_ambiguity.RECIPE, seed)
        for seed in (4, 5)
        for name, kind in zip(("E1-one", "E1-three"), kinds, strict=True)
    ]
    assert answers == [({"one output": "E1-one", "three outputs": "E1-three"}, "image", "click")]
    values = outcome.values
    assert values["one output"]["oracle"][0] == 0.5 and values["three outputs"]["validIoU"][0] == 0.6 + valid
    gains = {metric: gain[0] for metric, gain in values["three minus one"].items()}
    assert gains == pytest.approx({"oracle": oracle, "top-1": 0.01, "validIoU": valid}, abs=1e-4)


@pytest.mark.parametrize(("fits_best", "passed"), [([0, 1, 2, 0, 1, 2], True), ([0, 0, 1, 0, 1, 0], False)])
def test_each_output_has_to_fit_best_for_a_tenth(fits_best, passed, monkeypatch):
    level = torch.tensor([0, 0, 1, 1, 2, 2])
    masks = torch.zeros(TARGETS, 8, 8, dtype=torch.bool)
    masks[:, 3:6, 2:5] = True
    given = []

    def predict(points):
        given.append(points)
        logits = -torch.ones(TARGETS, 3, 8, 8)
        for output in range(3):
            logits[:, output, : 2 * (output + 1)] = 1  # a quarter, a half and three quarters of the image
        return logits, None

    targets = PromptedTargets(SimpleNamespace(predict=predict), masks, level, IMAGE)
    monkeypatch.setattr(e01b_masks, "prompted_targets", lambda sam, settings: iter([targets, targets]))
    monkeypatch.setattr(e01b_masks, "full_size_masks", lambda logits, size: logits > 0)
    monkeypatch.setattr(e01b_masks, "mask_iou", lambda answers, masks: torch.eye(3)[fits_best])
    outcome = e01b_masks.run(None, SETTINGS)
    assert outcome.passed is passed
    (coords, labels), _ = given
    assert coords.tolist() == [[[3, 4]]] * TARGETS and labels.tolist() == [[1]] * TARGETS
    wins = np.zeros((3, 3))
    for of, best in zip(level.tolist(), fits_best, strict=True):
        wins[of, best] += 2
    assert outcome.values["wins"] == wins.tolist()
    assert np.allclose(outcome.values["share_of_level"], wins / 4)
    share = [one[0] for one in outcome.values["share_of_all"]]
    assert share == pytest.approx((wins.sum(axis=0) / 12).tolist(), abs=1e-4)
    assert outcome.values["median_area"] == pytest.approx([0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("train", "heldout", "passed"),
    [
        (rising(0.2), rising(0.3), True),
        (rising(0.25, at2=0.25), rising(0.3), True),  # as good as before is no loss
        ([0.5] * 9, rising(0.3), False),
        (rising(0.2), rising(0.3, at5=0.25), False),
        (rising(0.2, at9=0.1), rising(0.3), False),
    ],
)
@pytest.mark.parametrize("start", ["shown", "random_shown"])
def test_more_clicks_have_to_help_from_both_starts_on_both_worlds(train, heldout, passed, start, monkeypatch):
    curves, seen = {"train": train, "heldout": heldout}, []

    def measure(sam, world, images, seeds):
        seen.append((sam, world, images, seeds))
        other = "random_shown" if start == "shown" else "shown"
        return measured(**{start: curves[world], other: rising(0.125)})

    monkeypatch.setattr(e03_clicks, "measure_world", measure)
    outcome = e03_clicks.run("sam", SETTINGS)
    assert outcome.passed is passed
    assert seen == [("sam", world, 3, (4, 5)) for world in curves]
    for world, curve in curves.items():
        place = "centre" if start == "shown" else "random"
        found = {n: one[0] for n, one in outcome.values[f"{world} {place}"].items()}
        assert found == pytest.approx({n: curve[n - 1] for n in (1, 2, 3, 5, 9)}, abs=1e-4)
        sign = 1 if start == "shown" else -1
        gains = {n: sign * (curve[n - 1] - rising(0.125)[n - 1]) for n in (1, 9)}
        placed = {n: one[0] for n, one in outcome.values["centre - random"][world].items()}
        assert placed == pytest.approx(gains, abs=1e-4)


# --- arms: E4, E5, E16 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("binary", "logits", "passed", "apart"),
    [
        (rising(0.3), rising(0.35), True, True),
        (rising(0.25), rising(0.25), True, False),  # equal arms lose nothing
        (rising(0.25, at4=0.1), rising(0.25, at9=0.1), True, False),  # judged after 3 and 5 clicks
        (rising(0.25, at3=0.25), rising(0.3), False, True),
        (rising(0.25, at5=0.25), rising(0.3), False, True),
        (rising(0.3), rising(0.3, at3=0.3), False, True),
        (rising(0.3), rising(0.3, at5=0.3), False, True),
    ],
)
def test_no_step_of_feedback_may_lose(binary, logits, passed, apart, monkeypatch):
    stub_arms(monkeypatch, e04_feedback, {"none": rising(0.25), "binary": binary, "logits": logits})
    outcome = e04_feedback.run(None, SETTINGS)
    assert outcome.passed is passed and ("no two can be distinguished" not in outcome.finding) is apart
    values = outcome.values
    for name, curve in (("none", rising(0.25)), ("binary", binary), ("logits", logits)):
        assert [one[0] for one in values[name].values()] == pytest.approx(curve, abs=1e-4)
    assert values["binary − none"]["3"][0] == pytest.approx(binary[2] - rising(0.25)[2], abs=1e-4)
    assert values["logits − binary"]["5"][0] == pytest.approx(logits[4] - binary[4], abs=1e-4)
    assert values["logits − none"]["9"][0] == pytest.approx(logits[8] - rising(0.25)[8], abs=1e-4)
    assert f"{binary[2]:.3f} and {binary[4]:.3f} with a binary mask fed back" in outcome.finding
    gain, both = logits[4] - binary[4], logits[4] - rising(0.25)[4]
    assert f"logits gain {gain:+.3f} over a binary mask and {both:+.3f}" in outcome.finding


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({9: {"at1": 0.265}}, True),
        ({9: {"at1": 0.275}}, False),
        ({3: {"at1": 0.225}}, False),
        ({3: {"at9": 0.5}}, False),  # as good as one round is no gain
        ({11: {"at9": 0.67}}, False),  # more than a quarter of what five rounds gained
        ({11: {"at9": 0.55}}, True),
    ],
)
def test_more_rounds_have_to_help_later_clicks_and_to_saturate(changes, passed, monkeypatch):
    last = {1: 0.5, 3: 0.5625, 5: 0.625, 9: 0.65, 11: 0.65}
    curves = {n: rising(0.25, **{"at9": end} | changes.get(n, {})) for n, end in last.items()}
    stub_arms(monkeypatch, e05_rounds, curves)
    outcome = e05_rounds.run(None, SETTINGS)
    assert outcome.passed is passed
    for n, curve in curves.items():
        assert outcome.values[f"{n} rounds"]["9"][0] == pytest.approx(curve[8], abs=1e-4)
        for clicks in (1, 9):
            over = outcome.values[f"after {clicks} click{'s' * (clicks > 1)}, over one round"][str(n)][0]
            assert over == pytest.approx(curve[clicks - 1] - curves[1][clicks - 1], abs=1e-4)
    end = curves[11][8] - curves[5][8]
    assert outcome.values["after 9 clicks, 11 over 5 rounds"][0] == pytest.approx(end, abs=1e-4)
    furthest = max(abs(curve[0] - 0.25) for curve in curves.values())
    assert f"lie within {furthest:.3f}" in outcome.finding and f"rounds {end:+.3f} over 5" in outcome.finding
    assert {n: arm.recipe.rounds for n, arm in e05_rounds.ARMS.items()} == e05_rounds.LATER
    assert [1 + one.corrective + one.mask_only for one in e05_rounds.LATER.values()] == list(last)


@pytest.mark.parametrize(
    ("multiplied", "gated", "passed"),
    [
        (rising(0.2), rising(0.2), True),
        (rising(0.25), rising(0.25, at1=0.5, at4=0.5), True),  # judged after 3 clicks
        (rising(0.2, at3=0.5), rising(0.2), False),
        (rising(0.2), rising(0.2, at3=0.5), False),
    ],
)
def test_no_other_combination_may_be_better(multiplied, gated, passed, monkeypatch):
    stub_arms(monkeypatch, e16_combine, {"added": rising(0.25), "multiplied": multiplied, "gated": gated})
    outcome = e16_combine.run(None, SETTINGS)
    assert outcome.passed is passed
    gain = rising(0.25)[2] - gated[2]
    assert outcome.values["added − gated"]["3"][0] == pytest.approx(gain, abs=1e-4)
    assert f"{gain:+.3f} more than image · (1 + prompt)" in outcome.finding


def test_arms_are_trained_by_every_seed_and_measured_on_the_targets_of_all(monkeypatch):
    asked = []

    class Arm:
        def __init__(self, name):
            self.name = name

        def trained(self, settings, seed):
            return f"{self.name} {seed}"

    monkeypatch.setattr(
        arms, "measure_world", lambda *given, **named: asked.append((given, named)) or measured(0.25)
    )
    found, image = arms.measure_arms(SETTINGS, {"one": Arm("a"), "other": Arm("b")}, 7)
    assert [given[0] for given, _ in asked] == ["a 4", "b 4", "a 5", "b 5"]
    assert all(given[1:] == ("train", 3) for given, _ in asked)
    assert all(named == {"seeds": (4, 5), "clicks": 7} for _, named in asked)
    assert {label: len(runs) for label, runs in found.items()} == {"one": 2, "other": 2} and image is IMAGE


# --- E7 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "passed"),
    [
        ({"1 %": 0.1, "10 %": 0.05, "100 %": -0.05}, True),
        ({"1 %": 0.0, "10 %": 0.05, "100 %": 0.05}, False),
        ({"1 %": 0.1, "10 %": -0.05, "100 %": 0.05}, False),
    ],
)
def test_pre_training_has_to_help_with_few_labels(gain, passed, monkeypatch):
    asked = []

    def measure(sam, world, images, seeds, clicks, knobs):
        asked.append((world, images, seeds, clicks, knobs))
        share, _, mae = sam
        return measured(
            0.25 + gain[share] / 2 * (mae is not None), best=0.5 + gain[share] * (mae is not None)
        )

    monkeypatch.setattr(e07_mae, "pretrained", lambda settings: ("autoencoder", "file"))
    monkeypatch.setattr(e07_mae, "labelled", lambda settings, share, seed, mae: (share, seed, mae))
    monkeypatch.setattr(e07_mae, "measure_world", measure)
    drawn = []
    monkeypatch.setattr(e07_mae, "draw", lambda *given: drawn.append(given))
    outcome = e07_mae.run(None, SETTINGS)
    assert outcome.passed is passed
    assert asked == [("train", 3, (4, 5), 1, {"object_scale": 1.5})] * 12
    values = outcome.values
    for share, more in gain.items():
        assert values["gain"]["best of three"][share][0] == pytest.approx(more, abs=1e-4)
        assert values["gain"]["ranked first"][share][0] == pytest.approx(more / 2, abs=1e-4)
        assert values["best of three"][e07_mae.RANDOM][share][0] == 0.5
        assert values["ranked first"][e07_mae.MAE][share][0] == pytest.approx(0.25 + more / 2, abs=1e-4)
        assert values["gain of each seed, best of three"][share] == pytest.approx([more] * 2, abs=1e-4)
    assert ", ".join(f"{more:+.3f}" for more in gain.values()) in outcome.finding
    assert values["labelled scenes"] == {"1 %": 16, "10 %": 160, "100 %": 1600}
    assert values["pre-training"] == {"images": 256_000, "mask ratio": 0.75}
    assert drawn[0][1] == "autoencoder" and "16, 160, 1600 labelled scenes" in outcome.finding


@pytest.mark.parametrize("quick", [True, False])
def test_labelled_networks_differ_in_start_share_and_seed(quick, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(e07_mae, "trunk_of", lambda path: path)
    monkeypatch.setattr(e07_mae, "trained", lambda *given, **named: calls.append((given, named)))
    settings = Settings(quick=quick, work=tmp_path)
    for share, seed, mae in (("1 %", 0, None), ("100 %", 2, tmp_path)):
        e07_mae.labelled(settings, share, seed, mae)
    (first, of_first), (second, of_second) = calls
    assert first[:2] == (settings, "E7/random-16-0") and second[:2] == (settings, "E7/mae-1600-2")
    assert (first[3], second[3]) == (0, 2) and first[2] == second[2]
    assert first[2].steps == (2 if quick else 500) and first[2].phases == e07_mae.RECIPE.phases
    assert of_first == {"start": e07_mae.random_weights, "distinct_batches": 1}
    assert of_second == {"start": tmp_path, "distinct_batches": 100}


@pytest.mark.parametrize("quick", [True, False])
def test_the_autoencoder_of_e7_is_nanos_usual_one(quick, monkeypatch, tmp_path):
    runs = []
    result = SimpleNamespace(run=lambda: SimpleNamespace(mae="autoencoder"))
    monkeypatch.setattr(e07_mae, "mae_run", lambda *given: runs.append(given) or result)
    found = e07_mae.pretrained(Settings(quick=quick, work=tmp_path))
    folder = tmp_path / "E7" / "mae"
    assert found == ("autoencoder", folder / "mae.safetensors")
    ((preset, where, recipe),) = runs
    assert (preset, where, recipe.mask_ratio) == ("nano", folder, 0.75)
    assert (recipe.steps, recipe.batch_size) == ((2, 4) if quick else (4000, 64))


# --- E10 to E13, E15 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("canny", "sobel", "passed"), [(0.5, 0.4, True), (0.6, 0.4, False), (0.5, 0.55, False), (0.5, 0.7, False)]
)
def test_sams_edges_have_to_be_above_both_filters(canny, sobel, passed, monkeypatch):
    score = {e10_edges.SAM: 0.6, "Canny": canny, "Sobel": sobel, e10_edges.RIGHT: 0.7, e10_edges.EXACT: 0.8}
    image, labels = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.long)
    labels[:, :4] = 1
    seen, shares = [], iter([0.1, 0.3, 0.2, 0.4, 0.5, 0.75])

    def scenes(sam, settings, richness):
        seen.append(richness)
        return iter([(image, labels)] * 2)

    def edge_maps(sam, image, labels):
        return {name: np.full((8, 8), value) for name, value in score.items()}, next(shares)

    def count_edges(strength, truths):
        (truth,) = truths
        assert truth.shape == (8, 8) and truth.any() and not truth[0].any()
        return float(strength[0, 0]) * (1 if seen[-1] == 1.0 else 0.5)

    def of_counts(counts, weights):
        assert len(counts) == 2 and set(counts) == {counts[0]}
        return torch.full((len(weights),), counts[0], dtype=torch.float64)

    monkeypatch.setattr(e10_edges, "scenes", scenes)
    monkeypatch.setattr(e10_edges, "edge_maps", edge_maps)
    monkeypatch.setattr(e10_edges, "count_edges", count_edges)
    monkeypatch.setattr(e10_edges, "ods", of_counts)
    monkeypatch.setattr(
        e10_edges,
        "estimates",
        lambda counts, weights: {s: Estimate(counts[0], 0, 1) for s in e10_edges.SCORES},
    )
    outcome = e10_edges.run(None, Settings(images=1, seeds=(0, 1)))
    assert outcome.passed is passed and seen == [0.0, 0.5, 1.0]
    ahead = {name: one[0] for name, one in outcome.values["sam_ods_minus"].items()}
    assert ahead == pytest.approx({"Canny": 0.6 - canny, "Sobel": 0.6 - sobel}, abs=1e-4)
    assert outcome.values["share_of_right_masks"] == {"0.0": 0.2, "0.5": 0.3, "1.0": 0.625}
    assert outcome.values["scores"]["0.5"]["Canny"]["ods"][0] == canny / 2
    assert f"of 0.60, Canny's {canny:.2f}, Sobel's {sobel:.2f}" in outcome.finding
    assert "62% of SAM's masks" in outcome.finding and "reach 0.70. True masks" in outcome.finding


@pytest.mark.parametrize(
    ("at_10", "at_30", "passed"),
    [(0.68, 0.6, True), (0.66, 0.6, False), (0.68, 0.7, False), (0.68, 0.75, False)],
)
def test_a_little_noise_may_cost_little_and_much_noise_must_cost(at_10, at_30, passed, monkeypatch):
    iou = {0.0: (0.7, 0.75), 0.05: (0.69, 0.7), 0.1: (at_10, 0.7), 0.2: (0.65, 0.7), 0.3: (at_30, 0.7)}
    answers = iter([one for _ in range(2) for share in e11_boxes.NOISES for one in iou[share]])
    masks = torch.zeros(TARGETS, 16, 16, dtype=torch.bool)
    masks[:, 3:11, 2:14] = True
    logits = torch.randn(TARGETS, 3, 4, 4)
    predicted = torch.rand(TARGETS, 3)
    given, shifts, full = [], [], []

    def predict(boxes, mask_input=None):
        given.append((boxes, mask_input))
        return (logits, predicted) if mask_input is None else (mask_input - 1, None)

    def targets(sam, settings):
        for batch in range(2):
            yield PromptedTargets(SimpleNamespace(predict=predict), masks, IMAGE, IMAGE + 3 * batch)

    jittered = e11_boxes.jittered
    monkeypatch.setattr(e11_boxes, "prompted_targets", targets)
    monkeypatch.setattr(e11_boxes, "jittered", lambda *one: shifts.append(one) or jittered(*one))
    monkeypatch.setattr(
        e11_boxes, "full_size_masks", lambda answer, size: full.append((answer, size)) or answer
    )
    monkeypatch.setattr(e11_boxes, "mask_iou", lambda found, wanted: torch.full((TARGETS,), next(answers)))
    outcome = e11_boxes.run(None, SETTINGS)
    assert outcome.passed is passed
    for number, (boxes, shift, size) in enumerate(shifts):
        noise = torch.randn(TARGETS, 4, generator=torch.Generator().manual_seed(number // 5))
        torch.testing.assert_close(shift, e11_boxes.NOISES[number % 5] * noise)
        assert boxes.tolist() == [[2, 3, 13, 10]] * TARGETS and size == 16
    shown = torch.stack([own[best] for own, best in zip(logits, predicted.argmax(dim=1), strict=True)])[
        :, None
    ]
    for once, twice in zip(given[::2], given[1::2], strict=True):
        assert once[1] is None and twice[1].equal(shown) and once[0].equal(twice[0])
    assert all(answer.equal(shown - number % 2) and size == 16 for number, (answer, size) in enumerate(full))
    values = outcome.values
    assert values["noise - none"]["0.1"][0] == pytest.approx(at_10 - 0.7, abs=1e-4)
    assert values["noise - none"]["0.3"][0] == pytest.approx(at_30 - 0.7, abs=1e-4)
    assert values["given back - not"][0] == pytest.approx(0.05, abs=1e-4)
    for place, way in enumerate((e11_boxes.ONCE, e11_boxes.TWICE)):
        assert {n: one[0] for n, one in values[way].items()} == pytest.approx(
            {str(share): of[place] for share, of in iou.items()}, abs=1e-4
        )


@pytest.mark.parametrize(("worst", "passed"), [(0.0625, True), (0.0, False), (-0.0625, False)])
def test_interpolating_has_to_be_better_at_every_other_size(worst, passed, monkeypatch):
    """At the network's own size the two are equal."""
    sam, seen = build_sam("nano"), []
    masks = torch.zeros(TARGETS, 8, 8, dtype=torch.bool)
    masks[:, 3:6, 2:5] = True
    gain = {32: 0.25, 48: worst, 64: 0.0, 80: 0.125, 96: 0.25}

    def targets(network, settings, min_area):
        seen.append((network.image_encoder.img_size, repeated[-1], min_area))
        logits = torch.zeros(TARGETS, 3, 2, 2)
        yield PromptedTargets(SimpleNamespace(predict=lambda points: (logits, points)), masks, IMAGE, IMAGE)
        repeated.append(None)

    repeated = [None]
    monkeypatch.setattr(e12_resolution, "repeat_positions_", lambda network, side: repeated.append(side))
    monkeypatch.setattr(e12_resolution, "prompted_targets", targets)

    def iou(found, wanted):
        size, side, _ = seen[-1]
        best = 0.5 + gain[size] * (side is None)
        return torch.tensor([0.0, best, 0.25]).expand(TARGETS, 3)

    monkeypatch.setattr(e12_resolution, "mask_iou", iou)
    outcome = e12_resolution.run(sam, SETTINGS)
    assert outcome.passed is passed
    assert seen == [(size, side, 1 / 64) for size in gain for side in (None, size // 8)]
    assert sam.image_encoder.img_size == 64
    for size, more in gain.items():
        assert outcome.values["interpolated"][str(size)][0] == pytest.approx(0.5 + more, abs=1e-4)
        assert outcome.values["repeated"][str(size)][0] == 0.5
    mean = (0.625 + worst) / 4
    assert outcome.values["interpolated - repeated"][0] == pytest.approx(mean, abs=1e-4)
    assert f"loses {-mean:.2f} mIoU" in outcome.finding and "64 pixels" in outcome.finding


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"start": 1e-6, "merging": 1e-5}, True),
        ({"start": 2e-6}, False),
        ({"merging": 2e-5}, False),
        ({("LoRA + decoder", "xray"): 0.5, ("LoRA", "xray"): 0.5, ("decoder", "xray"): 0.5}, False),
        ({("LoRA + decoder", "xray"): 0.67}, False),
        ({("LoRA + decoder", "xray"): 0.69}, True),
        ({("LoRA", "train"): 0.6}, False),
    ],
)
def test_adapting_has_to_gain_to_come_near_to_full_training_and_to_forget_less(changes, passed, monkeypatch):
    box = {
        ("before", "xray"): 0.5, ("full", "xray"): 0.7, ("LoRA + decoder", "xray"): 0.75, ("LoRA", "xray"): 0.65,
        ("decoder", "xray"): 0.6, ("before", "train"): 0.8, ("full", "train"): 0.6,
        ("LoRA + decoder", "train"): 0.7, ("LoRA", "train"): 0.75, ("decoder", "train"): 0.7,
        ("output tokens", "xray"): 0.53, ("output tokens", "train"): 0.79,
    } | changes  # fmt: skip
    asked, trained, steps = [], [], {"start": 1e-7, "merging": 1e-6} | changes

    def train(sam, images, settings, name, seed):
        trained.append((sam, images, name, seed))
        return SimpleNamespace(name=name)

    def measure(sam, world, images, seeds, clicks):
        asked.append((world, images, seeds, clicks))
        return SimpleNamespace(image_index=IMAGE, value=box[sam.name, world])

    def scores(one):
        return {
            e13_adapt.BOX: torch.full((TARGETS,), one.value),
            e13_adapt.CLICK: torch.full((TARGETS,), one.value / 2),
        }

    given = SimpleNamespace(name="before")
    monkeypatch.setattr(e13_adapt, "drawn_images", lambda sam, settings, worlds, seed: f"{worlds} of {seed}")
    monkeypatch.setattr(e13_adapt, "trained_arm", train)
    monkeypatch.setattr(e13_adapt, "measure_world", measure)
    monkeypatch.setattr(e13_adapt, "scores", scores)
    methods = [method for method, _ in e13_adapt.ARMS.values()]
    zero = {method: steps["start"] if n == 2 else 0.0 for n, method in enumerate(methods)}
    monkeypatch.setattr(e13_adapt, "at_step_zero", lambda network, method: zero[method])
    merges = iter([0.0, steps["merging"]])
    monkeypatch.setattr(e13_adapt, "after_merging", lambda sam, adapted: next(merges))
    monkeypatch.setattr(e13_adapt, "trained_numbers", lambda sam: 1000 + len(sam.name))
    outcome = e13_adapt.run(given, SETTINGS)
    assert outcome.passed is passed
    assert trained == [
        (given, f"{('xray',)} of {seed}", name, seed) for seed in (4, 5) for name in e13_adapt.ARMS
    ]
    assert asked == [(world, 3, (4, 5), 1) for _ in range(12) for world in ("xray", "train")]
    for name in ("before", *e13_adapt.ARMS):
        for world in ("xray", "train"):
            for prompt, share in ((e13_adapt.BOX, 1), (e13_adapt.CLICK, 0.5)):
                key, own = f"{world}, {prompt}", share * box[name, world]
                assert outcome.values["mean"][name][key][0] == pytest.approx(own, abs=1e-4)
                if name != "before":
                    less = own - share * box["before", world]
                    assert outcome.values["gain"][name][key][0] == pytest.approx(less, abs=1e-4)
    assert (outcome.values["step 0"], outcome.values["merging"]) == (steps["start"], steps["merging"])
    assert outcome.values["numbers trained"] == {name: 1000 + len(name) for name in e13_adapt.ARMS}
    best = max(("output tokens", "decoder", "LoRA", "LoRA + decoder"), key=lambda name: box[name, "xray"])
    behind, spared = (
        box["LoRA + decoder", "xray"] - box["full", "xray"],
        box["LoRA", "train"] - box["full", "train"],
    )
    assert f"With a box, {best} gains {box[best, 'xray'] - 0.5:+.3f}" in outcome.finding
    assert (
        f"decoder is {behind:+.3f} from" in outcome.finding
        and f"alone is {spared:+.3f} from" in outcome.finding
    )
    assert "with 1,014 numbers instead of 1,004" in outcome.finding
    assert "the output tokens alone, 1,013 numbers, change it by +0.030." in outcome.finding


@pytest.mark.parametrize(
    ("flat", "passed"), [(None, True), ("contrast", False), ("thinness", False), ("richness", False)]
)
def test_every_knob_has_to_hurt_at_its_hard_end(flat, passed, monkeypatch):
    def measure(sam, world, images, seeds, clicks, knobs):
        assert (sam, world, images, seeds, clicks) == ("sam", "train", 3, (4, 5), 1)
        ((knob, place),) = knobs.items()
        hard = 1 - place if knob == "contrast" else place
        return measured(0.1, best=0.75 - 0.25 * hard * (knob != flat))

    monkeypatch.setattr(e15_failure, "measure_world", measure)
    outcome = e15_failure.run("sam", SETTINGS)
    assert outcome.passed is (flat is None)
    for knob, places in e15_failure.SWEEPS.items():
        hard = [1 - place if knob == "contrast" else place for place in places]
        wanted = [0.75 - 0.25 * one * (knob != flat) for one in hard]
        assert [one[0] for one in outcome.values[knob].values()] == pytest.approx(wanted, abs=1e-4)
        assert list(outcome.values[knob]) == [str(place) for place in places]
    if flat is None:
        assert "contrast 0.24, from 0.750 to 0.512" in outcome.finding
        assert "thinness 0.25, from 0.750 to 0.500" in outcome.finding


# --- what trains ------------------------------------------------------------------------------------------------------


def test_a_network_of_an_experiment_is_a_run_in_its_folder(monkeypatch, tmp_path):
    runs = []
    result = SimpleNamespace(run=lambda: SimpleNamespace(result=lambda: "network"))
    monkeypatch.setattr(training, "sam_run", lambda *given, **named: runs.append((given, named)) or result)
    settings = Settings(work=tmp_path)
    assert training.trained(settings, "E0/a", "recipe", 3) == "network"
    training.trained(settings, "b", "recipe", 3, "tiny", "start", tmp_path, 7, 9)
    usual = {"save_every": 200, "start": training.random_weights, "data": None, "distinct_batches": None}
    changed = {"save_every": 9, "start": "start", "data": tmp_path, "distinct_batches": 7}
    assert runs == [
        (("nano", tmp_path / "E0/a", "recipe", 3), usual),
        (("tiny", tmp_path / "b", "recipe", 3), changed),
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_a_detector_of_an_experiment_is_a_run_by_its_seed(quick, monkeypatch, tmp_path):
    more, made, worlds = count(), [], []

    def training_images(world, images, size):
        worlds.append(world)
        return SimpleNamespace(names=[size] * (images + next(more)))

    def task(prompter, images, numbers, recipe, seed, base):
        made.append((torch.rand(1).item(), prompter, len(images.names), list(numbers), recipe, seed, base))
        return prompter

    monkeypatch.setattr(
        prompters, "build_prompter", lambda sam, config: SimpleNamespace(config=config, image_size=64)
    )
    monkeypatch.setattr(prompters, "training_images", training_images)
    monkeypatch.setattr(prompters, "PrompterTask", task)
    folders = []

    def run(task, folder, save_every):
        folders.append((folder, save_every))
        return SimpleNamespace(run=lambda: SimpleNamespace(prompter=task))

    monkeypatch.setattr(prompters, "TrainingRun", run)
    settings, recipe = Settings(quick=quick, work=tmp_path), prompters.PrompterRecipe(lr=0.5)
    found = [prompters.trained_prompter(settings, "nano", "arm", "config", recipe, seed) for seed in (1, 2)]
    assert [one.config for one in found] == ["config"] * 2
    assert folders == [(tmp_path / "prompters" / f"arm-{seed}", 250) for seed in (1, 2)]
    prompters.trained_prompter(settings, "nano", "arm", "config", recipe, 1, "map")
    assert folders.pop() == (tmp_path / "prompters" / "arm-map-1", 250) and made.pop()
    assert worlds == ["aerial", "aerial", "map"]
    images = 8 if quick else 512
    for place, (drawn, prompter, total, chosen, used, seed, base) in enumerate(made):
        torch.manual_seed(prompters.hash_seed(place + 1, 0))
        assert torch.rand(1).item() == drawn and prompter is found[place] and seed == place + 1
        assert total == images + place and chosen == list(range(total))
        assert (used.steps, used.images, used.lr) == ((1, 2, 0.5) if quick else (1500, 4, 0.5))
        assert base == prompters.weights_digest(build_sam("nano"))


def test_an_arm_of_e13_is_trained_at_full_size_with_its_rates_and_its_seed(monkeypatch):
    seen = []
    monkeypatch.setattr(e13_adapt, "trained_copy", lambda *given: seen.append(given) or "network")
    sam = build_sam("nano")
    for name, (method, rates) in e13_adapt.ARMS.items():
        assert e13_adapt.trained_arm(sam, "images", SETTINGS, name, 7) == "network"
        settings, experiment, arm, adapted, images, how = seen[-1]
        assert (settings, experiment, arm, images) == (SETTINGS, "e13", name, "images")
        assert adapted.method == method and adapted.sam is not sam
        assert (how.full_size, how.single_round_share, how.seed, how.settings) == (True, 1.0, 7, rates)


def test_a_mask_of_three_objects_is_right_for_none_of_them(monkeypatch):
    """E10's right masks fit one object: an overlap with each of several does not add up."""
    labels = torch.full((3, 12, 12), -1)
    for number in range(3):
        labels[0, :, 4 * number : 4 * number + 4] = number
    masks = torch.full((4, 12, 12), -1.0)
    masks[0, :, :4] = masks[1] = masks[2, :, 4:8] = 1
    masks[3, :6, :4] = 1  # half of an object: an IoU of just 0.5 is not enough
    drawn = {}

    class Predictor:
        def __init__(self, sam):
            pass

        def set_image(self, image):
            assert image.shape == (12, 12, 3)

    def edges(predictor, chosen):
        drawn[len(drawn)] = chosen
        return np.zeros((12, 12))

    monkeypatch.setattr(e10_edges, "SamPredictor", Predictor)
    monkeypatch.setattr(e10_edges, "distinct_masks", lambda predictor: masks)
    monkeypatch.setattr(e10_edges, "edges_of_masks", edges)
    sam = SimpleNamespace(postprocess_masks=lambda logits, *_: logits)
    maps, share = e10_edges.edge_maps(sam, torch.zeros(3, 12, 12, dtype=torch.uint8), labels)
    assert set(maps) == set(e10_edges.METHODS) and share == 0.5
    assert drawn[0].equal(masks) and drawn[1].equal(masks[[0, 2]]) and len(drawn[2]) == 3
