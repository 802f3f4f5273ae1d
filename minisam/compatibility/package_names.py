"""A package in which a function and a submodule have the same name, imported under another name.

Python sets a submodule as an attribute of its package when it is first imported under a name.  With
minisam.segment_anything as `segment_anything`, `import segment_anything.build_sam` is a first import, and would
replace the function `segment_anything.build_sam` by the module.
"""

from __future__ import annotations

from types import FunctionType, ModuleType


class FunctionsStay(ModuleType):
    """The class of a package whose functions are not replaced by submodules of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and isinstance(vars(self).get(name), FunctionType):
            return
        super().__setattr__(name, value)
