"""Lesson 24: write four functions, mend the fifth. `minisam lesson check 24 FILE` tells what is right."""

import numpy as np


def depths(mask: np.ndarray) -> np.ndarray:
    """mask [H, W] of 0 and 1 -> [H, W], the squared distance of each pixel to the nearest one outside; 0 outside."""
    raise NotImplementedError


def next_click(mask: np.ndarray, target: np.ndarray) -> np.ndarray:
    """mask and target [H, W] of 0 and 1 -> [3]: x, y and the label, 1 for foreground, 0 for background."""
    raise NotImplementedError


def recalls(iou: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
    """iou [D, G] of D masks and G targets, scores [D] -> [10], the share found at IoU 0.5, 0.55, …, 0.95."""
    raise NotImplementedError


def interval(values: np.ndarray, image: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """values [P] of P masks, image [P] the image of each, drawn [R, I] the images of R resamples -> [2]: low, high."""
    raise NotImplementedError


def ods_and_ois(right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """right and predicted [I, T] pixels at T thresholds, true [I] pixels -> [2]: ODS, OIS. Two bugs are in it."""
    precision = right / np.maximum(predicted, 1)
    recall = right / true[:, None]
    f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    ods = f.mean(axis=0).max()
    ois = f.max(axis=1).mean()
    return np.array([ods, ois], right.dtype)
