"""The training recipe of each preset: steps, sizes and phases.

The paper starts from MAE weights.  From random weights, training has phases: the encoder alone, by its affinity loss;
then masks of one prompt; then corrections and the full size.  The network is the same in all of them, with its
positions interpolated to each size.  CONTRIBUTING.md, "Training from scratch", explains why the phases are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from minisam.data.partworld import Knobs
from minisam.train.interactive import Rounds
from minisam.train.targets import MIN_AREA

DEFAULT = Knobs()
FIRST_PROMPT_ONLY = Rounds(0, 0)
MIXED = ("train", "cartoon", "train", "faint", "train", "wiry", "train", "train")


@dataclass(frozen=True)
class Phase:
    """From `start`, a share of all steps, until the next one; phases that start together take turns at random."""

    start: float
    image_size: int
    batch_size: int
    prompts_per_image: int
    """0 trains the encoder alone, by its affinity loss."""
    rounds: Rounds = FIRST_PROMPT_ONLY
    single_round_share: float = 0.0
    """The share of steps that stop after the first prompt."""
    object_scale: float = 1.0
    min_area: float = MIN_AREA
    """The smallest target, as a share of the image."""
    richness: float = DEFAULT.richness
    worlds: tuple[str, ...] = ("train",)
    """The worlds of PartWorld that the steps use in turn."""
    affinity: float = 0.0
    """The weight of the encoder's own loss (minisam/train/affinity.py)."""
    cutouts: float = 0.0
    """The share of a step's images that are cut-outs on photographs (minisam/data/cutouts) instead of PartWorld's."""
    layered: float = 0.0
    """The share of scenes with cut-outs that have large objects behind small ones."""
    enlarged: float = 0.0
    """The share of scenes with cut-outs that are drawn smaller and enlarged as a whole."""
    outlined: float = 0.0
    """The share of a step's images that are photographs with outlined objects in place of cut-outs, with `--data`."""
    clear_prompts: bool = False
    """Whether boxes and masks, as first prompts, also train mask 0 (minisam/train/interactive.py)."""
    mask_first_share: float = 0.0
    """The share of steps whose only first prompt is a rough mask."""


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run except seed, device and precision."""

    steps: int
    phases: tuple[Phase, ...]
    lr: float = 1e-3
    muon_lr: float | None = 3e-3
    """Rate of Muon for the matrices of linear layers; None means AdamW for them too, as in the paper."""
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    warmup: int = 100
    milestones: tuple[float, ...] = (2 / 3, 0.96)
    """Fractions of all steps after which the rate is divided by ten (the paper's schedule)."""
    linear_decay: bool = False
    """Lower the rate linearly to 0 at the last step, instead of at milestones."""
    drop_path: float = 0.0
    dropout: float = 0.0
    clip_norm: float = 1.0
    ema_decay: float = 0.0
    """Decay of the moving average of the weights, which is evaluated and saved; 0 uses the weights themselves."""

    def phase_at(self, step: int) -> Phase:
        """The latest phase that has started.  Of several, one at random, the same in every run."""
        start = max(phase.start for phase in self.phases if phase.start * self.steps <= step)
        together = [phase for phase in self.phases if phase.start == start]
        return together[Random(step).randrange(len(together))]

    def with_rounds(self, rounds: Rounds) -> Recipe:
        """The same recipe with other rounds in every phase that has rounds after the first prompt."""
        phases = (
            phase if phase.rounds == FIRST_PROMPT_ONLY else replace(phase, rounds=rounds)
            for phase in self.phases
        )
        return replace(self, phases=tuple(phases))

    def with_images(self, image_size: int | None = None, batch_size: int | None = None) -> Recipe:
        """The same recipe with images of another size, or another number of images per step, in every phase."""
        changes = {"image_size": image_size, "batch_size": batch_size}
        changes = {name: value for name, value in changes.items() if value is not None}
        return replace(self, phases=tuple(replace(phase, **changes) for phase in self.phases))

    def with_rate(self, lr: float) -> Recipe:
        """The same recipe with another highest rate; that of Muon, if it is used, changes by the same factor."""
        return replace(self, lr=lr, muon_lr=self.muon_lr and self.muon_lr * (lr / self.lr))


def published(steps: int, batch_size: int, lr: float, drop_path: float, layer_decay: float) -> Recipe:
    """The paper's recipe (section A), which begins with MAE weights (`--from-mae`) and wants a cluster."""
    return Recipe(
        steps,
        (Phase(0.0, 1024, batch_size, 64, Rounds(8, 2)),),
        lr,
        muon_lr=None,
        weight_decay=0.1,
        layer_decay=layer_decay,
        warmup=250,
        drop_path=drop_path,
    )


RECIPES: dict[str, Recipe] = {
    "vit_b": published(180_000, 128, 8e-4, drop_path=0.6, layer_decay=0.6),
    "vit_l": published(180_000, 128, 4e-4, drop_path=0.4, layer_decay=0.8),
    "vit_h": published(90_000, 256, 8e-4, drop_path=0.4, layer_decay=0.8),
    "nano": Recipe(
        steps=5000,
        phases=(
            Phase(0.0, 64, 16, 0, object_scale=1.5, affinity=1.0),
            Phase(0.4, 64, 16, 8, object_scale=1.5, min_area=1 / 64, affinity=1.0),
            Phase(0.8, 64, 16, 8, Rounds(2, 1), single_round_share=0.7, object_scale=1.25, min_area=1 / 64),
        ),
        milestones=(0.88, 0.97),
    ),
    "tiny": Recipe(
        steps=12500,
        phases=(
            Phase(0.0, 128, 16, 0, object_scale=1.5, affinity=1.0),
            Phase(0.36, 128, 16, 8, object_scale=1.5, min_area=1 / 64, affinity=1.0),
            Phase(0.72, 256, 8, 8, Rounds(3, 1), single_round_share=0.75, object_scale=1.25),
        ),
        milestones=(0.92, 0.98),
    ),
}

PUBLISHED_FROM_WEIGHTS = Recipe(
    steps=2000,
    phases=(Phase(0.0, 1024, 4, 8, Rounds(3, 1), single_round_share=0.75),),
    lr=1e-4,
    muon_lr=None,
    layer_decay=0.8,
    milestones=(),
    linear_decay=True,
)
RECIPES_FROM_WEIGHTS: dict[str, Recipe] = {
    **dict.fromkeys(("vit_b", "vit_l", "vit_h"), PUBLISHED_FROM_WEIGHTS),
    "nano": Recipe(
        steps=3000,
        phases=(Phase(0.0, 64, 16, 8, Rounds(2, 1), single_round_share=0.7, min_area=1 / 64),),
        lr=5e-4,
        muon_lr=1e-3,
        milestones=(),
        linear_decay=True,
    ),
    "tiny": Recipe(
        steps=4800,
        phases=(Phase(0.0, 256, 8, 8, Rounds(3, 1), single_round_share=0.75, worlds=MIXED),),
        lr=5e-4,
        muon_lr=1e-3,
        milestones=(),
        linear_decay=True,
    ),
}
"""For trained weights (`--from`): no curriculum, and a third of the rate, which falls to 0."""

ON_PHOTOS = Phase(
    0.0,
    256,
    12,
    4,
    Rounds(3, 1),
    single_round_share=0.75,
    worlds=MIXED,
    cutouts=0.5,
    layered=0.4,
    outlined=0.25,
    clear_prompts=True,
    mask_first_share=0.08,
)
LARGE = replace(
    ON_PHOTOS,
    image_size=512,
    batch_size=4,
    prompts_per_image=6,
    rounds=Rounds(4, 1),
    single_round_share=0.5,
    enlarged=0.5,
    cutouts=0.75,
    outlined=0.5,
)
RECIPES_ON_CUTOUTS: dict[str, Recipe] = {
    "tiny": Recipe(
        steps=20000,
        phases=(ON_PHOTOS,),
        lr=5e-4,
        muon_lr=1e-3,
        milestones=(),
        ema_decay=0.999,
    ),
    "small": Recipe(
        steps=4000,
        phases=(
            replace(ON_PHOTOS, batch_size=14, cutouts=0.7, outlined=0.35),
            LARGE,
            replace(LARGE, image_size=768, batch_size=2),
        ),
        lr=4e-4,
        muon_lr=8e-4,
        milestones=(),
        linear_decay=True,
        ema_decay=0.999,
    ),
}
"""For cut-outs on photographs (`--cutouts`), from trained weights, with an average of the weights."""
