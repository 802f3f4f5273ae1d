"""docs/training/throughput: its ways train as they say, for the time they are given, and fill a row of the table."""

import importlib.util
import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from cutout_folders import two_folders

from minisam.data.cutouts import open_cutouts
from minisam.model.fast import dispatcher
from minisam.model.fast.absorbed_mask_decoder import absorbed_masks
from minisam.train.mixed import CutoutsOn
from minisam.train.muon import Muon

HOME = Path(__file__).parents[2] / "docs" / "training" / "throughput"
ONE_STEP = 0.0


@pytest.fixture(scope="module")
def throughput():
    spec = importlib.util.spec_from_file_location("throughput", HOME / "measure.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["throughput"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["throughput"]


@pytest.fixture
def folders(tmp_path):
    open_cutouts.cache_clear()
    return CutoutsOn(*two_folders(tmp_path))


def few(way):
    """A way with two images of 64 pixels."""
    return replace(way, phases=tuple(replace(phase, image_size=64, batch_size=2) for phase in way.phases))


def test_the_absorbed_decoder_trains_the_same(throughput, folders, monkeypatch):
    """At 256 pixels, because smaller images are not worth absorbing."""
    calls = []

    def counted(*inputs):
        calls.append(way.absorbed)
        return absorbed_masks(*inputs)

    monkeypatch.setattr(dispatcher, "absorbed_masks", counted)
    losses = []
    for name in ("first", "absorbed"):
        way = throughput.WAYS[name]
        way = replace(way, phases=(replace(way.phases[0], batch_size=1, prompts_per_image=2),))
        losses.append(throughput.train(way, ONE_STEP, 0, folders)[0].since_last_row[-1][0])
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
    assert calls and all(calls)


def test_a_way_trains_until_its_time_is_over(throughput, folders, monkeypatch):
    """A clock on which every step takes a second."""
    clock = count()
    monkeypatch.setattr(throughput.time, "process_time", lambda: next(clock))
    for seconds, steps in ((0.0, 1), (1.0, 1), (2.5, 3)):
        clock = count()
        run, spent = throughput.train(few(throughput.WAYS["prompts4"]), seconds, 0, folders)
        assert (run.step, run.images, spent) == (steps, 2 * steps, steps)


def test_without_muon_every_matrix_has_adamw(throughput, folders):
    for name, muon in (("prompts4", True), ("adamw", False)):
        run, _ = throughput.train(few(throughput.WAYS[name]), ONE_STEP, 0, folders)
        assert any(isinstance(one, Muon) for one in run.task.optimizers) is muon


def test_the_table_has_a_row_for_every_committed_record(throughput):
    records = [json.loads(path.read_text()) for path in HOME.glob("*-*.json")]
    assert {record["name"] for record in records} == set(throughput.WAYS)
    rows = throughput.table(HOME).splitlines()[2:]
    assert len(rows) == len(records)
    for record in records:
        row = next(row for row in rows if row.startswith(f"| {record['about']} | {record['seed']} |"))
        assert f"| {record['images']} | {record['images_per_second']:.1f} |" in row
    assert throughput.table(HOME).strip() == (HOME / "table.md").read_text().strip()
