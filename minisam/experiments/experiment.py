"""An experiment: a question, a design, a criterion set beforehand, and an outcome with numbers and a figure.

Each experiment is a file in this folder with one `EXPERIMENT`.  There is no other list of them.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

import minisam.experiments
from minisam.errors import CommandError
from minisam.files import write_atomically
from minisam.model import Sam
from minisam.show import save_figure


@dataclass(frozen=True)
class Settings:
    """The size of a run; `quick` only tests whether an experiment runs, and its numbers mean little."""

    images: int = 24
    seeds: tuple[int, ...] = (0, 1, 2)
    quick: bool = False
    work: Path = Path("runs/experiments")
    """The folder for an experiment's training runs, which resume if it is started again."""

    @staticmethod
    def short(work: Path) -> Settings:
        return Settings(images=2, seeds=(0,), quick=True, work=work)


@dataclass(frozen=True)
class Outcome:
    """`passed` by the experiment's criterion; `finding` is the result in a sentence, with numbers."""

    passed: bool
    finding: str
    values: dict[str, Any]
    figure: Figure


@dataclass(frozen=True)
class Experiment:
    """`echoes` names the paper's figure or section; `criterion` is what `passed` means, written before the run."""

    id: str
    title: str
    echoes: str
    question: str
    criterion: str
    run: Callable[[Sam, Settings], Outcome]
    trains: str = ""
    """The networks that the experiment trains, for the page; {network} is the given one. Empty: it measures that."""
    shortened: str = ""
    """What is smaller than a full comparison would have, and why, for the page."""


def experiments() -> dict[str, Experiment]:
    """All experiments by their id, in the order of their files."""
    names = sorted(module.name for module in pkgutil.iter_modules(minisam.experiments.__path__))
    numbered = [name for name in names if re.match(r"e\d", name)]
    modules = [importlib.import_module(f"minisam.experiments.{name}") for name in numbered]
    return {module.EXPERIMENT.id: module.EXPERIMENT for module in modules}


def find(id: str) -> Experiment:
    """The experiment of that id, in capitals or not.

    Raises CommandError if there is none.
    """
    known = experiments()
    for name, experiment in known.items():
        if name.lower() == id.lower():
            return experiment
    raise CommandError(f"there is no experiment {id!r}; choose from: {', '.join(known)}")


def write_outcome(
    folder: Path, experiment: Experiment, outcome: Outcome, network: str, settings: Settings
) -> None:
    """Write ID.json and ID.png."""
    about = {
        "experiment": experiment.id,
        "network": (experiment.trains or "{network}").format(network=network),
        "images": settings.images,
        "seeds": list(settings.seeds),
        "quick": settings.quick,
        "torch": torch.__version__,
        "passed": outcome.passed,
        "finding": outcome.finding,
        "values": outcome.values,
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about, indent=1) + "\n"
    write_atomically(folder / f"{experiment.id}.json", lambda file: file.write(text.encode()))
    save_figure(outcome.figure, folder / f"{experiment.id}.png", dpi=100)
