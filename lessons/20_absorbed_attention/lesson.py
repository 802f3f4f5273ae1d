# %% [markdown]
# # Lesson 20 · The decoder's algebra: absorbed projections and split keys
#
# Builds on: 8, 15. Runs on a CPU, without a network.
#
# SAM's decoder is small, but everything mode runs it a thousand times per image. You will count its work, move a matrix
# from 4096 tokens to 7 without changing the result, divide attention into parts that can be joined exactly, and find a
# constant that was wrongly believed to cancel.
#
# After this lesson you can
#
# - move a matrix from many tokens to few without changing the result;
# - say which terms cancel in a softmax, and which do not;
# - join parts of an attention exactly;
# - say why partial results are added in a fixed order.

# %%
from collections.abc import Mapping

import torch.nn.functional as F
from matplotlib.patches import Rectangle
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## A thousand clicks on one image
#
# To segment everything in a photo, a grid of 32 × 32 = 1024 clicks is used (lesson 13). The image encoder runs once,
# the decoder for every click. Which of them costs more?
#
# The decoder has 7 tokens for a click and 4096 for the image (lesson 8), all with 256 channels. Its cross-attentions
# have 8 heads of 16 channels, so 128 in total. In one of them, the tokens attend to the image. Its multiply-adds are:
#
# | step | shape | multiply-adds |
# |---|---|---|
# | keys, W_k on the image | 4096 × 256 → 128 | 134 million |
# | values, W_v on the image | 4096 × 256 → 128 | 134 million |
# | queries, W_q on the tokens | 7 × 256 → 128 | 0.23 million |
# | scores of 8 heads | 7 × 4096 × 128 | 3.7 million |
# | weighted sums | 7 × 4096 × 128 | 3.7 million |
#
# Attention itself needs 7 million, the keys and values for it 268 million. So nearly all the work is the projection of
# 4096 image tokens for 7 queries, and it is repeated for the next click.

# %%
S, T, C, INNER, HEADS = 4096, 7, 256, 128, 8
projection = S * C * INNER
scores = T * S * INNER
assert 134e6 < projection < 135e6 and 3.6e6 < scores < 3.7e6 and 0.22e6 < T * C * INNER < 0.24e6
assert 36 < 2 * projection / (2 * scores) < 37

# the upscaling to 256 × 256 pixels, and the product of 32 channels and 4 mask tokens for each of them (lesson 9)
upscaling = S * C * 64 * 4 + 4 * S * 64 * 32 * 4 + 16 * S * 32 * 4
plain = 10 * projection + 10 * scores + upscaling
assert 1.78e9 < plain < 1.80e9 and 0.74 < 10 * projection / plain < 0.76

width, depth, windowed = 768, 12, 8  # ViT-B: blocks, and those with windows of 14 × 14
padded = 25 * 14**2
encoder = (
    S * width * 3 * 16**2
    + depth * S * 8 * width**2
    + (windowed * padded + 4 * S) * 4 * width**2
    + 4 * S**2 * 2 * width
    + windowed * padded * 14**2 * 2 * width
    + 4 * S * 2 * 64 * width
    + windowed * padded * 2 * 14 * width
    + S * (width * C + 9 * C**2)
)
assert padded == 4900 and 484e9 < encoder < 488e9 and 3.7 < 1024 * plain / encoder < 3.9
assert round(encoder / plain) == 272
print(
    f"decoder: {plain / 1e9:.2f} · 10⁹ multiply-adds a click, {10 * projection / plain:.0%} are projections"
)
print(f"1024 clicks: {1024 * plain / encoder:.1f} times the whole ViT-B encoder")

# %% [markdown]
# The decoder has five cross-attentions: two in each block, one at the end. Each projects the image tokens twice: to
# keys and values where the tokens attend to the image; to queries and to the output where the image attends to the
# tokens. That is ten projections per click, and three quarters of all work on image tokens. From 272 clicks on, the
# "lightweight" decoder costs more than the encoder.
#
# ## Move the brackets
#
# Take one head. Its query q has D = 16 channels, an image token y has C = 256, and W_k is 16 × 256. The score is
#
# $$q^{\mathsf T} (W_k\, y) \;=\; (q^{\mathsf T} W_k)\, y \;=\; (W_k^{\mathsf T} q) \cdot y$$
#
# On the left the matrix is applied to y, 4096 times. On the right it is applied to q, 7 times. The result, the *row* a
# = W_kᵀ q, has 256 channels and can be multiplied with an image token directly. The projection of the keys has been
# *absorbed* into the queries.
#
# This has a price. A score was a product of 16 channels and is now one of 256. And each head needs all 256 channels:
# each token has 8 rows of 256 channels, one for each head, and 7 tokens have 56.

# %% tags=["hide-input"]
fig, panels = plt.subplots(2, 1, figsize=(10, 6), layout="constrained")
BLUE, ORANGE, GREY = "#cfe2f3", "#fce0c4", "#e6e6e6"
SHAPES = {  # height, width and colour of what is multiplied
    "q of a head\n7 × 16": (0.9, 1.9, BLUE),
    "its W_k\n16 × 256": (1.2, 2.4, GREY),
    "the image, transposed\n256 × 4096": (2.2, 6.4, ORANGE),
}


def draw_product(axes, symbols: tuple[str, str, str, str], first: int, made: str, title: str) -> None:
    """The three matrices with symbols before, between and after them; a bar under the two that meet `first`."""
    x, edges = 0.0, []
    for before, (name, (height, width, color)) in zip(symbols, SHAPES.items(), strict=False):
        axes.text(x + 0.4, 0, before, ha="center", va="center", fontsize=16)
        x += 0.8
        axes.add_patch(Rectangle((x, -height / 2), width, height, facecolor=color, edgecolor="black"))
        axes.text(x + width / 2, 0, name, ha="center", va="center", fontsize=10)
        edges.append((x, x + width))
        x += width
    axes.text(x + 0.4, 0, symbols[-1], ha="center", va="center", fontsize=16)
    left, right = edges[first][0], edges[first + 1][1]
    axes.plot([left, left, right, right], [-1.25, -1.4, -1.4, -1.25], color="black", linewidth=1)
    axes.text((left + right) / 2, -1.5, made, ha="center", va="top", fontsize=10)
    axes.set(xlim=(0, 13.9), ylim=(-2.2, 1.3))
    axes.set_title(title, fontsize=11)
    axes.axis("off")


draw_product(
    panels[0], ("", "· (", "·", ")"), 1, "first: 4096 keys, 16 × 4096 for each of 8 heads",
    "project the image: 134 million multiply-adds, and 4 million for the scores",
)  # fmt: skip
draw_product(
    panels[1], ("(", "·", ") ·", ""), 0, "first: 7 rows a head, 56 × 256 in all",
    "absorb into the queries: 0.2 million multiply-adds, and 59 million for the scores",
)  # fmt: skip

# %%
assert 58e6 < T * HEADS * C * S < 59e6 and HEADS * T == 56

# %% [markdown]
# That is 59 million instead of 134 + 4, less than half. The number of tokens does not change what is saved, but it
# changes the additional cost. So absorbing is useful for few tokens. Both methods cost the same between 17 and 18
# tokens; with 100 tokens, absorbing would cost four and a half times as much as projecting.

# %%
assert projection + 17 * S * INNER > 17 * HEADS * C * S and projection + 18 * S * INNER < 18 * HEADS * C * S
assert 2.3 < (projection + scores) / (T * HEADS * C * S) < 2.4
assert 4.4 < 100 * HEADS * C * S / (projection + 100 * S * INNER) < 4.6

# %% [markdown]
# ## And the bias?
#
# SAM's projections have biases. The key is W_k y + b_k, so that the score is
#
# $$q \cdot (W_k\, y + b_k) = a \cdot y + q \cdot b_k$$
#
# The last term does not contain y. It is the same for all 4096 keys of this query, and a softmax does not change if the
# same number is added to all scores: e^(s + c) / Σ e^(s + c) = e^s / Σ e^s. So it may be left out. In exact arithmetic,
# SAM's key biases have no effect at all.

# %%
from minisam_kernels.reference.softmax import softmax

row = np.random.default_rng(0).standard_normal(4096)
assert abs(softmax(row + 5.0) - softmax(row)).max() < 1e-15

# %% [markdown]
# ## Your turn: absorb the keys
#
# The queries are already projected, with the channels of all heads one after the other, N · D in total. Return the
# rows, multiplied by the scale: then nothing of size 4096 has to be scaled. The image is not an argument, because it is
# not needed.


# %%
def absorb_keys(q: np.ndarray, w_k: np.ndarray, num_heads: int) -> np.ndarray:
    """Projected queries q [B, T, N·D] and W_k [N·D, C] -> rows a [B, N, T, C], with the scale 1/√D in them.

    For every head and every y: a · y = q · (W_k y) / √D.
    """
    raise NotImplementedError


check(20, absorb_keys)

# %% [markdown]
# ## The values, and the positions
#
# After the softmax, the values W_v y + b_v are averaged with weights p whose sum is 1. A matrix can be taken out of a
# sum:
#
# $$\sum_s p_s\,(W_v\, y_s + b_v) = W_v \Big(\sum_s p_s\, y_s\Big) + b_v \sum_s p_s
# = W_v \Big(\sum_s p_s\, y_s\Big) + b_v$$
#
# So the image tokens themselves are averaged, for each head and each token. A head applies its 16 rows of W_v to its 7
# averages, which makes 56 small products in all. This bias does not cancel. It is added once, because the sum of the
# weights is 1.
#
# The keys have the positions e added to them, the values do not (lesson 8). With the rows this adds no cost: a · (y +
# e). The sum y + e is computed once for each image, and the average is taken of y.
#
# ## Your turn: attention to an image that is never projected
#
# All of it in torch: rows, softmax, averages, W_v, output projection. `project` and `matrices` are given. The check
# compares with the definition, which projects everything; and it sees whether your function multiplies y or e by a
# weight.

# %%
Weights = Mapping[str, Tensor]


def project(x: Tensor, weights: Weights, name: str, num_heads: int) -> Tensor:
    """x [B, T, C] through the projection of that name, cut into heads: [B, N, T, D]."""
    projected = F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
    return projected.unflatten(2, (num_heads, -1)).transpose(1, 2)


def matrices(weight: Tensor, num_heads: int) -> Tensor:
    """[N·D, C] -> one matrix a head, [N, D, C]."""
    return weight.unflatten(0, (num_heads, -1))


def tokens_ask(x: Tensor, p: Tensor, y: Tensor, e: Tensor, weights: Weights, num_heads: int) -> Tensor:
    """Tokens x + p ask the image, keys y + e and values y: x, p [B, T, C], y, e [B, S, C] -> [B, T, C].

    No projection is applied to y or e.
    """
    raise NotImplementedError


check(20, tokens_ask)

# %% [markdown]
# > **What the paper says, what the code does.** The paper describes a decoder that takes about 50 ms in a browser, for
# > one prompt, and says that cross-attentions work with half the channels to save computation. Nothing is said of many
# > prompts on one image. The released code copies the image embedding for each prompt before the first block: 4 MB in
# > float32, 64 times for 64 prompts, and projects every copy.
#
# ## What can be shared between clicks
#
# Before the first block changes the image tokens, they are the same for every click. The keys and values of the first
# attention to the image, and the queries of the first attention of the image to the tokens, can be projected once and
# shared. That saves three of the ten projections, without any algebra. With a mask prompt it is not possible: a mask is
# added to the image before the decoder.
#
# Both together, for ViT-B, as a function of the number of clicks:

# %%
absorbed_step = T * HEADS * C * S
rest = 7 * absorbed_step + 3 * scores + upscaling
once = 3 * projection
shared_rest = 7 * projection + 10 * scores + upscaling
assert (4 * S * C) == 2**22 and 0.83e9 < rest < 0.85e9 and 2.1 < 1024 * plain / (1024 * rest + once) < 2.2
assert 0.48 < upscaling / rest < 0.5 and 1.7 < (once + 1024 * rest) / encoder < 1.8

# %% tags=["hide-input"]

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=[1.3, 1])
clicks = np.arange(1, 1025)
ways = {
    "everything projected for each click": (plain * clicks, "tab:orange"),
    "first block shared": (once + shared_rest * clicks, "tab:green"),
    "shared and absorbed": (once + rest * clicks, "tab:blue"),
}
for name, (work, color) in ways.items():
    left.plot(clicks, work / 1e12, color=color, linewidth=2, label=name)
    left.text(1040, work[-1] / 1e12, f"{work[-1] / encoder:.1f} ×", color=color, va="center")
left.axhline(encoder / 1e12, color="black", linestyle="--", linewidth=1.2, label="the image encoder, once")
left.set(xlabel="clicks on one image", ylabel="10¹² multiply-adds", xlim=(0, 1150), ylim=(0, 2.1))
left.set_title("SAM's decoder beside the ViT-B encoder")
left.legend(frameon=False, loc="upper left")
asking = np.arange(1, 33)
right.plot(
    asking, (projection + asking * S * INNER) / 1e6, color="tab:orange", linewidth=2, label="project the keys"
)
right.plot(asking, asking * HEADS * C * S / 1e6, color="tab:blue", linewidth=2, label="absorb the projection")
right.axvline(T, color="black", linestyle=":", linewidth=1)
right.text(T + 0.5, 12, "one click", fontsize=9)
right.set(xlabel="tokens that ask", ylabel="million multiply-adds", xlim=(1, 32), ylim=(0, 280))
right.set_title("one set of scores, 4096 image tokens")
right.legend(frameon=False, loc="lower right")
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The work for 1024 clicks falls from 3.8 times that of the encoder to 1.8 times, without any approximation. Half of the
# rest is the upscaling of the masks, which has not changed.
#
# [absorbed_two_way_transformer.py](../../minisam/model/fast/absorbed_two_way_transformer.py) does this, a few clicks at
# a time, so that their image tokens stay in the cache. Nothing in the decoder's parameters changes, and the plain
# [two_way_transformer.py](../../minisam/model/two_way_transformer.py) stays the definition. Here both run on one small
# image with twelve clicks:

# %%
from minisam.model.fast.absorbed_two_way_transformer import absorbed_two_way_transformer
from minisam.model.two_way_transformer import TwoWayTransformer

torch.manual_seed(0)
transformer = TwoWayTransformer(depth=2, embedding_dim=64, num_heads=8, mlp_dim=128).double().eval()
image, image_pe, points = (
    torch.randn(*size).double() for size in ((1, 64, 16, 16), (1, 64, 16, 16), (12, 7, 64))
)
with torch.no_grad():
    tokens, images = transformer(image.expand(12, -1, -1, -1), image_pe, points)
    blocks = list(absorbed_two_way_transformer(transformer, image, image_pe, points))
    found = torch.cat([x for x, _ in blocks]), torch.stack([y for _, ys in blocks for y in ys])
assert (tokens - found[0]).abs().max() < 1e-12 and (images - found[1]).abs().max() < 1e-12
print("tokens and images of 12 clicks agree to 1e-12 in float64")

# %% [markdown]
# ## One click on a large GPU
#
# Now the opposite case: a single click, whose answer should come quickly. In a kernel like that of lesson 15, a program
# has a block of queries of one head. Here 7 queries are one block, and 8 heads are 8 programs. An H100 has 132
# multiprocessors (SXM, data sheet); 124 of them have no work, while 8 process 4096 keys each.
#
# There are too few queries to divide, but the keys can be divided. With parts of 256 keys each program has a sixteenth
# of the work: 16 parts of 8 heads are 128 programs. The result of each is the state of lesson 15: its largest score m,
# the sum l of e^(s − m), and the weighted sum a of values. States are joined as tiles were added:
#
# $$m = \max_p m_p, \qquad \text{out} = \frac{\sum_p e^{m_p - m}\, a_p}{\sum_p e^{m_p - m}\, l_p}$$
#
# A second, small kernel does that. It reads 16 states for each query of each head. Again the result is exact: the sums
# of softmax are only computed in another order.

# %%
from minisam_kernels.cross_attention_backward import TOKENS_PER_PART

assert S // TOKENS_PER_PART == 16 and S // TOKENS_PER_PART * HEADS == 128 and 132 - HEADS == 124

# %% tags=["hide-input"]

fig, axes = plt.subplots(figsize=(10, 3.3), layout="constrained")
for part in range(16):
    axes.add_patch(Rectangle((part, 2), 0.94, 0.7, facecolor=ORANGE, edgecolor="black"))
    axes.text(part + 0.47, 2.35, "256\nkeys", ha="center", va="center", fontsize=8)
    axes.add_patch(Rectangle((part + 0.07, 1), 0.8, 0.45, facecolor=BLUE, edgecolor="black"))
    axes.text(part + 0.47, 1.22, "m, l, a", ha="center", va="center", fontsize=8)
    for start, end in (
        ((part + 0.47, 1.95), (part + 0.47, 1.5)),
        ((part + 0.47, 0.95), (8 + (part - 7.5) / 9, 0.5)),
    ):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "grey", "linewidth": 0.9})
axes.add_patch(Rectangle((6.6, 0), 2.8, 0.47, facecolor=GREY, edgecolor="black"))
axes.text(8, 0.235, "joined, in this order", ha="center", va="center", fontsize=10)
axes.set(
    xlim=(-0.1, 16.1),
    ylim=(-0.1, 2.95),
    title="7 queries of one head, 4096 keys: 16 programs, then one that joins",
)
axes.axis("off")

# %% [markdown]
# ## Your turn: join the parts
#
# In NumPy, for P parts and L queries. The cases are cut from those of the library's kernel; in some of them the scores
# of one part are 200 higher than those of the next.


# %%
def join_parts(row_max: np.ndarray, row_sum: np.ndarray, acc: np.ndarray) -> np.ndarray:
    """What P parts of the keys know of L queries -> attention over all the keys, [L, D].

    row_max [P, L] is the largest score of a part, row_sum [P, L] its sum of exp(score - row_max), and acc [P, L, D]
    its sum of exp(score - row_max) · value.
    """
    raise NotImplementedError


check(20, join_parts)

# %% [markdown]
# With a correct answer, the next function computes cross-attention for any size of the parts. Compare
# `attend_in_parts(join_parts, q, k, v, 0.25, 7)` with the definition,
# [cross_attention.py](../../kernels/minisam_kernels/reference/cross_attention.py).


# %%
def attend_in_parts(join, q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, part: int) -> np.ndarray:
    """q [L, D], k and v [S, D] -> [L, D], from parts of the keys that know nothing of each other."""
    maxima, sums, accs = [], [], []
    for start in range(0, len(k), part):
        scores = scale * q @ k[start : start + part].T
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        maxima.append(scores.max(axis=1))
        sums.append(weights.sum(axis=1))
        accs.append(weights @ v[start : start + part])
    return join(np.stack(maxima), np.stack(sums), np.stack(accs))


# %% [markdown]
# ## In a fixed order
#
# On a GPU there is a simpler method: each program adds its part to the result in memory with an atomic addition as soon
# as it is done. It needs no second kernel and no states in memory. But then the parts are added in the order in which
# programs happen to finish, and sums of floating-point numbers depend on the order:

# %%
rng = np.random.default_rng(5)
shares = rng.random(16).astype(np.float32)
orders = [rng.permutation(16) for _ in range(200)]


def added(order: np.ndarray) -> np.float32:
    total = np.float32(0)
    for part in order:
        total += shares[part]
    return total


totals = {float(added(order)) for order in orders}
assert 3 <= len(totals) <= 12 and max(totals) - min(totals) < 1e-5
assert len({float(added(orders[0])) for _ in range(200)}) == 1
print(f"16 numbers in 200 orders: several sums, {max(totals) - min(totals):.0e} apart; in one order, one sum")

# %% [markdown]
# A pixel whose logit is close to 0 would then be in the mask in one run and not in the next, and a second run would not
# show whether a difference is a bug or rounding. So the parts are stored and joined from the first to the last. Their
# number depends only on the sizes, not on the number of prompts in the batch: a click gives the same bits alone and in
# a batch of 1024.
#
# ## The library's
#
# [cross_attention.py](../../kernels/minisam_kernels/cross_attention.py) has both kernels; its states have one number
# less: the part's result, already divided by l, and m + log l.
# [token_to_image.py](../../kernels/minisam_kernels/token_to_image.py) combines everything of this lesson: absorbed
# rows, for an image that is read once and divided into parts. The definition of both directions in NumPy is
# [absorbed_cross_attention.py](../../kernels/minisam_kernels/reference/absorbed_cross_attention.py). DeepSeek-V2 (2024,
# section 2.1.2) absorbs projections in the same way, for another purpose: the keys of all heads need not be stored.

# %%
from minisam_kernels.cross_attention import cross_attention
from minisam_kernels.reference.cross_attention import cross_attention as defined

device = "cuda" if torch.cuda.is_available() else "cpu"
generator = torch.Generator().manual_seed(0)
q, k, v = (torch.randn(1, 2, size, 16, generator=generator) for size in (7, 600, 600))
once_more = [cross_attention(q.to(device), k.to(device), v.to(device), 0.25).cpu() for _ in range(2)]
assert torch.equal(*once_more)
assert abs(once_more[0].numpy() - defined(q.numpy(), k.numpy(), v.numpy(), 0.25)).max() < 1e-5
print("600 keys in three parts: right, and the same bits twice")

# %% [markdown]
# ## Find the bug
#
# In the fourth step of a block the image attends to the tokens. To save the projection of 4096 queries, W_q is absorbed
# into the keys of the tokens: k · (W_q (y + e) + b_q). At the output, W_o is absorbed into their values, and the heads
# are summed. The code below does that, and assumes that the bias cancels. It runs, its shapes are right, the sum of its
# weights is 1, and with all biases set to zero its results are right too. Fix it.


# %%
def image_asks(x: Tensor, p: Tensor, y: Tensor, e: Tensor, weights: Weights, num_heads: int) -> Tensor:
    """The image y + e asks the tokens, keys x + p and values x: x, p [B, T, C], y, e [B, S, C] -> [B, S, C].

    There is a bug in it.
    """
    k = project(x + p, weights, "k_proj", num_heads)
    k = k * k.shape[-1] ** -0.5
    rows = k @ matrices(weights["q_proj.weight"], num_heads)  # [B, N, T, C]
    scores = (y + e)[:, None] @ rows.transpose(2, 3)  # [B, N, S, T]
    v = project(x, weights, "v_proj", num_heads)
    told = v @ matrices(weights["out_proj.weight"].T, num_heads)  # [B, N, T, C]
    return (scores.softmax(dim=3) @ told).sum(dim=1) + weights["out_proj.bias"]


check(20, image_asks)

# %% [markdown]
# ## What was left out
#
# The absorbed rows in a 16-bit type: W_kᵀ q is rounded once more than q, and a kernel has to choose where to round. The
# gradient, which torch computes from the steps that you wrote. A kernel that updates the image and computes the next
# attention to it, so that the image is read only once in each block. The upscaling of the masks, half of the remaining
# work; [token_upscaling.py](../../minisam/model/fast/token_upscaling.py) at least avoids writing results that are not
# used. And memory: on a CPU it matters as much as the products, so a few clicks are computed to the end before the next
# ones begin.
