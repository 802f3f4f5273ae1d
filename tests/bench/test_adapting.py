"""`minisam bench adapt`: every image is encoded once, and the steps are those of the training loop."""

from __future__ import annotations

import json

import torch

from minisam.adapt.own_images import OwnImages
from minisam.bench import adapting
from minisam.bench.adapting import Seconds, measure_adapting, median_seconds
from minisam.cli.main import main
from minisam.train.run import TrainingRun


def test_images_are_encoded_once_and_the_first_step_does_not_count(monkeypatch):
    encoded, steps, shapes = [], [], set()
    encode, step = OwnImages.encode, TrainingRun.train_step

    def count_encoded(self, index, sam):
        encoded.append(index)
        return encode(self, index, sam)

    def count_steps(self):
        steps.append(self.task.batch_size(self.step))
        shapes.add(self.task.how.prompts_per_image)
        return step(self)

    monkeypatch.setattr(OwnImages, "encode", count_encoded)
    monkeypatch.setattr(TrainingRun, "train_step", count_steps)
    monkeypatch.setattr(adapting, "median_seconds", lambda works: [work() for work in works] and len(works))
    report = measure_adapting("nano", 3, 2, torch.get_num_threads(), 4)
    assert encoded == [0, 1, 2] and report.images == report.encode == 3
    assert steps == [1] * 5 and report.step == 4 and shapes == {2}


def test_medians_of_what_passed_and_of_the_processor(monkeypatch):
    passed, used = iter([0.0, 1.0, 5.0, 7.0, 10.0, 19.0]), iter([0.0, 3.0, 4.0, 5.0, 6.0, 8.0])
    monkeypatch.setattr(adapting.time, "perf_counter", lambda: next(passed))
    monkeypatch.setattr(adapting.time, "process_time", lambda: next(used))
    assert median_seconds([lambda: None] * 3) == Seconds(passed=2.0, processor=2.0)


def test_the_report_is_a_table_and_json(tmp_path, capsys):
    threads = str(torch.get_num_threads())
    words = ["bench", "adapt", "--model", "nano", "--images", "1", "--repeats", "1", "--threads", threads]
    assert main([*words, "-o", str(tmp_path / "a.json")]) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["benchmark"] == "adapting" and report["prompts"] == 4 and report["image_size"] == 64
    assert report["step"]["passed"] > 0 and report["encode"]["processor"] > 0
    assert f"{report['step']['passed']:.3f} s" in capsys.readouterr().out.splitlines()[-1]
