"""Where kernels run: on the GPU if there is one, else in Triton's interpreter."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping

import torch


def settle_where_kernels_run(environment: MutableMapping[str, str]) -> None:
    """Select the interpreter if there is no GPU; call it before the first import of a file with a kernel."""
    # Triton 3.9 warns if this is not set.
    environment.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
        interpret_the_standard_library()


def interpret_the_standard_library() -> None:
    """If Triton was imported earlier, its own functions (tl.zeros and others) are set up for compilation.

    A page may have `import triton` above the line that imports the lessons' page.
    """
    if "triton.language" not in sys.modules:
        return
    from triton.runtime.interpreter import InterpretedFunction
    from triton.runtime.jit import JITFunction

    for module in [module for name, module in sys.modules.items() if name.startswith("triton.language")]:
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction):
                setattr(module, name, InterpretedFunction(value.fn))
