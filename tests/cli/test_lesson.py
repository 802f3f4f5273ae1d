"""`minisam lesson`: what is printed, and exit codes."""

from __future__ import annotations

import json

import pytest

from minisam.cli.main import main
from minisam.lesson.find import lesson


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_list_has_the_lessons(capsys):
    assert main(["lesson", "list"]) == 0
    assert " 1  Patch embedding: an image becomes tokens, 33 minutes" in capsys.readouterr().out


def test_open_makes_a_file_and_never_overwrites_it(tmp_path, capsys):
    assert main(["lesson", "open", "1"]) == 0
    file = tmp_path / "lesson_01.py"
    assert file.read_text() == (lesson(1).folder / "exercise.py").read_text()
    assert "then: minisam lesson check 1" in capsys.readouterr().out
    notebook = tmp_path / "lesson_01.ipynb"
    assert notebook.read_bytes() == (lesson(1).folder / "lesson.ipynb").read_bytes()
    file.write_text("mine"), notebook.write_text("mine")
    assert main(["lesson", "open", "1"]) == 0
    assert file.read_text() == notebook.read_text() == "mine"
    printed = capsys.readouterr().out
    assert "the file is unchanged" in printed and "lesson_01.ipynb, which is unchanged" in printed


@pytest.mark.parametrize(
    ("out", "says"), [("sub", "is a folder"), ("no/x.py", "no folder no"), ("-", "name")]
)
def test_open_says_where_it_cannot_write(out, says, tmp_path, capsys):
    (tmp_path / "sub").mkdir()
    assert main(["lesson", "open", "2", "-o", out]) == 2
    assert says in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["sub"]


def test_the_untouched_frames_exit_4_and_the_solutions_0(tmp_path, capsys):
    main(["lesson", "open", "1"])
    assert main(["lesson", "check", "1"]) == 4
    printed = capsys.readouterr().out
    assert "patch_embed: not written yet" in printed and printed.endswith("0 of 3 exercises are right\n")
    (tmp_path / "solved.py").write_text(lesson(1).solution)
    assert main(["lesson", "check", "1", "solved.py"]) == 0
    assert capsys.readouterr().out.endswith("3 of 3 exercises are right\n")


def test_json_of_one_exercise(tmp_path, capsys):
    (tmp_path / "lesson_02.py").write_text("import numpy as np\ndef softmax(x):\n    return np.exp(x)\n")
    assert main(["lesson", "check", "2", "--exercise", "softmax", "--json"]) == 4
    (report,) = json.loads(capsys.readouterr().out)
    assert report["exercise"] == "softmax" and not report["ok"] and report["failure"]["index"] == [0, 0]


def test_prints_and_exits_leave_one_json_document(tmp_path, capfd):
    text = "import os\ndef softmax(x):\n    print('here')\n    os.write(1, b'there')\n    quit()\n"
    (tmp_path / "lesson_02.py").write_text(text)
    assert main(["lesson", "check", "2", "--json"]) == 4
    captured = capfd.readouterr()
    reports = {report["exercise"]: report for report in json.loads(captured.out)}
    assert reports["softmax"]["failure"]["what"] == "it ends the program (SystemExit: exit code 0)"
    assert not reports["attention"]["written"] and "no function attention" in reports["attention"]["reason"]
    assert "here" in captured.err and "there" in captured.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_limit_is_above_0(seconds, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["lesson", "check", "2", "--seconds", seconds])
    assert stopped.value.code == 2


@pytest.mark.parametrize("text", [None, "def f(:", "x = 1\n"])
def test_a_file_that_is_none_exits_3_in_one_line(text, tmp_path, capsys):
    if text is not None:
        (tmp_path / "lesson_01.py").write_text(text)
    assert main(["lesson", "check", "1"]) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_hints_one_at_a_time_and_solutions(capsys):
    assert main(["lesson", "hint", "2", "attention", "--number", "2"]) == 0
    assert "attention, hint 2 of 2: Each query's weights" in capsys.readouterr().out
    assert main(["lesson", "hint", "1"]) == 0
    assert "patch_embed, hint 1 of 3" in capsys.readouterr().out
    for shown in (1, 2, 3):
        assert main(["lesson", "hint", "1", "--number", str(shown)]) == 0
        hint = lesson(1).exercises["patch_embed"].hints[shown - 1]
        assert capsys.readouterr().out == f"patch_embed, hint {shown} of 3: {hint}\n"
    assert main(["lesson", "solution", "2"]) == 0
    assert capsys.readouterr().out == lesson(2).solution


@pytest.mark.parametrize("words", ["lesson open 99", "lesson hint 1 flash", "lesson check 99"])
def test_what_is_not_there_is_a_usage_error(words, capsys):
    assert main(words.split()) == 2
    assert "there are" in (error := capsys.readouterr().err) or "it has" in error
