"""E14b: E14 again, where a class can be seen: do learned prompts beat boxes as prompts?  (RSPrompter, section IV)

On `aerial` the six classes differ by their outlines alone, and no detector of E14 learns them.  On the world `map` each
kind of object has its own hue as well.  Two more choices differ: a quarter of 128 sampled boxes are positive, because
with E14's eighth of 64 a first run of `det` called most boxes of objects background; and new layers learn at 1e-3.

A first run of 1500 steps missed E14's criterion by 3.0 [1.8, 4.3] points: mask AP 29.1 for cls, 37.5 for det, 34.5 for
seg and 37.0 for anchor.  The frozen tiny has 43.3 in the true boxes (once by hand), which bounds det alone.
Expected before this longer run: E14's criterion.  One arm more, frozen, shows what training SAM's decoder is worth to
anchor (two points or more, expected).  In the measured run of anchor, the decoder's attention to and from tokens had no
weight decay.
"""

from __future__ import annotations

from dataclasses import replace

from minisam.adapt.rsprompter.prompter_task import RATES
from minisam.experiments import e14_rsprompter as e14
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.model import Sam

WORLD = "map"
RECIPE = replace(e14.RECIPE, steps=4000, lr=RATES["small"])
ARMS = (*e14.DETECTORS, e14.FROZEN)


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the detectors stand on tiny, or in a quick run on nano."""
    return e14.outcome(e14.trained_arms(settings, WORLD, RECIPE, {}, ARMS), RECIPE.steps)


EXPERIMENT = Experiment(
    id="E14b",
    title="Prompts written by a detector, with visible classes",
    echoes=e14.EXPERIMENT.echoes,
    question="E14 on images whose colours show the classes: are learned prompts better than boxes as prompts?",
    criterion=e14.EXPERIMENT.criterion,
    run=run,
    trains="detectors on the frozen tiny, from random weights, on 512 images of the world map",
    shortened="to one seed, and one rate that was not searched for",
)
