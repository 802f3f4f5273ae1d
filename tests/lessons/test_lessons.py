"""Every lesson runs, is what its generated files show, and its checks tell right from wrong."""

from __future__ import annotations

import ast
import io
import json
import re
from copy import copy

import numpy as np
import pytest
import torch
from PIL import Image

from minisam.lesson.build import LARGEST_NOTEBOOK, fingerprint, generated, without_hint
from minisam.lesson.cells import cells
from minisam.lesson.check import check_answer, explain
from minisam.lesson.colab import setup_cell
from minisam.lesson.exercise import Exercise
from minisam.lesson.find import Lesson, lessons
from minisam.lesson.minutes import with_minutes
from minisam.lesson.run import Ran, run_lesson
from minisam.lesson.source import function_in, run_file, run_text
from minisam.lesson.stored import stored_run

LESSONS = {lesson.folder.name: lesson for lesson in lessons()}
EXERCISES = [(lesson, exercise) for lesson in LESSONS.values() for exercise in lesson.exercises.values()]
# Of a kernel's wrong answers, which run in the interpreter, a commit tries every third and CI the others.
MISTAKES = [
    pytest.param(
        lesson,
        exercise,
        number,
        marks=[pytest.mark.ci] if exercise.framework == "triton" and number % 3 else [],
    )
    for lesson, exercise in EXERCISES
    for number in range(len(lesson.mistakes[exercise.name]))
]
LABELS = re.compile(r'"labels": \[[^\]]*\]')
# A commit runs the code of the others; these train something, or compile kernels.
LONG = {0, 11, 12, 13, 19, 21, 22, 23, 24, 25, 26, 27}
# Lesson 12 shows a network that it trains in 120 steps. They enlarge the rounding of a processor until masks differ.
# What does not depend on it is the left seventh of figure 2: scenes and clicks.
THE_SAME_PART = {"12_interactive/figures/2.png": 1 / 7, "12_interactive/figures/3.png": 0.0}


def name_of(value: object) -> str:
    if isinstance(value, Lesson):
        return value.folder.name
    return value.name if isinstance(value, Exercise) else str(value)


def checked(lesson: Lesson, exercise: Exercise, function):
    return check_answer(exercise, function, lesson.mistakes[exercise.name], lesson.solution)


def test_the_lessons_are_found():
    assert {1, 2, 14} <= {lesson.number for lesson in LESSONS.values()}


@pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(lesson, marks=[pytest.mark.ci] if lesson.number in LONG else [])
        for lesson in LESSONS.values()
    ],
    ids=name_of,
)
def test_a_lesson_runs_and_its_page_and_notebook_are_what_it_gives(lesson):
    files = generated(lesson, run_lesson(lesson.folder / "lesson.py"))
    figures = {name for name in files if name.endswith(".png")}
    assert figures, "a lesson has a figure"
    assert {f"figures/{path.name}" for path in (lesson.folder / "figures").iterdir()} == figures
    remedy = f"run `minisam lesson build {lesson.number}`"
    assert (lesson.folder / "README.md").read_text(encoding="utf-8") == files["README.md"].decode(), remedy
    stored, fresh = (
        json.loads(text) for text in ((lesson.folder / "lesson.ipynb").read_bytes(), files["lesson.ipynb"])
    )
    assert without_pictures(stored) == without_pictures(fresh), remedy
    for name in figures:
        part = THE_SAME_PART.get(f"{lesson.folder.name}/{name}", 1.0)
        assert_same_picture((lesson.folder / name).read_bytes(), files[name], part)


def without_pictures(notebook: dict) -> dict:
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
            html = output.get("data", {}).pop("text/html", None)
            output["slider"] = html and LABELS.findall("".join(html))
    return notebook


def assert_same_picture(stored: bytes, fresh: bytes, part: float = 1.0) -> None:
    """To the eye, in the left `part`: another version of matplotlib may draw a line's edge in another grey."""
    old, new = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for data in (stored, fresh))
    assert abs(old.shape[0] - new.shape[0]) < 8 and abs(old.shape[1] - new.shape[1]) < 8
    columns = round(part * old.shape[1])
    if old.shape == new.shape and columns:
        assert abs(old - new)[:, :columns].mean() < 4


def test_the_scenes_of_a_figure_are_compared_even_where_its_masks_are_not():
    def figure(scene: int, mask: int) -> bytes:
        buffer = io.BytesIO()
        pixels = np.full((20, 70, 3), mask, np.uint8)
        pixels[:, :10] = scene
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    assert_same_picture(figure(90, 20), figure(90, 200), 1 / 7)
    for part in (1 / 7, 1.0):
        with pytest.raises(AssertionError):
            assert_same_picture(figure(90, 20), figure(99, 200), part)


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_a_notebook_has_the_cells_of_its_lesson_and_its_fingerprint(lesson):
    data = (lesson.folder / "lesson.ipynb").read_bytes()
    assert len(data) <= LARGEST_NOTEBOOK
    notebook = json.loads(data)
    setup, *rest = notebook["cells"]
    assert "".join(setup["source"]) == setup_cell(lesson.needs_triton)
    stored = [(cell["cell_type"], "".join(cell["source"])) for cell in rest]
    written = with_minutes([Ran(cell) for cell in cells(lesson.text)], lesson.pace)
    assert stored == [(item.cell.kind, item.cell.source) for item in written]
    hidden = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in rest]
    assert hidden == [item.cell.folded for item in written]
    assert notebook["metadata"]["minisam"]["sha256"] == fingerprint(lesson)


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_the_page_and_the_figures_are_those_of_the_notebook(lesson):
    """The lesson's code is not run: what it printed and drew is taken from its notebook."""
    for name, data in generated(lesson, stored_run(lesson)).items():
        remedy = f"run `minisam lesson build {lesson.number}`"
        assert (lesson.folder / name).read_bytes() == data, remedy


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_the_page_has_the_frames_of_exercise_py_and_says_what_was_left_out(lesson):
    def functions(text: str) -> dict[str, str]:
        nodes = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        return {node.name: ast.dump(node) for node in nodes}

    on_page = functions(lesson.text)
    for name, frame in functions((lesson.folder / "exercise.py").read_text(encoding="utf-8")).items():
        assert on_page[name] == frame, name
    assert cells(lesson.text)[-1].source.startswith("## What was left out")
    assert lesson.title and lesson.builds_on is not None


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_a_lesson_says_what_one_can_do_after_it(lesson):
    assert 3 <= len(lesson.objectives) <= 5
    assert all(len(goal.split()) >= 4 and goal[-1] in ";." for goal in lesson.objectives)


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_each_exercise_has_its_minutes_and_a_lesson_no_more_than_an_hour(lesson):
    assert list(lesson.pace.exercises) == list(lesson.exercises)
    assert all(effort.minutes >= 4 for effort in lesson.pace.exercises.values())
    assert lesson.pace.reading >= round(reading_time(lesson))
    assert 30 <= lesson.pace.minutes <= 60


def reading_time(lesson: Lesson) -> float:
    """Minutes at 150 words of text or 15 lines of code a minute, without folded code, and 45 seconds a figure."""
    parts, figures = cells(lesson.text), lesson.text.count("plt.subplots(") + lesson.text.count("![")
    words = sum(len(cell.source.split()) for cell in parts if cell.kind == "markdown")
    code = [cell.source for cell in parts if cell.kind == "code" and not cell.folded]
    return words / 150 + sum(source.count("\n") + 1 for source in code) / 15 + 0.75 * figures


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=name_of)
def test_the_solution_is_right(lesson, exercise):
    module = run_text(lesson.solution, "solution")
    report = checked(lesson, exercise, function_in(module, exercise.name))
    assert report.ok, "\n".join(explain(report))
    assert report.total >= 4 and exercise.hints


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=name_of)
def test_the_untouched_frame_is_not(lesson, exercise):
    function = function_in(run_file(lesson.folder / "exercise.py"), exercise.name)
    report = checked(lesson, exercise, function)
    assert not report.ok and exercise.name in next(explain(report))
    assert report.written == exercise.find_the_bug


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=name_of)
def test_there_are_eight_wrong_answers(lesson, exercise):
    assert len({mistake.says for mistake in lesson.mistakes[exercise.name]}) >= 8


@pytest.mark.parametrize(("lesson", "exercise", "number"), MISTAKES, ids=name_of)
def test_a_wrong_answer_is_rejected_with_its_own_explanation(lesson, exercise, number):
    mistake = lesson.mistakes[exercise.name][number]
    function = mistake.function(lesson.solution, exercise.name)
    report = checked(lesson, exercise, function)
    assert report.failure is not None
    assert report.failure.hint == mistake.says
    without_index = ("shape", "it ", "gradient", "is not computed from")
    assert report.failure.index is not None or any(word in report.failure.what for word in without_index)


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=name_of)
@pytest.mark.parametrize("constant", [0.0, 1.0, float("nan")])
def test_a_constant_of_the_right_shape_is_rejected(lesson, exercise, constant):
    shapes = [exercise.expected(case.inputs, case.constants).shape for case in exercise.cases()]
    remaining = iter(shapes)

    def answer(first, *rest):
        shape = next(remaining, shapes[0])
        like = np.full(shape, constant, np.float32)
        return like if exercise.framework == "numpy" else first.new_full(shape, constant)

    assert not check_answer(exercise, answer).ok


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=name_of)
def test_an_input_handed_back_is_rejected(lesson, exercise):
    case = exercise.cases()[0]
    for position in range(len(case.inputs) + len(case.constants)):

        def answer(*given, position=position):
            flat = [y for x in given for y in (x.values() if isinstance(x, dict) else [x])]
            chosen = flat[position]
            return chosen.clone() if isinstance(chosen, torch.Tensor) else copy(chosen)

        assert not check_answer(exercise, answer).ok


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_a_notebook_runs_in_jupyter_and_prints_what_it_shows(lesson):
    nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[lessons]' un-skips this")
    nbclient = pytest.importorskip("nbclient", reason="pip install -e '.[lessons]' un-skips this")
    stored = nbformat.read(lesson.folder / "lesson.ipynb", as_version=4)
    fresh = nbformat.read(lesson.folder / "lesson.ipynb", as_version=4)
    resources = {"metadata": {"path": str(lesson.folder)}}
    nbclient.NotebookClient(fresh, timeout=300, kernel_name="python3", resources=resources).execute()

    def printed(notebook) -> list[str]:
        """Of each cell, without the hint of a bug hunt, which a stored notebook has in its metadata."""
        texts = [
            "".join(output["text"] for output in cell.get("outputs", []) if output.get("name") == "stdout")
            for cell in notebook.cells
        ]
        return [without_hint(text)[0] for text in texts]

    assert printed(fresh) == printed(stored)
