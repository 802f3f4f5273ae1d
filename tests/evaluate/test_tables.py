"""What people and programs read: the table, the JSON and the figure."""

import json

import pytest
from PIL import Image

from minisam.evaluate import Estimate, WorldResult
from minisam.evaluate.figure import save_evaluation_figure
from minisam.evaluate.tables import CLICKS, MASKS, RANKING, markdown_tables, results_json


@pytest.fixture
def results():
    metrics = {name: Estimate(0.5, 0.4, 0.62) for name in (*MASKS, *CLICKS, *RANKING, "random_oracle")}
    other = {**metrics, "oracle": Estimate(0.9, 0.88, 0.92)}
    points = [(0.15, 0.2, 10), (0.85, 0.7, 30)]
    return [WorldResult("train", 4, 20, metrics, points), WorldResult("thin", 4, 12, other, points[1:])]


def test_tables_have_a_row_for_each_world_and_the_mean(results):
    first = markdown_tables(results).split("\n\n")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in first]
    assert cells[0][:3] == ["world", "masks", "1 click, best of 3"]
    assert cells[2][:3] == ["train", "20", "0.500 ± 0.110"]
    assert cells[3][:3] == ["thin", "12", "0.900 ± 0.020"]
    assert cells[4][:3] == ["mean", "32", "0.700"]
    assert len({len(line) for line in first}) == 1


def test_one_world_needs_no_mean_and_missing_clicks_no_column(results):
    few = {name: value for name, value in results[0].metrics.items() if not name.endswith("_9")}
    text = markdown_tables([WorldResult("train", 4, 20, few, [])])
    assert "mean |" not in text
    assert "5 (centre)" in text
    assert "9 (centre)" not in text


def test_json_holds_every_metric(results):
    read = json.loads(results_json(results, {"seed": 0}))
    assert read["about"] == {"seed": 0}
    assert read["worlds"]["thin"]["metrics"]["oracle"] == {"value": 0.9, "low": 0.88, "high": 0.92}
    assert read["worlds"]["train"]["reliability"] == [[0.15, 0.2, 10], [0.85, 0.7, 30]]


def test_figure_is_a_picture(results, tmp_path):
    save_evaluation_figure(tmp_path / "figure.png", results, "toy")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 1000
        assert len(picture.convert("RGB").getcolors(1_000_000)) > 20
