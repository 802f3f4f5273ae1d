"""What the experiments measure in their quick form, as `quick_experiments.json` has it.

    python tests/quick_experiments.py [ID …]     measures again, if an experiment is meant to change

Those that train are left out: rounding makes their results differ from one processor to another.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from minisam.build import build_sam
from minisam.experiments.experiment import Settings, experiments

FILE = Path(__file__).with_suffix(".json")


def measured(id: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        outcome = experiments()[id].run(build_sam("nano"), Settings.short(Path(folder)))
    return json.loads(json.dumps(outcome.values))


def main(ids: list[str]) -> None:
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    chosen = ids or [id for id, experiment in experiments().items() if not experiment.trains]
    found = before | {id: measured(id) for id in chosen}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
