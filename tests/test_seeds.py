from minisam.evaluate.targets import FIRST_SEED
from minisam.seeds import hash_seed


def test_no_two_steps_share_a_seed():
    """Not within a run of a hundred thousand steps, nor with the runs of other seeds near by."""
    seeds = {hash_seed(seed, step) for seed in range(4) for step in range(100_000)}
    assert len(seeds) == 400_000 and min(seeds) > 0 and max(seeds) < 2**31


def test_training_never_draws_the_scenes_of_an_evaluation():
    assert max(hash_seed(seed, step) for seed in range(50) for step in range(0, 30_000, 7)) < FIRST_SEED
