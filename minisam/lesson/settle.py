"""Where kernels run: on the GPU if there is one, else in Triton's interpreter."""

from __future__ import annotations

from collections.abc import MutableMapping

import torch


def settle_where_kernels_run(environment: MutableMapping[str, str]) -> None:
    """To be called before the first file with a kernel is imported."""
    # Triton 3.9 warns where this is left open.
    environment.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
