"""Every experiment runs in its quick form, and its pieces do what they say."""

import json
from unittest.mock import MagicMock

import pytest
import torch
from quick_experiments import FILE as QUICK

from minisam.build import build_sam
from minisam.cli.main import main
from minisam.experiments import e13_adapt, e16_combine, e18_focal
from minisam.experiments.e11_boxes import jittered
from minisam.experiments.e12_resolution import clipped, repeat_positions_
from minisam.experiments.e15_failure import fall
from minisam.experiments.e18_focal import EXPECTED, levels_chosen
from minisam.experiments.experiment import Settings, experiments, write_outcome
from minisam.experiments.page import page

LONG = ("E6", "E7", "E7b", "E8", "E9", "E13b", "E14", "E17", "E19")
"""These train several networks, one after the other; CI runs them."""


@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=[pytest.mark.ci] if id in LONG else []) for id in sorted(experiments())]
)
def test_an_experiment_runs_and_its_page_shows_it(id, tmp_path):
    experiment = experiments()[id]
    settings = Settings.short(tmp_path / "work")
    outcome = experiment.run(build_sam("nano"), settings)
    write_outcome(tmp_path, experiment, outcome, "nano", settings)
    result = json.loads((tmp_path / f"{id}.json").read_text())
    assert result["finding"] == outcome.finding and any(letter.isdigit() for letter in outcome.finding)
    assert (tmp_path / f"{id}.png").stat().st_size > 5000
    text = page(tmp_path)
    assert outcome.finding in text and experiment.criterion in text and experiment.shortened in text
    assert ("Shortened: " in text) == bool(experiment.shortened)
    assert ("not as expected" in text) == (not outcome.passed)
    measured = json.loads(QUICK.read_text(encoding="utf-8"))
    if id in measured:
        tolerance = 0.02 if experiment.trains else 0.005
        assert numbers(result["values"]) == pytest.approx(numbers(measured[id]), abs=tolerance, nan_ok=True)


def numbers(values, name=""):
    """Every number of nested results by its path."""
    if isinstance(values, dict | list):
        inside = values.items() if isinstance(values, dict) else enumerate(values)
        return {path: one for key, value in inside for path, one in numbers(value, f"{name}/{key}").items()}
    return {name: float(values)} if isinstance(values, int | float) else {}


def test_a_quick_run_leaves_the_results_of_a_long_one(tmp_path, capsys):
    (tmp_path / "E11.json").write_text("the long run")
    assert main(["experiment", "E11", "--quick", "-o", str(tmp_path), "--work", str(tmp_path / "work")]) == 0
    assert (tmp_path / "E11.json").read_text() == "the long run"
    assert json.loads((tmp_path / "quick" / "E11.json").read_text())["quick"]
    assert str((tmp_path / "quick").resolve()) in capsys.readouterr().err


def test_ids_are_those_of_their_files():
    for id, experiment in experiments().items():
        file = experiment.run.__module__.split(".")[-1].split("_")[0]
        assert experiment.id == id == "E" + file[1:].lstrip("0")


def test_an_unknown_experiment_is_refused_with_the_list(capsys):
    assert main(["experiment", "E99"]) == 2
    assert "E99" in capsys.readouterr().err
    assert main(["experiment"]) == 0
    assert "E3" in capsys.readouterr().out


def test_boxes_move_by_a_share_of_their_sides_and_stay_boxes():
    boxes = torch.tensor([[10.0, 20.0, 29.0, 59.0]])
    assert jittered(boxes, torch.tensor([[0.5, -0.25, 0.0, 1.0]]), 64).tolist() == [[20.0, 10.0, 29.0, 63.0]]
    crossed = jittered(boxes, torch.tensor([[2.0, 0.0, 0.0, 0.0]]), 64)
    assert crossed.tolist() == [[29.0, 20.0, 50.0, 59.0]]


@pytest.mark.parametrize("other", [None, *EXPECTED])
def test_one_other_level_is_not_as_expected(other, tmp_path, monkeypatch):
    def chosen(trees, alpha, dice):
        level = EXPECTED.get(alpha, 0)
        return torch.eye(3)[(level + 1) % 3 if alpha == other else level]

    monkeypatch.setattr(e18_focal, "nested_masks", lambda settings: torch.zeros(4, 3, 8, 8))
    monkeypatch.setattr(e18_focal, "levels_chosen", chosen)
    assert e18_focal.run(None, Settings.short(tmp_path)).passed is (other is None)


def answers_with(*logits):
    """In place of a Sam of 64 pixels: the logits are always these."""
    sam = MagicMock()
    sam.image_encoder.img_size, sam.eval.return_value = 64, sam
    sam.prompt_encoder.return_value = None, None
    sam.mask_decoder.return_value = torch.tensor(logits), None
    return sam


def test_logits_differ_by_the_largest_difference_as_a_share_of_the_largest():
    one, other = answers_with(4.0, -8.0), answers_with(5.0, -2.0)
    assert e13_adapt.logits_differ(one, other) == 6 / 8 and e13_adapt.logits_differ(one, one) == 0
    assert e13_adapt.logits_differ(other, one) == pytest.approx(6 / 5)


def test_a_fall_counts_from_the_easy_end():
    curve = [[0.2, 0.15, 0.25], [0.6, 0.55, 0.65]]
    assert fall(curve, -1) == (pytest.approx(0.4), True)
    assert fall(curve, 1) == (pytest.approx(-0.4), False)


def test_repeated_positions_are_the_networks_own_on_its_own_grid():
    sam, own = build_sam("nano"), build_sam("nano")
    repeat_positions_(sam, 8)
    for name, value in own.state_dict().items():
        assert value.equal(sam.state_dict()[name]), name
    repeat_positions_(sam, 12)
    assert sam.image_encoder.pos_embed[:, 8:, :8].equal(own.image_encoder.pos_embed[:, :4])
    table = torch.arange(5.0)[:, None]
    assert clipped(table, 5)[:, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 4, 4]
    assert clipped(table, 2)[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("alpha", sorted(EXPECTED))
def test_the_level_of_a_nested_square_follows_from_alpha(alpha):
    tree = torch.zeros(1, 3, 64, 64, dtype=torch.bool)
    for level, half in enumerate((24, 14, 6)):
        tree[0, level, 32 - half : 32 + half, 32 - half : 32 + half] = True
    assert levels_chosen(tree, alpha, dice_weight=0.0).argmax().item() == EXPECTED[alpha]


@pytest.mark.parametrize(("kind", "neutral"), [(e16_combine.Multiplied, 0), (e16_combine.Gated, 1)])
def test_another_combination_has_the_same_weights_and_its_formula(kind, neutral):
    sam, own = build_sam("nano"), build_sam("nano")
    e16_combine.combine_by_(sam, kind)
    changed = {name for name, value in own.state_dict().items() if not value.equal(sam.state_dict()[name])}
    assert changed and all("mask_downscaling" in name or "no_mask" in name for name in changed)
    image, dense, sparse = torch.randn(2, 96, 8, 8), torch.randn(3, 96, 8, 8), torch.randn(3, 2, 96)
    index, pe = torch.tensor([1, 0, 1]), sam.prompt_encoder.get_dense_pe()
    with torch.no_grad():
        found = sam.eval().mask_decoder(image, pe, sparse, dense, True, image_index=index)
        alone = sam.mask_decoder(image[:1], pe, sparse[:1], dense[:1], False)
        product = image[index] * (neutral + dense)
        wanted = own.eval().mask_decoder(product, pe, sparse, torch.zeros_like(dense), True)
        single = own.mask_decoder(image[:1] * (neutral + dense[:1]), pe, sparse[:1], 0 * dense[:1], False)
    for one, two in zip((*found, *alone), (*wanted, *single), strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)
