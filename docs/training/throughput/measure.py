"""Training of tiny on photographs at equal processor time: images per second, and what comes of them.

    python docs/training/throughput/measure.py CUTOUTS BACKGROUNDS [--minutes M] [--seed S] [--only NAME …] -o DIR
    python docs/training/throughput/measure.py --table DIR

Each way trains one thread for M minutes of processor time, drawing included, from the included weights of tiny, which
have seen no photograph.  Half of the images are cut-outs on photographs, half PartWorld's.  Then the average of its
weights is measured on the world `photo` and on PartWorld's held-out world (minisam/evaluate/cutouts.py).  DIR gets
NAME-SEED.json for each way, and `--table` prints a row for each of these files.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from minisam.bench.measure import processor_name, versions
from minisam.build import WEIGHTS
from minisam.evaluate.cutouts import cutout_validation
from minisam.files import write_atomically
from minisam.json_files import read_json
from minisam.train.mixed import CutoutsOn
from minisam.train.presets import ON_PHOTOS, RECIPES_ON_CUTOUTS, Phase, Recipe
from minisam.train.run import TrainingRun
from minisam.train.sam_run import sam_run
from minisam.train.sam_task import SamTask
from minisam.train.start import weights_of

FIRST = replace(ON_PHOTOS, batch_size=8, prompts_per_image=8)
HALF_SIZE = replace(ON_PHOTOS, image_size=128, batch_size=40)
MEASURED = ("oracle", "top1", "box_single", "centre_5", "heldout_oracle", "heldout_box")


@dataclass(frozen=True)
class Way:
    """A way to train."""

    about: str
    phases: tuple[Phase, ...]
    precision: str = "bf16"
    absorbed: bool = False
    """Whether the decoder is in evaluation mode, in which it uses minisam/model/fast, also with gradients."""
    muon: bool = True


WAYS: dict[str, Way] = {
    "first": Way("8 images, 8 prompts each, float32", (FIRST,), "fp32"),
    "absorbed": Way("the same with the absorbed decoder", (FIRST,), "fp32", absorbed=True),
    "bf16": Way("8 images, 8 prompts each, bfloat16", (FIRST,)),
    "prompts4": Way("12 images, 4 prompts each, bfloat16", (ON_PHOTOS,)),
    "prompts2": Way(
        "16 images, 2 prompts each, bfloat16", (replace(ON_PHOTOS, batch_size=16, prompts_per_image=2),)
    ),
    "one-round": Way("as 12 × 4, no corrections", (replace(ON_PHOTOS, single_round_share=1.0),)),
    "more-rounds": Way("as 12 × 4, corrections in every step", (replace(ON_PHOTOS, single_round_share=0.0),)),
    "half-size": Way("as 12 × 4, every other step 40 images of 128 pixels", (ON_PHOTOS, HALF_SIZE)),
    "adamw": Way("as 12 × 4, AdamW alone", (ON_PHOTOS,), muon=False),
}


def recipe_of(way: Way) -> Recipe:
    """tiny's recipe on cut-outs with another warm-up and average, because there are only some hundred steps."""
    recipe = replace(RECIPES_ON_CUTOUTS["tiny"], phases=way.phases, warmup=20, ema_decay=0.99)
    return recipe if way.muon else replace(recipe, muon_lr=None)


def train(way: Way, seconds: float, seed: int, cutouts: CutoutsOn) -> tuple[TrainingRun[SamTask], float]:
    """A run of at least one step and `seconds` of processor time, and its processor time."""
    recipe = recipe_of(way)
    start = weights_of(WEIGHTS / "tiny.safetensors")
    run = sam_run("tiny", None, recipe, seed, precision=way.precision, start=start, cutouts=[cutouts])
    if way.absorbed:
        run.task.sam.mask_decoder.eval()
    started, spent = time.process_time(), 0.0
    while run.step == 0 or spent < seconds:
        run.train_step()
        spent = time.process_time() - started
    return run, spent


def measure(name: str, minutes: float, seed: int, cutouts: CutoutsOn) -> dict[str, object]:
    """The record of a way: what it did in its time, and what the average of its weights is worth."""
    torch.set_num_threads(1)
    run, seconds = train(WAYS[name], 60 * minutes, seed, cutouts)
    values = cutout_validation(run.task.result(), *cutouts)
    return {
        "name": name,
        "about": WAYS[name].about,
        "seed": seed,
        "processor_seconds": round(seconds, 1),
        "steps": run.step,
        "images": run.images,
        "images_per_second": round(run.images / seconds, 2),
        "measured": {key: round(values[key], 4) for key in MEASURED},
        "processor": processor_name(),
        "versions": versions(),
    }


def write_record(path: Path, record: dict[str, object]) -> None:
    text = json.dumps(record, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def table(folder: Path) -> str:
    """A row for each record in a folder, in the order of WAYS."""
    records = [read_json(path) for path in folder.glob("*-*.json")]
    records.sort(key=lambda record: (list(WAYS).index(record["name"]), record["seed"]))
    lines = [
        "| | seed | steps | images | images/s | 1 click, best of 3 | 1 click, top-1 | box, mask 0 | 5 clicks "
        "| PartWorld, 1 click, best of 3 | PartWorld, box |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        values = " | ".join(f"{record['measured'][key]:.3f}" for key in MEASURED)
        done = (
            f"{record['seed']} | {record['steps']} | {record['images']} | {record['images_per_second']:.1f}"
        )
        lines.append(f"| {record['about']} | {done} | {values} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--table", type=Path, metavar="DIR")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR")
    options = parser.parse_args()
    if options.table is not None:
        print(table(options.table))
        return
    if len(options.folders) != 2 or options.out is None:
        parser.error("give a folder of cut-outs, a folder of backgrounds, and -o DIR")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        record = measure(name, options.minutes, options.seed, CutoutsOn(*options.folders))
        write_record(options.out / f"{name}-{options.seed}.json", record)


if __name__ == "__main__":
    main()
