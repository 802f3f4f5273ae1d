"""Texts for a caption, by hand, and how they are chosen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from minisam.data.partworld import render_scenes
from minisam.text import pairs as pairs_file
from minisam.text.pairs import draw_pairs, opening, phrasings, pick

CAPTION = "dark grey plain wheel of the car"


def test_shorter_texts_for_a_caption():
    assert phrasings(CAPTION) == [
        "plain dark grey wheel of the car",
        "dark grey wheel of the car",
        "dark grey plain wheel",
        "plain dark grey wheel",
        "dark grey wheel",
    ]
    assert phrasings("grey plain car")[2:] == ["grey plain car", "plain grey car", "grey car"]
    assert opening("dark grey plain", ("dark", "dark grey", "grey")) == "dark grey"


@pytest.mark.parametrize(("number", "item"), [(0.0, "a"), (0.33, "a"), (0.34, "b"), (0.99, "c")])
def test_a_number_picks_an_item(number, item):
    assert pick(["a", "b", "c"], number) == item


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_pairs_are_masks_with_their_caption_and_a_true_text(share):
    scenes = render_scenes(0, 4, 64, object_scale=1.5)
    pairs = draw_pairs(scenes, 5, 3, 1 / 200, share)
    whole = 0
    for mask, image, caption, text in zip(*pairs, strict=True):
        nodes = [k for k, own in enumerate(scenes.captions[image]) if own == caption]
        assert any(torch.equal(mask, scenes.labels[image, scenes.level[image, k].long()] == k) for k in nodes)
        assert text == caption or text in phrasings(caption)
        whole += text == caption
    assert len(pairs.captions) > 8 and max(pairs.image_index.bincount()) <= 5
    assert whole == len(pairs.captions) if share == 1 else whole < len(pairs.captions)
    again = draw_pairs(scenes, 5, 3, 1 / 200, share)
    assert again.texts == pairs.texts and torch.equal(again.masks, pairs.masks)
    other = draw_pairs(replace(scenes), 5, 4, 1 / 200, share)
    assert other.captions != pairs.captions


def test_a_share_of_the_texts_is_the_caption_and_the_others_are_all_five_shorter_ones_equally_often(
    monkeypatch,
):
    """Whether a text is the caption, and which shorter text it is otherwise, are drawn separately."""
    count = 4000
    scenes = SimpleNamespace(
        labels=torch.zeros(1, 3, 2, 2),
        level=torch.zeros(1, 1),
        captions=[[CAPTION.replace("dark grey", "red")]],
    )
    chosen = torch.zeros(count, dtype=torch.long)
    monkeypatch.setattr(pairs_file, "choose_targets", lambda *_: (chosen, chosen))
    pairs = draw_pairs(scenes, count, 0, 1 / 200, 0.4)  # pyright: ignore[reportArgumentType]
    counts = Counter(pairs.texts)
    caption = pairs.captions[0]
    shorter = phrasings(caption)
    assert counts[caption] / count == pytest.approx(0.4, abs=0.03)
    for text in shorter:
        assert counts[text] / count == pytest.approx(0.6 / 5, abs=0.02)
    assert set(counts) == {caption, *shorter}
