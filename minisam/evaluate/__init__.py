"""Measures of a network's masks: clicks, boxes, ambiguity and the ranking of masks."""

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.pictures import evaluate_pictures
from minisam.evaluate.world import WorldResult, evaluate_world

__all__ = ["Estimate", "WorldResult", "evaluate_pictures", "evaluate_world"]
