"""`minisam bench decoder`, on a network small enough to be quick."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minisam.bench import decoder, original
from minisam.cli.main import main

installed = pytest.mark.skipif(not original.is_installed(), reason=original.INSTALL_COMMAND)
SMALL = ["bench", "decoder", "--model", "nano", "--prompts", "3", "--threads", "1"]


@pytest.fixture
def without_processes(monkeypatch):
    """Memory measured in this process: wrong, and quick."""
    monkeypatch.setattr(decoder, "in_own_process", lambda function, *arguments: function(*arguments))


@installed
@pytest.mark.parametrize("options", [[], ["--single"]])
def test_json_says_what_was_measured(without_processes, tmp_path: Path, capsys, options):
    out = tmp_path / "decoder.json"
    assert main([*SMALL, *options, "--repeats", "2", "--json", "-o", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(out.read_text(encoding="utf-8"))
    assert report["seconds"].keys() == report["peak_bytes"].keys() == {"minisam", "segment-anything"}
    assert [len(rounds) for rounds in report["seconds"].values()] == [2, 2]
    assert report["relative_error"] <= 1e-5
    assert report["time_ratio"] > 0 and report["memory_ratio"] > 0
    assert (report["model"], report["prompts"], report["threads"]) == ("nano", 3, 1)
    assert report["multimask_output"] == (not options)
    assert str(tmp_path) not in json.dumps(report)


@installed
@pytest.mark.parametrize("part", ["output_upscaling.3.bias", "iou_prediction_head.layers.2.bias"])
def test_another_result_is_a_failed_check(without_processes, monkeypatch, capsys, part):
    honest = decoder.build_decoder

    def dishonest(name, model):
        sam = honest(name, model)
        if name == decoder.OURS:
            sam.mask_decoder.get_parameter(part).data += 0.01
        return sam

    monkeypatch.setattr(decoder, "build_decoder", dishonest)
    assert main([*SMALL, "--repeats", "1"]) == 4
    assert "differ" in capsys.readouterr().err


@installed
def test_ratios_are_of_ours_to_theirs_and_the_difference_has_a_limit(monkeypatch):
    seconds = {decoder.ORIGINAL: [2.0, 8.0], decoder.OURS: [1.0, 2.0]}
    peaks = {decoder.ORIGINAL: 400, decoder.OURS: 100}
    monkeypatch.setattr(decoder, "take_turns", lambda runs, repeats: seconds)
    monkeypatch.setattr(decoder, "in_own_process", lambda function, contestant, *_: peaks[contestant])
    threads = torch.get_num_threads()
    report = decoder.measure_decoder("nano", 2, True, 1, 2, True)
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


@pytest.mark.parametrize("wrong", [["--prompts", "0"], ["--threads", "0"], ["--repeats", "two"]])
def test_usage(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*SMALL, *wrong])
    assert stop.value.code == 2
    assert "must be" in capsys.readouterr().err


@installed
@pytest.mark.slow
def test_the_masks_of_vit_b_agree_in_less_memory():
    report = decoder.measure_decoder("vit_b", 8, True, threads=1, repeats=1, compare=True)
    assert report.agrees
    assert report.memory_ratio is not None and report.memory_ratio < 0.7
