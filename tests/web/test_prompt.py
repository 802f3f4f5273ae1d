import numpy as np
import pytest

from minisam.errors import PromptError
from minisam.web.prompt import read_prompt


def test_points_and_boxes():
    prompt = read_prompt({"points": [[1, 2.5, 1], [3, 4, 0]], "boxes": [[0, 1, 2, 3]]})
    assert prompt.points.tolist() == [[1, 2.5], [3, 4]] and prompt.labels.tolist() == [1, 0]
    assert prompt.boxes.tolist() == [[0, 1, 2, 3]]
    larger = prompt.scaled((2, 10))
    assert larger.points.tolist() == [[2, 25], [6, 40]] and larger.boxes.tolist() == [[0, 10, 4, 30]]
    assert larger.labels.tolist() == [1, 0]


def test_one_kind_is_enough():
    assert read_prompt({"boxes": [[0, 1, 2, 3]]}).points.shape == (0, 2)
    assert read_prompt({"points": [[0, 1, 1]]}).boxes.shape == (0, 4)


def test_a_thousand_of_each_are_not_too_many():
    prompt = read_prompt({"points": [[1, 2, 1]] * 1000, "boxes": [[0, 1, 2, 3]] * 1000})
    assert len(prompt.points) == len(prompt.boxes) == 1000


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"points": [], "boxes": []},
        {"points": 3},
        {"points": {"0": [1, 2, 1]}},
        {"points": [[1, 2]]},
        {"points": [[1, 2, 3]]},
        {"points": [[1, 2, -1]]},
        {"points": [[1, 2, 0.5]]},
        {"points": [["1", 2, 1]]},
        {"points": [[True, 2, 1]]},
        {"points": [[None, 2, 1]]},
        {"points": [[float("nan"), 2, 1]]},
        {"points": [[1e300, 2, 1]]},
        {"points": [[10**400, 2, 1]]},
        {"points": [[1, 2, 1]] * 1001},
        {"points": [1, 2, 1]},
        {"boxes": [[0, 1, 2, 3]] * 1001},
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[1, 2, 3, float("inf")]]},
        {"boxes": [[[1], 2, 3, 4]]},
    ],
)
def test_anything_else_is_refused(content):
    with pytest.raises(PromptError), np.errstate(all="raise"):
        read_prompt(content)
