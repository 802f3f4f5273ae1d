"""Every public name is there, and where it is said to be from."""

import importlib

import minisam


def test_each_name_has_one_home():
    homes = {name: home for home, names in minisam.HOMES.items() for name in names}
    assert sorted(homes) == minisam.__all__
    for name, home in homes.items():
        module = importlib.import_module(f"minisam.{home}")
        assert getattr(minisam, name) is getattr(module, name)
        assert getattr(minisam, home) is module
    assert not hasattr(minisam, "no_such_name") and set(minisam.__all__) <= set(dir(minisam))
