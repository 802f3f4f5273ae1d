"""The affinity loss by its definition, one pair of tokens at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from minisam.train.affinity import LEVELS, AffinityHead, affinity_loss


def loss_by_pairs(logits: np.ndarray, nodes: np.ndarray) -> float:
    """logits [B, LEVELS, L, L] and the node of each token [B, LEVELS, L], -1 for none."""
    losses = []
    for image, level, p in np.argwhere(nodes >= 0):
        together, apart, overlap, probabilities, same_count = [], [], 0.0, 0.0, 0
        for q in range(nodes.shape[-1]):
            logit, same = logits[image, level, p, q], nodes[image, level, p] == nodes[image, level, q]
            probability = 1 / (1 + math.exp(-logit))
            (together if same else apart).append(-math.log(probability if same else 1 - probability))
            overlap += probability * same
            probabilities += probability
            same_count += same
        cross_entropy = 0.5 * (sum(together) / len(together) + (sum(apart) / len(apart) if apart else 0))
        losses.append(cross_entropy + 1 - (2 * overlap + 1) / (probabilities + same_count + 1))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(4))
def test_loss_is_the_mean_over_tokens_in_a_node(seed):
    generator = torch.Generator().manual_seed(seed)
    nodes = torch.randint(-1, 3, (2, LEVELS, 3, 3), generator=generator, dtype=torch.int16)
    nodes[0, 0] = 1  # all tokens in one node: nothing is apart
    logits = torch.randn(2, LEVELS, 9, 9, generator=generator) * 3
    labels = torch.randint(-1, 3, (2, LEVELS, 12, 12), generator=generator, dtype=torch.int16)
    labels[..., 2::4, 2::4] = nodes
    expected = loss_by_pairs(logits.double().numpy(), nodes.flatten(2).numpy())
    assert affinity_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_a_tokens_node_is_the_one_in_its_middle():
    labels = torch.full((1, LEVELS, 8, 8), -1, dtype=torch.int16)
    labels[:, :, 2, 2] = labels[:, :, 2, 6] = 5
    together = torch.full((1, LEVELS, 4, 4), -9.0)
    together[:, :, :2, :2] = 9.0
    assert affinity_loss(together, labels).item() < 0.01
    assert affinity_loss(-together, labels).item() > 5


def test_an_image_without_nodes_costs_nothing():
    logits = torch.randn(1, LEVELS, 4, 4, requires_grad=True)
    loss = affinity_loss(logits, torch.full((1, LEVELS, 8, 8), -1, dtype=torch.int16))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_the_head_compares_directions():
    """8 cos - 4 with a matrix for each level: 4 with itself, the same both ways, the same for a brighter token."""
    torch.manual_seed(0)
    head, embedding = AffinityHead(6), torch.randn(2, 6, 2, 3)
    logits = head(embedding)
    assert logits.shape == (2, LEVELS, 6, 6)
    torch.testing.assert_close(head(7 * embedding), logits)
    weights = head.metric.weight.detach().double().numpy().reshape(LEVELS, 6, 6)
    tokens = embedding.double().numpy().reshape(2, 6, 6).transpose(0, 2, 1)
    for image, level, p, q in np.ndindex(2, LEVELS, 6, 6):
        a, b = weights[level] @ tokens[image, p], weights[level] @ tokens[image, q]
        cosine = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
        assert logits[image, level, p, q].item() == pytest.approx(8 * cosine - 4, abs=1e-4)
