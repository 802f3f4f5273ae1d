import torch

from minisam.model.drop_path import DropPath


def test_evaluation_and_rate_zero_are_the_identity():
    x = torch.randn(4, 3, 3, 2)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


def test_whole_samples_are_dropped_and_the_mean_is_kept():
    torch.manual_seed(0)
    y = DropPath(0.4).train()(torch.ones(20_000, 2, 3))
    per_sample = y.flatten(1)
    assert ((per_sample == per_sample[:, :1]).all(dim=1)).all()
    kept = per_sample[:, 0] != 0
    torch.testing.assert_close(per_sample[kept, 0], torch.full((int(kept.sum()),), 1 / 0.6))
    assert abs(kept.float().mean().item() - 0.6) < 0.02


def test_every_sample_is_drawn_for_itself():
    torch.manual_seed(0)
    kept = DropPath(0.5).train()(torch.ones(64, 5))[:, 0] != 0
    assert 0 < kept.sum() < 64
