import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.text.contrastive_loss import contrastive_loss, same_caption


def loss_pair_by_pair(images, texts, scale, captions):
    """Every sum written out, in float64, with no matrix of logits."""
    total = 0.0
    for own, others in ((images, texts), (texts, images)):
        for i in range(len(captions)):
            answers = [j for j in range(len(captions)) if j == i or captions[j] != captions[i]]
            scores = np.array([scale * np.dot(own[i], others[j]) for j in answers])
            total -= (
                scale * np.dot(own[i], others[i]) - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
            )
    return total / (2 * len(captions))


def unit(rows, dim, seed):
    values = np.random.default_rng(seed).normal(size=(rows, dim))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@given(rows=st.integers(1, 7), dim=st.integers(1, 5), names=st.integers(1, 4), scale=st.floats(0.1, 100))
@settings(deadline=None)
def test_it_is_the_sum_over_pairs_without_equal_captions(rows, dim, names, scale):
    images, texts = unit(rows, dim, rows), unit(rows, dim, dim + 100)
    captions = [f"caption {i % names}" for i in range(rows)]
    loss, _ = contrastive_loss(
        torch.tensor(images),
        torch.tensor(texts),
        torch.tensor(scale, dtype=torch.float64).log(),
        same_caption(captions),
    )
    np.testing.assert_allclose(
        loss.item(), loss_pair_by_pair(images, texts, scale, captions), rtol=1e-9, atol=1e-12
    )


def test_the_temperature_has_a_limit():
    images, texts = torch.tensor(unit(4, 3, 0)), torch.tensor(unit(4, 3, 1))
    at_limit, beyond = (contrastive_loss(images, texts, torch.tensor(s).log())[0] for s in (100.0, 1e6))
    torch.testing.assert_close(at_limit, beyond)


def test_finding_counts_both_ways():
    images = torch.eye(3)
    texts = torch.eye(3)[[0, 2, 1]]
    assert contrastive_loss(images, images, torch.zeros(()))[1] == 1
    torch.testing.assert_close(contrastive_loss(images, texts, torch.zeros(()))[1], torch.tensor(1 / 3))


def test_equal_captions_are_found():
    assert same_caption(["a", "b", "a"]).tolist() == [
        [True, False, True],
        [False, True, False],
        [True, False, True],
    ]
