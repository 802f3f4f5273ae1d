"""A quiz in another language: quiz.<language>.json, with the form of quiz.json, and in each entry "source".

"source" has the first 8 digits of the SHA-256 of the English entry, as the marks of a translated page have. Where the
English question, an option or a reason has changed, the translation is stale, and the English question is shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from minisam.lesson.find import FOLDER, Lesson
from minisam.lesson.quiz import Question, questions_in, read_quiz
from minisam.lesson.translation import digits


@dataclass(frozen=True)
class TranslatedQuestion(Question):
    """A question with the digits of its English entry."""

    source: str = ""


def quiz_in(lesson: Lesson, language: str) -> list[Question]:
    """The questions in the language; in English where the translation is stale or missing."""
    own = {question.source: question for question in translations(lesson, language)}
    return [own.get(mark(question), question) for question in read_quiz(lesson.folder)]


def translations(lesson: Lesson, language: str) -> list[TranslatedQuestion]:
    """The entries of quiz.<language>.json; none for English, or without the file."""
    return questions_in(quiz_file(lesson, language), partial(TranslatedQuestion, language=language))


def quiz_file(lesson: Lesson, language: str) -> Path:
    return lesson.folder / f"quiz.{language}.json"


def mark(question: Question) -> str:
    """The digits of an English question, its options and its reasons."""
    return digits(english_entry(question))


def english_entry(question: Question) -> str:
    entry = {"question": question.question, "answer": question.answer, "wrong": dict(question.wrong)}
    return json.dumps(entry, indent=1, ensure_ascii=False)


def quiz_to_translate(lesson: Lesson, language: str) -> list[str]:
    """What translators have to do: a message for each question without a translation, and each one left over.

    None for a lesson whose quiz is not translated at all.
    """
    if not quiz_file(lesson, language).is_file():
        return []
    file = quiz_file(lesson, language).relative_to(FOLDER.parent).as_posix()
    english, own = read_quiz(lesson.folder), translations(lesson, language)
    marks, have = [mark(question) for question in english], {question.source for question in own}
    messages = [
        f'{file}, question {number}: stale or missing; translate, with "source": "{mark(question)}":\n'
        f"{english_entry(question)}"
        for number, question in enumerate(english, 1)
        if mark(question) not in have
    ]
    messages += [
        f"{file}, entry {number}: no English question has its digits; translate again or remove it"
        for number, question in enumerate(own, 1)
        if question.source not in marks
    ]
    return messages
