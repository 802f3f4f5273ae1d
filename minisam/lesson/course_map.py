"""The map of the course: which lessons build on which, as a graph and as a table.

Each part has its rows, with arrows inside the part.  A lesson of another part that a lesson builds on is a number in a
circle on its box, so that no arrow crosses the map.  lessons/planned.json has the whole course.  A lesson is drawn as
written if its folder exists; the lessons that it builds on are then read from the lesson itself.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from matplotlib.path import Path as Polyline

from minisam.files import write_atomically
from minisam.lesson.find import FOLDER, lessons

PARTS = {1: "I  The network", 2: "II  Training", 3: "III  Kernels", 4: "IV  Around the network"}
COLORS = {1: "#1565c0", 2: "#2e7d4f", 3: "#b4530f", 4: "#7d3c98"}
STEP, WIDTH, ROW, HEIGHT, TITLE = 1.6, 1.32, 0.76, 0.5, 0.48
"""In units of 100 pixels where the map is 800 wide. Boxes are STEP and ROW apart; a part's title takes TITLE."""
PIXELS = 200
"""Of the file, for each unit: twice as fine, for fine screens."""
COLUMNS = 5
"""That a page of 800 pixels has room for."""
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
            found.append(Stop(number, part, title, lesson.builds_on, lesson.folder.name, lesson.pace.minutes))
    found += [Stop(n, 3, x.title, x.builds_on, x.folder.name, x.pace.minutes) for n, x in written.items()]
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


def columns(part: list[Stop]) -> dict[int, int]:
    """The number of lessons of the part before a lesson, on the longest path; 0 … 4, 0 … if none needs another."""
    depth: dict[int, int] = {}
    for stop in part:
        depth[stop.number] = max(
            (depth[number] + 1 for number in stop.builds_on if number in depth), default=0
        )
    return depth if any(depth.values()) else {stop.number: place % COLUMNS for place, stop in enumerate(part)}


def rows(part: list[Stop], column: dict[int, int]) -> dict[int, int]:
    """The row of each lesson: the first free one in its column, from the row of the first lesson it builds on."""
    row: dict[int, int] = {}
    for stop in part:
        taken = [row[number] for number in row if column[number] == column[stop.number]]
        before = [row[number] for number in stop.builds_on if number in row]
        row[stop.number] = max(max(taken, default=-1) + 1, min(before, default=0))
    return row


def save_map(file: BinaryIO, found: list[Stop]) -> None:
    """A box for each lesson, filled if it is written, with what it builds on."""
    places, titles, lowest = {}, {}, 0.0
    part_of = {stop.number: stop.part for stop in found}
    for number in PARTS:
        part = [stop for stop in found if stop.part == number]
        column = columns(part)
        row = rows(part, column)
        titles[number] = lowest - TITLE / 2
        lowest -= TITLE
        places |= {n: (STEP * column[n] + WIDTH / 2, lowest - ROW * (row[n] + 0.5)) for n in row}
        lowest -= ROW * (max(row.values(), default=-1) + 1)
    width = max(x for x, _ in places.values()) + WIDTH / 2
    figure = Figure(figsize=(width + 0.2, 0.2 - lowest))
    axes = figure.add_axes((0, 0, 1, 1))
    for stop in found:
        own = [number for number in stop.builds_on if part_of[number] == stop.part]
        for number in own:
            draw_way(axes, places[number], places[stop.number], number % LANES, COLORS[stop.part])
        draw_stop(axes, stop, *places[stop.number])
        others = [number for number in stop.builds_on if number not in own]
        for place, number in enumerate(others):
            draw_circle(axes, number, COLORS[part_of[number]], place, *places[stop.number])
    for number, y in titles.items():
        axes.text(0, y, PARTS[number], fontsize=11, weight="bold", color=COLORS[number], va="center")
    axes.set_xlim(-0.1, width + 0.1)
    axes.set_ylim(lowest - 0.1, 0.1)
    axes.set_axis_off()
    figure.savefig(file, format="png", dpi=PIXELS, metadata={"Software": None})


def draw_way(axes: Axes, start: tuple[float, float], end: tuple[float, float], lane: int, color: str) -> None:
    """An arrow from box to box through the gaps between boxes; `lane` is its position in a gap."""
    (left, high), (right, low) = (start[0] + WIDTH / 2, start[1]), (end[0] - WIDTH / 2, end[1])
    gap, room = STEP - WIDTH, ROW - HEIGHT
    aside = (lane + 1) / (LANES + 2)
    first, last = left + aside * gap, right - gap + aside * gap
    across = low + HEIGHT / 2 + aside * room
    corners = [(left, high), (first, high), (first, across), (last, across), (last, low), (right, low)]
    if abs(first - last) < 1e-9:
        corners = [(left, high), (first, high), (first, low), (right, low)]
    arrow = FancyArrowPatch(
        path=Polyline(corners), arrowstyle="-|>", mutation_scale=10, color=color, lw=1.3, zorder=1
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
    label = textwrap.fill(f"{stop.number}  {stop.title}", 17) + ("" if written else "\n(planned)")
    color = "white" if written else "#555555"
    axes.text(x, y, label, ha="center", va="center", fontsize=8.5, zorder=3, color=color, weight="bold")


def draw_circle(axes: Axes, number: int, color: str, place: int, x: float, y: float) -> None:
    """A lesson of another part, above a box; `place` counts these from the left."""
    center = (x - WIDTH / 2 + 0.16 + 0.27 * place, y + HEIGHT / 2 + 0.06)
    axes.add_patch(Circle(center, 0.12, facecolor="white", edgecolor=color, linewidth=1.5, zorder=4))
    axes.text(
        *center,
        str(number),
        ha="center",
        va="center_baseline",
        fontsize=7.5,
        color=color,
        weight="bold",
        zorder=5,
    )
