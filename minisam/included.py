"""The trained weights that minisam includes, by the name of their network, and which is used where none is named."""

from __future__ import annotations

INCLUDED = ("small", "tiny", "nano")
DEFAULT_MODEL = "small"
