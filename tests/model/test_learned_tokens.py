"""The rows of an embedding are what calling it gives, also after a change to it or to its class."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from minisam.model.learned_tokens import learned_tokens


def embedding() -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(3, 4)


def test_of_an_embedding_as_built_it_is_the_weight_itself():
    plain = embedding()
    assert learned_tokens(plain, 3) is plain.weight


class Doubled(nn.Embedding):
    def forward(self, input):
        return 2 * super().forward(input)


class Beside(nn.Module):
    """A layer around an embedding, as LoRA puts it there."""

    def __init__(self, base: nn.Embedding) -> None:
        super().__init__()
        self.base = base
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, input):
        return self.scale * self.base(input)


def hooked(plain: nn.Embedding) -> nn.Module:
    plain.register_forward_hook(lambda module, given, out: 2 * out)
    return plain


def replaced(plain: nn.Embedding) -> nn.Module:
    plain.forward = lambda input: 2 * plain.weight[input]
    return plain


def subclass(plain: nn.Embedding) -> nn.Module:
    other = Doubled(3, 4)
    other.load_state_dict(plain.state_dict())
    return other


@pytest.mark.parametrize("change", [hooked, replaced, subclass, Beside])
def test_what_was_changed_is_called(change):
    plain = embedding()
    expected = 2 * plain.weight.detach().clone()
    found = learned_tokens(change(plain), 3)
    torch.testing.assert_close(found.detach(), expected)
    assert found.requires_grad


def test_a_forward_that_was_replaced_for_the_class_is_called(monkeypatch):
    plain, forward = embedding(), nn.Embedding.forward

    def doubled(self, input):
        return 2 * forward(self, input)

    monkeypatch.setattr(nn.Embedding, "forward", doubled)
    torch.testing.assert_close(learned_tokens(plain, 3), 2 * plain.weight)
