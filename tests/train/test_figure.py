"""The figure of a training run: running means at the steps where they end."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisam.train.figure import CURVES, running_mean, save_progress_figure


def test_a_running_mean_has_a_value_for_each_whole_window():
    assert running_mean([1, 2, 6, 3], 1).tolist() == [1, 2, 6, 3]
    assert running_mean([1, 2, 6, 3], 2).tolist() == [1.5, 4, 4.5]
    assert np.isnan(running_mean([1, float("nan"), 6], 2)).tolist() == [True, True]


@pytest.mark.parametrize(("count", "window"), [(1, 1), (99, 1), (150, 3)])
def test_curves_are_means_at_the_last_step_of_their_window(count, window, tmp_path, monkeypatch):
    drawn = []
    savefig = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *args, **options: drawn.append(self) or savefig(self, *args, **options),
    )
    rows = [
        {"step": 20.0 * n, "loss": float(n), "oracle": n / 300, "top1": n / 400, "last": n / 500}
        for n in range(1, count + 1)
    ]
    save_progress_figure(tmp_path / "a.png", rows, "a run")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1000, 400)
    loss, iou = drawn[0].axes
    steps = [20 * n for n in range(window, count + 1)]
    assert loss.get_title() == "a run" and iou.get_ylim() == (0, 1)
    for axes, keys in ((loss, ["loss"]), (iou, list(CURVES))):
        for line, key in zip(axes.lines, keys, strict=True):
            means = [np.mean([row[key] for row in rows[n : n + window]]) for n in range(count - window + 1)]
            assert line.get_xdata().tolist() == steps
            assert line.get_ydata() == pytest.approx(means)
            if key in CURVES:
                assert (line.get_label(), line.get_color()) == CURVES[key]
