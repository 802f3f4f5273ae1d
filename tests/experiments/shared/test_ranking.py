"""What is said of predicted IoUs, against small examples by hand."""

from dataclasses import fields

import pytest
import torch

from minisam.evaluate.measure import Measurements
from minisam.experiments.shared.ranking import CHOICES, MEANS, STATISTICS, ranking_difference, ranking_of_arm

TRUE = [[0.9, 0.3, 0.0], [0.2, 0.6, 0.1]]
PREDICTED = [[0.8, 0.5, 0.6], [0.7, 0.4, 0.1]]
IMAGE = torch.tensor([0, 1])


def clicks(true, predicted) -> Measurements:
    """Measurements of clicks in the centre, all else empty."""
    measured = {field.name: torch.empty(0) for field in fields(Measurements)}
    return Measurements(
        **measured | {"centre_iou": torch.tensor(true), "centre_predicted": torch.tensor(predicted)}
    )


def test_masks_chosen_by_their_ranks():
    found = {name: of(clicks(TRUE, PREDICTED)).tolist() for name, of in CHOICES.items()}
    assert found["best of three"] == pytest.approx([0.9, 0.6])
    assert found["ranked first"] == pytest.approx([0.9, 0.2])
    assert found["at random"] == pytest.approx([0.4, 0.3])
    assert found["ranked last"] == pytest.approx([0.3, 0.1])


def test_gains_regret_and_over_estimates():
    found = {name: of(clicks(TRUE, PREDICTED)).tolist() for name, of in MEANS.items()}
    assert found["first minus random"] == pytest.approx([0.5, -0.1])
    assert found["random minus last"] == pytest.approx([0.1, 0.2])
    assert found["regret"] == pytest.approx([0, 0.4])
    assert found["over-estimate of the best"] == pytest.approx([-0.1, -0.2])
    assert found["over-estimate of the others"] == pytest.approx([(0.2 + 0.6) / 2, (0.5 + 0) / 2])


def test_each_output_where_it_wins_and_where_it_is_beaten():
    of = clicks([*TRUE, [0.5, 0.1, 0.2]], [*PREDICTED, [0.4, 0.4, 0.4]])
    assert [MEANS[f"wins of output {n}"](of).tolist() for n in (1, 2, 3)] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    weights = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 2.0]], dtype=torch.float64)
    found = [STATISTICS[f"over-estimate of output {n}, beaten"](of, weights).tolist() for n in (1, 2, 3)]
    assert found[0] == pytest.approx(
        [0.5, 0.0]
    )  # beaten in the second click alone, which the other row leaves out
    assert found[1] == pytest.approx([(0.2 + 0.3) / 2, (0.2 + 2 * 0.3) / 3])
    assert found[2] == pytest.approx([(0.6 + 0.0 + 0.2) / 3, (0.6 + 2 * 0.2) / 3])


def test_statistics_are_of_all_masks_each_with_the_weight_of_its_click():
    weights = torch.tensor([[1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    of = clicks([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]], [[0.15, 0.25, 0.35], [0.45, 0.55, 0.65]])
    both, first = STATISTICS["spearman"](of, weights).tolist()
    assert both == pytest.approx(1 - 6 * 8 / (6 * 35)) and first == pytest.approx(1)
    both, first = STATISTICS["calibration error"](of, weights).tolist()
    assert both == pytest.approx((3 * 0.05 + 0.45 + 0.25 + 0.05) / 6) and first == pytest.approx(0.05)


def test_an_arm_is_the_mean_of_its_runs_and_a_difference_is_first_minus_second():
    right, wrong = clicks(TRUE, TRUE), clicks(TRUE, [[-iou for iou in of] for of in TRUE])
    arm = ranking_of_arm([right, wrong], IMAGE)
    assert arm.keys() == MEANS.keys() | STATISTICS.keys()
    assert arm["spearman"].value == pytest.approx(0) and (arm["spearman"].low, arm["spearman"].high) == (
        -1,
        1,
    )
    assert arm["ranked first"].value == pytest.approx((0.9 + 0.6 + 0.0 + 0.1) / 4)
    more = ranking_difference([right], [wrong], IMAGE)
    assert more.keys() == arm.keys()
    assert more["spearman"].value == pytest.approx(2) and more["ranked first"].value == pytest.approx(0.7)
    assert more["calibration error"].value < 0
