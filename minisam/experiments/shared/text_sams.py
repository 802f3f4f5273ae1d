"""The networks of E8: nano trained by the paper's recipe on embeddings of crops, and two that continue from there."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from minisam.errors import MinisamError
from minisam.experiments.experiment import Settings
from minisam.text.files import write_clip
from minisam.text.text_sam import TextSam, load_text_sam
from minisam.text.text_sam_task import TextRecipe, TextSamTask
from minisam.train.run import TrainingRun
from minisam.train.scenes import HELPER_ENDED, become_helper_process

TEXT = TextRecipe()
LONGER = replace(TEXT, steps=7000)
IN_WORDS = 0.8
ARMS = {"in words": IN_WORDS, "longer": 0.0}
"""The training after the paper's recipe: most of the tokens from captions, or more of the same."""


def trained_text_sams(settings: Settings) -> dict[str, TextSam]:
    """The paper's recipe under "", and both ARMS that continue from it; finished runs are only read."""
    recipe, longer = TEXT, LONGER
    if settings.quick:
        recipe = longer = replace(TEXT, steps=2, scenes=2)
    folder = settings.work / "E8"
    folder.mkdir(parents=True, exist_ok=True)
    clip_file = folder / "clip.safetensors"
    write_clip(clip_file, load_text_sam().clip)
    first = train(folder / "sam", clip_file, recipe)
    with ProcessPoolExecutor(len(ARMS), get_context("spawn"), become_helper_process) as pool:
        runs = {
            arm: pool.submit(train, folder / arm.replace(" ", "_"), clip_file, longer, first, share)
            for arm, share in ARMS.items()
        }
        try:
            files = {"": first, **{arm: run.result() for arm, run in runs.items()}}
        except BrokenProcessPool:
            raise MinisamError(HELPER_ENDED) from None
    return {arm: load_text_sam(file) for arm, file in files.items()}


def train(
    folder: Path, clip_file: Path, recipe: TextRecipe, start_from: Path | None = None, captions: float = 0.0
) -> Path:
    """The file of a run that is done, now or earlier."""
    TrainingRun(TextSamTask(clip_file, recipe, start_from=start_from, captions=captions), folder).run()
    return folder / "text.safetensors"
