"""RSPrompter-query: matching and losses against transformers' Mask2Former, and its rules one by one."""

from __future__ import annotations

import pytest
import torch
from small_prompters import DrawnImages, small_prompter

from minisam.adapt.rsprompter import query_prompter
from minisam.adapt.rsprompter.examples import input_batch, prepare_example
from minisam.adapt.rsprompter.instances import Sizes
from minisam.adapt.rsprompter.query_decoder import QueryDecoder, attention_mask
from minisam.adapt.rsprompter.query_loss import class_loss, point_mask_loss, uncertain_points
from minisam.adapt.rsprompter.query_matching import match_queries, pairwise_bce, pairwise_dice, values_at
from minisam.data.skipped import Skipped
from minisam.errors import MinisamError

WHY = "pip install transformers brings Mask2Former"


def mask2former():
    return pytest.importorskip("transformers.models.mask2former.modeling_mask2former", reason=WHY)


def batch(prompter, *objects):
    images = DrawnImages(objects)
    examples = [prepare_example(one, {7: 0, 9: 1}, prompter.image_size, Skipped()) for one in images.pictures]
    generators = [torch.Generator().manual_seed(n) for n in range(len(examples))]
    return (
        input_batch(prompter.sam, [one.image for one in examples]),
        [one.targets for one in examples],
        generators,
    )


def test_pairwise_costs_and_losses_equal_mask2formers():
    theirs = mask2former()
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 40), (torch.rand(3, 40) > 0.5).float()
    torch.testing.assert_close(pairwise_dice(logits, targets), theirs.pair_wise_dice_loss(logits, targets))
    expected = theirs.pair_wise_sigmoid_cross_entropy_loss(logits, targets)
    torch.testing.assert_close(pairwise_bce(logits, targets), expected)
    own, wanted = logits[:3], targets
    bce, dice = theirs.sigmoid_cross_entropy_loss(own, wanted, 3), theirs.dice_loss(own, wanted, 3)
    torch.testing.assert_close(point_mask_loss(own, wanted), 5 * bce + 5 * dice)
    points = torch.rand(3, 7, 2)
    maps = torch.randn(3, 6, 9)
    sampled = theirs.sample_point(maps[:, None], points, align_corners=False)[:, 0]
    torch.testing.assert_close(values_at(maps, points), sampled)


def test_the_class_loss_by_hand():
    logits, labels = torch.randn(1, 3, 3), torch.tensor([[0, 2, 2]])
    each = -logits[0].log_softmax(dim=1).gather(1, labels.T)[:, 0]
    expected = 2 * (each[0] + 0.1 * each[1] + 0.1 * each[2]) / 1.2
    torch.testing.assert_close(class_loss(logits, labels), expected)


def disc_masks(count=3, side=24):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([((y - 6 * n - 5) ** 2 + (x - 6 * n - 5) ** 2) < 20 for n in range(count)])


def test_queries_find_their_objects_in_any_order_and_the_class_decides_between_equal_masks():
    masks, order = disc_masks(), [2, 0, 1]
    coarse = torch.cat([masks[order].float() * 20 - 10, torch.full((2, 24, 24), -10.0)])
    points = torch.rand(500, 2, generator=torch.Generator().manual_seed(0))
    queries, objects = match_queries(torch.zeros(5, 3), coarse, torch.tensor([0, 1, 0]), masks, points)
    assert dict(zip(queries.tolist(), objects.tolist(), strict=True)) == dict(enumerate(order))
    same = coarse[:1].expand(2, -1, -1)
    logits = torch.tensor([[9.0, 0, 0], [0.0, 9, 0]])
    queries, objects = match_queries(logits, same, torch.tensor([1]), masks[2:], points)
    assert queries.tolist() == [1] and objects.tolist() == [0]


def test_more_objects_than_queries_leave_some_unmatched_and_none_match_nothing():
    points = torch.rand(50, 2)
    queries, objects = match_queries(
        torch.zeros(2, 3), torch.zeros(2, 6, 6), torch.tensor([0, 1, 0]), disc_masks(), points
    )
    assert queries.tolist() == [0, 1] and len(set(objects.tolist())) == 2
    none = match_queries(
        torch.zeros(2, 3), torch.zeros(2, 6, 6), torch.zeros(0, dtype=torch.int64), disc_masks()[:0], points
    )
    assert [len(one) for one in none] == [0, 0]
    with pytest.raises(MinisamError, match="not finite"):
        match_queries(
            torch.full((2, 3), float("nan")), torch.zeros(2, 6, 6), torch.tensor([0]), disc_masks(1), points
        )


def test_points_are_where_the_mask_is_uncertain():
    logits = torch.linspace(9, -9, 20).expand(1, 20, 20)  # most uncertain around the middle column
    points = uncertain_points(logits, 400, torch.Generator().manual_seed(0))
    near = (points[0, :, 0] - 0.5).abs() < 0.2
    assert points.shape == (1, 400, 2) and near.float().mean() > 0.75
    assert uncertain_points(logits[:0], 40, torch.Generator()).shape == (0, 40, 2)


def test_a_query_looks_only_into_its_coarse_mask():
    coarse = torch.full((1, 2, 8, 8), -5.0)
    coarse[0, 0, :4, :4] = 5.0
    allowed = attention_mask(coarse, (4, 4))
    assert allowed[0, 0].reshape(4, 4).nonzero().amax().item() == 1 and not allowed[0, 1].any()


def test_there_is_a_point_before_the_first_layer_and_after_each_with_a_shared_norm_and_levels_from_coarse_to_fine():
    torch.manual_seed(0)
    decoder = QueryDecoder(32, 16, classes=2, queries=3, layers=4, heads=4, hidden=64, points=5)
    memory = [torch.randn(2, 32, side, side) for side in (8, 4, 2)]
    sizes = []
    for layer in decoder.layers:
        layer.cross.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[1].shape[1]))
    points = decoder(memory, torch.randn(2, 16, 16, 16))
    assert len(points) == 5 and sizes == [4, 16, 64, 4]
    assert points[0].logits.shape == (2, 3, 3) and points[0].coarse.shape == (2, 3, 16, 16)
    assert points[0].tokens.shape == (2, 3, 5, 16)


def test_each_layer_looks_into_the_masks_of_the_point_before_it():
    torch.manual_seed(0)
    decoder = QueryDecoder(32, 16, classes=2, queries=3, layers=4, heads=4, hidden=64, points=5)
    memory = [torch.randn(2, 32, side, side) for side in (8, 4, 2)]
    seen = []
    for layer in decoder.layers:
        layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[4]))
    points = decoder(memory, torch.randn(2, 16, 16, 16))
    for allowed, point, side in zip(seen, points, (2, 4, 8, 2), strict=False):
        assert allowed.equal(attention_mask(point.coarse, (side, side)))
    assert not points[0].coarse.gt(0).equal(points[2].coarse.gt(0))


def test_losses_of_a_point_by_hand(monkeypatch):
    """At fixed points, the coarse loss is that of the coarse masks and the fine one that of the fine masks."""
    prompter = small_prompter("query").train()
    inputs, targets, generators = batch(prompter, 2, 1)
    at = torch.rand(9, 2, generator=torch.Generator().manual_seed(3))
    where = []

    def fixed(logits, count, generator):
        where.append(logits)
        return at.expand(len(logits), -1, -1)

    monkeypatch.setattr(query_prompter, "uncertain_points", fixed)
    embedding, points = prompter.points(inputs)
    pairs = [
        match_queries(points[-1].logits[n], points[-1].coarse[n], one.labels, one.masks, torch.rand(9, 2))
        for n, one in enumerate(targets)
    ]
    in_turn = iter(pairs)
    monkeypatch.setattr(query_prompter, "match_queries", lambda *_: next(in_turn))
    losses = prompter.point_loss(embedding, points[-1], targets, generators, fine=True)
    index = torch.tensor([0, 0, 1])
    queries = torch.cat([queries for queries, _ in pairs])
    masks = torch.cat([one.masks[own] for one, (_, own) in zip(targets, pairs, strict=True)]).float()
    coarse = points[-1].coarse[index, queries]
    fine = prompter.fine_masks(embedding, points[-1].tokens[index, queries], coarse, index)
    at_points, wanted = at.expand(3, -1, -1), values_at(masks, at.expand(3, -1, -1))
    torch.testing.assert_close(losses["coarse"], point_mask_loss(values_at(coarse, at_points), wanted))
    torch.testing.assert_close(losses["fine"], point_mask_loss(values_at(fine, at_points), wanted))
    torch.testing.assert_close(torch.cat(where), fine)
    labels = torch.full(points[-1].logits.shape[:2], 2)
    labels[index, queries] = torch.cat(
        [one.labels[own] for one, (_, own) in zip(targets, pairs, strict=True)]
    )
    torch.testing.assert_close(losses["class"], class_loss(points[-1].logits, labels))


def test_fine_masks_send_no_gradient_into_the_coarse_ones():
    prompter = small_prompter("query").train()
    inputs, *_ = batch(prompter, 1)
    embedding, points = prompter.points(inputs)
    index = torch.zeros(2, dtype=torch.int64)
    coarse = points[-1].coarse[0, :2]
    fine = prompter.fine_masks(embedding, points[-1].tokens[0, :2], coarse, index)
    wanted = [points[-1].coarse, points[-1].tokens]
    into_coarse, into_tokens = torch.autograd.grad(fine.sum(), wanted, allow_unused=True)
    assert into_coarse is None and into_tokens.abs().sum() > 0


@pytest.mark.parametrize("objects", [(2, 1), (0, 1), (0, 0)])
def test_it_trains_with_and_without_objects(objects):
    prompter = small_prompter("query").train()
    losses = prompter.loss(*batch(prompter, *objects))
    assert tuple(losses) == prompter.loss_names
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total.isfinite() and prompter.query_decoder.content.weight.grad is not None
    if objects == (0, 0):
        assert losses["coarse"] == losses["fine"] == 0
    else:
        assert prompter.sam.mask_decoder.mask_tokens.weight.grad is not None
    assert prompter.sam.prompt_encoder.no_mask_embed.weight.grad is None


def test_fine_masks_are_decoded_for_matched_queries_at_the_last_points(monkeypatch):
    decoded = []
    real = query_prompter.decode_prompts
    monkeypatch.setattr(
        query_prompter,
        "decode_prompts",
        lambda sam, e, tokens, *rest: decoded.append(len(tokens)) or real(sam, e, tokens, *rest),
    )
    for fine_at, points in ((2, 2), (None, 4)):
        decoded.clear()
        prompter = small_prompter("query", fine_at=fine_at).train()
        prompter.loss(*batch(prompter, 2, 1))
        assert decoded == [3] * points


@pytest.mark.parametrize("deformable", [False, True])
def test_what_it_finds(deformable):
    prompter = small_prompter("query", deformable=deformable, query_width=64).eval()
    with torch.no_grad():
        prompter.sam.mask_decoder.output_upscaling[3].bias.fill_(1.0)
    inputs, *_ = batch(prompter, 2)
    (found,) = prompter.detect(inputs, [Sizes((64, 32), (90, 45))])
    assert found.masks.shape[1:] == (90, 45) and len(found.boxes) <= 60
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    for box, mask in zip(found.boxes.int().tolist(), found.masks, strict=True):
        assert mask[box[1] : box[3], box[0] : box[2]].sum() == mask.sum() > 0
