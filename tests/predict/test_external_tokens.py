"""Tokens from outside stand after those of points and boxes, for one prompt or for each."""

from __future__ import annotations

import pytest
import torch

from minisam.errors import PromptError
from minisam.predict.external_tokens import append_tokens, check_one_prompt


@pytest.mark.parametrize("own", [0, 2])
@pytest.mark.parametrize(("given", "external"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_every_prompt_has_its_own_tokens_and_then_the_external_ones(given, external, own):
    sparse, dense, more = torch.randn(given, own, 8), torch.randn(given, 8, 2, 3), torch.randn(external, 4, 8)
    prompts = max(given, external)
    tokens, images = append_tokens(sparse, dense, more)
    assert tokens.shape == (prompts, own + 4, 8) and images.shape == (prompts, 8, 2, 3)
    for prompt in range(prompts):
        assert torch.equal(tokens[prompt, :own], sparse[prompt % given])
        assert torch.equal(tokens[prompt, own:], more[prompt % external])
        assert torch.equal(images[prompt], dense[prompt % given])


@pytest.mark.parametrize("shape", [(1, 4, 7), (4, 8), (1, 1, 4, 8)])
def test_tokens_of_another_network_are_named(shape):
    with pytest.raises(PromptError, match=r"must have the shape \(B, n, 8\) for this network"):
        append_tokens(torch.zeros(1, 2, 8), torch.zeros(1, 8, 2, 3), torch.zeros(shape))


@pytest.mark.parametrize(("given", "external"), [(2, 3), (3, 2), (4, 2)])
def test_numbers_of_prompts_that_do_not_fit_are_named(given, external):
    with pytest.raises(PromptError, match=f"{given} prompts cannot have {external} external tokens"):
        append_tokens(torch.zeros(given, 2, 8), torch.zeros(given, 8, 2, 3), torch.zeros(external, 1, 8))


def test_a_single_prompt_takes_the_tokens_of_one():
    check_one_prompt(torch.zeros(1, 4, 8))
    for count in (0, 2):
        with pytest.raises(PromptError, match="use predict_torch for several"):
            check_one_prompt(torch.zeros(count, 4, 8))
