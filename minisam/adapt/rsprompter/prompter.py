"""Building a detector from its configuration."""

from __future__ import annotations

from minisam.adapt.rsprompter.box_prompter import BoxPrompter
from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.adapt.rsprompter.query_prompter import QueryPrompter
from minisam.model import Sam

Prompter = BoxPrompter | QueryPrompter


def build_prompter(sam: Sam, config: PrompterConfig) -> Prompter:
    """A detector on `sam`, which becomes a part of it, with new weights for everything else."""
    return (QueryPrompter if config.variant == "query" else BoxPrompter)(sam, config)
