"""Notebook, page and figures of a small lesson, the command that makes them, and `check` on a page."""

from __future__ import annotations

import io
import json
import shutil
from base64 import b64decode

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from minisam.cli.main import main
from minisam.lesson import build as building
from minisam.lesson import course_map
from minisam.lesson.build import build, fingerprint, generated
from minisam.lesson.colab import REPOSITORY
from minisam.lesson.find import FOLDER, Lesson, lesson, lessons
from minisam.lesson.page import check
from minisam.lesson.stored import stored_run

TEXT = """# %% [markdown]
# # Lesson 1 · A line

# %%
import matplotlib.pyplot as plt
x = 2
print("two")
print(x)

# %%
for y in (1, 2):
    plt.figure(figsize=(1, 1))
    plt.plot([0, x], [0, y], color="red")

# %%
y
"""


@pytest.fixture
def small(tmp_path) -> Lesson:
    folder = tmp_path / "01_line"
    (folder / "figures").mkdir(parents=True)
    (folder / "lesson.py").write_text(TEXT, encoding="utf-8")
    (folder / "solution.py").write_text("def f():\n    return 1\n\n")
    return Lesson(folder)


def test_a_lesson_becomes_a_notebook_a_page_and_its_figures(small):
    for name in ("2.png", "3.png", "drawing.svg"):
        (small.folder / "figures" / name).write_bytes(b"old")
    written = build(small)
    names = {path.relative_to(small.folder).as_posix() for path in written}
    assert names == {"README.md", "lesson.ipynb", "figures/1.png", "figures/2.png"}
    assert sorted(path.name for path in (small.folder / "figures").iterdir()) == [
        "1.png", "2.png", "drawing.svg",
    ]  # fmt: skip
    assert not plt.get_fignums()

    page = (small.folder / "README.md").read_text(encoding="utf-8")
    order = [
        "minisam lesson build 1",
        f"[Open in Colab](https://colab.research.google.com/github/{REPOSITORY}/blob/main/lessons/01_line/lesson.ipynb)",
        "# Lesson 1 · A line",
        "```python",
        'print("two")',
        "```text\ntwo\n2\n```",
    ]
    order += ["![Figure 1](figures/1.png)", "![Figure 2](figures/2.png)", "```python\ny\n```"]
    order += ["<summary>Solutions</summary>\n\n```python\ndef f():\n    return 1\n```"]
    places = [page.index(part) for part in order]
    assert places == sorted(places)

    notebook = json.loads((small.folder / "lesson.ipynb").read_bytes())
    setup, text, numbers, drawn, last = notebook["cells"]
    assert [cell["cell_type"] for cell in notebook["cells"]] == ["code", "markdown", "code", "code", "code"]
    assert "pip" in "".join(setup["source"]) and "triton" not in "".join(setup["source"])
    assert len({cell["id"] for cell in notebook["cells"]}) == 5 and "outputs" not in text
    assert numbers["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["two\n", "2\n"]}]
    assert [output["output_type"] for output in drawn["outputs"]] == ["display_data"] * 2
    assert last["outputs"] == [] and notebook["metadata"]["minisam"]["sha256"] == fingerprint(small)
    for number, output in enumerate(drawn["outputs"], 1):
        figure = b64decode(output["data"]["image/png"])
        assert figure == (small.folder / "figures" / f"{number}.png").read_bytes()
        with Image.open(io.BytesIO(figure)) as image:
            assert image.size == (96, 96) and image.mode == "P"
            red, green, blue = np.asarray(image.convert("RGB"), int).T
            assert ((red > 200) & (green < 50) & (blue < 50)).any()


def test_a_figure_is_of_the_cell_that_drew_it_and_a_second_run_is_the_same(small):
    build(small)
    first = {path: path.read_bytes() for path in small.folder.rglob("*") if path.is_file()}
    build(small)
    assert {path: path.read_bytes() for path in small.folder.rglob("*") if path.is_file()} == first


SHOWN = """
# %%
from minisam import show

def draw(shade):
    figure = plt.figure(figsize=(1, 1), facecolor=(1, shade, shade))
    return figure

show.frames(draw, {"red": 0, "white": 1}, "shade", "a square")

# %%
class Image:
    def _repr_png_(self):
        return show.frames(draw, {"red": 0}, "shade", "a square").images[0]

Image()
"""


def test_an_image_that_is_the_value_of_a_cell_is_a_figure_and_its_slider_is_in_the_notebook(small):
    (small.folder / "lesson.py").write_text(TEXT + SHOWN, encoding="utf-8")
    assert "figures/4.png" in {path.relative_to(small.folder).as_posix() for path in build(small)}
    page = (small.folder / "README.md").read_text(encoding="utf-8")
    assert "![Figure 3](figures/3.png)" in page and "![Figure 4]" in page and "<script" not in page
    *_, with_slider, plain = json.loads((small.folder / "lesson.ipynb").read_bytes())["cells"]
    (output,), (other,) = with_slider["outputs"], plain["outputs"]
    html = "".join(output["data"]["text/html"])
    assert html.count("data:image/png;base64,") == 3 and "text/html" not in other["data"]
    with Image.open(io.BytesIO(b64decode(output["data"]["image/png"]))) as image:
        assert image.convert("RGB").getpixel((40, 40)) == (255, 0, 0)
    ran = stored_run(small)
    assert [item.html for item in ran[-2:]] == [html, ""]
    assert generated(small, ran)["lesson.ipynb"] == (small.folder / "lesson.ipynb").read_bytes()


VERDICT = """
# %%
print("f: wrong\\n  case    'one'\\n  found   2 is not 3\\n  hint    The bug is still there: one too few.")
"""


def test_the_hint_of_a_wrong_answer_is_folded_on_the_page_and_not_in_the_notebook(small):
    (small.folder / "lesson.py").write_text(TEXT + VERDICT, encoding="utf-8")
    build(small)
    page = (small.folder / "README.md").read_text(encoding="utf-8")
    shown = "```text\nf: wrong\n  case    'one'\n  found   2 is not 3\n```"
    hint = "<details><summary>Hint</summary>\n\nThe bug is still there: one too few.\n\n</details>"
    assert f"{shown}\n\n{hint}" in page and page.count("one too few.") == 2  # and in the cell itself
    stored = json.loads((small.folder / "lesson.ipynb").read_bytes())["cells"][-1]["outputs"]
    assert stored[0]["text"] == ["f: wrong\n", "  case    'one'\n", "  found   2 is not 3\n"]
    assert generated(small, stored_run(small))["README.md"] == page.encode()


@pytest.mark.parametrize("number", [None, 3])
def test_the_command_builds_one_lesson_or_all_and_the_map(number, monkeypatch, capsys):
    built = []
    monkeypatch.setattr(building, "build", lambda chosen: built.append(chosen.number) or [chosen.folder])
    monkeypatch.setattr(course_map, "build_map", lambda: [FOLDER / "map.png"])
    assert main(["lesson", "build", *([] if number is None else [str(number)])]) == 0
    assert built == ([each.number for each in lessons()] if number is None else [number])
    assert ("map.png" in capsys.readouterr().out) == (number is None)


def test_the_map_is_written_beside_a_page_with_the_table_in_it(tmp_path):
    shutil.copy(FOLDER / "planned.json", tmp_path)
    page = f"before\n{course_map.START}old\n{course_map.END}\nafter\n"
    (tmp_path / "README.md").write_text(page)
    readme, picture = course_map.build_map(tmp_path)
    assert readme.read_text().startswith("before\n") and readme.read_text().endswith("after\n")
    assert "old" not in readme.read_text() and "| lesson |" in readme.read_text()
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_a_page_checks_an_answer_by_its_name_or_another(capsys):
    def softmax(x):
        shifted = np.exp(x - x.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)

    check(2, softmax)
    assert capsys.readouterr().out.startswith("softmax: right, ")
    check(2, lambda x: softmax(x) * 2, "softmax")
    assert capsys.readouterr().out.startswith("softmax: wrong\n")
    check(2, lambda x: x)
    names = ", ".join(lesson(2).exercises)
    assert capsys.readouterr().out == f"lesson 2 has no exercise '<lambda>'; it has {names}\n"
