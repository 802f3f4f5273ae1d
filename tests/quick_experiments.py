"""What the experiments measure in their quick form, as `quick_experiments.json` has it.

    python tests/quick_experiments.py [ID …]     measures again, if an experiment is meant to change

E4, E14, E14b and E20 are left out, where rounding decides the place of a click or whether an object is found, and so
are E6 and E8, which take minutes, and E13b, which measures processor time.
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
LEFT_OUT = ("E4", "E6", "E8", "E13b", "E14", "E14b", "E20")


def measured(id: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        outcome = experiments()[id].run(build_sam("nano"), Settings.short(Path(folder)))
    return json.loads(json.dumps(outcome.values))


def main(ids: list[str]) -> None:
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    chosen = ids or [id for id in experiments() if id not in LEFT_OUT]
    found = before | {id: measured(id) for id in chosen}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
