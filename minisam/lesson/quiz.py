"""Five questions about a lesson that mark themselves: quiz.json in its folder.

    [{"question": "...", "answer": "...", "wrong": {"an option": "why it is wrong", "another": "why"}}, ...]

The options are shown in alphabetical order, so that the position of the answer gives nothing away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minisam.errors import AnswerError, MinisamError

LETTERS = "abcdef"


@dataclass(frozen=True)
class Question:
    """A question, the right option, and the wrong ones, each with why it is wrong."""

    question: str
    answer: str
    wrong: Mapping[str, str]

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

    def verdict(self, letter: str) -> str:
        """The line that is printed for an answer."""
        if letter == self.right:
            return "right"
        return f"no: {self.wrong[self.options[letter]]} Right is {self.right}: {self.answer}"


def read_quiz(folder: Path) -> list[Question]:
    """The questions of the lesson in that folder; none without quiz.json. Raises MinisamError if it is malformed."""
    path = folder / "quiz.json"
    if not path.is_file():
        return []
    try:
        return [Question(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
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


def as_page(questions: Sequence[Question]) -> str:
    """The quiz in Markdown, with its answers folded away."""
    parts = ["## Quiz"]
    for number, question in enumerate(questions, 1):
        options = "\n".join(f"   - **{letter}** {option}" for letter, option in question.options.items())
        parts.append(f"{number}. {question.question}\n\n{options}")
    parts.append("<details><summary>Answers</summary>")
    for number, question in enumerate(questions, 1):
        wrong = "\n".join(
            f"   - **{letter}** {question.wrong[option]}"
            for letter, option in question.options.items()
            if letter != question.right
        )
        parts.append(f"{number}. **{question.right}** is right.\n\n{wrong}")
    return "\n\n".join([*parts, "</details>"])
