"""Writes docs/compatibility.md from the tables of names.py and clients.py:  python tests/compatibility/page.py"""

from __future__ import annotations

from pathlib import Path

if __package__ in (None, ""):
    from clients import CLIENTS
    from names import BESIDES, NAMES, SAME, Row
else:
    from compatibility.clients import CLIENTS
    from compatibility.names import BESIDES, NAMES, SAME, Row

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
OPENING = """\
# Code written for segment-anything

minisam has segment-anything's names, arguments, shapes and results, so that code and tutorials written for it run
unchanged. Checkpoints of segment-anything load as they are.

In your own code:

```python
import minisam.segment_anything as segment_anything
```

Before code that imports `segment_anything` itself:

```python
import sys

import minisam.segment_anything

sys.modules["segment_anything"] = minisam.segment_anything
```

`minisam.utils.transforms`, `minisam.utils.amg` and `minisam.utils.onnx` hold the original's functions under minisam's
own name.

`tests/compatibility` checks the tables below against segment-anything 1.0.1. Every function, class, method and
attribute of the original has a row, or is covered by the row of its class or module. *same* means: the same arguments
in the same order, and equal types, shapes, dtypes and results in the test's calls. `python tests/compatibility/page.py`
writes this page.
"""


def page() -> str:
    """The whole page."""
    modules: dict[str, list[Row]] = {}
    for row in NAMES:
        modules.setdefault(module_of(row.name), []).append(row)
    parts = [OPENING, "\n## Names\n"]
    for module, rows in modules.items():
        parts.append(f"\n### segment_anything.{module}\n\n| name | state | note |\n|---|---|---|\n")
        parts += [
            f"| `{row.name.removeprefix(module + '.')}` | {row.state} | {cell(row.note)} |\n" for row in rows
        ]
    parts.append("\n## Other differences\n\n| what | in minisam | why |\n|---|---|---|\n")
    parts += [f"| {what} | {cell(here)} | {cell(why)} |\n" for what, here, why in BESIDES]
    parts.append("\n## Programs\n\nEach test makes the same calls as the program, in our own code.\n\n")
    parts.append("| program | what it does with segment-anything | test |\n|---|---|---|\n")
    parts += [f"| {client.name} | {cell(client.calls)} | `{client.test}` |\n" for client in CLIENTS]
    return "".join(parts)


def module_of(name: str) -> str:
    """The part of a dotted name before the first class or function."""
    parts = name.split(".")
    length = 2 if parts[0] in ("modeling", "utils") else 1
    return ".".join(parts[:length])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {sum(row.state == SAME for row in NAMES)} of {len(NAMES)} rows are the same")
