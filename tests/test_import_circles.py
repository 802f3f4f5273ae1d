"""Dependencies point one way (CONTRIBUTING, rule 9)."""

from __future__ import annotations

import pytest
from import_circles import circles, files, folders


@pytest.mark.parametrize("graph", [files, folders])
def test_nothing_imports_itself_by_a_detour(graph):
    assert circles(graph()) == []


def test_the_network_and_the_masks_know_nothing_of_what_uses_them():
    graph = folders()
    assert graph["minisam.model"] <= {"minisam.errors"}
    assert graph["minisam.masks"] <= {"minisam.errors", "minisam.limits", "minisam.seeds"}


def test_a_circle_is_found_whichever_way_round():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == [["a", "b", "c"]]
