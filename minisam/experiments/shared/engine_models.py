"""The models of an engine's rounds, and those that they are held against.

    the control        as many steps, on the labelled pictures alone
    last trainings     the last one again, without the masks of the last round, and on those alone

Training goes on from stage to stage, so a later model has also seen more steps.  These go the same way with the same
seeds, but for the masks; what the engine is above them comes from what it collected.
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
    """The first round's model, and it trained on as often as the engine's, on the same pictures as before."""
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
    """The model in `path`, one click a target, in scenes of the engine's world that no engine sees."""
    return measure_world(
        load_checkpoint(path),
        engine.world,
        settings.images,
        seeds=settings.seeds,
        clicks=1,
        knobs=engine.knobs,
    )
