"""Networks that an experiment trains itself: small, resumable, one folder per run."""

from __future__ import annotations

from pathlib import Path

from minisam.experiments.experiment import Settings
from minisam.model import Sam
from minisam.train.presets import Recipe
from minisam.train.sam_run import sam_run
from minisam.train.start import Start, random_weights


def trained(
    settings: Settings,
    name: str,
    recipe: Recipe,
    seed: int,
    preset: str = "nano",
    start: Start = random_weights,
    data: Path | None = None,
    distinct_batches: int | None = None,
    save_every: int = 200,
) -> Sam:
    """The network of a run in `settings.work / name`, in evaluation mode; a finished run is only read.

    `data` is a folder of images in place of PartWorld, `distinct_batches` how many batches of PartWorld there are,
    as of `minisam.train.sam_run`.  A folder of a
    run with other settings is refused with a CheckpointError.
    """
    run = sam_run(
        preset,
        settings.work / name,
        recipe,
        seed,
        save_every=save_every,
        start=start,
        data=data,
        distinct_batches=distinct_batches,
    )
    return run.run().result()
