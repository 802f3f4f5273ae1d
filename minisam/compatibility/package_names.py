"""A package in which a function and a submodule have the same name, imported under another name than its own.

Python puts a submodule into its package whenever it is first imported under a name.  With minisam.segment_anything
as `segment_anything`, `import segment_anything.build_sam` is a first import, and would put the module where the
function `segment_anything.build_sam` has been.
"""

from __future__ import annotations

from types import FunctionType, ModuleType


class FunctionsStay(ModuleType):
    """The class of a package whose functions are not replaced by submodules of their name."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and isinstance(vars(self).get(name), FunctionType):
            return
        super().__setattr__(name, value)
