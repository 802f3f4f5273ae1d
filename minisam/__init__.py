"""Segment Anything from scratch: a network to read, a trainer for two CPU cores, kernels to learn from.

A name is imported when it is first used, which keeps `import minisam` and the command line fast.
"""

import importlib

__version__ = "0.2.0"

TYPE_CHECKING = False  # type checkers treat it as True; importing it from typing is slow
if TYPE_CHECKING:
    from minisam.backend import use_backend
    from minisam.build import build_sam, build_sam_vit_b, build_sam_vit_h, build_sam_vit_l, sam_model_registry
    from minisam.checkpoint import load_checkpoint, save_checkpoint
    from minisam.config import SamConfig, build_from_config
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
HOMES = {
    "backend": ("use_backend",),
    "build": ("build_sam", "build_sam_vit_b", "build_sam_vit_h", "build_sam_vit_l", "sam_model_registry"),
    "checkpoint": ("load_checkpoint", "save_checkpoint"),
    "config": ("SamConfig", "build_from_config"),
    "errors": ("CheckpointError", "ImageError", "MinisamError", "PromptError"),
    "model": ("Sam",),
    "predict": ("SamAutomaticMaskGenerator", "SamPredictor"),
}
"""The module of each name."""
PACKAGES = ("adapt", "show")
"""Packages with functions for users, as in `minisam.show.click(image)`."""


def __getattr__(name: str) -> object:
    if name in HOMES or name in PACKAGES:
        return importlib.import_module(f"minisam.{name}")
    for home, names in HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"minisam.{home}"), name)
    raise AttributeError(f"module 'minisam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *HOMES, *PACKAGES])
