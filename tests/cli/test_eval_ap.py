"""`minisam eval --ap` from a file of results to its tables, and what it says about files that it cannot use."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from minisam.cli.main import main
from minisam.data.coco import coco_annotation, write_coco
from minisam.data.coco_results import coco_result


def square(x, y, side):
    mask = np.zeros((40, 50), bool)
    mask[y : y + side, x : x + side] = True
    return mask


ENTRIES = [{"id": 1, "height": 40, "width": 50, "file_name": "1.png"}]
NAMES = {1: "cup", 2: "plate", 3: "fork"}


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.json"
    write_coco(
        path,
        ENTRIES,
        [coco_annotation(square(2, 2, 20), 1, 1, 1), coco_annotation(square(25, 5, 10), 2, 1, 2)],
        NAMES,
    )
    return path


def results_file(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def good(**changes):
    return coco_result(square(2, 2, 20), 0.9, 1, 1) | changes


def run(results, truth, *others):
    return main(["eval", "--ap", str(results), "--data", str(truth), *map(str, others)])


def test_tables_of_boxes_masks_and_boundaries(tmp_path, truth, capsys):
    half = coco_result(square(25, 5, 8), 0.5, 1, 2)  # IoU 0.64: right for three of ten thresholds
    results = results_file(tmp_path, [good(), half])
    assert run(results, truth, "-o", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert (tmp_path / "out" / "table.md").read_text() == printed.out
    tables = printed.out.split("\n\n")
    assert tables[0::2] == ["AP of boxes", "AP of masks", "AP of masks and their boundaries"]
    for table in (tables[1], tables[3]):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        assert rows[0] == [
            "class",
            "objects",
            "AP",
            "AP50",
            "AP75",
            "AP small",
            "AP medium",
            "AP large",
            "AR100",
        ]
        assert rows[2] == ["cup", "1", "100.0", "100.0", "100.0", "100.0", "–", "–", "100.0"]
        assert rows[3] == ["plate", "1", "30.0", "100.0", "0.0", "30.0", "–", "–", "30.0"]
        assert rows[4][:3] == ["fork", "0", "–"] and rows[5][:3] == ["mean", "2", "65.0"]
    assert "no objects of: fork" in printed.err
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(written["scores"]) == {"box", "mask", "boundary"}
    assert written["scores"]["mask"]["mean"]["AP"] == pytest.approx(0.65)
    assert written["scores"]["mask"]["classes"][2]["AP"] is None


def test_json_is_all_that_is_printed_and_boxes_alone_are_enough(tmp_path, truth, capsys):
    alone = {key: value for key, value in good().items() if key != "segmentation"}
    assert run(results_file(tmp_path, [alone]), truth, "--json") == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert list(scores) == ["box"] and scores["box"]["mean"]["AP"] == pytest.approx(0.5)


def test_true_objects_without_masks_are_measured_by_their_boxes_alone(tmp_path, truth, capsys):
    content = json.loads(truth.read_text())
    for one in content["annotations"]:
        del one["segmentation"]
    truth.write_text(json.dumps(content))
    assert run(results_file(tmp_path, [good()]), truth, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["scores"]) == ["box"]
    content["annotations"][1]["segmentation"] = [[25, 5, 35, 5, 35, 15]]
    truth.write_text(json.dumps(content))
    assert run(results_file(tmp_path, [good()]), truth, "--json") == 3
    assert "annotation 0 has no segmentation, although others have one" in capsys.readouterr().err


def test_no_results_have_an_ap_of_zero_and_are_mentioned(tmp_path, truth, capsys):
    assert run(results_file(tmp_path, []), truth, "--json") == 0
    printed = capsys.readouterr()
    mean = json.loads(printed.out)["scores"]["box"]["mean"]
    assert mean["AP"] == 0 and mean["AR100"] == 0 and mean["AP_large"] is None
    assert "no results; the AP of every class with objects is 0" in printed.err


def test_objects_and_results_of_no_category_are_counted_and_their_ids_named(tmp_path, truth, capsys):
    content = json.loads(truth.read_text())
    content["annotations"][1]["category_id"] = [2]
    truth.write_text(json.dumps(content))
    results = results_file(tmp_path, [good(), good(category_id=90), good(category_id="1")])
    assert run(results, truth, "--json") == 0
    printed = capsys.readouterr()
    classes = json.loads(printed.out)["scores"]["box"]["classes"]
    assert [one["objects"] for one in classes] == [1, 0, 0] and classes[0]["AP"] == 1
    assert "2 results do not count: there is no category with their id ('1', 90)\n" in printed.err
    assert "1 true objects do not count: there is no category with their id (None)\n" in printed.err


def test_a_name_of_a_class_has_no_control_codes_in_tables(tmp_path, capsys):
    path = tmp_path / "odd.json"
    write_coco(
        path, ENTRIES, [coco_annotation(square(2, 2, 20), 1, 1, 1)], {1: "a\x1b[31m\nb", 2: "c\x1b[0m"}
    )
    assert run(results_file(tmp_path, [good()]), path) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "| a\\x1b[31m\\nb |" in printed.out and "no objects of: c\\x1b[0m;" in printed.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ({"a": 1}, "a list of results"),
        ([3], "result 0 is not an object"),
        ([good(score=math.nan)], "score"),
        ([good(score="high")], "score"),
        ([good(bbox=[1, 2, 3])], "bbox"),
        ([good(image_id=7)], "image 7"),
        ([good(category_id=None)], "category_id"),
        ([{"image_id": 1, "category_id": 1, "score": 1}], "neither bbox nor segmentation"),
        ([good(), good(segmentation=None)], "result 1 has no segmentation"),
        ([good(segmentation={"size": [9, 9], "counts": "d1"})], "result 0: "),
        ([good(segmentation={"size": [40, 50], "counts": "!!"})], "result 0: "),
        ([good(segmentation="mask")], "result 0: "),
    ],
)
def test_a_file_that_holds_no_results_is_refused_in_one_line(content, said, tmp_path, truth, capsys):
    assert run(results_file(tmp_path, content), truth) == 3
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and said in line and "results.json" in line


@pytest.mark.parametrize(
    ("annotations", "names", "said"),
    [([], NAMES, "no annotations"), ([coco_annotation(square(1, 1, 5), 1, 1)], None, "categories")],
)
def test_a_truth_without_objects_or_categories_is_refused(annotations, names, said, tmp_path, capsys):
    path = tmp_path / "empty.json"
    write_coco(path, ENTRIES, annotations, names)
    if names is None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"categories": []}))
    assert run(results_file(tmp_path, [good()]), path) == 3
    assert said in capsys.readouterr().err


def test_a_damaged_true_mask_is_named(tmp_path, truth, capsys):
    content = json.loads(truth.read_text())
    content["annotations"][1]["segmentation"] = {"size": [40, 50], "counts": "!!"}
    truth.write_text(json.dumps(content))
    assert run(results_file(tmp_path, [good()]), truth) == 3
    line = capsys.readouterr().err
    assert "annotation 2" in line and "truth.json" in line and line.count("\n") == 1


def test_it_needs_data_and_no_network(tmp_path, truth, capsys):
    results = results_file(tmp_path, [good()])
    assert main(["eval", "--ap", str(results)]) == 2
    assert "--data" in capsys.readouterr().err
    assert run(results, truth, "--model", "nano") == 2
    assert "--model is not for --ap" in capsys.readouterr().err
    assert run(tmp_path / "absent.json", truth) == 3
