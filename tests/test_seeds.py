import torch

from minisam.evaluate.targets import FIRST_SEED
from minisam.seeds import OwnRows, draw, hash_seed


def test_no_two_steps_share_a_seed():
    """Not within a run of a hundred thousand steps, nor with the runs of other seeds near by."""
    seeds = {hash_seed(seed, step) for seed in range(4) for step in range(100_000)}
    assert len(seeds) == 400_000 and min(seeds) > 0 and max(seeds) < 2**31


def test_training_never_draws_the_scenes_of_an_evaluation():
    assert max(hash_seed(seed, step) for seed in range(50) for step in range(0, 30_000, 7)) < FIRST_SEED


def test_whoever_works_on_some_rows_draws_what_the_whole_batch_has_there():
    whole = draw(torch.rand, (7, 2), "cpu", torch.Generator().manual_seed(3))
    parts = [
        draw(
            torch.rand, (rows.stop - rows.start, 2), "cpu", OwnRows(torch.Generator().manual_seed(3), rows, 7)
        )
        for rows in (slice(0, 2), slice(2, 7))
    ]
    assert torch.cat(parts).equal(whole)
    assert torch.manual_seed(5) and draw(torch.randn, (3,), "cpu", None).equal(
        torch.randn(3, generator=torch.Generator().manual_seed(5))
    )
