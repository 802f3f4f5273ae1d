"""The settings of an engine: images for each stage, the annotator's rules, and the training.

    labelled          a few images with their masks, as from public data sets: the first model
    assisted-manual   `manual` images in `manual_rounds` parts; after each the model is trained on the
                      collected masks only
    semi-automatic    `semi` images, with masks given by the detector; then all masks so far
    fully automatic   `automatic` images; then all masks so far, earlier ones drawn `oversampling` times as often

Every training starts from the previous model, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from minisam.detect.detector import DetectorRecipe
from minisam.engine.annotator import Rules
from minisam.engine.confident_masks import Confidence
from minisam.engine.costs import Costs
from minisam.errors import CommandError
from minisam.train.interactive import Rounds
from minisam.train.presets import Phase, Recipe

LABELLED, MANUAL, SEMI, AUTOMATIC = "labelled", "assisted-manual", "semi-automatic", "fully-automatic"
STAGES = (LABELLED, MANUAL, SEMI, AUTOMATIC)


@dataclass(frozen=True)
class EngineSettings:
    """All settings of an engine, except the machine that it runs on."""

    preset: str
    first: Recipe
    """Training steps of the first model, on the labelled images."""
    later: Recipe
    """The recipe of assisted-manual annotation, each time from the previous weights; later stages may be slower."""
    labelled: int
    manual: int
    manual_rounds: int
    semi: int
    automatic: int
    world: str = "train"
    knobs: dict[str, float] = field(default_factory=dict)
    min_area: float = 1 / 64
    """The smallest object that an annotator segments, as a share of the image."""
    rules: Rules = field(default_factory=Rules)
    costs: Costs = field(default_factory=Costs)
    detector: DetectorRecipe = field(default_factory=DetectorRecipe)
    confidence: Confidence = field(default_factory=Confidence)
    generator: dict[str, Any] = field(default_factory=dict)
    """Arguments of the automatic mask generator."""
    slowing: float = 1.0
    """The rates of a stage's training over those of the stage before it, from assisted-manual on."""
    oversampling: int = 10
    """How often an annotated image is drawn, relative to images of the last stage (section 7.6)."""
    start_from: str | None = None
    """A checkpoint from which the first training starts, in place of random weights."""
    held_out: int = 64
    """The number of scenes on which every model is measured."""
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.labelled, self.manual, self.semi, self.automatic)
        if min(*counts, self.held_out) < 1:
            raise CommandError(
                f"every stage needs an image, and the measurement too; got {', '.join(map(str, counts))} "
                f"and {self.held_out}"
            )
        if self.manual_rounds < 1:
            raise CommandError(f"annotation needs at least one round, got {self.manual_rounds}")
        if self.manual_rounds > self.manual:
            raise CommandError(f"{self.manual} images cannot be annotated in {self.manual_rounds} rounds")
        if not 0 <= self.seed < 2000:
            raise CommandError(f"the seed of an engine is 0 to 1999, got {self.seed}")

    def recipe(self, round_number: int) -> Recipe:
        """The training after that round; 0 is the round of labelled images."""
        stage = self.rounds()[round_number].stage
        if stage == LABELLED:
            return self.first
        factor, later = self.slowing ** (STAGES.index(stage) - 1), self.later
        muon_lr = None if later.muon_lr is None else later.muon_lr * factor
        return replace(later, lr=later.lr * factor, muon_lr=muon_lr)

    def rounds(self) -> list[Round]:
        """The rounds, in order."""
        done = self.labelled
        rounds = [Round("0-labelled", LABELLED, range(done), "labelled", "labelled")]
        for number in range(1, self.manual_rounds + 1):
            end = self.labelled + self.manual * number // self.manual_rounds
            name = f"1-manual-{number}"
            rounds.append(Round(name, MANUAL, range(done, end), f"data/{name}", "data"))
            done = end
        for name, stage, count in (
            ("2-semi", SEMI, self.semi),
            ("3-automatic", AUTOMATIC, self.automatic),
        ):
            rounds.append(Round(name, stage, range(done, done + count), f"data/{name}", "data"))
            done += count
        return rounds


@dataclass(frozen=True)
class Round:
    """Collect masks on images, then train; folders are relative to the engine's."""

    name: str
    stage: str
    pictures: range
    collects_in: str
    trains_on: str


FIRST = Recipe(
    steps=600,
    phases=(
        Phase(0.0, 64, 16, 0, affinity=1.0),
        Phase(0.4, 64, 16, 8, min_area=1 / 64, affinity=1.0),
        Phase(0.75, 64, 16, 8, Rounds(2, 1), single_round_share=0.5, min_area=1 / 64, affinity=1.0),
    ),
    warmup=50,
    milestones=(),
    linear_decay=True,
)
LATER = Recipe(
    steps=300,
    phases=(Phase(0.0, 64, 16, 8, Rounds(2, 1), single_round_share=0.5, min_area=1 / 64, affinity=1.0),),
    muon_lr=2e-3,
    warmup=25,
    milestones=(),
    linear_decay=True,
)

ENGINES: dict[str, EngineSettings] = {
    "nano": EngineSettings(
        preset="nano",
        first=FIRST,
        later=LATER,
        labelled=32,
        manual=96,
        manual_rounds=2,
        semi=96,
        automatic=256,
        knobs={"richness": 0.1, "object_scale": 1.5, "levels": 2, "thinness": 0.0},
        generator={
            "points_per_side": 12,
            "pred_iou_thresh": 0.7,
            "stability_score_thresh": 0.8,
            "max_area_fraction": 0.95,
        },
    ),
}
"""An engine for each network that has been tested with one."""
