"""E17: should a small image encoder learn the teacher's embeddings, or its masks?  (MobileSAM, Zhang et al. 2023)

    decoupled       the embeddings, by their squared error; no prompts
    semi-coupled    the teacher's masks, through its frozen mask decoder
    coupled         the same, and the mask decoder is trained too

    scenes of mixed worlds -> teacher -> embeddings; masks of 4 prompts an image     computed once, for all arms
    scenes                 -> student -> embeddings -> masks of the same prompts

The student has nano's width and depth, and the teacher's grid and decoder.  A step through the decoder takes 1.75
times as long as one on embeddings, and 1.9 times if the decoder is trained: the arms have as many steps as fit the same
processor time.  Labels are not used.

Expected before the run, for IoU on new scenes of `train`:
    decoupled    with a box it has 0.85 of the teacher's, and 0.02 more than coupled
    a click      it loses a larger share with a click than with a box
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from minisam.adapt.distil import WORLDS as TRAINED_ON
from minisam.adapt.distil import explained_variance, student_of
from minisam.adapt.measure_own import scores
from minisam.checkpoint.digest import weights_digest
from minisam.config import CONFIGS
from minisam.data.partworld import render_scenes
from minisam.evaluate.targets import evaluation_scenes
from minisam.evaluate.world import measure_world
from minisam.experiments.e13_adapt import BOX, CLICK
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import difference, mean_of_arm
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam
from minisam.seeds import hash_seed
from minisam.train.losses import DICE_WEIGHT, FOCAL_WEIGHT, dice_loss, focal_loss
from minisam.train.metrics import Metrics
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.prompts import first_prompts
from minisam.train.run import TrainingRun
from minisam.train.targets import node_masks, sample_nodes
from minisam.train.task import Task

STUDENT = "nano"
TEACHER, DECOUPLED, SEMI, COUPLED = "teacher", "decoupled", "semi-coupled", "coupled"
STEPS = {DECOUPLED: 600, SEMI: 340, COUPLED: 310}
BATCHES, IMAGES, PROMPTS = 64, 8, 4
LR, MUON_LR, WARMUP = 1e-3, 2e-3, 50
WORLDS = ("train", "xray", "thin")
SHARE, GAIN = 0.85, 0.02


class Lesson(NamedTuple):
    """Eight images and what the teacher makes of them; P prompts, M = 3 masks."""

    images: Tensor
    """[B, 3, S, S], preprocessed."""
    embeddings: Tensor
    prompts: tuple[Tensor, Tensor]
    """Coordinates [P, 2, 2] and labels [P, 2]."""
    image_index: Tensor
    masks: Tensor
    """[P, M, h, w] bool."""
    ious: Tensor


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is the teacher."""
    found: dict[str, dict[str, list[dict[str, Tensor]]]] = {
        world: {name: [] for name in (TEACHER, *STEPS)} for world in WORLDS
    }
    image: dict[str, Tensor] = {}
    explained: dict[str, list[float]] = {name: [] for name in STEPS}
    held_out = next(evaluation_scenes("train", 8, sam.image_encoder.img_size, 0, sam.device)).images
    for seed in settings.seeds:
        lessons = drawn_lessons(sam, settings, seed)
        nets = {name: trained_student(sam, settings, lessons, name, seed) for name in STEPS}
        for name, net in nets.items():
            explained[name].append(explained_variance(net, sam, list(held_out)))
        for world in WORLDS:
            for name, net in {TEACHER: sam, **nets}.items():
                measured = measure_world(net, world, settings.images, seeds=settings.seeds, clicks=1)
                image[world] = measured.image_index
                found[world][name].append(scores(measured))

    def values(world: str, name: str, prompt: str) -> list[Tensor]:
        return [one[prompt] for one in found[world][name]]

    means = {
        f"{world}, {prompt}": {
            name: mean_of_arm(values(world, name, prompt), image[world]) for name in found[world]
        }
        for world in WORLDS
        for prompt in (BOX, CLICK)
    }
    over = {
        name: difference(values("train", DECOUPLED, BOX), values("train", name, BOX), image["train"])
        for name in (SEMI, COUPLED)
    }
    kept = {key: {name: of[name].value / of[TEACHER].value for name in STEPS} for key, of in means.items()}
    box, click = (kept[f"train, {prompt}"][DECOUPLED] for prompt in (BOX, CLICK))
    variance = {name: sum(own) / len(own) for name, own in explained.items()}

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, prompt in zip(figure.subplots(1, 2, sharey=True), (BOX, CLICK), strict=True):
        for place, world in enumerate(WORLDS):
            of = means[f"{world}, {prompt}"]
            x = [number + 0.27 * place - 0.27 for number in range(len(of))]
            spread = [[e.value - e.low for e in of.values()], [e.high - e.value for e in of.values()]]
            axes.bar(x, [e.value for e in of.values()], 0.25, yerr=spread, capsize=2, label=world)
        axes.set_xticks(range(len(found["train"])), list(found["train"]))
        axes.set(title=prompt, ylabel="mIoU")
        axes.legend()
    finding = (
        "With a box on train, mIoU is "
        + ", ".join(f"{means[f'train, {BOX}'][name].value:.3f} ({name})" for name in (TEACHER, *STEPS))
        + f": decoupled is {over[COUPLED].signed()} from coupled and {over[SEMI].signed()} from semi-coupled. "
        f"Decoupled keeps {box:.2f} of the teacher's with a box and {click:.2f} with a click; on xray and thin, with a "
        f"box, {kept[f'xray, {BOX}'][DECOUPLED]:.2f} and {kept[f'thin, {BOX}'][DECOUPLED]:.2f}. The embeddings explain "
        + ", ".join(f"{100 * variance[name]:.0f} % ({name})" for name in STEPS)
        + " of the variance of the teacher's."
    )
    return Outcome(
        box >= SHARE and over[COUPLED].value >= GAIN and click < box,
        finding,
        {
            "mean": {key: {name: as_json(e) for name, e in of.items()} for key, of in means.items()},
            "share of the teacher's": kept,
            "train, box: decoupled minus": {name: as_json(e) for name, e in over.items()},
            "explained": variance,
        },
        figure,
    )


@torch.no_grad()
def drawn_lessons(teacher: Sam, settings: Settings, seed: int) -> list[Lesson]:
    """The teacher's answers for BATCHES batches of scenes."""
    teacher, size, lessons = teacher.eval(), teacher.image_encoder.img_size, []
    for number in range(1 if settings.quick else BATCHES):
        world = TRAINED_ON[number % len(TRAINED_ON)]
        scenes = render_scenes(hash_seed(seed, number), IMAGES, size, world=world)
        generator = torch.Generator().manual_seed(hash_seed(seed, number))
        targets = node_masks(scenes, sample_nodes(scenes, PROMPTS, generator)).flatten(0, 1)
        image_index = torch.arange(IMAGES).repeat_interleave(PROMPTS)
        usable = targets.flatten(1).any(dim=1)
        prompts = first_prompts(targets[usable], generator=generator)
        images = teacher.preprocess(scenes.images)
        embeddings = teacher.image_encoder(images)
        logits, ious = answers(teacher, embeddings, prompts, image_index[usable])
        lessons.append(Lesson(images, embeddings, prompts, image_index[usable], logits > 0, ious))
    return lessons


def answers(
    sam: Sam, embeddings: Tensor, prompts: tuple[Tensor, Tensor], image_index: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits [P, 3, h, w] and predicted IoU [P, 3]."""
    dense = sam.prompt_encoder(None, None, None)[1].expand(len(image_index), -1, -1, -1)
    sparse = sam.prompt_encoder.embed_points(*prompts, pad=False)
    image_pe = sam.prompt_encoder.get_dense_pe()
    return sam.mask_decoder(embeddings, image_pe, sparse, dense, True, image_index=image_index)


class LessonTask(Task):
    """Trains a student by an arm's loss, in place."""

    metrics, clip_norm = ("loss",), 1.0

    def __init__(self, student: Sam, lessons: Sequence[Lesson], arm: str, steps: int, seed: int) -> None:
        student.mask_decoder.requires_grad_(arm == COUPLED)
        self.student, self.lessons, self.arm, self.steps, self.seed = student, lessons, arm, steps, seed
        self.modules, depth = {"model": student}, len(student.image_encoder.blocks)
        self.optimizers = build_optimizers(student, LR, 0.05, 1.0, depth, MUON_LR)

    def batch_size(self, step: int) -> int:
        return IMAGES

    def set_learning_rate(self, step: int) -> float:
        return LR * set_learning_rate(self.optimizers, step, self.steps, WARMUP, linear_decay=True)

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        lesson = self.lessons[step % len(self.lessons)]
        embeddings = self.student.image_encoder(lesson.images)
        if self.arm == DECOUPLED:
            loss = F.mse_loss(embeddings, lesson.embeddings)
        else:
            logits, ious = answers(self.student, embeddings, lesson.prompts, lesson.image_index)
            masks = lesson.masks.float()
            of_masks = FOCAL_WEIGHT * focal_loss(logits, masks) + DICE_WEIGHT * dice_loss(logits, masks)
            loss = of_masks.mean() + F.mse_loss(ious, lesson.ious)
        return loss, {"loss": loss}

    def about(self) -> dict[str, object]:
        return {"arm": self.arm, "steps": self.steps, "seed": self.seed, "batches": len(self.lessons)}


def trained_student(teacher: Sam, settings: Settings, lessons: Sequence[Lesson], arm: str, seed: int) -> Sam:
    """The student of an arm; a finished run in `settings.work` is only read."""
    torch.manual_seed(seed)
    student = student_of(copy.deepcopy(teacher), CONFIGS[STUDENT])
    task = LessonTask(student, lessons, arm, 2 if settings.quick else STEPS[arm], seed)
    folder = settings.work / "e17" / weights_digest(teacher)[:8] / f"{arm}-{seed}"
    return TrainingRun(task, folder, save_every=100).run().student.eval()


EXPERIMENT = Experiment(
    id="E17",
    title="A smaller image encoder",
    echoes="MobileSAM, decoupled and coupled distillation",
    question="Distilling a small image encoder: by the teacher's embeddings, or by its masks?",
    criterion=f"with a box on train, decoupled keeps at least {SHARE} of the teacher's mIoU and is at least {GAIN} "
    "above coupled; it loses a larger share with a click",
    run=run,
    trains=f"nano's image encoder on {{network}}'s grid, {STEPS[DECOUPLED]} steps of {IMAGES} images on embeddings, or "
    f"{STEPS[SEMI]} and {STEPS[COUPLED]} through the mask decoder, of {BATCHES * IMAGES} images",
    shortened="to 512 images, whose embeddings and masks the teacher computes once, and to fewer steps than the 4000 "
    "of DistilRecipe; without an arm that tunes the decoder after decoupled training",
)
