"""Which phase a step belongs to, and what the shipped recipes have in common with the paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minisam.train.interactive import Rounds
from minisam.train.presets import Phase, Recipe

THIRDS = Recipe(
    steps=8, phases=(Phase(0.0, 32, 2, 0), Phase(0.25, 64, 2, 1), Phase(0.75, 96, 2, 1, Rounds(1, 1)))
)


def test_a_phase_begins_with_the_step_at_its_share():
    assert [THIRDS.phase_at(step).image_size for step in range(8)] == [32, 32, 64, 64, 64, 64, 96, 96]


def test_phases_that_start_together_take_turns_at_random():
    both = replace(
        THIRDS, steps=400, phases=(*THIRDS.phases[:1], *(Phase(0.5, size, 2, 1) for size in (64, 96)))
    )
    sizes = [both.phase_at(step).image_size for step in range(400)]
    assert (
        set(sizes[:200]) == {32} and 80 < sizes.count(64) < 120 and sizes.count(96) == 200 - sizes.count(64)
    )
    assert sizes == [both.phase_at(step).image_size for step in range(400)]
    worlds = [step % 2 for step in range(200, 400) if sizes[step] == 64]
    assert 30 < sum(worlds) < 70  # nothing else that takes turns by the step goes along


def test_other_rounds_are_for_phases_that_go_on_after_the_first_prompt():
    changed = THIRDS.with_rounds(Rounds(5, 3))
    assert [phase.rounds for phase in changed.phases] == [Rounds(0, 0), Rounds(0, 0), Rounds(5, 3)]
    assert [phase.image_size for phase in changed.phases] == [32, 64, 96]


def test_another_rate_changes_both_optimisers_by_the_same_factor():
    changed = replace(THIRDS, lr=4e-4, muon_lr=8e-4).with_rate(1e-4)
    assert (changed.lr, changed.muon_lr) == (1e-4, 2e-4)
    only_adamw = replace(THIRDS, lr=4e-4, muon_lr=None).with_rate(1e-4)
    assert (only_adamw.lr, only_adamw.muon_lr) == (1e-4, None)
    assert replace(changed, lr=THIRDS.lr, muon_lr=THIRDS.muon_lr) == THIRDS


def test_a_recipe_is_the_papers_unless_it_says_otherwise():
    """Rounds of 8 points and 2 masks alone, a rate that falls to a tenth at two thirds and once more at the end."""
    assert (Rounds().corrective, Rounds().mask_only) == (8, 2)
    assert THIRDS.milestones == pytest.approx((60_000 / 90_000, 86_666 / 90_000), abs=0.003)
    assert (THIRDS.clip_norm, THIRDS.layer_decay, THIRDS.drop_path, THIRDS.linear_decay) == (
        1.0,
        1.0,
        0.0,
        False,
    )
