# %% [markdown]
# # Lesson 4 · Relative positions: where tokens are
#
# Builds on: 2. Runs on a CPU, without a network.
#
# You know attention. You will see that its result does not depend on where a token is, give every offset between two
# tokens a learned vector, write the lookup and the attention with it, and find out why SAM's weights need the query
# unscaled in one term and scaled in the other.
#
# After this lesson you can
#
# - show that attention without positions does not know where a token is;
# - look up the learned vector of every offset from a table of 2 · size − 1 rows;
# - write attention with decomposed relative positions, with the scale in the right place.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Attention does not know positions
#
# Take the keys and values of an image and shuffle them, both in the same way. The result is the same, because a sum
# does not depend on the order of its terms. Attention treats an image as an unordered set of patches.

# %%
from minisam_kernels.reference.attention import attention

rng = np.random.default_rng(0)
q, k, v = rng.standard_normal((3, 1, 1, 64, 16))
shuffled = rng.permutation(64)
same = attention(q, k[:, :, shuffled], v[:, :, shuffled], 0.25)
assert abs(same - attention(q, k, v, 0.25)).max() < 1e-12
print("64 keys shuffled with their values: the same answer")

# %% [markdown]
# SAM gives the tokens their positions once: before the first block, it adds a learned vector for each of the 64 × 64
# positions, the *absolute* position embedding. With these alone, "the token to the left" has to be learned separately
# for each of the 4096 positions. So every attention also gets *relative* positions: a term that depends only on how far
# apart two tokens are, and in which direction.
#
# ## A row for each offset
#
# First take one side of the grid, with S positions. The *offset* of a query at position i and a key at position j is i
# − j, any number from 1 − S to S − 1: there are 2S − 1 different offsets. Each has a learned vector of D numbers, a row
# of a table R. The offset's row has the number i − j + S − 1, since rows count from 0. The dot product of query and row
# is added to the score:
#
# $$\text{score}_{ij} = \frac{q_i \cdot k_j}{\sqrt D} + q_i \cdot R_{i-j+S-1}$$
#
# Note that the term depends on the *query*. A token on an outline can attend along the outline, another one in all
# directions: the table is the same for all tokens of a layer, but its product with each query is different. SAM's
# windows have S = 14, so 27 rows; its global layers have S = 64, so 127.
#
# An image has two sides. A table over both would need a row for every pair of offsets, 127² = 16,129. SAM
# *decomposes*: one table for rows, one for columns, and the two terms are added.
#
# $$\text{score}_{nm} = \frac{q_n \cdot k_m}{\sqrt D} + \underbrace{q_n \cdot R^h_{i_n - i_m}}_{\text{row term}} +
# \underbrace{q_n \cdot R^w_{j_n - j_m}}_{\text{column term}}$$
#
# Token n is in row i_n and column j_n of the grid, and here R is indexed by the offset itself; its row in the table is
# S − 1 higher, as above.
#
# The row term depends only on the query and the key's row i, so the code keeps it as rel_h[n, i]; the column term is
# rel_w[n, j]. For one query that is a short column of H numbers and a short row of W numbers, whose sums fill the
# whole grid of keys.

# %%
S = 5
offsets = np.arange(S)[:, None] - np.arange(S)[None, :] + S - 1
column, row = np.array([0.2, 0.9, 0.4, -0.3]), np.array([-0.5, 0.1, 0.8, 0.6, -0.1, -0.4])

# %% tags=["hide-input"]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[1, 1.5], layout="constrained")
left.imshow(offsets, cmap="coolwarm", vmin=-1, vmax=2 * S - 1)
for i in range(S):
    for j in range(S):
        left.text(j, i, offsets[i, j], ha="center", va="center")
left.set(
    xlabel="key's place j", ylabel="query's place i", title=f"which of the {2 * S - 1} rows: i − j + {S - 1}"
)
panel = np.full((6, 8), np.nan)
panel[2:, 0], panel[0, 2:], panel[2:, 2:] = column, row, column[:, None] + row
right.imshow(panel, cmap="coolwarm", vmin=-1.7, vmax=1.7)
for (y, x), value in np.ndenumerate(panel):
    if not np.isnan(value):
        color = "white" if abs(value) > 1.4 else "black"
        right.text(x, y, f"{value:.1f}", ha="center", va="center", color=color)
right.text(0, 1, "rel_h", ha="center", va="center", weight="bold")
right.text(1, 0, "rel_w", ha="center", va="center", weight="bold")
right.set_title("one query: 4 + 6 numbers make its bias for 24 keys")
right.set_axis_off()

# %%
assert set(offsets.ravel()) == set(range(2 * S - 1)) and 127**2 == 16129

# %% [markdown]
# *Left: offsets are the same along a diagonal, so 25 pairs share 9 rows. Right: the bias of one query on a grid of 4
# × 6.*
#
# Only rel_h and rel_w are stored. For a global layer of ViT-B in float32, rel_h and rel_w of all 12 heads are 25 MB;
# their sums, one number for every pair of tokens and head, would be 805 MB.

# %%
heads, side = 12, 64
short, full = (4 * heads * side**2 * numbers / 1e6 for numbers in (side + side, side**2))
assert 25 <= short < 26 and 805 <= full < 806 and full / short == 32
print(f"rel_h and rel_w {short:.0f} MB, their sums {full:.0f} MB")

# %% [markdown]
# ## Your turn: the lookup
#
# In NumPy: from the table to the row for each pair of positions. There is one more step. A trained table has as many
# rows as its grid needs: 127 for 64 positions. On an image of half the side there are 32 positions and 63 offsets, so
# the table is first *resampled*: its R rows are interpolated to the 2S − 1 rows that are needed. New row r lies at
#
# $$\left(r + \tfrac12\right)\frac{R}{2S-1} - \tfrac12$$
#
# in the numbering of the old rows, and is interpolated linearly between its two neighbours; beyond the first or the
# last row it is the first or the last one. Windows stay 14 tokens wide on every image: their tables are never
# resampled.


# %%
def relative_position_table(table: np.ndarray, size: int) -> np.ndarray:
    """table [R, D] -> [size, size, D]: entry [i, j] is the row for a query at i and a key at j."""
    raise NotImplementedError


check(4, relative_position_table)

# %% [markdown]
# From the lookup to rel_h is one product. Entry h of your result is what a query in row h of the grid needs: H vectors,
# one for each row that a key may be in. The query's dot products with them are its rel_h, `einsum("bnhwd,hkd->bnhwk",
# q, table)`; for rel_w the query's column w selects them, `"bnhwd,wkd->bnhwk"`.
#
# ## Your turn: attention with positions
#
# rel_h and rel_w are given. Tokens are counted row by row: key m is in row m // W and column m % W.

# %%
from torch import Tensor


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_h [B, N, H·W, H], rel_w [B, N, H·W, W] -> [B, N, H·W, D]."""
    raise NotImplementedError


check(4, rel_pos_attention)

# %% [markdown]
# ## The library's
#
# [rel_pos_attention.py](../../minisam/model/rel_pos_attention.py) does the same. On a CPU
# [rel_pos_blocks.py](../../minisam/model/fast/rel_pos_blocks.py) computes one block of queries at a time, so that the
# 805 MB are never in memory. The next cell compares it with the equation, pair by pair, on a grid of 3 × 4:

# %%
from minisam.model.rel_pos_attention import decomposed_rel_pos
from minisam.model.rel_pos_attention import rel_pos_attention as library

H, W, D = 3, 4, 8
generator = torch.Generator().manual_seed(0)
q, k, v = torch.randn(3, H * W, D, generator=generator)
R_h, R_w = torch.randn(2 * H - 1, D, generator=generator), torch.randn(2 * W - 1, D, generator=generator)
scores = torch.empty(H * W, H * W)
for n in range(H * W):
    for m in range(H * W):
        down, across = n // W - m // W, n % W - m % W
        scores[n, m] = q[n] @ k[m] / D**0.5 + q[n] @ R_h[down + H - 1] + q[n] @ R_w[across + W - 1]
rel_h, rel_w = decomposed_rel_pos(q, R_h, R_w, (H, W))
ours = library(q[None, None], k[None, None], v[None, None], rel_h[None, None], rel_w[None, None], D**-0.5)
assert (ours[0, 0] - scores.softmax(dim=-1) @ v).abs().max() < 1e-5
print("the library and the equation agree on all", H * W * H * W, "pairs")

# %% [markdown]
# ## What a trained network does with them
#
# The figure shows two tokens of the photo in a global layer of `tiny`, and the bias of each for every other token, in
# three heads. Red raises a score, blue lowers it. Both rows use the same tables; only the query differs.

# %%
from pathlib import Path

import matplotlib

from minisam.build import build_sam
from minisam.data.images import load_image

photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")[40:296, 130:386]
tiny = build_sam("tiny")
encoder, kept = tiny.image_encoder, {}
layer = encoder.blocks[3].attn
hook = layer.register_forward_pre_hook(lambda module, inputs: kept.update(x=inputs[0]))
with torch.no_grad():
    encoder(tiny.preprocess(torch.tensor(photo).permute(2, 0, 1).float())[None])
    hook.remove()
    queries = layer.qkv(kept["x"]).reshape(256, 3, layer.num_heads, -1)[:, 0].transpose(0, 1)
    rel_h, rel_w = decomposed_rel_pos(queries, layer.rel_pos_h, layer.rel_pos_w, (16, 16))
bias = (rel_h[..., :, None] + rel_w[..., None, :]).numpy()  # [heads, queries, 16, 16]
bias = bias - bias.mean(axis=(2, 3), keepdims=True)  # softmax does not see a constant
assert bias.shape == (3, 256, 16, 16) and bias.std() > 0.05

# %% tags=["hide-input"]

fig, panels = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
for (row, column), line in zip(((4, 8), (13, 2)), panels, strict=True):
    line[0].imshow(photo)
    limit = abs(bias[:, row * 16 + column]).max()
    for head, axes in enumerate(line[1:]):
        axes.imshow(
            bias[head, row * 16 + column], cmap="coolwarm", vmin=-limit, vmax=limit, extent=(0, 256, 256, 0)
        )
    for axes in line:
        for color, width in (("white", 4), ("black", 1.5)):
            box = plt.Rectangle((16 * column, 16 * row), 16, 16, fill=False, color=color, linewidth=width)
            axes.add_patch(box)
        axes.set_axis_off()
for axes, title in zip(panels[0], ["the token that asks", "bias · head 0", "head 1", "head 2"], strict=True):
    axes.set_title(title)

# %% [markdown]
# The patterns are stripes and crosses: the sum of a column and a row cannot represent a ring, for example. This is the
# price of the decomposition.
#
# > **What the paper says, what the code does.** In the paper of MViTv2, from which this method comes, the bias is
# > inside the brackets that are divided by √D. In its code, in ViTDet's and in SAM's, only q kᵀ is scaled, and the bias
# > is computed from the unscaled query. The tables start at zero: a network that was pre-trained without them gives the
# > same results at first, and learns them from there.
#
# ## Find the bug
#
# Scaling the scores costs L × L multiplications, scaling the queries L × D, and (scale · q) kᵀ is the same. So this
# function scales q first. Every test passes while the tables are zero, as they are before training. Fix it.


# %%
def attend_on_grid(
    q: Tensor, k: Tensor, v: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, scale: float
) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_pos_h [2·H − 1, D], rel_pos_w [2·W − 1, D] -> [B, N, H·W, D]. There is a bug."""
    H, W = (len(rel_pos_h) + 1) // 2, (len(rel_pos_w) + 1) // 2
    rows, columns = torch.arange(H), torch.arange(W)
    q = scale * q  # once on L × D queries, not on L × L scores
    grid = q.unflatten(2, (H, W))
    table_h = rel_pos_h[rows[:, None] - rows[None, :] + H - 1]
    table_w = rel_pos_w[columns[:, None] - columns[None, :] + W - 1]
    rel_h = torch.einsum("bnhwd,hkd->bnhwk", grid, table_h).flatten(2, 3)
    rel_w = torch.einsum("bnhwd,wkd->bnhwk", grid, table_w).flatten(2, 3)
    bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    scores = q @ k.transpose(-2, -1) + bias
    return scores.softmax(dim=-1) @ v


check(4, attend_on_grid)

# %% [markdown]
# ## What was left out
#
# How the absolute position embedding is resized for another image size, and the other parts of a block: lesson 5. Grids
# with different numbers of queries and keys, as in MViTv2: SAM has none. And how a kernel adds rel_h and rel_w to
# scores that are never written to memory: lesson 16.
