"""Every public name is there, and where it is said to be from."""

import importlib
import re
from pathlib import Path

import pytest

import minisam


def test_each_name_has_one_home():
    homes = {name: home for home, names in minisam.HOMES.items() for name in names}
    assert sorted(homes) == minisam.__all__
    for name, home in homes.items():
        module = importlib.import_module(f"minisam.{home}")
        assert getattr(minisam, name) is getattr(module, name)
        assert getattr(minisam, home) is module
    assert not hasattr(minisam, "no_such_name") and set(minisam.__all__) <= set(dir(minisam))


@pytest.mark.parametrize("name", ["adapt", "predict", "show"])
def test_a_package_is_imported_when_it_is_first_used(name):
    assert minisam.__getattr__(name) is importlib.import_module(
        f"minisam.{name}"
    )  # an import sets it for later
    assert name in dir(minisam)


def test_the_names_of_adapt_in_the_readme_are_there():
    package = importlib.import_module("minisam.adapt")
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    told = readme.partition("`from minisam.adapt import …`")[2].partition("\n\n")[0]
    names = re.findall(r"`(\w+)[`(]", told) + re.findall(r", (\w+)\(", told)
    assert {"adapt", "Method", "load_adapter", "save_adapter", "merged", "load_from_peft"} <= set(names)
    assert set(names) <= set(package.__all__) <= set(dir(package))
