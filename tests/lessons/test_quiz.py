"""quiz.json: five questions, each wrong option with one sentence why; marked on the terminal, folded on the page."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from minisam.cli.main import main
from minisam.errors import MinisamError
from minisam.lesson.find import Lesson, lesson, lessons
from minisam.lesson.quiz import Question, as_page, read_quiz
from minisam.lesson.translated_lesson import is_translated, page_in
from minisam.lesson.translated_quiz import mark, quiz_in, quiz_to_translate

QUIZZES = {one.number: read_quiz(one.folder) for one in lessons()}
WITH_A_QUIZ = [number for number, questions in QUIZZES.items() if questions]
CHINESE = [one for one in lessons() if is_translated(one, "zh-CN")]
QUESTION = Question("How many?", "two", {"one": "It is more.", "Three": "It is less."})


def test_every_lesson_has_one():
    assert list(QUIZZES) == WITH_A_QUIZ


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


@pytest.mark.parametrize("number", WITH_A_QUIZ)
def test_the_right_option_is_not_recognised_by_its_length(number):
    lengths = [(len(question.answer), max(map(len, question.wrong))) for question in QUIZZES[number]]
    assert all(right <= 1.25 * longest for right, longest in lengths)
    assert sum(right > longest for right, longest in lengths) <= 3


def test_the_right_option_is_not_recognised_by_its_letter():
    letters = Counter(question.right for questions in QUIZZES.values() for question in questions)
    assert max(letters.values()) < 0.4 * sum(letters.values()) and len(letters) == 4


def test_an_option_is_found_by_its_letter():
    assert QUESTION.options == {"a": "one", "b": "Three", "c": "two"} and QUESTION.right == "c"
    assert list(QUESTION.lines()) == ["How many?", "  a  one", "  b  Three", "  c  two"]
    assert QUESTION.verdict("c") == "Right."
    assert QUESTION.verdict("b") == "No: It is less. Right is c: two"


def test_each_option_on_the_page_unfolds_to_its_verdict():
    page = as_page([replace(QUESTION, answer="`two` *of* a < b")])
    assert page.startswith("## Quiz\n\nOpen the option that you think is right.\n\n**1.** How many?\n\n")
    folded = "<details><summary><b>{}</b> · {}</summary>\n\n{}\n\n</details>"
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
    for one in lessons():
        for path in one.folder.glob("quiz*.json"):
            text = path.read_text(encoding="utf-8")
            assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n", path


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


@pytest.mark.parametrize("chosen", CHINESE, ids=lambda one: one.folder.name)
def test_a_translated_lesson_has_its_quiz_in_chinese_with_the_same_numbers(chosen):
    assert quiz_to_translate(chosen, "zh-CN") == []
    for english, own in zip(read_quiz(chosen.folder), quiz_in(chosen, "zh-CN"), strict=True):
        assert own.language == "zh-CN" and own.question[-1] in "？…" and len(own.wrong) == len(english.wrong)
        assert numbers(own.answer) == numbers(english.answer)
        for (english_option, _), (option, reason) in zip(
            english.wrong.items(), own.wrong.items(), strict=True
        ):
            assert numbers(option) == numbers(english_option)
            assert reason.endswith("。") and reason.count("。") == 1
    page = page_in(chosen, "zh-CN")
    assert page.count("\n正确。\n") == 5 and "## 自测" in page and "Right." not in page


@pytest.fixture
def small(tmp_path, monkeypatch) -> Lesson:
    """A lesson with one question, translated."""
    monkeypatch.setattr("minisam.lesson.translated_quiz.FOLDER", tmp_path / "lessons")
    folder = tmp_path / "lessons" / "01_line"
    folder.mkdir(parents=True)
    write(folder / "quiz.json", {"question": "How many?", "answer": "two", "wrong": {"one": "It is more."}})
    chinese = {"question": "多少？", "answer": "两个", "wrong": {"一个": "不止。"}}
    write(folder / "quiz.zh-CN.json", {"source": mark(read_quiz(folder)[0]), **chinese})
    return Lesson(folder)


def write(path, entry: dict) -> None:
    path.write_text(json.dumps([entry]), encoding="utf-8")


def test_a_quiz_is_translated_until_its_english_text_changes(small):
    (question,) = quiz_in(small, "zh-CN")
    assert question.question == "多少？" and quiz_to_translate(small, "zh-CN") == []
    assert question.verdict("a") == "不对：不止。正确答案是 b：两个" and question.verdict("b") == "正确。"
    english = {"question": "How many?", "answer": "two", "wrong": {"one": "It is more than that."}}
    write(small.folder / "quiz.json", english)
    (question,) = quiz_in(small, "zh-CN")
    assert question.question == "How many?"
    stale, left_over = quiz_to_translate(small, "zh-CN")
    assert stale.startswith("lessons/01_line/quiz.zh-CN.json, question 1: stale or missing; translate, with")
    assert f'"source": "{mark(question)}"' in stale and "It is more than that." in stale
    assert left_over == (
        "lessons/01_line/quiz.zh-CN.json, entry 1: no English question has its digits; translate again or remove it"
    )


def test_a_quiz_without_a_translation_is_in_english_and_is_no_work(small):
    (small.folder / "quiz.zh-CN.json").unlink()
    assert quiz_in(small, "zh-CN") == read_quiz(small.folder) == quiz_in(small, "en")
    assert quiz_to_translate(small, "zh-CN") == []


def test_the_command_shows_the_quiz_in_chinese(capsys):
    right = "".join(question.right for question in quiz_in(lesson(2), "zh-CN"))
    assert main(["lesson", "quiz", "2", "--language", "zh-CN", "--answers", right]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith("5 题中答对 5 题\n") and printed.count("正确。") == 5
