import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.train.initialise import initialise_
from minisam.train.interactive import Rounds, interactive_rounds
from minisam.train.losses import full_size_loss, segmentation_loss

E = CONFIGS["nano"].prompt_dim


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    initialise_(sam)
    return sam


def some_masks(count=4, size=64):
    masks = torch.zeros(count, size, size, dtype=torch.bool)
    for index in range(count):
        masks[index, 10 : 30 + 4 * index, 12:40] = True
    return masks


def test_the_papers_schedule_has_eight_points_and_two_mask_only_rounds_one_of_them_last():
    generator = torch.Generator().manual_seed(0)
    schedules = [tuple(Rounds(8, 2).schedule(generator)) for _ in range(300)]
    assert {len(s) for s in schedules} == {10}
    assert {sum(s) for s in schedules} == {8}
    assert not any(s[-1] for s in schedules)
    assert {s[:-1].index(False) for s in schedules} == set(range(9))


def test_no_rounds_means_the_first_prompt_only():
    assert Rounds(0, 0).schedule() == []


def test_fewer_than_no_rounds_are_refused():
    for corrective, mask_only in ((-1, 2), (8, -2)):
        with pytest.raises(ValueError, match="use 0 or more"):
            Rounds(corrective, mask_only)


def test_first_round_trains_three_masks_and_later_rounds_one(nano):
    embeddings = torch.randn(2, E, 8, 8)
    index = torch.tensor([0, 0, 1, 1])
    losses = interactive_rounds(
        nano, embeddings, index, some_masks(), [True, False], torch.Generator().manual_seed(0)
    )
    assert [loss.true_iou.shape for loss in losses] == [(4, 3), (4, 1), (4, 1)]


def gradient_norm(module):
    return sum(p.grad.abs().sum().item() for p in module.parameters() if p.grad is not None)


def test_which_heads_a_single_round_trains(nano):
    nano.zero_grad(set_to_none=True)
    embeddings = torch.randn(1, E, 8, 8, requires_grad=True)
    losses = interactive_rounds(nano, embeddings, torch.zeros(4, dtype=torch.long), some_masks(), [])
    losses[0].total.backward()
    heads = nano.mask_decoder.output_hypernetworks_mlps
    assert gradient_norm(heads[0]) == 0
    assert sum(gradient_norm(heads[m]) > 0 for m in (1, 2, 3)) >= 1
    assert embeddings.grad.abs().sum() > 0
    nano.zero_grad(set_to_none=True)


def test_feedback_carries_no_gradient_but_trains_the_mask_network(nano):
    nano.zero_grad(set_to_none=True)
    embeddings = torch.randn(1, E, 8, 8)
    losses = interactive_rounds(nano, embeddings, torch.zeros(4, dtype=torch.long), some_masks(), [True])
    losses[1].total.backward()
    assert gradient_norm(nano.prompt_encoder.mask_downscaling) > 0
    heads = nano.mask_decoder.output_hypernetworks_mlps
    assert gradient_norm(heads[0]) > 0
    assert all(gradient_norm(heads[m]) == 0 for m in (1, 2, 3))
    nano.zero_grad(set_to_none=True)


def test_every_round_has_the_loss_that_is_given(nano):
    def shapes(logits, iou, targets):
        given.append((logits.shape, iou.shape, targets.shape))
        return segmentation_loss(logits, iou, targets)._replace(total=logits.sum() * 0 + len(given))

    given, index = [], torch.zeros(4, dtype=torch.long)
    losses = interactive_rounds(nano, torch.randn(1, E, 8, 8), index, some_masks(), [True], loss=shapes)
    assert given == [((4, masks, 32, 32), (4, masks), (4, 32, 32)) for masks in (3, 1)]
    assert [loss.total.item() for loss in losses] == [1, 2]


class Script:
    """A network with known masks; it records its prompts."""

    mask_input_size = (4, 4)

    def __init__(self, answers):
        self.answers, self.asked = iter(answers), []
        self.prompt_encoder = self.mask_downscaling = self

    def get_dense_pe(self):
        return None

    def __call__(self, *prompt):
        if len(prompt) == 3:  # no prompt at all
            return None, torch.zeros(1, 1, 2, 2)
        self.fed_back = prompt[0]
        return torch.ones(len(prompt[0]), 1, 2, 2)

    def embed_points(self, coords, labels, pad):
        self.points = coords, labels
        return torch.zeros(len(coords), coords.shape[1], 1)

    def mask_decoder(self, embeddings, image_pe, sparse, dense, multimask_output):
        self.asked.append((embeddings[:, 0, 0, 0].tolist(), *self.points, dense, multimask_output))
        return next(self.answers)


@pytest.mark.parametrize("clear_prompts", [False, True])
def test_at_full_size_the_loss_gets_the_masks_themselves(nano, clear_prompts):
    seen = []

    def watched(logits, iou, targets):
        seen.append(targets)
        return full_size_loss(logits, iou, targets)

    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 4:40, 8:30], masks[1, 20:50, 31] = True, True
    boxes = torch.tensor([[[8.0, 4], [29, 39]], [[31, 20], [31, 49]]]), torch.tensor([[2, 3], [2, 3]])
    embeddings = torch.randn(1, 96, 8, 8, generator=torch.Generator().manual_seed(0))
    rounds = interactive_rounds(
        nano,
        embeddings,
        torch.tensor([0, 0]),
        masks,
        [True],
        torch.Generator().manual_seed(0),
        boxes,
        loss=watched,
        clear_prompts=clear_prompts,
        full_size=True,
    )
    assert len(seen) == (3 if clear_prompts else 2) and all(torch.equal(one, masks.float()) for one in seen)
    assert all(one.total.isfinite() for one in rounds)


def test_every_prompt_is_corrected_by_its_own_mask_and_the_one_ranked_first_goes_back():
    """The first prompt's mask misses a pixel, the second's has a false positive; the other masks are all wrong."""
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[:, :4, :4] = True
    right = torch.where(masks[:, ::2, ::2], 3.0, -3.0)
    right[0, 1, 1], right[1, 3, 2] = -0.25, 0.25
    logits = torch.full((2, 3, 4, 4), 9.0, dtype=torch.bfloat16)
    logits[0, 2], logits[1, 1] = right[0].bfloat16(), right[1].bfloat16()
    iou = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.4, 0.3]])
    sam = Script([(logits, iou), (right[:, None], torch.zeros(2, 1))])
    first = torch.tensor([[[1.0, 1.0]], [[2.0, 2.0]]]), torch.ones(2, 1, dtype=torch.long)
    embeddings = torch.arange(3.0)[:, None, None, None].expand(3, 1, 2, 2)

    interactive_rounds(sam, embeddings, torch.tensor([2, 0]), masks, [True], first=first)  # type: ignore

    (images, coords, labels, dense, three), (images_again, more, more_labels, fed, one) = sam.asked
    assert images == images_again == [2, 0] and (three, one) == (True, False)
    assert coords.equal(first[0]) and labels.equal(first[1]) and dense.eq(0).all() and fed.eq(1).all()
    assert sam.fed_back.dtype == torch.float32 and sam.fed_back.equal(right[:, None])
    assert more.tolist() == [[[1.0, 1.0], [2.5, 2.5]], [[2.0, 2.0], [4.5, 6.5]]]
    assert more_labels.tolist() == [[1, 1], [1, 0]]


def test_a_mask_only_round_has_the_points_of_the_one_before():
    masks = torch.ones(2, 8, 8, dtype=torch.bool)
    answer = torch.full((2, 1, 4, 4), -1.0), torch.zeros(2, 1)
    sam = Script([(answer[0].expand(2, 3, 4, 4), answer[1].expand(2, 3)), answer, answer, answer])
    interactive_rounds(
        sam, torch.zeros(1, 1, 2, 2), torch.zeros(2, dtype=torch.long), masks, [True, False, True]
    )  # type: ignore
    assert [asked[1].shape[1] for asked in sam.asked] == [2, 3, 3, 4]
    assert sam.asked[2][1].equal(sam.asked[1][1]) and sam.asked[3][1][:, :3].equal(sam.asked[1][1])


def first_as(boxes):
    """Four first prompts: `boxes` says which of them are boxes; the others are points."""
    boxes = torch.tensor(boxes)
    coords = torch.tensor([[12.0, 10.0], [39.0, 29.0]]).expand(4, -1, -1)
    labels = torch.where(boxes[:, None], torch.tensor([2, 3]), torch.tensor([1, -1]))
    return coords, labels


def trained_heads(nano, **options):
    nano.zero_grad(set_to_none=True)
    losses = interactive_rounds(
        nano, torch.randn(1, E, 8, 8), torch.zeros(4, dtype=torch.long), some_masks(), [], **options
    )
    losses[0].total.backward()
    heads = [gradient_norm(head) > 0 for head in nano.mask_decoder.output_hypernetworks_mlps]
    nano.zero_grad(set_to_none=True)
    return heads[0], any(heads[1:]), losses[0]


@pytest.mark.parametrize("clear_prompts", [False, True])
@pytest.mark.parametrize("boxes", [[False] * 4, [True, False, False, True], [True] * 4])
def test_boxes_train_mask_0_beside_the_three_where_clear_prompts_are_asked_for(nano, boxes, clear_prompts):
    mask_0, three, loss = trained_heads(nano, first=first_as(boxes), clear_prompts=clear_prompts)
    assert three and mask_0 == (clear_prompts and any(boxes))
    assert loss.true_iou.shape == (4, 3)


def test_mask_0_counts_by_the_share_of_clear_prompts(nano):
    def constant(logits, iou, targets):
        return segmentation_loss(logits, iou, targets)._replace(total=torch.tensor(float(logits.shape[1])))

    for boxes, expected in (([True, False, False, True], 3 + 0.5), ([True] * 4, 3 + 1), ([False] * 4, 3)):
        losses = interactive_rounds(
            nano,
            torch.randn(1, E, 8, 8),
            torch.zeros(4, dtype=torch.long),
            some_masks(),
            [],
            first=first_as(boxes),
            loss=constant,
            clear_prompts=True,
        )
        assert losses[0].total.item() == pytest.approx(expected)


@pytest.mark.parametrize("promised", [-1.0, 1.0], ids=["mask 0 promises least", "mask 0 promises most"])
def test_after_a_clear_prompt_mask_0_is_fed_back_and_after_others_the_best_of_three(
    nano, monkeypatch, promised
):
    """What mask 0 promises decides nothing."""
    fed, decoded = [], []
    nano.prompt_encoder.mask_downscaling.register_forward_pre_hook(
        lambda _, given: fed.append(given[0].clone())
    )
    predict = nano.mask_decoder.predict_masks

    def predict_masks(*given):
        logits, iou = predict(*given)
        decoded.append((logits, torch.cat([iou[:, :1] + 100 * promised, iou[:, 1:]], dim=1)))
        return decoded[-1]

    monkeypatch.setattr(nano.mask_decoder, "predict_masks", predict_masks)
    try:
        interactive_rounds(
            nano,
            torch.randn(1, E, 8, 8),
            torch.zeros(4, dtype=torch.long),
            some_masks(),
            [True],
            first=first_as([True, False, True, False]),
            clear_prompts=True,
        )
    finally:
        nano.prompt_encoder.mask_downscaling._forward_pre_hooks.clear()
    logits, iou = decoded[0]
    best = 1 + iou[:, 1:].argmax(dim=1)
    for prompt, mask in enumerate([0, best[1], 0, best[3]]):
        assert torch.equal(fed[0][prompt, 0], logits[prompt, mask].detach())


def test_a_mask_alone_as_the_first_prompt_has_no_tokens_and_trains_all_heads(nano, monkeypatch):
    tokens = []
    embed = nano.prompt_encoder.embed_points
    monkeypatch.setattr(
        nano.prompt_encoder, "embed_points", lambda *a, **k: tokens.append(embed(*a, **k)) or tokens[-1]
    )
    mask_0, three, _ = trained_heads(nano, mask_first=True, clear_prompts=True)
    assert mask_0 and three
    assert tokens[0].shape[1] == 0
    tokens.clear()
    interactive_rounds(
        nano,
        torch.randn(1, E, 8, 8),
        torch.zeros(4, dtype=torch.long),
        some_masks(),
        [True, False, True],
        mask_first=True,
        clear_prompts=True,
    )
    assert [t.shape[1] for t in tokens] == [0, 2, 2, 3]
