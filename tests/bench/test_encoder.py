"""`minisam bench encoder`, on a network small enough to be quick."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minisam.bench import encoder, original
from minisam.cli.main import main

installed = pytest.mark.skipif(not original.is_installed(), reason=original.INSTALL_COMMAND)
SMALL = ["bench", "encoder", "--model", "nano", "--size", "64", "--threads", "1"]


@pytest.fixture
def without_processes(monkeypatch):
    """Memory measured in this process: wrong, and quick."""
    monkeypatch.setattr(encoder, "in_own_process", lambda function, *arguments: function(*arguments))


@installed
def test_json_says_what_was_measured(without_processes, tmp_path: Path, capsys):
    out = tmp_path / "encoder.json"
    assert main([*SMALL, "--repeats", "2", "--json", "-o", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(out.read_text(encoding="utf-8"))
    assert report["seconds"].keys() == report["peak_bytes"].keys() == {"minisam", "segment-anything"}
    assert [len(rounds) for rounds in report["seconds"].values()] == [2, 2]
    assert report["relative_error"] <= 1e-5
    assert report["time_ratio"] > 0 and report["memory_ratio"] > 0
    assert (report["model"], report["image_size"], report["threads"]) == ("nano", 64, 1)
    assert str(tmp_path) not in json.dumps(report)


@installed
def test_another_result_is_a_failed_check(without_processes, monkeypatch, capsys):
    honest = encoder.build_encoder

    def dishonest(name, model, size):
        built = honest(name, model, size)
        if name == encoder.OURS:
            built.neck[3].bias.data += 0.01
        return built

    monkeypatch.setattr(encoder, "build_encoder", dishonest)
    assert main([*SMALL, "--repeats", "1"]) == 4
    assert "differ" in capsys.readouterr().err


@installed
def test_ratios_are_of_ours_to_theirs_and_the_difference_has_a_limit(monkeypatch):
    seconds = {encoder.ORIGINAL: [2.0, 8.0], encoder.OURS: [1.0, 2.0]}
    peaks = {encoder.ORIGINAL: 400, encoder.OURS: 100}
    monkeypatch.setattr(encoder, "take_turns", lambda runs, repeats: seconds)
    monkeypatch.setattr(encoder, "in_own_process", lambda function, contestant, *_: peaks[contestant])
    threads = torch.get_num_threads()
    report = encoder.measure_encoder("nano", 64, 1, 2, True)
    assert torch.get_num_threads() == threads
    assert (report.time_ratio, report.memory_ratio) == ((1 / 2 + 2 / 8) / 2, 1 / 4)
    assert (report.seconds, report.peak_bytes) == (seconds, peaks)
    for error, agrees in ((None, True), (1e-5, True), (1.1e-5, False)):
        assert replace(report, relative_error=error).agrees == agrees


def test_without_the_original(without_processes, monkeypatch, capsys):
    monkeypatch.setattr(original, "PACKAGE", "segment_anything_that_is_not_there")
    assert main([*SMALL, "--repeats", "1"]) == 0
    captured = capsys.readouterr()
    assert "minisam" in captured.out and "ratio" not in captured.out
    assert original.INSTALL_COMMAND in captured.err


@pytest.mark.parametrize("wrong", [["--size", "100"], ["--threads", "0"], ["--repeats", "two"]])
def test_usage(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*SMALL, *wrong])
    assert stop.value.code == 2
    assert "must be" in capsys.readouterr().err


@installed
@pytest.mark.slow
def test_tiny_takes_less_memory_than_the_original():
    report = encoder.measure_encoder("tiny", 1024, threads=1, repeats=1, compare=True)
    assert report.agrees
    assert report.memory_ratio is not None and report.memory_ratio < 0.6
