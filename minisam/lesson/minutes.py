"""The minutes of pace.json in a lesson's text: below the title, and before the frame of each exercise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from minisam.lesson.pace import Pace
from minisam.lesson.run import Ran

CHECK = re.compile(r"^check\(\d+, (\w+)", re.MULTILINE)
WORDS = {
    "en": {
        "lesson": "*{total} minutes: {reading} to read, {exercises} for the exercises.*",
        "exercise": "*Exercise `{name}`: {minutes} minutes, {difficulty}.*",
    },
    "zh-CN": {
        "lesson": "*共 {total} 分钟：阅读 {reading} 分钟，练习 {exercises} 分钟。*",
        "exercise": "*练习 `{name}`：{minutes} 分钟，{difficulty}。*",
        "easy": "简单",
        "medium": "中等",
        "hard": "较难",
    },
}


def with_minutes(ran: Sequence[Ran], pace: Pace, language: str = "en") -> list[Ran]:
    """The cells with the minutes added to their text; unchanged where the pace is empty."""
    if not pace.exercises:
        return list(ran)
    words, found, text = WORDS[language], list(ran), 0
    total = {"total": pace.minutes, "reading": pace.reading, "exercises": pace.minutes - pace.reading}
    title, _, rest = found[0].cell.source.partition("\n")
    found[0] = with_text(found[0], f"{title}\n\n{words['lesson'].format(**total)}\n{rest}")
    for place, item in enumerate(ran):
        if item.cell.kind == "markdown":
            text = place
            continue
        for name in CHECK.findall(item.cell.source):
            effort = pace.exercises[name]
            difficulty = words.get(effort.difficulty, effort.difficulty)
            line = words["exercise"].format(name=name, minutes=effort.minutes, difficulty=difficulty)
            found[text] = with_text(found[text], f"{found[text].cell.source}\n\n{line}")
    return found


def with_text(item: Ran, source: str) -> Ran:
    return replace(item, cell=replace(item.cell, source=source))
