"""Puts the lessons and the results that they quote into the wheel, as minisam/lessons and minisam/docs.

Everything else about the package is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

QUOTED = ("experiments/*.json", "training/nano/metrics.csv")


class BuildWithLessons(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "minisam"
        for folder in ("lessons", "docs"):
            shutil.rmtree(package / folder, ignore_errors=True)
        shutil.copytree("lessons", package / "lessons", ignore=shutil.ignore_patterns("__pycache__", ".*"))
        for file in (file for pattern in QUOTED for file in Path("docs").glob(pattern)):
            copy = package / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


setup(cmdclass={"build_py": BuildWithLessons})
