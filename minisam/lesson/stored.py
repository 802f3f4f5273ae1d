"""The run of a lesson that its notebook holds: nothing is run again."""

from __future__ import annotations

import json
from base64 import b64decode

from minisam.errors import MinisamError
from minisam.lesson.build import SETUP_ID, with_hint
from minisam.lesson.cells import cells
from minisam.lesson.find import Lesson
from minisam.lesson.run import Ran


def stored_run(lesson: Lesson) -> list[Ran]:
    """The run whose outputs are stored in lesson.ipynb, for the cells of lesson.py."""
    stored = json.loads((lesson.folder / "lesson.ipynb").read_bytes())["cells"]
    stored = [cell for cell in stored if cell["id"] != SETUP_ID]
    written = cells(lesson.text)
    if [cell.kind for cell in written] != [cell["cell_type"] for cell in stored]:
        remedy = f"`minisam lesson build {lesson.number}`"
        raise MinisamError(f"{lesson.folder / 'lesson.ipynb'} is not of this lesson.py; first run {remedy}")
    found = []
    for cell, with_outputs in zip(written, stored, strict=True):
        outputs = with_outputs.get("outputs", [])
        printed = "".join("".join(output["text"]) for output in outputs if "text" in output)
        hint = with_outputs["metadata"].get("minisam", {}).get("hint", "")
        figures = (output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {}))
        html = "".join("".join(output.get("data", {}).get("text/html", [])) for output in outputs)
        found.append(Ran(cell, with_hint(printed, hint), tuple(map(b64decode, figures)), html))
    return found
