"""The results of a benchmark as a file: kernels/benchmarks/DEVICE.json.

    {"device", "versions", "commit", "started",
     "kernels": [{"kernel", "model", "batch", "dtype", "direction", "milliseconds": {contestant: median},
                  "relative_error": {contestant: ‖Δ‖/‖ref‖}, "failed": {contestant: "one line"},
                  "ratios": {contestant: its time / ours}, "floor_milliseconds", "fraction_of_floor"}],
     "encoder": [{"model", "batch", "dtype", "images_per_second": {contestant: n}, "failed": {…}, "ratios": {…}}]}

The file is replaced as a whole after every section; an interrupted run keeps its finished sections.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OURS = "minisam"


@dataclass
class KernelResult:
    """One kernel at one shape in one direction, with its peers."""

    kernel: str
    model: str
    batch: int
    dtype: str
    direction: str
    milliseconds: dict[str, float] = field(default_factory=dict)
    relative_error: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    floor_milliseconds: float | None = None

    @property
    def ratios(self) -> dict[str, float]:
        """Each peer's time divided by ours."""
        return ratios_to(self.milliseconds.get(OURS), self.milliseconds)

    @property
    def fraction_of_floor(self) -> float | None:
        ours = self.milliseconds.get(OURS)
        return self.floor_milliseconds / ours if ours and self.floor_milliseconds else None


@dataclass
class EncoderResult:
    """The whole image encoder at one shape, with its peers."""

    model: str
    batch: int
    dtype: str
    images_per_second: dict[str, float] = field(default_factory=dict)
    relative_error: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """Our images per second divided by each peer's."""
        ours = self.images_per_second.get(OURS)
        return {name: ours / other for name, other in self.images_per_second.items() if ours and name != OURS}


@dataclass
class Results:
    """A run of the benchmark on one device."""

    device: str
    versions: dict[str, str]
    commit: str
    started: str
    kernels: list[KernelResult] = field(default_factory=list)
    encoder: list[EncoderResult] = field(default_factory=list)

    def to_json(self) -> str:
        record = asdict(self)
        for item, saved in zip(self.kernels, record["kernels"], strict=True):
            saved |= {"ratios": item.ratios, "fraction_of_floor": item.fraction_of_floor}
        for item, saved in zip(self.encoder, record["encoder"], strict=True):
            saved |= {"ratios": item.ratios}
        return json.dumps(rounded(record), indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str) -> Results:
        record = json.loads(text)
        derived = ("ratios", "fraction_of_floor")
        for key, kind in (("kernels", KernelResult), ("encoder", EncoderResult)):
            plain = [{k: v for k, v in item.items() if k not in derived} for item in record[key]]
            record[key] = [kind(**item) for item in plain]
        return Results(**record)

    def save(self, path: Path) -> None:
        """Replace the file atomically: a reader sees the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with open(temporary, "x", encoding="utf-8") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def ratios_to(ours: float | None, all_of_them: dict[str, float]) -> dict[str, float]:
    return {name: other / ours for name, other in all_of_them.items() if ours and name != OURS}


def rounded(value: Any) -> Any:
    """Rounds to four digits, more than the precision of a timing."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def path_for(device: str, folder: Path = BENCHMARKS) -> Path:
    """ "NVIDIA H100 80GB HBM3" -> nvidia-h100-80gb-hbm3.json."""
    return folder / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".json")


def committed_results(folder: Path = BENCHMARKS) -> list[Results]:
    """All results in the folder, by device."""
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return [Results.from_json(file.read_text(encoding="utf-8")) for file in files]
