"""Set before the first test file is imported: where kernels run, threads, and the number of processes."""

import os
from pathlib import Path

import pytest

# The tests run in as many processes as there are cores. Programs that tests start inherit this too.
os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels run in Triton's interpreter
# Triton 3.9 warns where this is left open, and a warning is an error here.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

MOST_PROCESSES = 8  # each needs 2 GB or less


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config) -> int:
    """Few files are sooner done in one process, as each process imports everything; and there is one GPU."""
    few = len(config.args) < 4 and all(Path(argument.split("::")[0]).is_file() for argument in config.args)
    on_gpu = "gpu" in config.option.markexpr.replace("not gpu", "")
    return 0 if few or on_gpu else min(os.cpu_count() or 1, MOST_PROCESSES)
