"""Without a GPU, Triton's kernels run in its interpreter; that is settled before the first kernel is imported."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
# Triton 3.9 warns where this is left open, and a warning is an error here.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
