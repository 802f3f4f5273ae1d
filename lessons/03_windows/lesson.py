# %% [markdown]
# # Lesson 3 · Windows: attention that stays near
#
# Builds on: 2. Runs on a CPU, without a network.
#
# You know attention. You will see what it costs on SAM's 4096 tokens, cut the grid of tokens into windows, write
# attention inside them, and meet padding that nobody masks: tokens that are not there and are looked at all the same.
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
# SAM's image has 64 × 64 = 4096 tokens. Every token asks every token: 4096² = 16.8 million scores, for each of
# ViT-B's 12 heads, in each of its 12 layers. That number grows with the fourth power of the image's side.
#
# Most of what a token needs is near. So most layers cut the grid into *windows* of 14 × 14 tokens, and a token asks
# only the 196 of its own window. 25 windows of 196² scores are 17 times fewer. Four layers of twelve stay *global*
# and carry what the windows found across their borders.
#
# Scores are not all the work: the matrices that make q, k and v, the one that mixes the heads, and the two of the
# perceptron that follows in each layer (lesson 5) cost the same either way.
# Counted in multiplications, a global layer of ViT-B does 1.8 times the work of a windowed one.

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
# Token (i, j) of the grid goes to window (⌊i/S⌋, ⌊j/S⌋), to place (i mod S, j mod S) in it. But 64 = 4 · 14 + 8: the
# last windows are not full. So the grid is padded below and to the right to 70 = 5 · 14. At the edge a window holds
# 112 tokens and 84 padded places; in the corner 64 tokens and 132 padded places.

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
# *The red token sees the whole photo, or its own window. Right: all 25 windows with the number of real tokens in
# each; the hatched places are padding.*
#
# ## Your turn: cut
#
# In NumPy. Pad with zeros, below and to the right, as little as needed. The windows come one after the other as one
# reads: the first image's, from left to right, then the next row of windows.


# %%
def window_partition(x: np.ndarray, window_size: int) -> np.ndarray:
    """Tokens x [B, H, W, C] -> windows [B · down · across, S, S, C], padded with zeros right and below."""
    raise NotImplementedError


check(3, window_partition)

# %% [markdown]
# ## The trap: padding that is looked at
#
# A window becomes a small batch entry of its own, and attention is what it was. The question is what the padded
# places do. In SAM's code the order is: normalise the tokens, pad with *zeros*, make q, k, v with one matrix, attend,
# cut the padding away. No mask anywhere. And a matrix with a bias makes of a zero token
#
# $$q = W_q\,0 + b_q = b_q, \qquad k = b_k, \qquad v = b_v.$$
#
# So a padded place is a real key, b_k, and a real value, b_v. Each token of the window compares its query with b_k,
# and hands part of its attention to b_v, once for every padded place. If all scores were equal, a token in the corner
# window of SAM's grid would give 132 of 196 parts to the padding: 67 %.
#
# How much is it in a trained network? `tiny` has a grid of 16 × 16 and windows of 8, so nothing is padded. On an
# image of 320 pixels its grid is 20 × 20, padded to 24, and the same happens as in SAM. To measure a share without
# taking the function apart, hand it other values: 0 for every real token, 1 for the padding. What comes out is the
# weight that went to the padding.

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
# *20 × 20 tokens in windows of 8. In the four full windows there is no padding. In the others it takes part of every
# token's attention. Right: how far a mask over it would move the answer of each token, as a part of the answer's
# length.*
#
# Is it a mistake? It wastes 16 % of the tokens, and mixes one constant vector into the answers at the edge. But SAM
# was trained so, and its weights are fitted to answers that have b_v in them. Take the padding away and the first
# layer answers something else, and every later layer builds on that. A network is its weights *and* the code that
# they were trained in.
#
# ## Your turn: attention in windows
#
# In torch, and with the projection already done, on the real tokens only: nothing is gained by multiplying zeros with
# a matrix. What has to stand in the padded places then? The last axis of qkv holds q, k and v in this order, and
# within each the heads one after the other.

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
# tokens less to multiply.

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
# > equally spaced. That 14 does not divide 64, and what becomes of the padding, is only in the code: zeros after the
# > norm and before the projection, no mask. ViT-B's global blocks are numbers 2, 5, 8 and 11, counted from 0.
#
# ## Find the bug
#
# Somebody writes window attention from the paper, sees the padding, and does what one does with padding: masks it.
# The function has the right shape, runs without a warning, and is exactly right on every grid that the windows
# divide. With SAM's weights it is wrong in 9 of the 25 windows. Mend it.


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
# Within a window, attention still does not know where a token is; lesson 4 adds that. Which layers are windowed and
# which are global, and how far a token sees after each of them, is lesson 5. Other networks let every second layer's
# windows start half a window further on (Swin) instead of having global layers. And cutting, padding and joining copy
# every number several times; the kernel of lesson 17 copies none of them and finds a window's tokens by their
# addresses.
