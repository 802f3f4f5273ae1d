"""What was left out is named with its reason, once, on one line that leaves the terminal alone."""

import pytest

from minisam.data.skipped import NAMED, Skipped
from minisam.errors import ImageError


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("0.png", "/d/0.png: no such image file", "/d/0.png: no such image file"),
        ("0.png", "0.png: no such image file", "0.png: no such image file"),
        ("0.png", ImageError("cannot be read"), "0.png: cannot be read"),
        ("a", "damaged", "a: damaged"),
        ("a", "data: damaged", "a: data: damaged"),
        ("a.png#3", "/d/a.png: no mask", "a.png#3: /d/a.png: no mask"),
        ("a.png", "no\nroom", "a.png: no room"),
        ("a.png", KeyError(), "a.png: KeyError"),
        ("\x1b[31mred\x07\u202e.png", "bad", r"\x1b[31mred\x07\u202e.png: bad"),
    ],
)
def test_the_name_and_the_reason_are_told(name, reason, told):
    skipped = Skipped()
    skipped.add(name, reason)
    skipped.add(name, "another reason")
    assert skipped.summary() == f"left out 1: {told}"


def test_all_are_counted_and_the_first_named():
    skipped = Skipped()
    assert skipped.summary() == ""
    for number in range(NAMED + 3):
        skipped.add(str(number), "bad")
    assert skipped.summary().startswith(f"left out {NAMED + 3}: 0: bad; ")
    assert skipped.summary().endswith(f"{NAMED - 1}: bad; and 3 more")


def test_the_first_for_each_reason_have_a_line_and_the_others_one_together():
    skipped = Skipped()
    assert list(skipped.lines()) == []
    skipped.add("flat.png", "no alpha channel")
    for number in range(NAMED + 3):
        skipped.add(f"{number}.txt", "not a PNG file")
    assert list(skipped.lines()) == [
        "left out flat.png: no alpha channel",
        *(f"left out {number}.txt: not a PNG file" for number in range(NAMED)),
        "left out 3 more: not a PNG file",
    ]
