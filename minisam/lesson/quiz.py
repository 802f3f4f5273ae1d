"""Five questions about a lesson that mark themselves: quiz.json in its folder.

    [{"question": "...", "answer": "...", "wrong": {"an option": "why it is wrong", "another": "why"}}, ...]

The options are shown in alphabetical order, so that the position of the answer gives nothing away.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minisam.errors import AnswerError, MinisamError

LETTERS = "abcdef"
WORDS = {
    "en": {
        "title": "Quiz",
        "how": "Open the option that you think is right.",
        "right": "Right.",
        "no": "No: ",
        "answer": " Right is {letter}: {option}",
        "score": "{right} of {questions} are right",
    },
    "zh-CN": {
        "title": "自测",
        "how": "点开你认为正确的选项。",
        "right": "正确。",
        "no": "不对：",
        "answer": "正确答案是 {letter}：{option}",
        "score": "{questions} 题中答对 {right} 题",
    },
}
"""What a quiz says besides its questions, by language."""


@dataclass(frozen=True)
class Question:
    """A question, the right option, and the wrong ones, each with why it is wrong."""

    question: str
    answer: str
    wrong: Mapping[str, str]
    language: str = "en"

    @property
    def options(self) -> dict[str, str]:
        """The options by letter."""
        return dict(zip(LETTERS, sorted([self.answer, *self.wrong], key=str.lower), strict=False))

    @property
    def right(self) -> str:
        """The letter of the right option."""
        return next(letter for letter, option in self.options.items() if option == self.answer)

    def lines(self) -> Iterator[str]:
        yield self.question
        yield from (f"  {letter}  {option}" for letter, option in self.options.items())

    def remark(self, letter: str) -> str:
        """Whether an option is right, and if not, why."""
        words = WORDS[self.language]
        return words["right"] if letter == self.right else words["no"] + self.wrong[self.options[letter]]

    def verdict(self, letter: str) -> str:
        """The line that is printed for an answer."""
        if letter == self.right:
            return self.remark(letter)
        answer = WORDS[self.language]["answer"].format(letter=self.right, option=self.answer)
        return self.remark(letter) + answer


def read_quiz(folder: Path) -> list[Question]:
    """The questions of the lesson in that folder; none without quiz.json. Raises MinisamError if it is malformed."""
    return questions_in(folder / "quiz.json")


def questions_in(path: Path, question: Callable[..., Any] = Question) -> list[Any]:
    """The entries of such a file, each as a `question`; none without the file. Raises MinisamError if malformed."""
    if not path.is_file():
        return []
    try:
        return [question(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise MinisamError(f"{path}: not the form that minisam/lesson/quiz.py describes: {error}") from error


def letters_of(answers: str, questions: Sequence[Question]) -> list[str]:
    """One letter for each question. Raises AnswerError for another number of them, or a letter without an option."""
    if len(answers) != len(questions):
        raise AnswerError(f"{answers!r} has {len(answers)} letters; there are {len(questions)} questions")
    return [
        letter_of(answer, question, f"question {number}")
        for number, (answer, question) in enumerate(zip(answers, questions, strict=True), 1)
    ]


def letter_of(answer: str, question: Question, where: str) -> str:
    letter = answer.strip().lower()
    if letter not in question.options:
        raise AnswerError(f"{where}: {answer!r} is none of {', '.join(question.options)}")
    return letter


def asked(question: Question, number: int) -> str:
    """The letter that the user types. Raises AnswerError at the end of the input."""
    try:
        return letter_of(input("> "), question, f"question {number}")
    except EOFError:
        raise AnswerError(f"question {number} has no answer; --answers takes one letter for each") from None


def as_page(questions: Sequence[Question], language: str = "en") -> str:
    """The quiz in Markdown: each option unfolds to whether it is right, and if not, why."""
    parts = [f"## {WORDS[language]['title']}", WORDS[language]["how"]]
    for number, question in enumerate(questions, 1):
        parts.append(f"**{number}.** {question.question}")
        for letter, option in question.options.items():
            summary = f"<summary><b>{letter}</b> · {as_html(option)}</summary>"
            parts.append(f"<details>{summary}\n\n{question.remark(letter)}\n\n</details>")
    return "\n\n".join(parts)


def as_html(option: str) -> str:
    """An option with its `code` and *emphasis*: a summary is HTML, in which there is no Markdown."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(option, quote=False))
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", code)
