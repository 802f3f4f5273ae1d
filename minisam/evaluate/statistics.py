"""Weighted statistics of prompts, which make a bootstrap over images one batched computation.

Every function takes weights [R, n], one row for each resample, and returns [R]; weights of one give the plain
statistic.  A weight w says that the value occurs w times.

n values   R resamples
"""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """values [n], weights [R, n] -> [R]."""
    return weights @ values / weights.sum(dim=1)


def weighted_spearman(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Rank correlation of x [n] and y [n] -> [R]; ties share their mean rank, 0 where either is constant."""
    x_rank, y_rank = weighted_ranks(x, weights), weighted_ranks(y, weights)
    total = weights.sum(dim=1, keepdim=True)
    x_rank = x_rank - (weights * x_rank).sum(dim=1, keepdim=True) / total
    y_rank = y_rank - (weights * y_rank).sum(dim=1, keepdim=True) / total
    covariance = (weights * x_rank * y_rank).sum(dim=1)
    variances = (weights * x_rank**2).sum(dim=1) * (weights * y_rank**2).sum(dim=1)
    return torch.where(variances > 0, covariance / variances.sqrt(), 0)


def weighted_ranks(values: Tensor, weights: Tensor) -> Tensor:
    """values [n] -> [R, n]: the mean rank, from 1, of each value among all copies."""
    _, group = values.unique(return_inverse=True)
    copies = weights.new_zeros((len(weights), int(group.max()) + 1)).index_add_(1, group, weights)
    return (copies.cumsum(dim=1) - copies / 2 + 0.5)[:, group]


def pair_agreement(predicted: Tensor, true: Tensor) -> Tensor:
    """The share of each prompt's pairs of masks [P, C] that the prediction puts in the right order, [P].

    Chance gives 1/2; a pair with equal values on either side counts 1/2.
    """
    first, second = torch.combinations(torch.arange(predicted.shape[1])).T
    order = (predicted[:, first] - predicted[:, second]).sign() * (true[:, first] - true[:, second]).sign()
    return (1 + order).mean(dim=1) / 2


def calibration_bins(
    predicted: Tensor, true: Tensor, weights: Tensor, bins: int = 10
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over equal bins of predicted [n], clamped to 0 … 1: weight, predicted and true, each [R, bins]."""
    index = (predicted.clamp(0, 1) * bins).long().clamp(max=bins - 1)
    member = torch.nn.functional.one_hot(index, bins).to(weights.dtype)
    return weights @ member, (weights * predicted) @ member, (weights * true) @ member


def expected_calibration_error(predicted: Tensor, true: Tensor, weights: Tensor) -> Tensor:
    """Mean over all values of |mean predicted − mean true| in their bin (Guo et al. 2017) -> [R]."""
    _, predicted_sum, true_sum = calibration_bins(predicted, true, weights)
    return (predicted_sum - true_sum).abs().sum(dim=1) / weights.sum(dim=1)


def top_ranked(iou: Tensor, predicted: Tensor) -> Tensor:
    """True IoU [P] of the mask with the highest predicted one, both [P, C]."""
    return iou.gather(1, predicted.argmax(dim=1, keepdim=True)).squeeze(1)
