"""Segment Anything, from scratch: a network to read, a trainer for two CPU cores, kernels to learn from."""

from minisam.backend import use_backend
from minisam.build import SamConfig, build_from_config, build_sam, sam_model_registry
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
    "load_checkpoint",
    "sam_model_registry",
    "save_checkpoint",
    "use_backend",
]
