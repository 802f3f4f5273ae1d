"""The table of an engine by hand, and the image in its figure."""

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from minisam.data.images import save_image
from minisam.data.sa1b import annotate, write_json
from minisam.engine.figure import bars, points, show_richest
from minisam.engine.report import table
from minisam.engine.tally import Tally


def test_a_line_by_hand():
    row = {"round": "2-semi", **Tally(4, 10, 5, 25, 72.0, 0, 0, 5, 9).summary()}
    row["held_out"] = {"top1": [0.5, 0.45, 0.55]}
    header, line = table([row]).splitlines()
    assert header.split() == [
        "round", "pictures", "masks", "masks/picture", "clicks/mask", "seconds/mask",
        "IoU", ">", ".9", "IoU", ">", ".75", "mIoU", "then",
    ]  # fmt: skip
    assert line.split() == [
        "2-semi", "4", "10", "2.5", "2.50", "7.2", "50%", "90%", "0.500", "[0.450,", "0.550]",
    ]  # fmt: skip


def test_points_have_their_intervals_and_bars_their_values():
    axes = Figure().subplots()
    points(axes, [[0.5, 0.4, 0.7], [0.6, 0.5, 0.65]], ["red", "blue"])
    assert axes.lines[0].get_xydata().tolist() == [[0, 0.5], [1, 0.6]]
    for place, (container, ends) in enumerate(zip(axes.containers, ([0.4, 0.7], [0.5, 0.65]), strict=True)):
        ((low, high),) = container[2][0].get_segments()
        assert [low[0], high[0]] == [place, place] and [low[1], high[1]] == pytest.approx(ends)
    axes = Figure().subplots()
    bars(axes, [2.0, 0.0, 4.0], ["red", "blue", "green"], "clicks")
    assert [bar.get_height() for bar in axes.patches] == [2, 0, 4]
    assert axes.get_title() == "clicks" and axes.get_ylim() == pytest.approx((0, 4.6))
    assert [text.get_text() for text in axes.texts] == [" 2.0", " 0.0", " 4.0"]
    assert [text.get_position() for text in axes.texts] == [(0, 2), (1, 0), (2, 4)]


def test_the_picture_with_the_most_masks_is_shown(tmp_path: Path):
    mask = torch.ones(8, 8, dtype=torch.bool).numpy()
    for number, masks in enumerate((1, 3, 2)):
        save_image(tmp_path / f"sa_{number}.png", mask[..., None].repeat(3, 2).astype("uint8"))
        image = {"image_id": number, "width": 8, "height": 8, "file_name": f"sa_{number}.png"}
        record = {"image": image, "annotations": [annotate(mask, place) for place in range(masks)]}
        write_json(tmp_path / f"sa_{number}.json", record)
    axes = Figure().subplots()
    show_richest(axes, tmp_path, "semi-automatic")
    assert axes.get_title() == "semi-automatic: 3 masks"
