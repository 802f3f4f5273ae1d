"""Adapting a Sam to other images: what is trained, what is added, and small files that hold only that."""

from minisam.adapt.files import load_adapter, save_adapter
from minisam.adapt.from_peft import load_from_peft
from minisam.adapt.merge import merged
from minisam.adapt.methods import Adaptation, Method, adapt
from minisam.adapt.peft_files import save_for_peft

__all__ = [
    "Adaptation",
    "Method",
    "adapt",
    "load_adapter",
    "load_from_peft",
    "merged",
    "save_adapter",
    "save_for_peft",
]
