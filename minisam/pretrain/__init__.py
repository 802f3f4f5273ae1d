"""Masked autoencoders: pre-training on images without labels (He et al. 2021), and moving the weights into SAM."""

from minisam.pretrain.transfer import load_trunk, move_trunk_

__all__ = ["load_trunk", "move_trunk_"]
