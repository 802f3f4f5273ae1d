"""quiz.json: five questions, each wrong option with one sentence why; marked on the terminal, folded on the page."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from minisam.cli.main import main
from minisam.errors import MinisamError
from minisam.lesson.find import lessons
from minisam.lesson.quiz import Question, as_page, read_quiz

QUIZZES = {lesson.number: read_quiz(lesson.folder) for lesson in lessons()}
WITH_A_QUIZ = [number for number, questions in QUIZZES.items() if questions]
QUESTION = Question("How many?", "two", {"one": "It is more.", "Three": "It is less."})


def test_the_lessons_that_have_one():
    assert set(range(21)) <= set(WITH_A_QUIZ)


@pytest.mark.parametrize("number", WITH_A_QUIZ)
def test_five_questions_each_with_a_reason_for_every_wrong_option(number):
    questions = QUIZZES[number]
    assert len({question.question for question in questions}) == len(questions) == 5
    for question in questions:
        assert question.question.endswith(("?", "…")) and len(question.answer) < 140
        assert 2 <= len(question.wrong) <= 4 and len(question.options) == len(question.wrong) + 1
        for reason in question.wrong.values():
            assert reason.endswith(".") and ". " not in reason and len(reason.split()) >= 3
    assert len({question.right for question in questions}) >= 2


def test_an_option_is_found_by_its_letter():
    assert QUESTION.options == {"a": "one", "b": "Three", "c": "two"} and QUESTION.right == "c"
    assert list(QUESTION.lines()) == ["How many?", "  a  one", "  b  Three", "  c  two"]
    assert QUESTION.verdict("c") == "Right."
    assert QUESTION.verdict("b") == "No: It is less. Right is c: two"


def test_each_option_on_the_page_unfolds_to_its_verdict():
    page = as_page([replace(QUESTION, answer="`two` *of* a < b")])
    assert page.startswith("## Quiz\n\nOpen the option that you think is right.\n\n**1.** How many?\n\n")
    folded = "<details><summary><b>{}</b> {}</summary>\n\n{}\n\n</details>"
    assert folded.format("b", "one", "No: It is more.") in page
    assert folded.format("a", "<code>two</code> <em>of</em> a &lt; b", "Right.") in page
    assert page.count("<details>") == 3 and page.count("Right.") == 1


def test_right_and_wrong_answers_on_the_terminal(capsys, monkeypatch):
    right = "".join(question.right for question in QUIZZES[2])
    assert main(["lesson", "quiz", "2", "--answers", right]) == 0
    assert capsys.readouterr().out.endswith("5 of 5 are right\n")
    wrong = next(letter for letter in QUIZZES[2][0].options if letter != right[0])
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(wrong + right[1:].upper()) + "\n"))
    assert main(["lesson", "quiz", "2"]) == 4
    printed = capsys.readouterr().out
    assert (
        printed.endswith("4 of 5 are right\n")
        and QUIZZES[2][0].wrong[QUIZZES[2][0].options[wrong]] in printed
    )


@pytest.mark.parametrize(
    ("answers", "message"),
    [("abc", "'abc' has 3 letters; there are 5 questions"), ("zaaaa", "question 1: 'z' is none of a, b, c")],
)
def test_answers_of_another_form_are_refused_in_one_line(answers, message, capsys):
    assert main(["lesson", "quiz", "2", "--answers", answers]) == 3
    assert message in capsys.readouterr().err


def test_no_answer_is_an_error(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["lesson", "quiz", "2"]) == 3
    assert "question 1 has no answer; --answers takes one letter for each" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[1]", '[{"question": "?"}]'])
def test_another_form_is_refused_with_the_file_s_name(content, tmp_path):
    (tmp_path / "quiz.json").write_text(content)
    with pytest.raises(MinisamError, match=r"quiz\.json: not the form"):
        read_quiz(tmp_path)


def test_quiz_files_are_written_as_json_dump_writes_them():
    for lesson in lessons():
        path = lesson.folder / "quiz.json"
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n", path
