"""Networks with known answers: every metric by hand."""

import pytest
import torch
from toy_sam import ToySam, nested_scenes

from minisam.config import CONFIGS, build_from_config
from minisam.errors import MinisamError
from minisam.evaluate import evaluate_world
from minisam.evaluate import world as world_module

stats = pytest.importorskip("scipy.stats")
WHOLE, PART, SUBPART = 400, 144, 36


def evaluate_toy(answer, monkeypatch, **options):
    scenes = nested_scenes(3)
    monkeypatch.setattr(world_module, "evaluation_batches", lambda *_: [lambda: scenes] * 2)
    return evaluate_world(ToySam(answer), "toy", images=6, **options)  # pyright: ignore


def test_scenes_and_clicks_are_those_of_the_seed_and_of_the_numbers_that_are_given():
    """Of the whole function, with the names of its arguments, against its two parts."""
    torch.manual_seed(0)
    sam, done = build_from_config(CONFIGS["nano"]), []
    given = {"images": 3, "targets_per_image": 2, "clicks": 2}
    found = [evaluate_world(sam, "train", **given, seed=seed, on_batch=done.append) for seed in (0, 7)]
    for seed, result in zip((0, 7), found, strict=True):
        measured = world_module.measure_world(sam, "train", 3, 2, (seed,), 2)
        assert result == world_module.summarise("train", 3, measured)
    assert found[0].metrics != found[1].metrics and done == [3, 3]


def test_the_images_of_another_seed_are_other_images():
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    one, other, both = (
        world_module.measure_world(sam, "train", 3, 2, seeds, 1).image_index for seeds in ((0,), (7,), (0, 7))
    )
    assert both.tolist() == [*one.tolist(), *(other + 3).tolist()]


def answer_with(predicted, single):
    """All three levels under the click with these predicted IoUs, then the level `single`."""

    def answer(levels, click, first):
        return (levels, torch.tensor(predicted)) if first else (levels[[single]], torch.tensor([0.5]))

    return answer


def values(result):
    return {name: estimate.value for name, estimate in result.metrics.items()}


def test_three_levels_with_the_whole_ranked_first(monkeypatch):
    result = evaluate_toy(answer_with([0.9, 0.5, 0.1], single=0), monkeypatch)
    found = values(result)
    whole = (1 + PART / WHOLE + SUBPART / WHOLE) / 3
    assert (result.masks, result.images) == (18, 6)
    assert found["oracle"] == found["box_oracle"] == found["valid_iou"] == 1
    for name in ("top1", "box_top1", "centre_1", "centre_9", "random_1", "random_5"):
        assert found[name] == pytest.approx(whole)

    true = [
        [1, PART / WHOLE, SUBPART / WHOLE],
        [PART / WHOLE, 1, SUBPART / PART],
        [SUBPART / WHOLE, SUBPART / PART, 1],
    ]
    flat = [iou for row in true for iou in row]
    expected = stats.spearmanr([0.9, 0.5, 0.1] * 3, flat)[0]
    assert found["spearman"] == pytest.approx(expected)
    assert found["rank_agreement"] == pytest.approx((3 + 2 + 0) / 9)
    assert found["top1_gain"] == pytest.approx(whole - sum(flat) / 9, abs=1e-6)
    columns = [sum(column) / 3 for column in zip(*true, strict=True)]
    errors = [abs(p - t) for p, t in zip([0.9, 0.5, 0.1], columns, strict=True)]
    assert found["calibration_error"] == pytest.approx(sum(errors) / 3)
    assert [(round(p, 3), n) for p, _, n in result.reliability] == [(0.1, 18), (0.5, 18), (0.9, 18)]
    assert [t for _, t, _ in result.reliability] == pytest.approx(columns[::-1])


def test_one_level_only(monkeypatch):
    def subparts(levels, click, first):
        return levels[[2, 2, 2] if first else [2]], torch.tensor([0.2, 0.7, 0.1] if first else [0.2])

    found = values(evaluate_toy(subparts, monkeypatch))
    one_level = (SUBPART / WHOLE + SUBPART / PART + 1) / 3
    assert found["oracle"] == pytest.approx(one_level)
    assert found["top1"] == pytest.approx(one_level)
    assert found["valid_iou"] == 1
    assert found["top1_gain"] == pytest.approx(0)
    assert found["rank_agreement"] == 0.5


def test_empty_masks_score_nothing(monkeypatch):
    def nothing(levels, click, first):
        return torch.zeros_like(levels[: 3 if first else 1]), torch.zeros(3 if first else 1)

    found = values(evaluate_toy(nothing, monkeypatch))
    assert found.pop("rank_agreement") == 0.5
    assert set(found.values()) == {0.0}


def test_later_clicks_are_counted_one_by_one(monkeypatch):
    """Mask 0 is the whole, so only targets that are wholes are right from the second click on."""
    found = values(
        evaluate_toy(answer_with([0.1, 0.5, 0.9], single=0), monkeypatch, targets_per_image=3, clicks=3)
    )
    assert found["centre_1"] == pytest.approx((1 + SUBPART / PART + SUBPART / WHOLE) / 3)
    assert found["centre_2"] == pytest.approx((1 + PART / WHOLE + SUBPART / WHOLE) / 3)
    assert "centre_5" not in found


def test_batches_of_any_size_give_the_same(monkeypatch):
    answer = answer_with([0.9, 0.5, 0.1], single=1)
    small, large = (evaluate_toy(answer, monkeypatch, clicks=2, prompts_per_batch=n) for n in (2, 64))
    assert small.masks == large.masks
    assert values(small)["centre_2"] == pytest.approx(values(large)["centre_2"])


def test_intervals_resample_images(monkeypatch):
    """All images are alike here, so resampling them changes nothing, however the masks differ."""
    result = evaluate_toy(answer_with([0.9, 0.5, 0.1], single=0), monkeypatch, clicks=1)
    for estimate in result.metrics.values():
        assert estimate.high - estimate.low == pytest.approx(0, abs=1e-6)


def test_a_world_without_targets_is_refused(monkeypatch):
    scenes = nested_scenes(2)
    scenes.area.zero_()
    monkeypatch.setattr(world_module, "evaluation_batches", lambda *_: [lambda: scenes])
    with pytest.raises(MinisamError, match="toy"):
        evaluate_world(ToySam(answer_with([1.0, 0, 0], 0)), "toy", images=2)  # pyright: ignore


def test_a_network_on_partworld():
    """Repeatable, all metrics in range, and the training mode and gradients stay as they were."""
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"]).train()
    done = []
    first = evaluate_world(sam, "train", images=3, targets_per_image=2, clicks=2, on_batch=done.append)
    again = evaluate_world(sam, "train", images=3, targets_per_image=2, clicks=2)
    assert first == again
    assert done == [3]
    assert sam.training
    assert torch.is_grad_enabled()
    assert 0 < first.masks <= 6
    for name, estimate in first.metrics.items():
        assert estimate.low <= estimate.value + 1e-6 or name in ("calibration_error", "spearman")
        assert -1 <= estimate.low <= estimate.high <= 1.5, name
