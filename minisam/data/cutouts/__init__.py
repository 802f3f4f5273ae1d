"""Scenes of cut-outs pasted on photographs: real objects with exact masks, from the user's folders."""

from minisam.data.cutouts.folder import CutoutFolders, open_cutouts
from minisam.data.cutouts.scene import CutoutBatch, render_cutouts

__all__ = ["CutoutBatch", "CutoutFolders", "open_cutouts", "render_cutouts"]
