"""`minisam lesson`: the course.

list                    all lessons and their exercises, with minutes
open N                  where to read it, and your copies: lesson_NN.ipynb, lesson_NN.py; --language zh-CN for Chinese
check N [FILE]          check your answers: which are correct, and for the first wrong one, where and why
hint N [EXERCISE]       a hint; --number 2 for the next one
solution N              the solutions
quiz N                  five questions that mark themselves
grade FOLDER            mark a class's hand-ins, and count what was misunderstood
handout N -o FOLDER     page, notebook and exercises for a class, without solutions
build [N]               notebook, page and figures from lesson.py, for authors of lessons
stale [N]               translated text whose English text has changed, for translators
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from minisam.cli.limits import add_limits, show_prints
from minisam.cli.numbers import number_from
from minisam.cli.outputs import check_output, check_output_folder
from minisam.cli.replaceable import check_replaceable_text
from minisam.errors import AnswerError, CommandError, MinisamError

UNREADABLE, WRONG = 3, 4
LESSON, HINT = number_from(0), number_from(1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    actions.add_parser("list", help="list all lessons")
    opened = actions.add_parser("open", help="print where to read it, and copy its notebook and exercises")
    check = actions.add_parser("check", help="check your answers: what is correct, what is wrong, and why")
    hint = actions.add_parser("hint", help="a hint for an exercise")
    solution = actions.add_parser("solution", help="print the solutions")
    quiz = actions.add_parser("quiz", help="five questions that mark themselves")
    grade = actions.add_parser("grade", help="mark a folder of hand-ins, and count what was misunderstood")
    handout = actions.add_parser("handout", help="write page, notebook and exercises without solutions")
    build = actions.add_parser("build", help="make notebook, page and figures from lesson.py")
    stale = actions.add_parser("stale", help="list translated text whose English text has changed")
    for action in (opened, check, hint, solution, quiz, handout):
        action.add_argument("lesson", type=LESSON, metavar="N", help="its number, from `minisam lesson list`")
    build.add_argument("lesson", type=LESSON, metavar="N", nargs="?", help="default: all lessons and the map")
    opened.add_argument("-o", "--out", type=Path, metavar="FILE", help="default: lesson_NN.py")
    for shown in (opened, quiz):
        shown.add_argument("--language", choices=("en", "zh-CN"), default="en", help="(default: en)")
    stale.add_argument("lesson", type=LESSON, metavar="N", nargs="?", help="default: all translated pages")
    stale.add_argument("--language", choices=("zh-CN",), default="zh-CN", help="(default: zh-CN)")
    check.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", help="a .py file or a notebook; default: lesson_NN.py"
    )
    check.add_argument("--exercise", metavar="NAME", help="only this one")
    check.add_argument("--json", action="store_true", help="print JSON")
    grade.add_argument("folder", type=Path, metavar="FOLDER", help=".py files and notebooks")
    grade.add_argument("--lesson", type=LESSON, metavar="N", help="default: by the file's name or functions")
    grade.add_argument("--csv", type=Path, metavar="FILE", help="a line for each exercise of each hand-in")
    handout.add_argument("-o", "--out", type=Path, metavar="FOLDER", required=True, help="a new folder")
    for marking in (check, grade):
        add_limits(marking)
    hint.add_argument("exercise", nargs="?", metavar="EXERCISE", help="default: the first")
    hint.add_argument("--number", type=HINT, default=1, metavar="K", help="the K-th hint (default: 1)")
    quiz.add_argument("--answers", metavar="LETTERS", help="such as abcab; default: typed one by one")
    for action in actions.choices.values():
        action.add_argument("--debug", action="store_true", help="show the full trace of an error")


def run(args: argparse.Namespace) -> int:
    from minisam.lesson.settle import settle_where_kernels_run

    settle_where_kernels_run(os.environ)
    return {
        "list": run_list,
        "open": run_open,
        "check": run_check,
        "hint": run_hint,
        "solution": run_solution,
        "quiz": run_quiz,
        "grade": run_grade,
        "handout": run_handout,
        "build": run_build,
        "stale": run_stale,
    }[args.action](args)


def run_list(args: argparse.Namespace) -> int:
    from minisam.lesson.find import lessons

    for lesson in lessons():
        print(f"{lesson.number:2}  {lesson.title}, {lesson.pace.minutes} minutes")
        for name, effort in lesson.pace.exercises.items():
            print(f"      {name}: {effort.minutes} minutes, {effort.difficulty}")
    return 0


def run_open(args: argparse.Namespace) -> int:
    from minisam.lesson.check import NEEDS_TRITON
    from minisam.lesson.find import lesson
    from minisam_kernels.lab.answers.absent import has_triton

    chosen, out = lesson(args.lesson), args.out or answers_file(args.lesson)
    check_output(out)
    if args.language == "en":
        notebook = out.with_name(f"lesson_{chosen.number:02}.ipynb")
        pages = {chosen.folder / "README.md": True, notebook: not notebook.exists()}
        if not notebook.exists():
            shutil.copyfile(chosen.folder / "lesson.ipynb", notebook)
    else:
        from minisam.lesson.translated_lesson import open_translated

        pages = open_translated(chosen, args.language, out.parent)
    for before, (page, new) in zip(("read  ", "  or  "), pages.items(), strict=True):
        print(f"{before}{page}" + ("" if new else ", which is unchanged"))
    if out.exists():
        print(f"your answers are in {out}; the file is unchanged")
    else:
        shutil.copyfile(chosen.folder / "exercise.py", out)
        file = f" {out}" if args.out else ""
        print(f"write your answers into {out}, then: minisam lesson check {chosen.number}{file}")
    if chosen.needs_triton and not has_triton():
        print(f"here you can read it; {NEEDS_TRITON}")
    return 0


def run_check(args: argparse.Namespace) -> int:
    from minisam.lesson.check import explain
    from minisam.lesson.find import lesson
    from minisam.lesson.hand_in import mark
    from minisam_kernels.lab.answers.process import Rules

    chosen = lesson(args.lesson)
    file = args.file or answers_file(args.lesson)
    if not file.exists():
        raise AnswerError(f"there is no file {file}; `minisam lesson open {chosen.number}` makes one")
    names = [exercise_named(chosen, args.exercise).name] if args.exercise else list(chosen.exercises)
    reports = mark(chosen, file, names, Rules(args.seconds, args.memory), show_prints)
    right = sum(report.ok for report in reports)
    if args.json:
        print(json.dumps([{**asdict(report), "ok": report.ok} for report in reports], indent=1))
    else:
        for report in reports:
            print("\n".join(explain(report)))
        print(f"{right} of {len(reports)} exercises are right")
    return 0 if right == len(reports) else WRONG


def run_hint(args: argparse.Namespace) -> int:
    from minisam.lesson.find import lesson

    chosen = lesson(args.lesson)
    exercise = exercise_named(chosen, args.exercise or next(iter(chosen.exercises)))
    count = len(exercise.hints)
    if args.number > count:
        raise CommandError(f"--number {args.number}: {exercise.name} has {count} hints")
    print(f"{exercise.name}, hint {args.number} of {count}: {exercise.hints[args.number - 1]}")
    return 0


def run_solution(args: argparse.Namespace) -> int:
    from minisam.lesson.find import lesson

    text = lesson(args.lesson).solution
    if not text:
        raise MinisamError(f"the solutions of lesson {args.lesson} are not here")
    print(text, end="")
    return 0


def run_quiz(args: argparse.Namespace) -> int:
    from minisam.lesson.find import lesson
    from minisam.lesson.quiz import WORDS, asked, letters_of
    from minisam.lesson.translated_quiz import quiz_in

    questions = quiz_in(lesson(args.lesson), args.language)
    if not questions:
        raise MinisamError(f"lesson {args.lesson} has no quiz")
    given = letters_of(args.answers, questions) if args.answers else []
    right = 0
    for number, question in enumerate(questions, 1):
        print(f"{number}. " + "\n".join(question.lines()))
        letter = given[number - 1] if given else asked(question, number)
        print(question.verdict(letter))
        right += letter == question.right
    print(WORDS[args.language]["score"].format(right=right, questions=len(questions)))
    return 0 if right == len(questions) else WRONG


def run_grade(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from minisam.files import write_atomically
    from minisam.lesson.grade import COLUMNS, as_csv, grade, hand_ins, summary
    from minisam_kernels.lab.answers.process import Rules

    if args.csv is not None:
        check_output(args.csv, option="--csv")
        check_replaceable_text(args.csv, ",".join(COLUMNS), option="--csv")
    files, rules = hand_ins(args.folder), Rules(args.seconds, args.memory)
    marked = [grade(file, args.folder, rules, args.lesson) for file in tqdm(files, disable=None)]
    print("\n".join(summary(marked)))
    if args.csv is not None:
        write_atomically(args.csv, lambda file: file.write(as_csv(marked).encode()))
    return UNREADABLE if any(hand_in.problem for hand_in in marked) else 0


def run_handout(args: argparse.Namespace) -> int:
    from minisam.lesson.find import lesson
    from minisam.lesson.handout import write_handout

    check_output_folder(args.out)
    print("\n".join(map(str, write_handout(lesson(args.lesson), args.out))))
    return 0


def run_build(args: argparse.Namespace) -> int:
    from minisam.lesson.build import build
    from minisam.lesson.course_map import build_map
    from minisam.lesson.find import lesson, lessons

    for chosen in [lesson(args.lesson)] if args.lesson is not None else lessons():
        print("\n".join(str(path) for path in build(chosen)))
    if args.lesson is None:
        print("\n".join(str(path) for path in build_map()))
    return 0


def run_stale(args: argparse.Namespace) -> int:
    from minisam.lesson.find import lesson
    from minisam.lesson.translated_lesson import to_translate

    messages = to_translate(args.language, None if args.lesson is None else lesson(args.lesson))
    print("\n\n".join(messages) or f"all translations into {args.language} are up to date")
    return WRONG if messages else 0


def answers_file(number: int) -> Path:
    return Path(f"lesson_{number:02}.py")


def exercise_named(lesson, name: str):
    """Raises CommandError, which lists the valid names, for an unknown one."""
    if name not in lesson.exercises:
        have = ", ".join(lesson.exercises)
        raise CommandError(f"lesson {lesson.number} has no exercise {name!r}; it has {have}")
    return lesson.exercises[name]
