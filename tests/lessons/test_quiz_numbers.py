"""Where the answer to a quiz is a number, its right option is what the lessons' solutions or the library compute."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.lesson.find import lesson, lessons
from minisam.lesson.quiz import read_quiz
from minisam.lesson.source import run_file
from minisam.masks.iou import mask_iou
from minisam.masks.nms import box_nms
from minisam.masks.rle import encode_rle
from minisam.masks.stability_score import calculate_stability_score
from minisam.predict.resize_longest_side import ResizeLongestSide
from minisam.train.losses import dice_loss
from minisam_kernels.cases import make_case
from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.work import attention_work
from minisam_kernels.reference.attention import attention
from minisam_kernels.reference.softmax import softmax

VIT_B = CONFIGS["vit_b"]


def solution(number: int, name: str) -> Callable:
    return getattr(run_file(lesson(number).folder / "solution.py"), name)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def stripes(*counts: int) -> torch.Tensor:
    """Masks of one row, [len(counts), 1, max(counts)], each with so many pixels from the left."""
    return (torch.arange(max(counts)) < torch.tensor(counts)[:, None])[:, None]


# Lessons 0 to 10


def resized() -> str:
    height, width = ResizeLongestSide.get_preprocess_shape(600, 400, 256)
    return f"{height} high and {width} wide, then padded to 256 × 256"


def shared_40() -> str:
    mask, target = torch.zeros(2, 100, dtype=torch.bool)
    mask[:60], target[20:] = True, True
    return f"{mask_iou(mask[None, None], target[None, None]).item():g}"


def tokens_and_numbers() -> tuple[int, int]:
    _, numbers, tokens = torch.nn.functional.unfold(torch.zeros(1, 3, 1024, 1024), 16, stride=16).shape
    return tokens, numbers


def sparse_embeddings_of_a_box() -> str:
    sparse, _ = build_from_config(CONFIGS["nano"]).prompt_encoder(
        None, torch.tensor([[1.0, 2, 30, 40]]), None
    )
    return str(sparse.shape[1])


# Lessons 11 to 15


def shrinks() -> str:
    focal, cross_entropy = (
        solution(11, "focal_loss")(np.full((1, 1, 1), logit(0.8)), np.ones((1, 1, 1)), 1.0, gamma).item()
        for gamma in (2.0, 0.0)
    )
    return f"{focal / cross_entropy:.2f}"


def frequent_enough() -> str:
    """The share of foreground from which focal loss with α = 0.25 is least above p = 1/2."""
    p = np.linspace(0.001, 0.999, 999)
    foreground, background = 0.25 * (1 - p) ** 2 * -np.log(p), 0.75 * p**2 * -np.log(1 - p)
    best = [p[(q * foreground + (1 - q) * background).argmin()] for q in np.arange(0, 1.0, 0.01)]
    last_outside = max(n for n, one in enumerate(best) if one <= 0.5 + 1e-9)
    return f"No: it would have to be foreground in more than {last_outside} %"


def ceiling() -> str:
    masks = stripes(100, 200, 400).float().numpy()[None]
    return f"{solution(11, 'one_mask_ceiling')(masks, np.full((1, 3), 1 / 3)).item():.2f}"


def dice_of_nothing() -> str:
    target = torch.zeros(100, 100)
    target.view(-1)[:50] = 1
    return f"{dice_loss(torch.full((100, 100), logit(0.01)), target).item():.2f}"


def column_10() -> str:
    region = np.zeros((1, 256, 256))
    region[0, 0, 10] = 1
    return f"{solution(12, 'sample_points')(region, np.zeros(1), 1024)[0, 0]:g}"


def background_clicks() -> str:
    logits, targets = torch.full((2, 1, 10, 20), -1.0)
    targets[:, :5] = 1.0  # 100 wanted
    logits[:, :5] = 1.0
    logits[0, 0], logits[0, 1, :10] = -1.0, -1.0  # 30 missed
    logits[0, 5:9], logits[0, 9, :10] = 1.0, 1.0  # 90 outside
    missed, outside = solution(12, "corrections")(logits, targets.clamp(0, 1))[0].sum(dim=(1, 2)).tolist()
    assert (missed, outside) == (30, 90)
    return f"{outside / (missed + outside):g}"


def box_moves() -> str:
    masks = np.zeros((1, 1024, 1024))
    masks[0, 300:700, 300:700] = 1
    x0 = solution(12, "noisy_boxes")(masks, np.full((1, 4), 1.5))[0, 0]
    return f"{x0 - 300:g} pixels"


def stability() -> str:
    logits = torch.tensor([2.0] * 900 + [0.5] * 40 + [-0.5] * 60 + [-2.0] * 100)[None, None]
    return f"{calculate_stability_score(logits, 0.0, 1.0).item():.2f}"


def kept() -> str:
    shift = 20 / 9  # two squares of side 20 that are moved by it share 8/10 of both
    boxes = np.array([[n * shift, 0, n * shift + 20, 20] for n in range(3)])
    iou = solution(13, "box_iou")(torch.from_numpy(boxes)).numpy()
    assert iou[0, 1].round(6) == iou[1, 2].round(6) == 0.8 and iou[0, 2] < 0.7
    return " and ".join("ABC"[box] for box in sorted(box_nms(boxes, np.array([0.9, 0.8, 0.7]), 0.7)))


def counts() -> str:
    return ", ".join(map(str, encode_rle(np.array([[1, 1, 0], [1, 0, 0]]))["counts"]))


def ring_and_disc() -> str:
    boxes = torch.tensor([[0.0, 0, 100, 100], [5, 5, 95, 95]])
    iou = solution(13, "box_iou")(boxes)[0, 1].item()
    return f"It removes one, because their boxes have an IoU of {iou:.2f}"


def numbers_moved() -> str:
    steps = {"times 2": (1, 1), "plus 1": (1, 1), "relu": (1, 1)}  # read, written
    return f"{sum(read + written for read, written in steps.values())} N, and 2 N"


def smallest_block() -> str:
    block = 1 << (300 - 1).bit_length()
    return f"{block}, with {block - 300} masked"


def read_without_a_mask() -> str:
    lanes = 2 * 5 + np.arange(8)
    return f"{lanes[0]} to {lanes[-1]}"


def running_sum() -> str:
    state = np.array([[0.0, 8.0, 0.0]])
    return f"{solution(15, 'add_tile')(state, np.array([[math.log(4)]]), np.zeros((1, 1)))[0, 1]:.0f}"


def bytes_of_scores(side: int) -> str:
    tokens = side**2
    assert attention_work("attention", 1, 12, tokens, tokens, 64).total("exponentials") == 12 * tokens**2
    return f"{12 * tokens**2 * 2 / 1e6:.0f} MB"


def reachable() -> str:
    gpu = GPUS["H100"]
    return f"{min(gpu.products, 100 * gpu.bytes) / 1e12:.0f}"


# Lessons 16 to 20


def weight_of_a_key() -> str:
    """c · q kᵀ + rel_w = 2, rel_h = 1, m = 3, in base 2; the state is m with a sum of 0."""
    log2e, state = math.log2(math.e), np.array([[3.0, 0.0, 0.0]])
    q, k, v = np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 1))
    rel_h, rel_w = np.array([1 / log2e]), np.array([[2 / log2e]])
    added = solution(16, "add_grid_row")(state, q, k, v, rel_h, rel_w, 1.0)
    assert added[0, 0].round(9) == 3
    return f"{added[0, 1]:.9g}"


def bias_numbers() -> str:
    """Of one query, on a grid of 32 × 32."""
    inputs = rel_pos_inputs(32)
    return str(inputs["rel_h"].shape[-1] + inputs["rel_w"].shape[-1])


def rel_pos_inputs(side: int) -> dict[str, np.ndarray]:
    return make_case("rel_pos_attention", "a square grid", (1, 1, side, side, 8)).inputs


def wasted(columns: int) -> str:
    tile = 1 << (columns - 1).bit_length()
    return f"{1 - columns / tile:.0%}".replace("%", " %")


def first_of_window_6() -> str:
    tokens = np.arange(30 * 50.0).reshape(1, 30, 50, 1)
    first = int(solution(17, "window_slots")(tokens, np.zeros(1), 6, 14)[0, 0])
    return f"Row {first // 50}, column {first % 50}"


def key_of_a_head() -> str:
    places = np.arange(101 * 3 * 768).reshape(101, 3, 12, 64)  # token, q k v, head, channel
    return f"{places[100, 1, 2, 0]:,}"


def row_offsets() -> str:
    offsets = [3 - key for key in range(14)]
    return f"{min(offsets)} to {max(offsets)}".replace("-", "−")


def grad_of_a_score(added: float = 0.0) -> str:
    weights, grad_weights = np.array([[0.75, 0.25]]), np.array([[4.0, 0.0]]) + added
    return f"{solution(18, 'softmax_backward')(weights, grad_weights)[0, 0]:g}"


def delta() -> str:
    """For two values that average to (3, −1); dP is their products with dO."""
    values, grad_out, weights = np.array([[1.0, 1], [5, -3]]), np.array([1.0, 2]), np.array([0.5, 0.5])
    assert (weights @ values).tolist() == [3, -1]
    return f"{weights @ (values @ grad_out):g}"


def grad_rel_w() -> str:
    grad_scores = torch.tensor([[[1.0, 2, 3, -6]]])
    return f"{solution(18, 'bias_gradients')(grad_scores, 2, 2)[0, 0, 2].item():g}"


def occupied() -> str:
    return f"{solution(19, 'occupancy')(100, 20 * 1024, 4):.0%}".replace("%", " %")


def floor_of_narrow_heads() -> str:
    microseconds = solution(19, "attention_floor")(12, 4096, 32, GPUS["H200"])
    assert round(solution(19, "attention_floor")(12, 4096, 64, GPUS["H200"])) == 66
    return f"{microseconds:.0f} µs"


def share_of_the_floor() -> str:
    gpu = GPUS["H100"]
    milliseconds = 2 * solution(19, "attention_floor")(16, 4096, 80, gpu) / 1e3
    return f"{solution(19, 'share_of_floor')(milliseconds, 16, 4096, 80, gpu):.3g}"


def multiply_adds(tokens: int) -> tuple[int, int]:
    """Scores of absorbed rows; keys' projection and scores. 4096 image tokens, 256 channels, 8 heads of 16."""
    return tokens * 8 * 4096 * 256, 4096 * 256 * 128 + tokens * 4096 * 128


def absorb_30() -> str:
    absorbed, projected = multiply_adds(30)
    assert multiply_adds(17)[0] < multiply_adds(17)[1] and multiply_adds(18)[0] > multiply_adds(18)[1]
    return f"No: {absorbed / 1e6:.0f} million multiply-adds instead of {projected / 1e6:.0f}"


def joined() -> str:
    row_max, row_sum, acc = (
        np.array([[0.0], [math.log(3)]]),
        np.array([[2.0], [1.0]]),
        np.array([[[4.0]], [[5.0]]]),
    )
    return f"{solution(20, 'join_parts')(row_max, row_sum, acc).item():.3g}"


def absorbed_rows() -> str:
    _, heads, tokens, channels = solution(20, "absorb_keys")(
        np.zeros((1, 7, 128)), np.zeros((128, 256)), 8
    ).shape
    return f"{heads * tokens} rows of {channels} channels"


# Lessons 21 to 27


def target_of_a_3() -> str:
    image = np.array([[[1.0, 1.0], [3.0, 3.0]]]).repeat(3, axis=0)[None]
    of_three_colours = solution(21, "patch_targets")(image, 2).max()
    assert np.isclose(of_three_colours, 1 / np.std([1, 1, 3, 3] * 3, ddof=1), rtol=1e-5)
    return f"{1 / np.std([1, 1, 3, 3], ddof=1):.2f}"


def visible() -> str:
    tokens = np.arange(4.0).reshape(1, 4, 1)
    kept = solution(21, "visible_patches")(tokens, np.array([[0.4, 0.9, 0.1, 0.7]]), 2)
    return ", then ".join(f"{token:g}" for token in kept.ravel())


def scores_of_half() -> str:
    return f"{(98 / 196) ** 2:.0%}".replace("%", " %")


def chance_loss() -> str:
    same_way = np.tile([[1.0, 0.0]], (128, 1))
    return f"{solution(22, 'contrastive_losses')(same_way, same_way, np.eye(128), 1 / 0.07).mean():.2f}"


def side_of_the_square() -> str:
    masks = np.zeros((1, 40, 40))
    masks[0, 5:15, 10:30] = 1
    return f"{solution(22, 'crop_squares')(masks, np.array([1.5]))[0, 2]:g}"


def click_in_the_square() -> str:
    thing, mask = torch.zeros(2, 1, 90, 90)
    thing[0, 20:71, 20:71] = 1
    mask[0, 21:70, 21:70] = 1  # a rim of 200 pixels is missed
    mask[0, 2:7, 2:7] = 1
    assert (thing.bool() & ~mask.bool()).sum() == 200
    x, y, label = solution(23, "next_click")(mask, thing)[0].tolist()
    assert (x, y) == (4, 4)
    return f"{'Foreground' if label else 'Background'}, in the middle of the 5 × 5 pixels"


def bill() -> str:
    iou, brush = np.array([[0.70, 0.85, 0.92, 0.95]]), np.full((1, 4), 5.0)
    seconds, kept = solution(23, "annotation_seconds")(iou, brush, 0.9, 30.0)[0]
    assert kept == 1
    return f"{seconds:.1f} s"


def seconds_for_a_mask() -> str:
    seconds = np.array([[26.0] * 10 + [19.0] * 10]).ravel()
    return f"{seconds.sum() / 10:g} s"


def precision_and_recall() -> str:
    right = np.repeat([1, 0], 10)
    return f"{right.mean():.0%} and {1 / 5:.0%}".replace("%", " %")


def middle_of_7() -> str:
    return f"{solution(24, 'depths')(np.ones((7, 7)))[3, 3]:g}"


def average_recall() -> str:
    iou = np.array([[0.92, 0.0], [0.80, 0.0], [0.0, 0.62]])
    return f"{solution(24, 'recalls')(iou, np.array([0.9, 0.8, 0.7]), 1000).mean():.2f}"


def trained_numbers() -> str:
    return f"{sum(part.size for part in (np.zeros((2, 8, 768)), np.zeros((2, 768, 8)))):,}"


def rank_of_two_updates() -> str:
    rng = np.random.default_rng(0)
    weight = np.zeros((192, 192))
    for _ in range(2):
        a, b = rng.standard_normal((1, 4, 192)), rng.standard_normal((1, 192, 4))
        weight = solution(25, "lora_merge")(weight, a, b, 1.0, (0,))
    return str(np.linalg.matrix_rank(weight))


def grad_a() -> str:
    x, grad_y, a, b = (np.full((1, 1), value) for value in (2.0, 1.0, 3.0, 0.5))
    return f"{solution(25, 'lora_gradients')(x, grad_y, a, b, 2.0)[0, 0]:g}"


def anchor() -> str:
    x0, y0, x1, y1 = solution(26, "grid_anchors")(np.array([4.0]), np.array([4.0]), 1, 1, 16.0)[0]
    return f"{x1 - x0:g} wide, {y1 - y0:g} high"


def place_in_cells() -> str:
    """A map whose value is the column; a box of one pixel around pixel 44 has one sample."""
    features = np.arange(8.0)[None, None, :].repeat(8, axis=1)
    box = np.array([43.5, 43.5, 44.5, 44.5])
    return f"{solution(26, 'roi_align')(features, box, 16.0, 1).item():g}"


def thread() -> str:
    return str(solution(27, "thread_of")(np.array([11]), np.array([10]), (1, 4), (8, 4), (2, 1)).item())


NUMBERS: dict[tuple[int, int], Callable[[], str]] = {
    (0, 3): shared_40,
    (0, 5): resized,
    (1, 1): lambda: str(tokens_and_numbers()[0]),
    (1, 2): lambda: str(tokens_and_numbers()[1]),
    (2, 5): lambda: str(
        list(attention(np.zeros((7, 32)), np.zeros((4096, 32)), np.zeros((4096, 32)), 1.0).shape)
    ),
    (3, 1): lambda: f"{(VIT_B.image_size // 16) ** 2} · {(VIT_B.image_size // 16) ** 2}",
    (4, 2): lambda: str(len({query - key for query in range(14) for key in range(14)})),
    (5, 3): lambda: str(len(VIT_B.global_attn_indexes)),
    (7, 3): sparse_embeddings_of_a_box,
    (8, 4): lambda: str(128 // VIT_B.decoder_heads),
    (11, 1): shrinks,
    (11, 2): frequent_enough,
    (11, 3): ceiling,
    (11, 4): dice_of_nothing,
    (12, 1): column_10,
    (12, 2): background_clicks,
    (12, 4): box_moves,
    (13, 1): stability,
    (13, 2): kept,
    (13, 3): counts,
    (13, 4): ring_and_disc,
    (14, 1): numbers_moved,
    (14, 2): smallest_block,
    (14, 4): read_without_a_mask,
    (15, 1): running_sum,
    (15, 3): lambda: bytes_of_scores(32),
    (15, 5): reachable,
    (16, 1): bias_numbers,
    (16, 4): weight_of_a_key,
    (16, 5): lambda: wasted(20),
    (17, 1): first_of_window_6,
    (17, 3): key_of_a_head,
    (17, 5): row_offsets,
    (18, 1): grad_of_a_score,
    (18, 4): delta,
    (18, 5): grad_rel_w,
    (19, 1): occupied,
    (19, 2): floor_of_narrow_heads,
    (19, 4): share_of_the_floor,
    (19, 5): lambda: str(64 * 32 * 64 // (16 * 8 * 16)),
    (20, 1): absorb_30,
    (20, 3): joined,
    (20, 5): absorbed_rows,
    (21, 1): target_of_a_3,
    (21, 2): visible,
    (21, 3): scores_of_half,
    (22, 1): chance_loss,
    (22, 2): side_of_the_square,
    (23, 1): click_in_the_square,
    (23, 2): bill,
    (23, 4): seconds_for_a_mask,
    (23, 5): precision_and_recall,
    (24, 1): middle_of_7,
    (24, 2): average_recall,
    (25, 1): trained_numbers,
    (25, 3): rank_of_two_updates,
    (25, 4): grad_a,
    (26, 1): anchor,
    (26, 3): place_in_cells,
    (27, 1): thread,
    (27, 2): lambda: str(solution(27, "lines_of_a_load")((1, 1), (32, 1), 16)),
    (27, 3): lambda: str(solution(27, "count_wgmma")(128, 64, 64, 16, 4)),
}
QUESTIONS = {
    (one.number, number): question
    for one in lessons()
    for number, question in enumerate(read_quiz(one.folder), 1)
}


@pytest.mark.parametrize("place", NUMBERS, ids=str)
def test_the_right_option_is_what_is_computed_and_no_other_option_is(place):
    question, computed = QUESTIONS[place], NUMBERS[place]()
    assert question.answer == computed
    assert computed not in question.wrong


def test_every_option_that_is_a_number_is_computed():
    with_numbers = {place for place, question in QUESTIONS.items() if re.match(r"[\[−-]?\d", question.answer)}
    assert with_numbers <= set(NUMBERS)


def test_masked_lanes_of_zero_make_every_row_of_softmax_wrong():
    """Lesson 14, question 3."""
    rows = np.array([[5.0, 3.0, 1.0], [-5.0, -3.0, -1.0]])
    padded = softmax(np.pad(rows, ((0, 0), (0, 1))))[:, :3]
    assert (abs(padded - softmax(rows)).max(axis=1) > 1e-4).all()


def test_a_constant_in_dp_leaves_ds_as_it_is():
    """Lesson 18, question 2."""
    assert grad_of_a_score(added=5.0) == grad_of_a_score()


def test_the_best_anchor_of_an_object_finds_it_between_the_two_thresholds():
    """Lesson 26, question 2."""
    iou = np.array([[0.5, 0.0], [0.4, 0.0], [0.1, 0.9]])
    assert solution(26, "match_anchors")(iou, 0.7, 0.3, 0.3).tolist() == [0, -2, 1]


def test_two_matrices_of_zeros_get_no_gradient():
    """Lesson 25, question 2."""
    gradients = solution(25, "lora_gradients")(
        np.ones((3, 4)), np.ones((3, 5)), np.zeros((2, 4)), np.zeros((5, 2)), 1.0
    )
    assert not gradients.any()


def test_noise_has_twice_the_loss_of_zeros():
    """Lesson 21, question 4."""
    rng = np.random.default_rng(0)
    targets, noise = rng.standard_normal((2, 100, 768))
    assert abs((targets**2).mean() - 1) < 0.02 and abs(((targets - noise) ** 2).mean() - 2) < 0.04
