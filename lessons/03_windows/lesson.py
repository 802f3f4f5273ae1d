# %% [markdown]
# # Lesson 3 · Windows: attention to nearby tokens
#
# Builds on: 2. Runs on a CPU, without a network.
#
# You know attention. You will see what it costs for SAM's 4096 tokens, cut the grid of tokens into windows, and write
# attention inside them. You will also see that SAM does not mask the padding of its windows, so tokens attend to it.
#
# After this lesson you can
#
# - compute what global and windowed attention cost for a grid of tokens;
# - cut a grid into windows, with padding, and put it together again;
# - say which keys SAM's padded windows contain, and what they do to the result.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## What attention costs
#
# SAM's image has 64 × 64 = 4096 tokens. Every token attends to every token: 4096² = 16.8 million scores, for each of
# ViT-B's 12 heads, in each of its 12 layers. That number grows with the fourth power of the image's side.
#
# Most of the information that a token needs is nearby. So most layers cut the grid into *windows* of 14 × 14 tokens,
# and a token attends only to the 196 tokens of its window. 25 windows of 196² scores are 17 times fewer scores. Four of
# the twelve layers are *global*: in them, information crosses the borders of the windows.
#
# Scores are only part of the work: the matrices that compute q, k and v, the one that mixes the heads, and the two of
# the multilayer perceptron that follows in each layer (lesson 5) cost the same in both cases. In total, a global layer
# of ViT-B needs 1.8 times the multiplications of a windowed one.

# %%
tokens, S, C = 64 * 64, 14, 768
windows = (-(-64 // S)) ** 2
global_scores, window_scores = tokens**2, windows * (S * S) ** 2
matrices = tokens * 12 * C * C  # q, k, v: 3 C², the heads' mixing: C², the two of the perceptron: 8 C²
work = [matrices + 2 * scores * C for scores in (global_scores, window_scores)]  # q kᵀ, and weights times v
assert windows == 25 and window_scores == 960_400 and 17 < global_scores / window_scores < 18
assert 1.75 < work[0] / work[1] < 1.85
print(f"scores of a head: {global_scores:,} global, {window_scores:,} in {windows} windows")
print(f"multiplications of a layer: {work[0] / 1e9:.0f} and {work[1] / 1e9:.0f} thousand million")

# %% [markdown]
# ## Cutting the grid
#
# Token (i, j) of the grid goes to window (⌊i/S⌋, ⌊j/S⌋), to position (i mod S, j mod S) in it. But 64 = 4 · 14 + 8: the
# last windows are not full. So the grid is padded below and to the right to 70 = 5 · 14. A window at the edge has 112
# tokens and 84 padded positions; the one in the corner has 64 tokens and 132 padded positions.

# %%
from pathlib import Path

import matplotlib
from PIL import Image

from minisam.data.images import load_image

photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")[40:296, 130:386]
pixels = np.array(
    Image.fromarray(photo).resize((640, 640), Image.Resampling.BILINEAR)
)  # 10 pixels for a token
canvas = np.full((700, 700, 3), 255, np.uint8)
canvas[:640, :640] = pixels


def dimmed(picture: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """The picture dark, but for the tokens that are seen."""
    out = (0.3 * picture).astype(np.uint8)
    seen = (slice(10 * rows.start, 10 * rows.stop), slice(10 * columns.start, 10 * columns.stop))
    out[seen] = picture[seen]
    return out


# %% tags=["hide-input"]


fig, (left, middle, right) = plt.subplots(
    1, 3, figsize=(11, 4.5), width_ratios=[64, 64, 70], layout="constrained"
)
left.imshow(pixels)
left.set_title("global: sees 4096 tokens")
middle.imshow(dimmed(pixels, slice(28, 42), slice(28, 42)))
middle.set_title("windowed: sees 196")
for axes in (left, middle):
    axes.plot(365, 315, "s", color="red", markersize=5)
right.imshow(canvas)
right.set_title("64 × 64 tokens, padded to 70 × 70")
for x, y, width, height in ((640, 0, 60, 700), (0, 640, 640, 60)):
    right.add_patch(
        plt.Rectangle((x, y), width, height, facecolor="#eeeeee", edgecolor="#999999", hatch="///")
    )
for border in range(140, 700, 140):
    right.plot([0, 700], [border, border], color="white", linewidth=1)
    right.plot([border, border], [0, 700], color="white", linewidth=1)
right.set(xlim=(-2, 702), ylim=(702, -2))
counts = np.zeros((5, 5), int)
for y in range(5):
    for x in range(5):
        counts[y, x] = min(14, 64 - 14 * y) * min(14, 64 - 14 * x)
        box = {"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5}
        right.text(
            140 * x + 65, 140 * y + 65, counts[y, x], color="white", ha="center", va="center", bbox=box
        )
assert counts.sum() == 4096 and counts[0, 4] == 112 and counts[4, 4] == 64
for axes in (left, middle, right):
    axes.set_axis_off()

# %% [markdown]
# *The red token attends to the whole photo, or to its window. Right: all 25 windows with the number of real tokens in
# each; hatched positions are padding.*
#
# ## Your turn: cut
#
# In NumPy. Pad with zeros, below and to the right, as little as needed. The order of the windows is that of reading:
# those of the first image first, from left to right, then the next row of windows.


# %%
def window_partition(x: np.ndarray, window_size: int) -> np.ndarray:
    """Tokens x [B, H, W, C] -> windows [B · down · across, S, S, C], padded with zeros right and below."""
    raise NotImplementedError


check(3, window_partition)

# %% [markdown]
# ## A trap: tokens attend to the padding
#
# Each window becomes an entry of the batch, and attention itself does not change. What do the padded positions do? In
# SAM's code the order is: normalise the tokens, pad with *zeros*, compute q, k, v with one matrix, attend, remove the
# padding. No mask is used. A matrix with a bias turns a token of zeros into
#
# $$q = W_q\,0 + b_q = b_q, \qquad k = b_k, \qquad v = b_v.$$
#
# So a padded position has a key, b_k, and a value, b_v. Each token of the window compares its query with b_k, and gives
# some weight to b_v, once for every padded position. If all scores were equal, a token in the corner window of SAM's
# grid would give 132/196 = 67 % of its weight to the padding.
#
# How much is it in a trained network? `tiny` has a grid of 16 × 16 and windows of 8, so nothing is padded. On an image
# of 320 pixels its grid is 20 × 20, padded to 24, as it happens in SAM. To measure the padding's share without changing
# the function, we call it with other values: 0 for every real token, 1 for the padding. The result is the weight that
# the padding gets.

# %%
from minisam.build import build_sam
from minisam.model.image_encoder import resize_absolute_positions
from minisam.model.window_attention import window_attention as library

tiny = build_sam("tiny")
tiny.set_image_size(320)
encoder = tiny.image_encoder
attention = encoder.blocks[0].attn
N, S, D = attention.num_heads, attention.window_size, attention.proj.in_features // attention.num_heads
large = np.array(Image.fromarray(photo).resize((320, 320), Image.Resampling.BILINEAR))
with torch.no_grad():
    grid = encoder.patch_embed(tiny.preprocess(torch.tensor(large).permute(2, 0, 1).float())[None])
    x = encoder.blocks[0].norm1(grid + resize_absolute_positions(encoder.pos_embed, (20, 20)))
    qkv, bias = attention.qkv(x), attention.qkv.bias.clone()
    tables = attention.rel_pos_h, attention.rel_pos_w
    answer = library(qkv, bias, *tables, N, S).unflatten(-1, (N, D))
    b_v = bias[2 * N * D :].unflatten(0, (N, D)).clone()
    qkv[..., 2 * N * D :], bias[2 * N * D :] = 0, 1
    share = library(qkv, bias, *tables, N, S).unflatten(-1, (N, D))  # the same in all D channels of a head
    masked = (answer - share * b_v) / (
        1 - share
    )  # the padding's part taken away, the rest made to sum to one
    change = (masked - answer).flatten(-2).norm(dim=-1) / answer.flatten(-2).norm(dim=-1)

# %% tags=["hide-input"]

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
inside = np.minimum(8, 20 - np.arange(20) // 8 * 8)  # real tokens in the window, along one side
equal = 1 - inside[:, None] * inside[None, :] / 64
measured = share[0, :, :, :, 0].mean(dim=-1).numpy()
panels = (
    (left, equal, "padding's share, scores equal", "magma"),
    (middle, measured, "… measured in tiny's layer 0", "magma"),
    (right, change[0].numpy(), "change by a mask", "viridis"),
)
for axes, values, title, colors in panels:
    shown = axes.imshow(values, cmap=colors, vmin=0, vmax=0.8 if colors == "magma" else None)
    axes.set_title(title, fontsize=11)
    axes.set(xticks=[0, 8, 16], yticks=[0, 8, 16])
    for edge in (7.5, 15.5):
        axes.axhline(edge, color="white", linewidth=0.8)
        axes.axvline(edge, color="white", linewidth=0.8)
    fig.colorbar(shown, ax=axes, shrink=0.8)

corner = 1 - 64 / 196  # of SAM's grid

# %%
assert 0.67 <= corner < 0.68 and equal[19, 19] == 0.75
assert abs(measured[:16, :16]).max() < 1e-6 and 0.02 < measured[16:, 16:].mean() < 0.98
assert change[0, 16:, 16:].mean() > 0.02

# %% [markdown]
# *20 × 20 tokens in windows of 8. In the four full windows there is no padding. In the others it gets part of every
# token's attention. Right: how much masking the padding would change each token's result, as a fraction of the result's
# length.*
#
# Is it a mistake? It wastes 16 % of the tokens, and mixes one constant vector into the results at the edge. But SAM was
# trained this way, and its weights are fitted to results that contain b_v. Without the padding, the first layer gives
# other results, and so does every layer after it. Trained weights need exactly the computation that they were trained
# with.
#
# ## Your turn: attention in windows
#
# In torch. The multiplication by the matrix is already done, for the real tokens only, because multiplying zeros is
# wasted work. Which values do the padded positions need then? The last axis of qkv has q, k and v in this order, and
# within each of them one head after the other.

# %%
from torch import Tensor


def window_attention(qkv: Tensor, qkv_bias: Tensor, num_heads: int, window_size: int) -> Tensor:
    """qkv [B, H, W, 3·C] of the real tokens, qkv_bias [3·C] -> [B, H, W, C]."""
    raise NotImplementedError


check(3, window_attention)

# %% [markdown]
# ## The library's
#
# [window_attention.py](../../minisam/model/window_attention.py) does that: it projects the real tokens and pads with
# the bias. It is the same as padding with zeros and projecting all, which is what segment-anything does, with 804
# tokens fewer to multiply.

# %%
projection = torch.nn.Linear(12, 36)
tokens = torch.randn(1, 5, 7, 12, generator=torch.Generator().manual_seed(0))
padded = torch.zeros(1, 6, 9, 12)
padded[:, :5, :7] = tokens
with torch.no_grad():
    late = library(projection(tokens), projection.bias, None, None, 2, 3)
    early = library(projection(padded), projection.bias, None, None, 2, 3)[:, :5, :7]
assert (late - early).abs().max() < 1e-5
assert 70 * 70 - 64 * 64 == 804 and 0.16 < 804 / 70**2 < 0.17
print("padding with the bias after the projection is padding with zeros before it")

# %% [markdown]
# > **What the paper says, what the code does.** The paper has one line: 14 × 14 windows, and four global blocks,
# > equally spaced. That 14 does not divide 64, and how the padding is treated, is only in the code: zeros after the
# > norm and before the projection, no mask. ViT-B's global blocks are numbers 2, 5, 8 and 11, counted from 0.
#
# ## Find the bug
#
# A programmer writes window attention from the paper, and masks the padding, as is usual. The result has the right
# shape, there is no warning, and it is exactly right on every grid that the windows divide. With SAM's weights it is
# wrong in 9 of the 25 windows. Fix it.


# %%
def attend_in_windows(
    x: np.ndarray, qkv_weight: np.ndarray, qkv_bias: np.ndarray, num_heads: int, window_size: int
) -> np.ndarray:
    """Tokens x [B, H, W, C], qkv_weight [3·C, C], qkv_bias [3·C] -> [B, H, W, C]. There is a bug in it."""
    B, H, W, C = x.shape
    S, D = window_size, C // num_heads
    below, right = -H % S, -W % S
    padded = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
    real = np.pad(np.ones((H, W), bool), ((0, below), (0, right)))
    qkv = padded @ qkv_weight.T + qkv_bias
    out = np.empty_like(padded)
    for top in range(0, H, S):
        for left in range(0, W, S):
            window = qkv[:, top : top + S, left : left + S].reshape(B, S * S, 3, num_heads, D)
            q, k, v = window.transpose(2, 0, 3, 1, 4)
            scores = D**-0.5 * q @ k.swapaxes(2, 3)
            is_real = real[top : top + S, left : left + S].reshape(S * S)
            scores = np.where(is_real, scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            heads = weights / weights.sum(axis=-1, keepdims=True) @ v
            out[:, top : top + S, left : left + S] = heads.swapaxes(1, 2).reshape(B, S, S, C)
    return out[:, :H, :W]


check(3, attend_in_windows)

# %% [markdown]
# ## What was left out
#
# Within a window, attention still does not know where a token is; lesson 4 adds that. Lesson 5 says which layers are
# windowed and which are global, and how far information has travelled after each of them. Other networks (Swin) have no
# global layers; instead, the windows of every second layer are shifted by half a window. And cutting, padding and
# joining copy every number several times; the kernel of lesson 17 copies none of them and computes the addresses of a
# window's tokens instead.
