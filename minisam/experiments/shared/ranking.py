"""How well the predicted IoUs of the three masks of a click rank them, and how large their errors are.

    ranked first, at random, ranked last    mean IoU of the mask chosen in this way; and the best of three
    regret                                  best of three minus ranked first
    over-estimate                           predicted − true IoU, of the best mask and of the other two, and of each
                                            output when another one is better
    spearman, calibration error             of all masks of all clicks, as in minisam/evaluate/world.py

Even the best head over-estimates the other two masks to some degree: a click does not determine the level, and thus
not which masks are the worse ones.

P clicks, each in the centre of its target   R resamples
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.measure import Measurements
from minisam.evaluate.statistics import expected_calibration_error, top_ranked, weighted_spearman
from minisam.experiments.shared.arms import difference, mean_of_arm, statistic_of_arm


def best_of_three(of: Measurements) -> Tensor:
    return of.centre_iou.amax(dim=1)


def ranked_first(of: Measurements) -> Tensor:
    """IoU [P] of the mask with the highest predicted IoU."""
    return top_ranked(of.centre_iou, of.centre_predicted)


def at_random(of: Measurements) -> Tensor:
    """IoU [P] of one of the three, on average."""
    return of.centre_iou.mean(dim=1)


def ranked_last(of: Measurements) -> Tensor:
    return top_ranked(of.centre_iou, -of.centre_predicted)


def over_estimate_of_best(of: Measurements) -> Tensor:
    """Predicted minus true IoU [P] of the mask that fits its target best."""
    best = of.centre_iou.argmax(dim=1, keepdim=True)
    return (of.centre_predicted - of.centre_iou).gather(1, best).squeeze(1)


def over_estimate_of_others(of: Measurements) -> Tensor:
    """The same for the other two, on average."""
    return ((of.centre_predicted - of.centre_iou).sum(dim=1) - over_estimate_of_best(of)) / 2


def spearman(of: Measurements, weights: Tensor) -> Tensor:
    """Rank correlation [R] of predicted and true IoU, clicks weighted by [R, P]."""
    return weighted_spearman(of.centre_predicted.flatten(), of.centre_iou.flatten(), each_mask(weights))


def calibration_error(of: Measurements, weights: Tensor) -> Tensor:
    """The average difference of the two, in ten bins of the predicted one: [R]."""
    predicted, true = of.centre_predicted.flatten().double(), of.centre_iou.flatten().double()
    return expected_calibration_error(predicted, true, each_mask(weights))


def each_mask(weights: Tensor) -> Tensor:
    """[R, P] -> [R, 3 · P], clicks after one another."""
    return weights.repeat_interleave(3, dim=1)


def wins(of: Measurements, output: int) -> Tensor:
    """Whether an output, 0 to 2, has the best of the three masks: [P], 1 or 0."""
    return (of.centre_iou.argmax(dim=1) == output).double()


def over_estimate_where_beaten(of: Measurements, weights: Tensor, output: int) -> Tensor:
    """The mean [R] of an output's predicted minus true IoU over the clicks for which another one is better."""
    beaten = weights * (1 - wins(of, output))
    error = (of.centre_predicted - of.centre_iou)[:, output].double()
    return beaten @ error / beaten.sum(dim=1).clamp(min=1)


OUTPUTS = (1, 2, 3)
CHOICES = {
    "best of three": best_of_three,
    "ranked first": ranked_first,
    "at random": at_random,
    "ranked last": ranked_last,
}
OVER_ESTIMATES = {
    "over-estimate of the best": over_estimate_of_best,
    "over-estimate of the others": over_estimate_of_others,
}
MEANS: dict[str, Callable[[Measurements], Tensor]] = {
    **CHOICES,
    "first minus random": lambda of: ranked_first(of) - at_random(of),
    "random minus last": lambda of: at_random(of) - ranked_last(of),
    "regret": lambda of: best_of_three(of) - ranked_first(of),
    **OVER_ESTIMATES,
    **{f"wins of output {n}": partial(wins, output=n - 1) for n in OUTPUTS},
}
WHERE_BEATEN = {
    f"over-estimate of output {n}, beaten": partial(over_estimate_where_beaten, output=n - 1) for n in OUTPUTS
}
STATISTICS: dict[str, Callable[[Measurements, Tensor], Tensor]] = {
    "spearman": spearman,
    "calibration error": calibration_error,
    **WHERE_BEATEN,
}


def ranking_of_arm(runs: list[Measurements], image: Tensor) -> dict[str, Estimate]:
    """Everything above for the runs of an arm; `image` [P]."""
    means = {name: mean_of_arm([of(run) for run in runs], image) for name, of in MEANS.items()}
    return means | {name: statistic_of_arm(of, runs, image) for name, of in STATISTICS.items()}


def ranking_difference(
    first: list[Measurements], second: list[Measurements], image: Tensor
) -> dict[str, Estimate]:
    """The value of `first` minus that of `second`, seed by seed."""
    means = {
        name: difference([of(run) for run in first], [of(run) for run in second], image)
        for name, of in MEANS.items()
    }
    pairs = list(zip(first, second, strict=True))

    def between(of: Callable[[Measurements, Tensor], Tensor]) -> Estimate:
        return statistic_of_arm(
            lambda pair, weights: of(pair[0], weights) - of(pair[1], weights), pairs, image
        )

    return means | {name: between(of) for name, of in STATISTICS.items()}
