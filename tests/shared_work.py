"""What two processes are to do as one does: a training of every kind, and commands that share their images.

`python shared_work.py FOLDER` is one of the two; FOLDER/one holds the results of one process.  With `engine` it runs a
data engine alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from minisam.build import WEIGHTS
from minisam.cli.main import main
from minisam.detect.detector import DetectorRecipe
from minisam.detect.detector_task import BoxExamples, DetectorTask
from minisam.distributed import is_first, joined
from minisam.engine.annotator import Rules
from minisam.engine.run import EngineRun
from minisam.engine.settings import ENGINES
from minisam.pretrain.mae_task import mae_run
from minisam.pretrain.recipes import PretrainingRecipe
from minisam.text.clip_task import ClipRecipe, ClipTask
from minisam.text.text_sam_task import TextRecipe, TextSamTask
from minisam.train.interactive import Rounds
from minisam.train.presets import Phase, Recipe
from minisam.train.run import TrainingRun
from minisam.train.sam_run import sam_run
from minisam.train.sam_task import SamTask

THREE = Phase(0.0, 64, 3, 2, object_scale=2.0, affinity=1.0)
SAM = Recipe(
    steps=3,
    phases=(THREE, replace(THREE, start=0.6, rounds=Rounds(1, 1), clear_prompts=True, mask_first_share=0.5)),
    warmup=1,
    ema_decay=0.9,
)


def sam_training(folder: Path) -> TrainingRun[SamTask]:
    return sam_run("nano", folder / "sam", SAM, save_every=2)


def begin(folder: Path) -> None:
    """Two of the three steps."""
    run = sam_training(folder)
    if is_first():
        (folder / "sam").mkdir(parents=True)
    run.train_step()
    run.train_step()
    run.save()


def clip_training(folder: Path) -> nn.Module:
    return TrainingRun(ClipTask(ClipRecipe(steps=2, scenes=2, per_scene=4)), folder / "clip").run(False).clip


def text_training(folder: Path) -> nn.Module:
    """CLIP's file is that of one process: only a training is compared."""
    recipe = TextRecipe(steps=2, scenes=3, per_scene=2, warmup=1, single_round_share=0.5)
    task = TextSamTask(folder.parent / "one" / "clip" / "clip.safetensors", recipe, captions=0.5)
    return TrainingRun(task, folder / "text").run(False).model


def detector_training(folder: Path) -> nn.Module:
    cells, generator = 64, torch.Generator().manual_seed(0)
    assigned = torch.where(torch.rand(5, cells, generator=generator) < 0.2, 0, -1)
    embeddings = torch.randn(5, 8, 4, 4, generator=generator)
    examples = BoxExamples(embeddings, [torch.tensor([[4.0, 8.0, 40.0, 44.0]])] * 5, assigned)
    task = DetectorTask(examples, 64, DetectorRecipe(steps=3, batch_size=3), seed=1)
    return TrainingRun(task).run(False).detector.head


TRAININGS: dict[str, Callable[[Path], nn.Module]] = {
    "sam": lambda folder: sam_training(folder).run(False).sam,
    "mae": lambda folder: (
        mae_run("nano", folder / "mae", PretrainingRecipe(steps=2, batch_size=3, image_size=64))
        .run(False)
        .mae
    ),
    "clip": clip_training,
    "text": text_training,
    "detector": detector_training,
}
EVAL = ["eval", "--model", "nano", "--worlds", "train", "--images", "17", "--targets", "1", "--clicks", "1"]
AMG = ["amg", "--points-per-side", "2"]
SHORT = Recipe(steps=1, phases=(Phase(0.0, 64, 2, 1, min_area=1 / 64),), warmup=1)
ENGINE = replace(
    ENGINES["nano"],
    first=SHORT,
    later=SHORT,
    labelled=2,
    manual=2,
    manual_rounds=1,
    semi=2,
    automatic=1,
    held_out=2,
    start_from=str(WEIGHTS / "nano.safetensors"),
    knobs={"object_scale": 2.0, "levels": 1, "richness": 0.0},
    rules=Rules(most_clicks=2, most_seconds=1000, patience=3),
    detector=DetectorRecipe(steps=2, batch_size=2),
    generator={"points_per_side": 2, "pred_iou_thresh": -9.0, "stability_score_thresh": 0.0},
)


def do_all(folder: Path, images: Path) -> None:
    """Everything, into a folder."""
    torch.set_num_threads(1)
    for name, train in TRAININGS.items():
        weights = train(folder).state_dict()
        if is_first():
            torch.save(weights, folder / f"{name}.pt")
    for command in (
        [*EVAL, "-o", str(folder / "eval")],
        [*AMG, str(images), "-o", str(folder / "amg")],
    ):
        assert main(command) == 0


def run_engine(folder: Path) -> None:
    torch.set_num_threads(1)
    EngineRun(folder / "engine", ENGINE, progress_bar=False).run()


def do_all_and_resume(work: Path) -> None:
    (work / "two").mkdir(exist_ok=True)
    do_all(work / "two", work / "images")
    begin(work / "begun by two")
    resumed = sam_training(work / "begun by one").run(False).sam.state_dict()
    if is_first():
        torch.save(resumed, work / "resumed by two.pt")


if __name__ == "__main__":
    with joined():
        if sys.argv[2:] == ["engine"]:
            run_engine(Path(sys.argv[1]) / "two")
        else:
            do_all_and_resume(Path(sys.argv[1]))
