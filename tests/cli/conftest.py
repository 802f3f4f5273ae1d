"""A fixture for options of commands: the arguments that the function that does the work would get."""

from __future__ import annotations

import importlib
import inspect

import pytest
import torch

from minisam.cli.main import main


class Reached(Exception):
    """Raised in place of the work; holds its arguments by name."""


@pytest.fixture
def given(monkeypatch, tmp_path):
    """given(target, words): the arguments that `minisam WORDS` calls the function or class `target` with."""
    monkeypatch.chdir(tmp_path)

    def run(target: str, words: str, owner: str = "") -> dict:
        module, name = target.rsplit(".", 1)
        home = importlib.import_module(module)
        home = getattr(home, owner) if owner else home
        signature = inspect.signature(getattr(home, name))

        def stop(*arguments, **named):
            raise Reached(signature.bind(*arguments, **named).arguments)

        threads = torch.get_num_threads()
        with monkeypatch.context() as patch, pytest.raises(Reached) as reached:
            patch.setattr(home, name, stop)
            main([*words.split(), *(["--threads", str(threads)] if "--threads" in words else [])])
        return reached.value.args[0]

    return run
