"""PartWorld: procedural scenes with exact masks of wholes, parts and subparts."""

from minisam.data.partworld.batch import MAX_NODES, SceneBatch
from minisam.data.partworld.knobs import Knobs
from minisam.data.partworld.render import render_scenes
from minisam.data.partworld.worlds import VARIANTS, WORLDS

__all__ = ["MAX_NODES", "VARIANTS", "WORLDS", "Knobs", "SceneBatch", "render_scenes"]
