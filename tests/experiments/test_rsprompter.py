"""E14: its criterion, what is trained and measured, and SAM-cls, on candidates of the first training images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.container import BarContainer

from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.evaluate.mask_matching import Overlaps, match_masks
from minisam.experiments import e14_rsprompter as e14
from minisam.experiments import e14b_colours
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import detector_ap


@pytest.mark.parametrize("quick", [True, False])
def test_a_classifier_is_trained_by_its_seed_on_the_crops_of_all_images(quick, monkeypatch):
    trained, count = [], 2 if quick else e14.CLASSIFIED_IMAGES
    segment = SimpleNamespace(mask=lambda: np.ones((8, 8), bool), category="ship")
    pictures = [SimpleNamespace(image=number, segments=[segment]) for number in range(512)]

    class Candidates:
        def __init__(self, sam, image):
            self.crops = torch.full((2, 4, 4, 3), image % 256)

        def labels(self, masks, own, background):
            assert masks.shape == (1, 8, 8) and background == len(e14.CLASSES)
            return torch.tensor([*own, background])

    def train(crops, targets, classes, seed, steps):
        trained.append((len(crops), targets.tolist(), classes, seed, steps))

    asked = []

    def training_images(world, images, side):
        asked.append((world, images, side))
        return SimpleNamespace(pictures=pictures[:images])

    monkeypatch.setattr(e14, "training_images", training_images)
    monkeypatch.setattr(e14, "Candidates", Candidates)
    monkeypatch.setattr(e14, "train_classifier", train)
    monkeypatch.setattr(e14, "classified", lambda network, found: found)
    monkeypatch.setattr(e14, "overlaps_of", lambda found, picture, labels, classes: {})
    sam = SimpleNamespace(image_encoder=SimpleNamespace(img_size=8))
    found = e14.classify(sam, SimpleNamespace(quick=quick), "map", pictures[:3], {"ship": 1}, seed=5)
    classes = len(e14.CLASSES)
    assert asked == [("map", 8 if quick else 512, 8)]
    assert trained == [(2 * count, [1, classes] * count, classes, 5, 2 if quick else 600)]
    assert found == [{}, {}, {}]


def matches(*scores: float, kind: str = "mask", classes=range(6)):
    """An image with a target of each class; results find them with an IoU of 1 for those above 0, the others miss."""
    found = {}
    for label in classes:
        own = np.array([[one] for one in scores if one])
        overlaps = Overlaps(
            (own > 0).astype(float).reshape(-1, 1), np.abs(own).reshape(-1), np.full(len(own), 50.0),
            np.array([50.0]), np.array([False]),
        )  # fmt: skip
        found[kind, label] = match_masks(overlaps)
    return found


def runs_of(ap: dict[str, float], box: dict[str, float] | None = None) -> e14.Runs:
    """A run on 20 images, of which the share `ap` is found; that of `box` (the same) for boxes."""
    runs = {}
    for name, share in ap.items():
        of_box = (box or ap)[name]
        images = []
        for number in range(20):
            image = matches(1.0 if number < 20 * share else 0.0)
            image |= matches(1.0 if number < 20 * of_box else 0.0, kind="box")
            images.append(image)
        runs[name] = [images]
    return runs


GOOD = {"cls": 0.1, "det": 0.2, "seg": 0.9, "anchor": 0.95}


@pytest.mark.parametrize(
    ("changes", "box", "passed"),
    [
        ({}, {}, True),
        ({"seg": 0.25}, {}, False),  # no interval above zero
        ({"det": 0.9}, {}, False),
        ({"cls": 0.95}, {}, False),
        ({"anchor": 0.8}, {}, False),  # more than two points below seg
        ({}, {"det": 0.9, "anchor": 0.8}, False),
        ({}, {"det": 0.8, "anchor": 0.9}, False),
        ({}, {"det": 0.9, "anchor": 0.9}, True),
    ],
)
def test_the_criterion(changes, box, passed, monkeypatch):
    monkeypatch.setattr(detector_ap, "RESAMPLES", 4)
    ap = GOOD | changes
    of_box = dict.fromkeys(GOOD, 0.5) | box
    outcome = e14.outcome(runs_of(ap, of_box), 1500)
    assert outcome.passed is passed

    def percent(share):
        return 100 * np.floor(101 * share) / 101 if share < 1 else 100.0

    for name, share in ap.items():
        assert outcome.values["mask AP"][name][0] == pytest.approx(percent(share), abs=1)
        assert outcome.values["mask AP50"][name] == pytest.approx(
            outcome.values["mask AP"][name][0], abs=1e-3
        )
        assert outcome.values["mask AP of roads"][name] == pytest.approx(percent(share), abs=1)
        assert outcome.values["mask AP by class"][name] == pytest.approx([percent(share)] * 6, abs=1)
        assert outcome.values["box AP"][name][0] == pytest.approx(percent(of_box[name]), abs=1)
    mask = {name: one[0] for name, one in outcome.values["mask AP"].items()}
    worse, better = min(mask["seg"], mask["anchor"]), max(mask["cls"], mask["det"])
    assert outcome.values["min(seg, anchor) - max(cls, det)"][0] == pytest.approx(worse - better, abs=1e-3)
    assert outcome.values["anchor - seg"] == pytest.approx(mask["anchor"] - mask["seg"], abs=1e-3)
    over_det = outcome.values["anchor - det"]
    assert over_det[0] == pytest.approx(mask["anchor"] - mask["det"], abs=1e-3)
    assert f"minus those of det: {over_det[0]:+.1f} [" in outcome.finding
    boxes = {name: one[0] for name, one in outcome.values["box AP"].items()}
    assert outcome.values["box det - anchor"] == pytest.approx(boxes["det"] - boxes["anchor"], abs=1e-3)
    assert f"anchor {mask['anchor']:.1f}; box AP" in outcome.finding and outcome.values["steps"] == 1500


def test_the_figure_says_which_bar_is_which(monkeypatch):
    """Every legend names its bars, and the bars have the heights and intervals of the values."""
    monkeypatch.setattr(detector_ap, "RESAMPLES", 50)
    runs = runs_of(GOOD, {name: share / 2 for name, share in GOOD.items()})
    runs["det"][0][0] |= matches(kind="mask", classes=[5])  # roads differ from the other classes
    outcome = e14.outcome(runs, 7)
    both, by_class = outcome.figure.axes
    order = ["cls", "det", "seg", "anchor"]
    for axes, names in ((both, ["masks", "boxes"]), (by_class, order)):
        shown = axes.get_legend()
        assert [text.get_text() for text in shown.get_texts()] == names
        bars = [one for one in axes.containers if isinstance(one, BarContainer)]
        assert [one.get_label() for one in bars] == names
        colours = [one.patches[0].get_facecolor() for one in bars]
        assert len(set(colours)) == len(names)
        assert [patch.get_facecolor() for patch in shown.get_patches()] == colours
        starts = [patch.get_x() for one in bars for patch in one.patches]
        width = bars[0].patches[0].get_width()
        assert np.diff(sorted(starts)).min() >= width - 1e-9  # no bar over another
    assert [text.get_text() for text in both.get_xticklabels()] == order
    assert [text.get_text() for text in by_class.get_xticklabels()] == list(e14.CLASSES)
    for kind, bars in zip(("mask AP", "box AP"), both.containers[1::2], strict=True):
        values = [outcome.values[kind][name] for name in order]
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], [value for value, _, _ in values], atol=1e-4
        )
        ends = [segment[:, 1] for segment in bars.errorbar.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, [(low, high) for _, low, high in values], atol=1e-4)
    for name, bars in zip(order, by_class.containers, strict=True):
        assert [patch.get_height() for patch in bars] == outcome.values["mask AP by class"][name]
        middles = [patch.get_x() + patch.get_width() / 2 for patch in bars]
        assert [round(middle) for middle in middles] == list(range(len(e14.CLASSES)))
    assert both.get_ylabel() and by_class.get_ylabel()


def test_what_training_the_decoder_is_worth_is_said_where_an_arm_does_without(monkeypatch):
    monkeypatch.setattr(detector_ap, "RESAMPLES", 4)
    assert "anchor - frozen" not in e14.outcome(runs_of(GOOD), 1500).values
    ap = GOOD | {"frozen": 0.1}
    outcome = e14.outcome(runs_of(ap, dict.fromkeys(ap, 0.5)), 1500)
    assert outcome.passed
    mask = {name: one[0] for name, one in outcome.values["mask AP"].items()}
    worth, low, high = outcome.values["anchor - frozen"]
    assert low <= worth <= high and worth == pytest.approx(mask["anchor"] - mask["frozen"], abs=1e-3)
    assert f"decoder is worth {worth:+.1f} [" in outcome.finding
    by_class = outcome.figure.axes[1]
    bars = [patch for one in by_class.containers for patch in one.patches]
    starts = sorted(bar.get_x() for bar in bars)
    assert np.diff(starts).min() >= bars[0].get_width() - 1e-9  # no bar over another


def test_roads_and_the_other_classes_are_apart(monkeypatch):
    monkeypatch.setattr(detector_ap, "RESAMPLES", 1)
    runs = runs_of(GOOD)
    of_road = [image | matches(kind="mask", classes=[5]) for image in runs["seg"][0]]
    outcome = e14.outcome(runs | {"seg": [of_road]}, 1500)
    assert outcome.values["mask AP of roads"]["seg"] == 0
    assert outcome.values["mask AP"]["seg"][0] == pytest.approx(90, abs=1)
    assert outcome.values["mask AP by class"]["seg"][5] == 0
    assert outcome.values["mask AP75"]["anchor"] == pytest.approx(95, abs=1)


@pytest.mark.parametrize(
    ("experiment", "world", "rate", "boxes", "steps", "detectors"),
    [
        (e14, "aerial", 3e-4, 64, 1500, ("det", "seg", "anchor")),
        (e14b_colours, "map", 1e-3, 9, 4000, ("det", "seg", "anchor", "frozen")),
    ],
)
@pytest.mark.parametrize("quick", [True, False])
def test_every_detector_is_trained_by_every_seed_and_measured_on_the_same_images(
    quick, experiment, world, rate, boxes, steps, detectors, monkeypatch
):
    images = SimpleNamespace(
        categories={7: "a", 9: "b"}, pictures=[SimpleNamespace(image=n) for n in (1, 2, 3)]
    )
    network = SimpleNamespace(image_encoder=SimpleNamespace(img_size=96))
    opened, trained, measured, classified = [], [], [], []
    monkeypatch.setattr(e14, "build_sam", lambda name: network)
    monkeypatch.setattr(e14, "WorldImages", lambda *given, **named: opened.append((given, named)) or images)
    monkeypatch.setattr(
        e14, "small_config", lambda sam, variant, classes: PrompterConfig(variant, classes, (1,), boxes=9)
    )

    def train(settings, name, arm, config, recipe, seed, world):
        trained.append((name, arm, config, recipe, seed, world))
        return arm, seed

    def overlaps(found, picture, labels, classes):
        assert labels == {7: 0, 9: 1} and classes == 6
        measured.append((*found, picture.image))
        return {}

    def classify(sam, settings, world, pictures, labels, seed):
        assert sam is network
        classified.append((world, pictures, labels, seed))
        return [f"cls {seed}"]

    monkeypatch.setattr(e14, "trained_prompter", train)
    monkeypatch.setattr(e14, "detect_objects", lambda prompter, image: (*prompter, image))
    monkeypatch.setattr(e14, "overlaps_of", overlaps)
    monkeypatch.setattr(e14, "classify", classify)
    monkeypatch.setattr(e14, "outcome", lambda runs, steps: (runs, steps))
    runs, of_steps = experiment.run(None, Settings(images=3, seeds=(1, 2), quick=quick))
    assert experiment.RECIPE.lr == rate and of_steps == experiment.RECIPE.steps == steps
    assert opened == [((world, 3, 96), {"evaluation": True})]
    name = "nano" if quick else "tiny"
    arms = [(arm, seed) for seed in (1, 2) for arm in detectors]
    share = 1 / 8 if experiment is e14 else 1 / 4
    assert trained == [
        (
            name,
            arm,
            PrompterConfig(
                "anchor" if arm == "frozen" else arm,
                e14.CLASSES,
                (1,),
                boxes=boxes,
                positive_share=share,
                train_decoder=arm != "frozen",
            ),
            experiment.RECIPE,
            seed,
            world,
        )
        for arm, seed in arms
    ]
    assert measured == [(*arm, image, image) for arm in arms for image in (1, 2, 3)]
    assert classified == [(world, images.pictures, {7: 0, 9: 1}, seed) for seed in (1, 2)]
    assert {arm: len(own) for arm, own in runs.items()} == dict.fromkeys(("cls", *detectors), 2)
    assert runs["cls"] == [["cls 1"], ["cls 2"]] and runs["det"][0] == [{}] * 3
