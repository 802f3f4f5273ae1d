"""What an RSPrompter finds and learns, object by object: each value worked out again for one image and one object."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_prompters import DrawnImages, small_prompter

from minisam.adapt.rsprompter import instances, query_matching, query_prompter
from minisam.adapt.rsprompter.examples import input_batch, prepare_example
from minisam.adapt.rsprompter.instances import Sizes, in_original_pixels
from minisam.adapt.rsprompter.prompted_masks import at_input_size
from minisam.adapt.rsprompter.query_decoder import QueryDecoder, QueryPoint, attention_mask
from minisam.adapt.rsprompter.query_loss import uncertain_points
from minisam.adapt.rsprompter.query_matching import match_queries
from minisam.data.skipped import Skipped
from minisam.detect.fcn_mask_head import masks_in_boxes
from minisam.detect.masked_attention import MaskedAttention
from minisam.detect.region_proposals import ProposalRecipe
from minisam.detect.sine_positions import sine_positions
from minisam.detect.two_stage import Positives

FEW = ProposalRecipe(scales=(4.0, 5.7), kept=12)
SIZES = [Sizes((64, 40), (90, 56)), Sizes((48, 64), (48, 64))]


def two_images(prompter):
    pictures = DrawnImages((2, 1)).pictures
    examples = [prepare_example(one, {7: 0, 9: 1}, prompter.image_size, Skipped()) for one in pictures]
    return input_batch(prompter.sam, [one.image for one in examples]), [one.targets for one in examples]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["anchor", "seg", "det", "query"])
def detecting(request):
    prompter = small_prompter(request.param, proposals=FEW, queries=8).eval()
    prompter.sam.mask_threshold = -0.01  # about half of every mask, and none is empty
    return prompter


def test_each_image_of_a_batch_has_what_it_has_alone(detecting):
    images, _ = two_images(detecting)
    images[1] += 0.5 * images[1].flip(1)
    together = detecting.detect(images, SIZES)
    alone = [detecting.detect(images[n : n + 1], SIZES[n : n + 1])[0] for n in range(2)]
    assert not together[0].scores[:5].equal(together[1].scores[:5])
    for one, two in zip(together, alone, strict=True):
        assert len(one.scores) == len(two.scores) > 5
        torch.testing.assert_close(one.scores, two.scores, atol=1e-4, rtol=1e-4)
        assert (one.masks == two.masks).float().mean() > 0.999
        assert one.labels.equal(two.labels)


def test_masks_in_parts_are_the_masks(detecting, monkeypatch):
    images, _ = two_images(detecting)
    at_once = detecting.detect(images, SIZES)
    monkeypatch.setattr(instances, "MASKS_AT_ONCE", 3)
    for one, two in zip(at_once, detecting.detect(images, SIZES), strict=True):
        assert one.labels.equal(two.labels)
        assert (one.masks == two.masks).float().mean() > 0.999


def test_boxes_go_back_to_the_image_as_it_was_given():
    boxes = torch.tensor([[10.0, 20, 30, 40]])
    found = in_original_pixels(boxes, Sizes((50, 100), (100, 300)))
    assert found.tolist() == [[30, 40, 90, 80]]


def test_final_masks_are_enlarged_without_the_padding_and_cut_at_the_threshold():
    sam = small_prompter("anchor").sam
    sam.mask_threshold = 0.5
    logits = torch.linspace(-2, 3, 16 * 16).reshape(1, 16, 16)
    full = F.interpolate(logits[None], (64, 64), mode="bilinear")[..., :40, :64]
    full = F.interpolate(full, (80, 128), mode="bilinear")[0]
    assert instances.final_masks(sam, logits, Sizes((40, 64), (80, 128))).equal(full > 0.5)


# --- boxes ------------------------------------------------------------------------------------------------------------


def test_a_detected_box_is_decoded_on_its_own_image():
    for variant in ("anchor", "seg", "det"):
        prompter = small_prompter(variant, proposals=FEW).eval()
        prompter.sam.mask_threshold = -0.01
        if variant == "seg":
            prompter.mask_head.logits.weight.data *= 1000  # the sign of a random number, pixel by pixel
        images, _ = two_images(prompter)
        found, parts = prompter.detect(images, SIZES)[1], []
        with torch.no_grad():
            embedding, pyramid = prompter.encode(images)
            positioned = prompter.detector.with_positions(pyramid)
            boxes = prompter.detector.detect(pyramid, positioned, [one.scaled for one in SIZES])[1]
            assert found.boxes.equal(boxes.boxes) and found.scores.equal(
                boxes.scores
            )  # the image has its scale
            assert set(boxes.labels.tolist()) == {0, 1}
            for n in (boxes.labels.argmin(), boxes.labels.argmax(), torch.tensor(len(boxes.boxes) - 1)):
                box, index = boxes.boxes[n : n + 1], torch.tensor([1])
                if variant == "seg":
                    features = prompter.detector.in_boxes(positioned, box, index, 14)
                    logits = prompter.mask_head(features)[:, boxes.labels[n]]
                    x0, y0, x1, y1 = box[0].tolist()
                    y, x = (
                        (torch.arange(48) + 0.5 - y0) / (y1 - y0),
                        (torch.arange(64) + 0.5 - x0) / (x1 - x0),
                    )
                    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2)[None] * 2 - 1
                    p = F.grid_sample(logits.sigmoid()[None], grid, align_corners=False)[0, 0]
                    wanted = p >= 0.5
                else:
                    if variant == "det":
                        tokens, dense = prompter.sam.prompt_encoder(None, box, None)
                    else:
                        tokens = prompter.prompt_head(prompter.detector.in_boxes(positioned, box, index, 14))
                        dense = prompter.sam.prompt_encoder(None, None, None)[1]
                    image_pe = prompter.sam.prompt_encoder.get_dense_pe()
                    logits, _ = prompter.sam.mask_decoder(embedding[1:], image_pe, tokens, dense, False)
                    wanted = at_input_size(logits[0], 64)[0, :48, :64] > -0.01
                assert (found.masks[n] ^ wanted).sum() <= 4, variant
                parts.append(wanted.float().mean())
        assert 0.01 < torch.stack(parts).mean() < 0.95


def test_the_mask_losses_of_boxes_are_means_over_boxes_each_with_its_image_and_class():
    boxes = torch.tensor([[4.0, 4, 30, 40], [10, 8, 60, 50], [20, 16, 44, 60]])
    masks = torch.zeros(3, 64, 64, dtype=torch.bool)
    masks[0, 4:40, 4:20] = masks[1, 8:30, 10:60] = masks[2, 30:60, 20:44] = True
    found = Positives(boxes, torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0]), masks)
    for variant, kind in (("anchor", "bce"), ("anchor", "focal"), ("seg", "focal")):
        prompter = small_prompter(variant, mask_loss=kind).eval()
        images, _ = two_images(prompter)
        with torch.no_grad():
            embedding, pyramid = prompter.encode(images)
            positioned = prompter.detector.with_positions(pyramid)
            of_variant = prompter.prompted_loss if variant == "anchor" else prompter.convolutional_loss
            given = (embedding, positioned) if variant == "anchor" else (positioned,)
            whole = of_variant(*given, found)
            each = []
            for n, image in enumerate(found.image_index.tolist()):
                own = [one[image : image + 1] for one in given[-1]]
                alone = Positives(
                    boxes[n : n + 1], torch.tensor([0]), found.labels[n : n + 1], masks[n : n + 1]
                )
                each.append(of_variant(*(one[image : image + 1] for one in given[:-1]), own, alone))
            for n, label in enumerate(found.labels.tolist() if variant == "seg" else ()):
                own = prompter.detector.in_boxes(
                    positioned, boxes[n : n + 1], found.image_index[n : n + 1], 14
                )
                inside = masks_in_boxes(masks[n : n + 1], boxes[n : n + 1])[0]
                by_hand = F.binary_cross_entropy_with_logits(prompter.mask_head(own)[0, label], inside)
                torch.testing.assert_close(each[n], by_hand, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(whole, torch.stack(each).mean(), atol=1e-4, rtol=1e-4)
        assert torch.stack(each).std() > 1e-4


# --- queries ----------------------------------------------------------------------------------------------------------


def test_masked_attention_is_torchs_and_a_query_that_may_look_at_nothing_looks_everywhere():
    torch.manual_seed(0)
    ours, theirs = MaskedAttention(12, 3), torch.nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.q.weight, ours.k.weight, ours.v.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.q.bias, ours.k.bias, ours.v.bias]))
    theirs.out_proj = ours.out
    q, k, v = torch.randn(2, 4, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(ours(q, k, v), theirs(q, k, v, need_weights=False)[0])
    allowed = torch.rand(2, 4, 7) < 0.5
    allowed[0, 1] = False
    looks = allowed.clone()
    looks[0, 1] = True
    expected = theirs(q, k, v, attn_mask=~looks.repeat_interleave(3, dim=0), need_weights=False)[0]
    torch.testing.assert_close(ours(q, k, v, allowed), expected)


def test_the_query_decoder_by_hand():
    torch.manual_seed(0)
    decoder = QueryDecoder(32, 16, classes=2, queries=3, layers=4, heads=4, hidden=64, points=5)
    memory = [torch.randn(2, 32, *grid) for grid in ((8, 7), (4, 3), (2, 1))]
    features = torch.randn(2, 16, 9, 10)
    points = decoder(memory, features)
    x, position = decoder.content.weight.expand(2, 3, 32), decoder.position.weight
    coarse = points[0].coarse
    for number in range(5):
        if number:
            layer, step = decoder.layers[number - 1], (number - 1) % 3
            level = memory[2 - step]
            value = level.flatten(2).transpose(1, 2) + decoder.level_embed.weight[step]
            key = value + sine_positions((level.shape[2], level.shape[3]), 32).flatten(1).T
            allowed = attention_mask(coarse, (level.shape[2], level.shape[3]))
            x = F.layer_norm(x + layer.cross(x + position, key, value, allowed), (32,))
            x = F.layer_norm(x + layer.self_attention(x + position, x + position, x), (32,))
            lin1, _, lin2 = layer.feed_forward.layers
            x = F.layer_norm(x + lin2(lin1(x).relu()), (32,))
        normed = F.layer_norm(x, (32,))

        def head(layers, y=normed):
            linear = [one for one in layers if isinstance(one, torch.nn.Linear)]
            for one in linear[:-1]:
                y = one(y).relu()
            return len(linear), linear[-1](y)

        (of_class, logits), (of_mask, kernels), (of_tokens, numbers) = map(
            head, (decoder.to_class, decoder.to_mask, decoder.to_tokens)
        )
        assert (of_class, of_mask, of_tokens) == (2, 3, 3)
        coarse = (kernels @ features.flatten(2)).unflatten(2, (9, 10))
        pairs = numbers.reshape(2, 3, 5, 16, 2)
        torch.testing.assert_close(points[number].logits, logits)
        torch.testing.assert_close(points[number].coarse, coarse, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(points[number].tokens, pairs[..., 0].sin() + pairs[..., 1])
    assert [one[0].out_features for one in (decoder.to_class, decoder.to_mask, decoder.to_tokens)] == [
        32,
        32,
        16,
    ]


def test_the_cost_of_a_pair_by_hand(monkeypatch):
    costs = []
    solve = query_matching.cheapest_matching
    monkeypatch.setattr(query_matching, "cheapest_matching", lambda c: costs.append(c) or solve(c))
    torch.manual_seed(0)
    logits, coarse, labels = torch.randn(4, 4), torch.randn(4, 6, 6), torch.tensor([2, 0])
    masks, points = torch.rand(2, 12, 12) < 0.4, torch.rand(30, 2)
    match_queries(logits, coarse, labels, masks, points)
    grid = (2 * points - 1)[None, None]
    for query in range(4):
        for thing in range(2):
            z = F.grid_sample(coarse[None, query : query + 1], grid, align_corners=False).flatten()
            t = F.grid_sample(masks[None, thing : thing + 1].float(), grid, align_corners=False).flatten()
            p = z.sigmoid()
            bce = -(t * p.log() + (1 - t) * (1 - p).log()).mean()
            dice = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
            wanted = 5 * bce + 5 * dice - 2 * logits[query].softmax(0)[labels[thing]]
            assert costs[0][query, thing] == pytest.approx(wanted.item(), abs=1e-4)


@pytest.mark.parametrize("count", [8, 10])
def test_three_quarters_of_the_points_are_the_least_certain_of_three_times_as_many(count):
    logits = torch.randn(2, 5, 7, generator=seeded(1))
    points = uncertain_points(logits, count, seeded(4))
    again = seeded(4)
    drawn = torch.rand(2, 3 * count, 2, generator=again)
    certainty = F.grid_sample(logits[:, None], 2 * drawn[:, None] - 1, align_corners=False)[:, 0, 0].abs()
    most = 3 * count // 4
    for own, of, mask in zip(points, drawn, certainty, strict=True):
        nearest = of[mask.argsort()[:most]]
        assert sorted(own[:most].tolist()) == sorted(nearest.tolist())
    assert points[:, most:].equal(torch.rand(2, count - most, 2, generator=again))


@pytest.mark.parametrize(
    ("fine_at", "fine"), [(None, [True] * 4), (2, [False, False, True, True]), (4, [True] * 4)]
)
def test_the_loss_is_the_sum_over_points_the_last_of_them_with_fine_masks(fine_at, fine, monkeypatch):
    prompter = small_prompter("query", fine_at=fine_at).train()
    images, targets = two_images(prompter)
    given = []

    def point_loss(embedding, point, *rest, fine):
        given.append((point, *rest, fine))
        return {
            name: torch.tensor(float(place + 10 ** len(given)))
            for place, name in enumerate(prompter.loss_names)
        }

    monkeypatch.setattr(prompter, "point_loss", point_loss)
    generators = [seeded(0), seeded(1)]
    losses = prompter.loss(images, targets, generators)
    assert [one[-1] for one in given] == fine and len({id(one[0]) for one in given}) == 4
    assert all(one[1:3] == (targets, generators) for one in given)
    assert losses == {"class": 11110, "coarse": 11114, "fine": 11118}


def test_queries_are_matched_at_random_points_of_each_images_generator(monkeypatch):
    prompter = small_prompter("query", loss_points=40).train()
    images, targets = two_images(prompter)
    embedding, points = prompter.points(images)
    seen = []
    monkeypatch.setattr(
        query_prompter, "match_queries", lambda *given: seen.append(given) or match_queries(*given)
    )
    drawn = []
    monkeypatch.setattr(
        query_prompter,
        "uncertain_points",
        lambda logits, count, generator: (
            drawn.append((logits, count, generator)) or uncertain_points(logits, count, generator)
        ),
    )
    generators = [seeded(3), seeded(4)]
    losses = prompter.point_loss(embedding, points[1], targets, generators, fine=False)
    for image, (logits, coarse, labels, masks, where) in enumerate(seen):
        assert logits.equal(points[1].logits[image]) and coarse.equal(points[1].coarse[image])
        assert labels is targets[image].labels and masks is targets[image].masks
        assert not logits.requires_grad and not coarse.requires_grad
        assert where.equal(torch.rand(40, 2, generator=seeded(3 + image)))
    assert [(count, generator) for _, count, generator in drawn] == [(40, one) for one in generators]
    assert losses["fine"] == 0 and losses["coarse"] > 0
    queries = [match_queries(*given)[0] for given in seen]
    for image, (logits, *_) in enumerate(drawn):  # without fine masks the points suit the coarse ones
        torch.testing.assert_close(logits, points[1].coarse[image, queries[image]])


def test_a_fine_mask_is_decoded_with_its_coarse_mask_and_tokens_on_its_image():
    prompter = small_prompter("query").eval()
    embedding, tokens = torch.randn(2, 96, 8, 8), torch.randn(3, 5, 96)
    coarse, index = torch.randn(3, 32, 32), torch.tensor([1, 0, 1])
    found = prompter.fine_masks(embedding, tokens, coarse, index)
    image_pe = prompter.sam.prompt_encoder.get_dense_pe()
    for n in range(3):
        own = embedding[index[n]][None]
        dense = prompter.sam.prompt_encoder(None, None, coarse[None, n : n + 1])[1]
        logits, _ = prompter.sam.mask_decoder(own, image_pe, tokens[n : n + 1], dense, False)
        torch.testing.assert_close(found[n], logits[0, 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("most", [5, 100])
def test_pairs_of_query_and_class_are_objects_by_probability_times_certainty(most, monkeypatch):
    torch.manual_seed(1)
    prompter = small_prompter("query", classes=("a", "b", "c")).eval()
    prompter.sam.mask_threshold = 0.2
    logits, height = 2 * torch.randn(2, 4, 4), torch.randn(2, 4)
    masks = torch.randn(2, 4, 16, 16) + 2 * height[..., None, None]
    masks[:, 2] = -5.0  # an empty mask
    point = QueryPoint(logits, masks, torch.zeros(2, 4, 5, 96))
    monkeypatch.setattr(query_prompter, "MOST", most)
    monkeypatch.setattr(prompter, "points", lambda images: (torch.arange(2.0), [None, point]))
    monkeypatch.setattr(
        prompter, "fine_masks", lambda embedding, tokens, coarse, index: coarse + 0.1 * embedding
    )
    for image, (found, size) in enumerate(zip(prompter.detect(torch.zeros(2), SIZES), SIZES, strict=True)):
        pairs = []
        for query in range(4):
            p = logits[image, query].softmax(0)
            full = prompter.sam.postprocess_masks((masks[image, query] + 0.1 * image)[None, None], *size)[
                0, 0
            ]
            inside = full > 0.2
            mean = full.sigmoid()[inside].mean().item() if inside.any() else None
            pairs += [(p[label].item(), label, mean, inside) for label in range(3)]
        pairs = sorted(pairs, key=lambda one: -one[0])[:most]
        wanted = sorted((-p * mean, label, inside) for p, label, mean, inside in pairs if mean is not None)
        assert found.scores.tolist() == pytest.approx([-one[0] for one in wanted], abs=1e-5)
        assert found.labels.tolist() == [one[1] for one in wanted]
        for mask, box, (_, _, inside) in zip(found.masks, found.boxes.tolist(), wanted, strict=True):
            y, x = inside.nonzero().T
            assert mask.equal(inside) and box == [x.min(), y.min(), x.max() + 1, y.max() + 1]
