"""Where the lessons lie on GitHub, for buttons that open a notebook in Colab, and for the cell that installs minisam.

`REPOSITORY` is the only place where the address stands; OWNER is a placeholder. After a change of it:
`minisam lesson build`.
"""

from __future__ import annotations

REPOSITORY = "OWNER/minisam"
BRANCH = "main"

SETUP = """\
# On Colab, this cell installs minisam. Where minisam is installed, it does nothing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("minisam") is None:
    command = [sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/{repository}"]
    subprocess.run(command, check=True)"""
NEEDS_TRITON = """
if importlib.util.find_spec("triton") is None:
    print("{remark}")"""
REMARK = (
    "The kernels of this lesson need Linux with Triton. Here you can read it; cells with a kernel do not run."
)


def button(folder: str) -> str:
    """A link that opens the notebook of lessons/<folder> in Colab."""
    page = f"github/{REPOSITORY}/blob/{BRANCH}/lessons/{folder}/lesson.ipynb"
    return f"[Open in Colab](https://colab.research.google.com/{page})"


def setup_cell(needs_triton: bool) -> str:
    """The notebook's first cell: it installs what is missing, and says so if kernels cannot run."""
    installs = SETUP.format(repository=REPOSITORY)
    return installs + (NEEDS_TRITON.format(remark=REMARK) if needs_triton else "")
