"""Segment Anything, from scratch: a network to read, a trainer for two CPU cores, kernels to learn from."""

from minisam.backend import use_backend
from minisam.build import (
    SamConfig,
    build_from_config,
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    sam_model_registry,
)
from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.errors import CheckpointError, ImageError, MinisamError, PromptError
from minisam.model import Sam
from minisam.predict import SamAutomaticMaskGenerator, SamPredictor

__all__ = [
    "CheckpointError",
    "ImageError",
    "MinisamError",
    "PromptError",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamConfig",
    "SamPredictor",
    "build_from_config",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "load_checkpoint",
    "sam_model_registry",
    "save_checkpoint",
    "use_backend",
]
