"""`minisam data`: the contact sheet, the benchmark, and one-line errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from minisam.cli.main import main
from minisam.data.partworld import render_scenes


def test_preview_shows_the_images(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    words = f"data preview --world micro --seed 3 --images 2 --size 32 -o {out}"
    assert main(words.split()) == 0
    assert capsys.readouterr().out.strip() == str(out)
    sheet = np.asarray(Image.open(out))
    first = render_scenes(3, 2, 32, "micro").images[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(sheet[:32, :32], first)


@pytest.mark.parametrize("knob", ["fog=1", "contrast=7", "contrast=much", "contrast"])
def test_a_bad_knob_is_a_usage_error(knob, tmp_path, capsys):
    assert main(["data", "preview", "--size", "32", "--knob", knob, "-o", str(tmp_path / "a.png")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_bench_prints_json(capsys):
    assert main(["data", "bench", "--batch-size", "1", "--repeats", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["ms_per_image"]) == {"64", "256"}
    assert all(value > 0 for value in record["ms_per_image"].values())
