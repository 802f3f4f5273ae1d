"""Masked autoencoders: learning to see from images without labels (He et al. 2021), and the move into SAM."""

from minisam.pretrain.transfer import load_trunk, move_trunk_

__all__ = ["load_trunk", "move_trunk_"]
