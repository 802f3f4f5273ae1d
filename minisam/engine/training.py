"""Training between the rounds, on the masks collected so far, from the previous weights; and its evaluation."""

from __future__ import annotations

from pathlib import Path

from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.distributed import as_the_first_sees, is_first, wait_for_all
from minisam.engine.settings import EngineSettings
from minisam.errors import DatasetError
from minisam.evaluate.world import measure_world, summarise
from minisam.json_files import read_json, write_json
from minisam.model import Sam
from minisam.seeds import hash_seed
from minisam.train.pictures import Repeats, open_split
from minisam.train.presets import Recipe
from minisam.train.sam_run import sam_run
from minisam.train.start import weights_of

REPORTED = ("top1", "oracle", "valid_iou", "box_top1")


def trained_on(
    data: Path,
    folder: Path,
    preset: str,
    recipe: Recipe,
    seed: int,
    start_from: Path | None,
    draw_ahead: bool = False,
    progress_bar: bool | None = None,
    repeats: Repeats = (),
) -> Sam:
    """Train on the images of `data`, or read folder/model.safetensors if that was done; in evaluation mode.

    An interrupted training resumes from its last save.
    """
    path = folder / "model.safetensors"
    if as_the_first_sees(path.exists()):
        return load_checkpoint(path)
    open_split.cache_clear()  # the folder may have grown since a training of this process saw it
    run = sam_run(
        preset,
        folder,
        recipe,
        seed,
        save_every=100,
        draw_ahead=draw_ahead,
        start=weights_of(start_from),
        data=data,
        repeats=repeats,
    )
    sam = run.run(progress_bar).result()
    if is_first():
        save_checkpoint(sam, path, metadata={"preset": preset, "steps": recipe.steps, "seed": seed})
    wait_for_all()
    return sam


def training_seed(settings: EngineSettings, round_number: int) -> int:
    return hash_seed(settings.seed, round_number)


def held_out_metrics(sam: Sam, folder: Path, settings: EngineSettings) -> dict[str, list[float]]:
    """One click and one box on scenes that no round uses: [value, low, high] of each of `REPORTED`.

    Measured once and kept in folder/held_out.json.  Raises DatasetError if that is another file.
    """
    path = folder / "held_out.json"
    if not as_the_first_sees(path.exists()):
        measured = measure_world(
            sam, settings.world, settings.held_out, seeds=(settings.seed,), clicks=1, knobs=settings.knobs
        )
        metrics = summarise(settings.world, settings.held_out, measured).metrics
        rounded = {
            name: [round(end, 4) for end in (metrics[name].value, metrics[name].low, metrics[name].high)]
            for name in REPORTED
        }
        if is_first():
            write_json(path, rounded)
        wait_for_all()
    found = read_json(path)
    if not (isinstance(found, dict) and found.keys() >= set(REPORTED)):
        raise DatasetError(f"{path} was not written by the engine; delete it to measure again")
    return found
