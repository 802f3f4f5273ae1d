"""The images of a round, and the training of its model."""

from dataclasses import replace

import pytest

from minisam.engine.settings import ENGINES
from minisam.errors import MinisamError

NANO = ENGINES["nano"]


def test_every_picture_is_in_one_round_and_rounds_of_a_stage_are_nearly_equal():
    settings = replace(NANO, labelled=3, manual=8, manual_rounds=3, semi=2, automatic=4)
    rounds = settings.rounds()
    assert [(one.name, one.pictures) for one in rounds] == [
        ("0-labelled", range(0, 3)), ("1-manual-1", range(3, 5)), ("1-manual-2", range(5, 8)),
        ("1-manual-3", range(8, 11)), ("2-semi", range(11, 13)), ("3-automatic", range(13, 17)),
    ]  # fmt: skip


def test_a_round_may_have_one_picture_and_none_has_less():
    assert len(replace(NANO, manual=3, manual_rounds=3).rounds()) == 6
    with pytest.raises(MinisamError, match="3 images cannot be annotated in 4 rounds"):
        replace(NANO, manual=3, manual_rounds=4)


def test_only_stages_after_assisted_manual_annotation_are_slower():
    settings = replace(NANO, slowing=0.5, manual_rounds=2)
    rates = [settings.recipe(number).lr / settings.later.lr for number in range(1, 5)]
    assert rates == [1, 1, 0.5, 0.25] and settings.recipe(0) == settings.first
