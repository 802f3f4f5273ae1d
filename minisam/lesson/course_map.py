"""The map of the course: which lessons build on which, as a graph and as a table.

lessons/planned.json has the whole course.  A lesson is drawn as written if its folder exists; the lessons that it
builds on are then read from the lesson itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path as Polyline

from minisam.files import write_atomically
from minisam.lesson.find import FOLDER, lessons

PARTS = {1: "I  The network", 2: "II  Training", 4: "IV  Around the network", 3: "III  Kernels"}
"""In the order of their rows, which keeps dependent lessons close together."""
COLORS = {1: "#1e90ff", 2: "#2e8b57", 3: "#d2691e", 4: "#8e44ad"}
STEP, WIDTH, HEIGHT = 3.4, 2.85, 0.62
LANES = 6
"""Lines side by side in the gaps between boxes."""
START, END = "<!-- lessons -->\n", "<!-- /lessons -->"


@dataclass(frozen=True)
class Stop:
    """One lesson on the map; `folder` is empty while it is only planned."""

    number: int
    part: int
    title: str
    builds_on: tuple[int, ...]
    folder: str = ""
    minutes: int = 0


def stops(folder: Path = FOLDER) -> list[Stop]:
    """Every lesson of the course, by number."""
    written = {lesson.number: lesson for lesson in lessons(folder)}
    found = []
    for entry in json.loads((folder / "planned.json").read_text(encoding="utf-8")):
        number, part, title = entry["number"], entry["part"], entry["title"]
        lesson = written.pop(number, None)
        if lesson is None:
            found.append(Stop(number, part, title, tuple(entry["builds_on"])))
        else:
            found.append(Stop(number, part, title, lesson.builds_on, lesson.folder.name, lesson.minutes))
    found += [Stop(n, 3, x.title, x.builds_on, x.folder.name, x.minutes) for n, x in written.items()]
    return sorted(found, key=lambda stop: stop.number)


def build_map(folder: Path = FOLDER) -> list[Path]:
    """Write lessons/map.png and the table in lessons/README.md."""
    found = stops(folder)
    readme, picture = folder / "README.md", folder / "map.png"
    text = with_table(readme.read_text(encoding="utf-8"), found)
    write_atomically(readme, lambda file: file.write(text.encode()))
    write_atomically(picture, lambda file: save_map(file, found))
    return [readme, picture]


def with_table(text: str, found: list[Stop]) -> str:
    """The page with the table of written lessons between its marks."""
    before, rest = text.split(START)
    return before + START + table(found) + END + rest.split(END)[1]


def table(found: list[Stop]) -> str:
    rows = ["| lesson | minutes | builds on |", "|---|---|---|"]
    for stop in found:
        if stop.folder:
            needs = ", ".join(map(str, stop.builds_on)) or "nothing"
            rows.append(
                f"| [{stop.number} · {stop.title}]({stop.folder}/README.md) | {stop.minutes} | {needs} |"
            )
    return "\n".join(rows) + "\n"


def columns(found: list[Stop]) -> dict[int, int]:
    """The number of lessons between a lesson and the start, on the longest path."""
    depth: dict[int, int] = {}
    for stop in found:
        depth[stop.number] = max((depth.get(number, 0) + 1 for number in stop.builds_on), default=0)
    return depth


def save_map(file: BinaryIO, found: list[Stop]) -> None:
    """A box for each lesson, filled if it is written, and an arrow from each lesson that it builds on."""
    depth, places, lowest, rows = columns(found), {}, 0.0, {}
    part_of = {stop.number: stop.part for stop in found}
    for part in PARTS:
        taken: dict[int, int] = {}
        for stop in (stop for stop in found if stop.part == part):
            column = depth[stop.number]
            places[stop.number] = (STEP * column, lowest - taken.get(column, 0))
            taken[column] = taken.get(column, 0) + 1
        rows[part] = lowest
        lowest -= max(taken.values(), default=1) + 0.6
    figure = Figure(figsize=(17, 0.72 * -lowest + 0.5))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    for stop in found:
        x, y = places[stop.number]
        draw_stop(axes, stop, x, y)
        for number in stop.builds_on:
            draw_way(axes, places[number], (x, y), number % LANES, COLORS[part_of[number]])
    for part, y in rows.items():
        axes.text(-WIDTH / 2, y + 0.5, PARTS[part], fontsize=12, weight="bold", color=COLORS[part])
    axes.set_xlim(-WIDTH / 2 - 0.1, STEP * max(depth.values()) + WIDTH / 2 + 0.1)
    axes.set_ylim(lowest + 0.9, 0.8)
    axes.set_axis_off()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})


def draw_way(axes: Axes, start: tuple[float, float], end: tuple[float, float], lane: int, color: str) -> None:
    """An arrow from box to box through the gaps between boxes; `lane` is its position in a gap."""
    (left, high), (right, low) = (start[0] + WIDTH / 2, start[1]), (end[0] - WIDTH / 2, end[1])
    gap, room = STEP - WIDTH, 1 - HEIGHT
    aside = (lane + 1) / (LANES + 2)
    first, last = left + aside * gap, right - gap + aside * gap
    across = low + HEIGHT / 2 + aside * room
    corners = [(left, high), (first, high), (first, across), (last, across), (last, low), (right, low)]
    if abs(first - last) < 1e-9:
        corners = [(left, high), (first, high), (first, low), (right, low)]
    arrow = FancyArrowPatch(
        path=Polyline(corners), arrowstyle="-|>", mutation_scale=10, color=color, alpha=0.65, lw=1.1, zorder=1
    )
    axes.add_patch(arrow)


def draw_stop(axes: Axes, stop: Stop, x: float, y: float) -> None:
    color, written = COLORS[stop.part], bool(stop.folder)
    box = Rectangle(
        (x - WIDTH / 2, y - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        facecolor=color if written else "white",
        edgecolor=color,
        linestyle="-" if written else "--",
        zorder=2,
    )
    axes.add_patch(box)
    label = f"{stop.number}  {stop.title}" + ("" if written else "\n(planned)")
    color, weight = ("white", "bold") if written else ("#777777", "normal")
    axes.text(x, y, label, ha="center", va="center", fontsize=7.4, zorder=3, color=color, weight=weight)
