"""pace.json: read, refused when malformed, and shown on page, notebook and list."""

from __future__ import annotations

import json

import pytest

from minisam.cli.main import main
from minisam.errors import MinisamError
from minisam.lesson.build import notebook, page
from minisam.lesson.cells import cells
from minisam.lesson.find import Lesson
from minisam.lesson.pace import Effort, Pace, read_pace
from minisam.lesson.run import Ran

TEXT = """# %% [markdown]
# # Lesson 1 · A line
#
# Builds on: nothing.
#
# After this lesson you can
#
# - draw a line from a point
#   to a point;
# - say what a line is.

# %%
x = 1

# %% [markdown]
# ## Your turn

# %%
def line():
    raise NotImplementedError


check(1, line)

# %% tags=["hide-input"]
draw(line)
"""


@pytest.fixture
def small(tmp_path) -> Lesson:
    folder = tmp_path / "01_line"
    folder.mkdir()
    (folder / "lesson.py").write_text(TEXT)
    (folder / "solution.py").write_text("")
    write(folder, reading=10, difficulty="hard")
    return Lesson(folder)


def write(folder, reading, difficulty) -> None:
    content = {"reading": reading, "exercises": {"line": {"minutes": 7, "difficulty": difficulty}}}
    (folder / "pace.json").write_text(json.dumps(content))


def test_a_lesson_takes_its_reading_and_its_exercises(small, tmp_path):
    assert small.pace == Pace(10, {"line": Effort(7, "hard")}) and small.pace.minutes == 17
    assert read_pace(tmp_path) == Pace() and Pace().minutes == 0


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"reading": 1, "exercises": {"line": 3}}', '{"reading": 1, "exercises": 2}']
)
def test_another_form_is_refused_with_the_file_s_name(content, small):
    (small.folder / "pace.json").write_text(content)
    with pytest.raises(MinisamError, match=r"pace\.json: not the form"):
        read_pace(small.folder)


def test_an_unknown_difficulty_is_refused(small):
    write(small.folder, reading=10, difficulty="awful")
    with pytest.raises(MinisamError, match="line: the difficulty is 'awful', not one of easy, medium, hard"):
        read_pace(small.folder)


def test_page_and_notebook_show_the_minutes_and_fold_the_code_of_a_figure(small):
    ran = [Ran(cell) for cell in cells(small.text)]
    shown = page(small, ran)
    assert "# Lesson 1 · A line\n\n*17 minutes: 10 to read, 7 for the exercises.*\n\nBuilds on" in shown
    assert "## Your turn\n\n*Exercise `line`: 7 minutes, hard.*\n\n```python\ndef line" in shown
    assert "<details><summary>Code</summary>\n\n```python\ndraw(line)\n```\n\n</details>" in shown
    assert "*共 17 分钟：阅读 10 分钟，练习 7 分钟。*" in page(small, ran, "zh-CN")
    assert "*练习 `line`：7 分钟，较难。*" in page(small, ran, "zh-CN")
    *_, exercise, figure = json.loads(notebook(small, ran))["cells"]
    assert exercise["metadata"] == {}
    assert figure["metadata"] == {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}


def test_the_objectives_are_read_from_the_first_cell(small):
    assert small.objectives == ("draw a line from a point to a point;", "say what a line is.")


def test_the_list_has_the_minutes_of_lessons_and_exercises(capsys):
    assert main(["lesson", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(" 2  Attention and softmax"))
    assert lines[place].endswith(" minutes") and lines[place + 1].startswith("      softmax: ")
