"""Networks that an experiment trains itself: small, resumable, one folder a run."""

from __future__ import annotations

from pathlib import Path

from minisam.experiments.experiment import Settings
from minisam.model import Sam
from minisam.train.presets import Recipe
from minisam.train.trainer import TrainingRun


def trained(
    settings: Settings,
    name: str,
    recipe: Recipe,
    seed: int,
    preset: str = "nano",
    start_from: Path | None = None,
    start_from_mae: Path | None = None,
    data: Path | None = None,
    distinct_batches: int | None = None,
    save_every: int = 200,
) -> Sam:
    """The network of a run in `settings.work / name`, in evaluation mode; a finished run is only read.

    `start_from` is a checkpoint, `start_from_mae` an autoencoder's, `data` a folder of pictures in place of
    PartWorld, `distinct_batches` how many batches of PartWorld there are, as of `TrainingRun`.  A folder of a
    run with other settings is refused with a CheckpointError.
    """
    run = TrainingRun(
        preset,
        settings.work / name,
        recipe,
        seed,
        save_every=save_every,
        start_from=start_from,
        start_from_mae=start_from_mae,
        data=data,
        distinct_batches=distinct_batches,
    )
    return run.run()
