"""Muon against torch's, against the singular value decomposition, and what it says of bad input."""

from __future__ import annotations

import pytest
import torch

from minisam.train.muon import Muon, orthogonal

SHAPES = [(8, 8), (32, 12), (12, 32), (1, 5), (5, 1), (128, 384)]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_values_go_towards_one(shape: tuple[int, int]) -> None:
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(0)), False)
    values = torch.logspace(0, -1, len(right))
    result = left.T @ orthogonal(left * values @ right) @ right.T
    assert (result - result.diag().diag()).abs().max() < 1e-5
    assert result.diag().min() > 0.6
    assert result.diag().max() < 1.25


def test_scale_does_not_matter_and_zero_stays() -> None:
    matrix = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonal(1000 * matrix), orthogonal(matrix), rtol=1e-5, atol=1e-6)
    assert not orthogonal(torch.zeros(6, 4)).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_of_torch(shape: tuple[int, int]) -> None:
    """torch's is in bfloat16: eight bits, so that single entries agree to a few per cent of the largest."""
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    options = {"lr": 0.1, "weight_decay": 0.3}
    optimizers = (
        Muon([ours], **options),
        torch.optim.Muon([theirs], **options, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(4):
        before = ours.detach().clone(), theirs.detach().clone()
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        step, other = ours.detach() - before[0], theirs.detach() - before[1]
        assert (step - other).norm() < 0.03 * other.norm()
        theirs.data.copy_(ours.data)
    torch.testing.assert_close(
        optimizers[0].state[ours]["momentum_buffer"], optimizers[1].state[theirs]["momentum_buffer"]
    )


def test_state_of_torchs_goes_on() -> None:
    """A run that was begun with torch's optimiser can be finished with this one."""
    parameter = torch.nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(3)))
    parameter.grad = torch.ones(4, 3)
    theirs = torch.optim.Muon([parameter], lr=0.1)
    theirs.step()
    ours = Muon([parameter], lr=0.5)
    ours.load_state_dict(theirs.state_dict())
    ours.step()
    assert ours.param_groups[0]["lr"] == 0.1
    torch.testing.assert_close(ours.state[parameter]["momentum_buffer"], torch.full((4, 3), 0.0975))


def test_without_a_gradient_nothing_moves() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    Muon([parameter], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(parameter, torch.ones(2, 2))


def test_closure_gives_the_loss() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = Muon([parameter], lr=0.1)

    def closure() -> torch.Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4
    assert (parameter < 1).all()


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="Muon is only for matrices, got a parameter of 1 dimensions"):
        Muon([torch.nn.Parameter(torch.ones(3))], lr=0.1)
