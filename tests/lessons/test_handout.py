"""What a class is given has no solutions and no results."""

from __future__ import annotations

import json

import pytest

from minisam.cli.main import main
from minisam.errors import OutputError
from minisam.lesson import hand_in
from minisam.lesson.cells import Cell
from minisam.lesson.find import Lesson, lesson
from minisam.lesson.handout import handout, unfolded, write_handout
from minisam_kernels.lab.answers.process import Rules


def test_a_handout_has_no_solutions_no_outputs_and_all_figures(tmp_path):
    chosen = lesson(13)
    written = write_handout(chosen, tmp_path / "class")
    page = (tmp_path / "class" / "lesson_13.md").read_text(encoding="utf-8")
    assert page.count("<details>") == page.count("<summary>Code</summary>")
    assert "```text" not in page and "def run_lengths" in page
    lines = [line for line in chosen.solution.splitlines() if line.startswith("    return ")]
    frames = (chosen.folder / "exercise.py").read_text() + chosen.text
    assert lines and not [line for line in lines if line in page and line not in frames]
    notebook = json.loads((tmp_path / "class" / "lesson_13.ipynb").read_bytes())
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    figures = [path for path in written if path.suffix == ".png"]
    assert len(figures) == len(list((chosen.folder / "figures").iterdir()))
    assert all(f"](figures/{path.name})" in page for path in figures)
    with pytest.raises(OutputError, match="exists"):
        write_handout(chosen, tmp_path / "class")


def test_what_is_folded_away_is_left_out():
    text = "Fix it.\n\n<details><summary>The fix</summary>\n\nreturn 2\n</details>\n\n## Next"
    assert unfolded(Cell("markdown", text, 1)).source == "Fix it.\n\n## Next"


def test_everything_works_where_solutions_and_catalogue_are_absent(tmp_path, capsys, monkeypatch):
    kept = lesson(1)
    folder = tmp_path / "01_patch_embed"
    folder.mkdir()
    for name in ("lesson.py", "lesson.ipynb", "exercise.py", "checks.py"):
        (folder / name).write_bytes((kept.folder / name).read_bytes())
    bare = Lesson(folder)
    assert set(handout(bare)) == set(handout(kept))
    (tmp_path / "right.py").write_text(kept.solution)
    (tmp_path / "wrong.py").write_text("def patch_embed(x, weight, bias):\n    return x\n")
    right = hand_in.mark(bare, tmp_path / "right.py", list(bare.exercises), Rules())
    assert all(report.ok for report in right)
    wrong = hand_in.mark(bare, tmp_path / "wrong.py", ["patch_embed"], Rules())
    assert wrong[0].failure is not None and wrong[0].failure.hint
    monkeypatch.setattr("minisam.lesson.find.FOLDER", tmp_path)
    monkeypatch.setattr("minisam.lesson.find.lesson", lambda number: bare)
    assert main(["lesson", "solution", "1"]) == 1
    assert "the solutions of lesson 1 are not here" in capsys.readouterr().err
