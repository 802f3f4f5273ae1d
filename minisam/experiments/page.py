"""The page of results, made from the JSON files of the experiments."""

from __future__ import annotations

from pathlib import Path

from minisam.errors import DatasetError
from minisam.experiments.experiment import experiments
from minisam.json_files import read_json

INTRODUCTION = """<!-- Made of the files beside it by `minisam experiment --page`; edit minisam/experiments/page.py. -->

# Experiments

Each experiment shows one idea, at a scale for two CPU cores, and names the figure or section of the paper that it
follows. Its criterion is set before the run, and results that did not meet it are reported too. Intervals are 95 %, by
resampling images, and training seeds if there are several. `minisam experiment E3` runs one experiment,
`minisam experiment all` runs all of them.
"""
RESULT = {"passed", "seeds", "finding", "network", "images"}
FIRST_LINE = INTRODUCTION.partition("\n")[0]


def page(folder: Path) -> str:
    """The text of README.md for a folder of results, with a list of experiments that were not run.

    Raises DatasetError if a file is not a result of an experiment.
    """
    sections, missing = [], []
    for id, experiment in experiments().items():
        file = folder / f"{id}.json"
        if not file.exists():
            missing.append(f"{id} ({experiment.title})")
            continue
        result = read_json(file)
        if not isinstance(result, dict) or not result.keys() >= RESULT:
            raise DatasetError(
                f"{file}: not a result of an experiment; move it, or choose another folder with -o"
            )
        came_out = "as expected" if result["passed"] else "**not as expected**"
        what = "Trained for it" if experiment.trains else "Network"
        seeds = ", ".join(map(str, result["seeds"]))
        of_seeds = "each of the seeds" if len(result["seeds"]) > 1 else "seed"
        sections.append(
            f"## {id} · {experiment.title}\n\n"
            f"{experiment.question} *({experiment.echoes})*\n\n"
            f"![{experiment.title}]({id}.png)\n\n"
            f"{result['finding']}\n\n"
            f"Criterion: {experiment.criterion}. Came out {came_out}. "
            f"{what}: {result['network']}; {result['images']} images for {of_seeds} {seeds}.\n"
            + (f"\nShortened: {experiment.shortened}.\n" if experiment.shortened else "")
        )
    text = INTRODUCTION + "\n" + "\n".join(sections)
    return text + (f"\nNot run yet: {', '.join(missing)}.\n" if missing else "")
