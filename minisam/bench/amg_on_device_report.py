"""The results of the mask generators on a GPU, as JSON and as a table with targets.

    busy <= between marks        the time that the GPU worked, and all the time that passed on it

The targets are for the time that the GPU works.  They are valid for the setting in which they were derived: ViT-B, 32
x 32 clicks on a photo of 1024 pixels per side.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

from minisam.bench.amg import Setting
from minisam.bench.amg_phases import PHASES, POST_PROCESSING
from minisam.bench.compare_records import RecordComparison
from minisam.bench.measure import ORIGINAL, OURS, ratio_of_rounds

ALL = "all"
MOST_MILLISECONDS = {ALL: 25.0, POST_PROCESSING: 2.0}
LEAST_RATIO = {POST_PROCESSING: 10.0}
WIDTH = 15


class Pair(NamedTuple):
    """A time or a ratio between marks, and the same for the work only; None if it is unknown."""

    between_marks: float | None
    busy: float | None


@dataclass(frozen=True)
class Timeline:
    """One generator: seconds and milliseconds by phase in each round, work in one run, bytes, waits of the CPU."""

    seconds: list[float]
    milliseconds: list[dict[str, float]]
    busy_milliseconds: dict[str, float] | None
    peak_bytes: int
    waits: int

    def of(self, phase: str) -> Pair:
        """Milliseconds in a phase, or in ALL of them: the median between marks, and the work."""
        passed, busy = (in_phase(spent, phase) for spent in self.milliseconds), self.busy_milliseconds
        return Pair(statistics.median(passed), None if busy is None else in_phase(busy, phase))


def in_phase(spent: dict[str, float], phase: str) -> float:
    return sum(spent.values()) if phase == ALL else spent[phase]


@dataclass(frozen=True)
class DeviceAmgReport:
    """The results; `comparison` is None without the original."""

    setting: Setting
    device: str
    backend: str
    versions: dict[str, str]
    commit: str
    timelines: dict[str, Timeline]
    records: int
    comparison: RecordComparison | None

    @property
    def agrees(self) -> bool:
        """Whether both found the same masks."""
        return self.comparison is None or self.comparison.all_same

    def ratio(self, phase: str) -> Pair | None:
        """The original's time divided by ours: the median over the rounds, and the ratio of the work."""
        if ORIGINAL not in self.timelines:
            return None
        ours, theirs = self.timelines[OURS], self.timelines[ORIGINAL]
        rounds = [[in_phase(spent, phase) for spent in one.milliseconds] for one in (theirs, ours)]
        works = theirs.of(phase).busy, ours.of(phase).busy
        return Pair(
            between_marks=ratio_of_rounds(*rounds) if all(rounds[1]) else None,
            busy=works[0] / works[1] if works[0] is not None and works[1] else None,
        )

    @property
    def has_targets(self) -> bool:
        """Whether this is the setting that the targets are for."""
        setting = self.setting
        return (setting.model, setting.image_size, setting.points_per_side) == ("vit_b", 1024, 32)

    def to_dict(self) -> dict[str, object]:
        ratios = {phase: self.ratio(phase) for phase in (*PHASES, ALL)}
        record = {"benchmark": "amg on a device", **asdict(self)}
        record["ratios"] = {phase: pair._asdict() for phase, pair in ratios.items() if pair is not None}
        if self.has_targets:
            record["targets"] = {"most_busy_milliseconds": MOST_MILLISECONDS, "least_busy_ratio": LEAST_RATIO}
        return record

    def table(self) -> str:
        """A short report as text."""
        setting, names = self.setting, list(self.timelines)
        lines = [
            f"{setting.model}, a photo of {setting.image_size} pixels per side, {setting.points_per_side} x "
            f"{setting.points_per_side} clicks, {self.device}, the {self.backend} backend, commit {self.commit}",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            row("", names, 2 * WIDTH) + (f"{'theirs / ours':>{2 * WIDTH}}" if ORIGINAL in names else ""),
        ]
        columns = len(names) + (ORIGINAL in names)
        lines.append(row("milliseconds", ["between marks", "busy"] * columns) + self.targets_of(""))
        for phase in (*PHASES, ALL):
            pairs = [*(self.timelines[name].of(phase) for name in names), self.ratio(phase)]
            cells = [number(value) for pair in pairs if pair is not None for value in pair]
            lines.append(row(phase, cells) + self.targets_of(phase))
        lines.append(self.of_each("peak memory", lambda one: f"{one.peak_bytes / 1e9:.2f} GB"))
        lines.append(self.of_each("waits of the CPU", lambda one: str(one.waits)))
        lines.append(f"{self.records} masks" if self.comparison is None else self.comparison.sentence())
        return "\n".join(lines)

    def of_each(self, title: str, tell: Callable[[Timeline], str]) -> str:
        return row(title, [tell(one) for one in self.timelines.values()], 2 * WIDTH)

    def targets_of(self, phase: str) -> str:
        """The last column: the target of a phase, or the heading."""
        if not self.has_targets:
            return ""
        if not phase:
            return "   target, busy"
        aims = [f"<= {most:g} ms" for place, most in MOST_MILLISECONDS.items() if place == phase]
        aims += [f">= {least:g} x" for place, least in LEAST_RATIO.items() if place == phase]
        return "   " + ", ".join(aims) if aims else ""


def row(title: str, cells: list[str], width: int = WIDTH) -> str:
    return f"{title:20}" + "".join(f"{cell:>{width}}" for cell in cells)


def number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"
