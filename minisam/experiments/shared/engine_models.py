"""The models of an engine's rounds, and the models that they are compared with.

    the control        as many steps, on the labelled images alone
    last trainings     the last one repeated, without the masks of the last round, and on those alone

Each stage continues the training of the one before, and a later model therefore also has more steps.  The models for
comparison have the same steps and seeds, but other masks: the difference to the engine's models comes from the
collected masks.
"""

from __future__ import annotations

from pathlib import Path

from minisam.checkpoint import load_checkpoint
from minisam.engine.settings import EngineSettings
from minisam.engine.training import trained_on, training_seed
from minisam.evaluate.measure import Measurements
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Settings


def engine_models(folder: Path, engine: EngineSettings) -> dict[str, Path]:
    """The model of each round."""
    return {one.name: folder / "models" / one.name / "model.safetensors" for one in engine.rounds()}


def control_models(folder: Path, engine: EngineSettings) -> dict[str, Path]:
    """The first round's model, and the same trained as often as the engine's, still on the labelled images."""
    first, *later = engine.rounds()
    path = engine_models(folder, engine)[first.name]
    paths = {first.name: path}
    for number, one in enumerate(later, 1):
        home, seed = folder / "control" / one.name, training_seed(engine, number)
        trained_on(folder / first.trains_on, home, engine.preset, engine.recipe(number), seed, path)
        path = paths[one.name] = home / "model.safetensors"
    return paths


def last_trainings(folder: Path, engine: EngineSettings) -> dict[str, Path]:
    """The last training on a part of the masks: without those of the last round, and on those alone."""
    rounds = engine.rounds()
    last, number = rounds[-1], len(rounds) - 1
    start = engine_models(folder, engine)[rounds[-2].name]
    recipe, seed = engine.recipe(number), training_seed(engine, number)
    left_out = {"without": [last.name], "alone": [one.name for one in rounds[1:-1]]}
    paths = {}
    for which, names in left_out.items():
        home = folder / "control" / f"{last.name}-{which}"
        repeats = tuple((name, 0) for name in names)
        trained_on(folder / last.trains_on, home, engine.preset, recipe, seed, start, repeats=repeats)
        paths[which] = home / "model.safetensors"
    return paths


def after_a_click(path: Path, engine: EngineSettings, settings: Settings) -> Measurements:
    """The model in `path`, one click per target, in scenes of the engine's world that no engine uses."""
    return measure_world(
        load_checkpoint(path),
        engine.world,
        settings.images,
        seeds=settings.seeds,
        clicks=1,
        knobs=engine.knobs,
    )
