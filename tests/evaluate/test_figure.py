"""The figure of an evaluation: every number is where its axis says."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.figure import BARS, draw_bars, draw_clicks, draw_reliability, values_and_errors
from minisam.evaluate.world import WorldResult

METRICS = {name: Estimate(0.1 * n, 0.1 * n - 0.05, 0.1 * n + 0.02) for n, name in enumerate(BARS, 1)}
METRICS |= {f"centre_{n}": Estimate(0.5 + n / 100, 0.4, 0.9) for n in (1, 2, 3)}
METRICS |= {f"random_{n}": Estimate(0.2 + n / 100, 0.1, 0.8) for n in (1, 2, 3)}
RESULT = WorldResult("_toy", 2, 4, METRICS, [(0.25, 0.2, 1), (0.75, 0.6, 3)])


@pytest.fixture
def axes():
    return Figure().subplots()


def test_whiskers_go_down_and_up_and_never_back():
    values, (below, above) = values_and_errors([Estimate(0.5, 0.3, 0.6), Estimate(0.5, 0.6, 0.4)])
    assert values == [0.5, 0.5]
    assert below == pytest.approx([0.2, 0.0]) and above == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize(("place", "worlds"), [(0, 1), (0, 2), (1, 2)])
def test_bars_of_several_worlds_stand_side_by_side(axes, place, worlds):
    draw_bars(axes, RESULT, place, worlds, "red")
    (bars,) = axes.containers[-1:]
    width = 0.8 / worlds
    assert [bar.get_height() for bar in bars] == pytest.approx([METRICS[name].value for name in BARS])
    lefts = [group - 0.4 + place * width for group in range(len(BARS))]
    assert [bar.get_x() for bar in bars] == pytest.approx(lefts)
    assert bars.get_label() == " _toy"
    ends = [[y for _, y in segment] for segment in bars.errorbar[2][0].get_segments()]
    assert ends == [pytest.approx([METRICS[name].low, METRICS[name].high]) for name in BARS]


def test_clicks_are_lines_and_the_band_is_of_the_centre(axes):
    draw_clicks(axes, RESULT, "red")
    centre, random = axes.lines
    assert (centre.get_linestyle(), random.get_linestyle()) == ("-", "--")
    assert list(centre.get_xdata()) == list(random.get_xdata()) == [1, 2, 3]
    assert list(centre.get_ydata()) == pytest.approx([0.51, 0.52, 0.53])
    assert list(random.get_ydata()) == pytest.approx([0.21, 0.22, 0.23])
    (band,) = axes.collections
    assert (band.get_datalim(axes.transData).y0, band.get_datalim(axes.transData).y1) == pytest.approx(
        (0.4, 0.9)
    )


def test_reliability_has_a_point_for_each_tenth_by_its_share(axes):
    draw_reliability(axes, RESULT, "red")
    (points,) = axes.collections
    assert points.get_offsets().tolist() == [[0.25, 0.2], [0.75, 0.6]]
    assert list(points.get_sizes()) == [50, 150]
