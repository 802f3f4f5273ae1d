"""Between the rounds: what a training is started with, and on what its model is measured."""

from pathlib import Path

import pytest

from minisam.data.partworld.export import annotated_pictures, write_sa1b
from minisam.engine import training
from minisam.engine.settings import ENGINES
from minisam.engine.training import held_out_metrics, trained_on, training_seed
from minisam.errors import DatasetError
from minisam.train.pictures import open_split
from minisam.train.start import random_weights

NANO = ENGINES["nano"]


class Stopped(Exception):
    pass


def test_a_training_sees_a_folder_as_it_is_now_and_saves_every_hundred_steps(tmp_path: Path, monkeypatch):
    write_sa1b(tmp_path, annotated_pictures("train", 2, 32))
    open_split(tmp_path, 0.0, ())
    started: dict[str, object] = {}

    def start(*arguments, **options):
        started.update(options, arguments=arguments, known=open_split.cache_info().currsize)
        raise Stopped

    monkeypatch.setattr(training, "sam_run", start)
    with pytest.raises(Stopped):
        trained_on(tmp_path, tmp_path / "model", "nano", NANO.first, 5, None, True, False, (("a", 3),))
    assert started == {
        "arguments": ("nano", tmp_path / "model", NANO.first, 5),
        "known": 0, "save_every": 100, "draw_ahead": True, "start": random_weights,
        "data": tmp_path, "repeats": (("a", 3),),
    }  # fmt: skip


def test_a_model_is_measured_by_one_click_and_one_box_on_scenes_of_the_engines_seed(
    tmp_path: Path, monkeypatch
):
    asked = []

    def measure(sam, *arguments, **options):
        asked.append((arguments, options))
        raise Stopped

    monkeypatch.setattr(training, "measure_world", measure)
    with pytest.raises(Stopped):
        held_out_metrics(None, tmp_path, NANO)  # pyright: ignore[reportArgumentType]
    assert asked == [(("train", 64), {"seeds": (0,), "clicks": 1, "knobs": NANO.knobs})]


def test_every_round_has_a_seed_of_its_own():
    assert [training_seed(NANO, number) for number in (0, 3)] == [1, 3 * 7919 + 1]


@pytest.mark.parametrize("content", ["{}", "[]", '{"top1": [0.5, 0.4, 0.6]}'])
def test_another_file_in_place_of_the_measurement_is_named(content, tmp_path):
    (tmp_path / "held_out.json").write_text(content)
    with pytest.raises(DatasetError, match=r"held_out\.json was not written by the engine; delete it"):
        held_out_metrics(None, tmp_path, NANO)  # pyright: ignore[reportArgumentType]
