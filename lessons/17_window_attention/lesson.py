# %% [markdown]
# # Lesson 17 · Windows by address: no padding, no copies
#
# Builds on: 3, 16. Runs on a CPU in Triton's interpreter, or on a GPU if there is one.
#
# Eight of ViT-B's twelve layers attend inside windows of 14 × 14 tokens. In the usual implementation, most of the time
# is spent copying tokens. You will replace every copy by the computation of an address, let a padded token be a pointer
# to the bias that it consists of, write window attention as one kernel, and fix a bug that does not show on square
# images.
#
# After this lesson you can
#
# - compute a token's address from window and slot, without a copy;
# - let padded tokens read the bias instead of a copy of it;
# - write window attention as one kernel that copies no tokens.

# %%
import triton
import triton.language as tl
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Bytes that are moved
#
# The method of lesson 3, on a 64 × 64 grid: pad to 70 × 70, cut into 25 windows, compute each window's bias, attend,
# join the windows, crop. Padding, cutting, joining and cropping each read a tensor of 70 · 70 · 768 numbers and write
# it again, together 60 MB in a 16-bit type. The biases are 25 · 12 · 196² numbers, written and read, 46 MB. Attention
# itself reads q, k, v and writes its result: 25 MB.
#
# An H100 moves 131 MB in 44 µs and does the products of this attention in 3 µs. So only the bytes matter, and four
# fifths of them are copies and biases that are not needed.

# %%
side, S, heads, head_dim = 64, 14, 12, 64

from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.index import intermediates
from minisam_kernels.lab.work import window_attention_work

gpu, work = GPUS["H100"], window_attention_work(1, heads, head_dim)
copies, biases = (term.amount for term in intermediates("window_attention"))
needed, products = work.total("bytes"), work.total("products") / gpu.products
moved = needed + copies + biases
assert 60e6 < copies < 61e6 and 46e6 < biases < 47e6 and 25e6 < needed < 26e6 and 131e6 < moved < 132e6
assert 43.5e-6 < moved / gpu.bytes < 44.5e-6 and 3.3e-6 < products < 3.5e-6
assert 0.79 < (copies + biases) / moved < 0.82
print(
    f"to move: {moved / 1e6:.0f} MB, {1e6 * moved / gpu.bytes:.0f} µs; the products: {1e6 * products:.0f} µs"
)
print(f"what has to move: {needed / 1e6:.0f} MB, {1e6 * needed / gpu.bytes:.0f} µs")

# %% [markdown]
# ## From a window's number to its addresses
#
# The tokens of a window need not be contiguous in memory, because their addresses can be computed. In memory the tokens
# are one long sequence: token number (image · H + row) · W + column, each with 3 · C numbers, its q, k and v, as the
# Linear layer wrote them. A program computes its window from its number w. With ⌈H/S⌉ windows down and ⌈W/S⌉ across,
# counted in the order of reading,
#
# $$\text{image} = \left\lfloor \frac{w}{\text{down}\cdot\text{across}} \right\rfloor, \qquad
# \text{top} = S\cdot\left(\left\lfloor \frac{w}{\text{across}} \right\rfloor \bmod \text{down}\right), \qquad
# \text{left} = S\cdot (w \bmod \text{across}) .$$
#
# Position n of the window is then row top + ⌊n/S⌋ and column left + n mod S of the grid. If that is outside of the
# grid, the position is padding.
#
# In the figure, a grid of 7 × 9 tokens is divided into windows of 4 × 4. On the left is the grid, with hatched padding.
# On the right are the 16 positions of the corner window, number 5, each with the number of its token or, for padding,
# the bias. Below is memory, a sequence of 63 tokens. A window consists of several pieces, one for each of its rows.

# %%
from minisam_kernels.lab.trace import trace_call
from minisam_kernels.window_attention import window_attention as library

H, W, S = 7, 9, 4
down, across = -(-H // S), -(-W // S)
rows, columns = np.mgrid[: down * S, : across * S]
owner = rows // S * across + columns // S
real = (rows < H) & (columns < W)
number = np.where(real, rows * W + columns, -1)
if not torch.cuda.is_available():  # what is seen: a GPU's programs cannot be watched
    rng = np.random.default_rng(0)
    shapes = {"qkv": (1, H, W, 48), "qkv_bias": (48,), "rel_pos_h": (7, 16), "rel_pos_w": (7, 16)}
    inputs = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    (launch,) = trace_call(library, inputs, backward=False, num_heads=1, window_size=S)
    reads = next(tensor for tensor in launch.tensors if tensor.name == "qkv").reads
    assert launch.grid[0] == down * across == len(reads)
    for (window, _, _), seen in reads.items():
        tokens = np.flatnonzero(seen.reshape(H * W, 48).any(axis=1))
        assert set(tokens) == set(number[(owner == window) & real])

fig = plt.figure(figsize=(10.5, 5), layout="constrained")
upper, lower = fig.subfigures(2, 1, height_ratios=[3.6, 1])
plan, corner = upper.subplots(1, 2, width_ratios=[1.75, 1])
colors = plt.get_cmap("tab10")
for i, j in zip(rows.ravel(), columns.ravel(), strict=True):
    style = {"facecolor": colors(owner[i, j]), "alpha": 0.75, "edgecolor": "white"}
    if not real[i, j]:
        style = {"facecolor": "white", "edgecolor": colors(owner[i, j]), "hatch": "////", "linewidth": 0}
    plan.add_patch(plt.Rectangle((j, i), 1, 1, **style))
    if owner[i, j] == 5:
        corner.add_patch(plt.Rectangle((j - 8, i - 4), 0.96, 0.94, **style))
        text = str(number[i, j]) if real[i, j] else "bias"
        box = None if real[i, j] else {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        corner.text(j - 7.52, i - 3.53, text, ha="center", va="center", fontsize=10, bbox=box)
for window in range(down * across):
    y, x = window // across * S, window % across * S
    plan.add_patch(plt.Rectangle((x, y), S, S, fill=False, edgecolor="black", linewidth=1.5))
    plan.text(x + 0.12, y + 0.18, window, va="top", fontsize=13, weight="bold")
plan.set(xlim=(-0.1, 12.1), ylim=(8.1, -0.1), aspect="equal", title="7 × 9 tokens, six windows of 4 × 4")
plan.set_xticks(np.arange(0, 12) + 0.5, np.arange(12), fontsize=8)
plan.set_yticks(np.arange(0, 8) + 0.5, np.arange(8), fontsize=8)
corner.set(xlim=(-0.1, 4.1), ylim=(4.1, -0.1), aspect="equal", title="the places of window 5")
corner.set_axis_off()
memory = lower.subplots()
for token in range(H * W):
    window = owner[token // W, token % W]
    memory.add_patch(plt.Rectangle((token, 0), 1, 1, facecolor=colors(window), alpha=0.75, edgecolor="white"))
    if window == 5:
        memory.text(token + 0.5, 1.12, token, ha="center", fontsize=8)
memory.set(xlim=(-0.2, 63.2), ylim=(-0.1, 1.75), yticks=[], xlabel="token number in memory")
memory.spines[["top", "right", "left"]].set_visible(False)

# %% [markdown]
# The next figure shows what the library's six programs read and write, one program after the other. The 63 rows of qkv
# are the tokens in memory, and their 48 columns are q, k and v. A window's tokens lie in several pieces. The windows at
# the edge also read the bias. Press Play, or move the slider.

# %% tags=["hide-input"]
from minisam import show
from minisam_kernels.lab.trace_steps import draw_step, trace_steps

MEANING = (
    "blue: read now; orange: written now; pale blue: accessed before by this program; grey: by another one"
)
animation = None
if not torch.cuda.is_available():
    steps = trace_steps(launch, together=True)
    biased = {step.program[0] for step in launch.steps if step.tensor == "bias"}
    assert biased == {2, 3, 4, 5} and len(steps) == 2 * 6
    animation = show.frames(
        lambda cells: draw_step(launch, cells), steps, "step", MEANING, first=4, play=True
    )
animation

# %% [markdown]
# *Blue: read in this step. Orange: written. Pale blue: accessed before by the same program. Grey: accessed before by
# other programs. White: not accessed yet. All that a program reads is one step, and all that it writes another one.*
#
# ## Your turn: the positions of a window
#
# In NumPy. `qkv.reshape(-1, 3·C)` is the order of the tokens in memory; take from it the rows that a window needs.
# (Padding and cutting the whole grid would give the same rows, but copies all tokens for one window.) Remember lesson
# 3: a padded position is a key like the others. SAM pads its tokens with zeros *before* the Linear layer that computes
# q, k and v. The matrix times zeros is zero, so the result is the layer's bias.


# %%
def window_slots(qkv: np.ndarray, qkv_bias: np.ndarray, window: int, window_size: int) -> np.ndarray:
    """qkv [B, H, W, 3·C] -> q, k and v of the S·S places of one window, [S·S, 3·C], place by place, row by row.

    `window` counts the windows of all images: image by image, in each along its rows of windows. A place beyond the
    grid's edge has qkv_bias [3·C].
    """
    raise NotImplementedError


check(17, window_slots)

# %% [markdown]
# ## A pointer to the bias
#
# `np.where` of two *values* needs both of them. In a kernel, `tl.where` of two *pointers* selects an address first, and
# then there is one load: `tl.where(on_grid[:, None], qkv_ptr + …, bias_ptr + …)`. All padded keys of all windows read
# the same few numbers, which stay in the cache. So padding needs no memory, hardly any traffic and no branch.
#
# A padded *query* is different: its result would be cropped. It only needs a mask, so that it is not stored. Note the
# difference: keys outside of the grid take part, queries outside of the grid do not.
#
# ## Your turn: the kernel
#
# Without relative positions, because this exercise is about addresses. The loop is that of lesson 15, over the S · S
# positions of the window instead of all tokens. A program has three numbers: `tl.program_id(0)` is the window,
# `tl.program_id(1)` the head, `tl.program_id(2)` a block of the window's positions as queries. Of token t, q of head h
# starts 3 · C · t + h · D numbers after the beginning of qkv, k starts C numbers after it and v 2 · C. The result [B,
# H, W, C] has C numbers for each token. Only the kernel may move tokens: the check sees it if torch pads, copies or
# joins them.


# %%
@triton.jit
def window_attention_kernel(
    qkv_ptr, bias_ptr, out_ptr, scale, H, W, S, D,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M places of one window and head as queries, and meets its S·S places as keys."""


def window_attention(qkv: Tensor, qkv_bias: Tensor, num_heads: int, window_size: int) -> Tensor:
    """qkv [B, H, W, 3·C] of the tokens there are, qkv_bias [3·C] -> [B, H, W, C]; no relative positions."""
    raise NotImplementedError


check(17, window_attention)

# %% [markdown]
# ## Relative positions inside the kernel
#
# In lesson 16, rel_h and rel_w were computed before the kernel. A window has so few offsets that a program can compute
# its own. A window of 14 has 27 of them, from −13 to 13, so one product of its queries with the whole table, q Rᵀ,
# gives 27 numbers per query. A query in row i needs those of the offsets i − t for t from 0 to 13, so it gathers 14 of
# them.
#
# Here tiles of keys are not whole rows: 14 is not a power of two, and a tile of 32 keys has parts of several rows. So
# rel_h is expanded to the keys by a product with a matrix of zeros and ones, which has a 1 where key n is in row t.
# This is a little more work for the tensor cores, and needs no lookup. The figure shows all steps for a window of 7.
# Each box on the left has the seven offsets that the queries of one row need; the first row of keys is at its right
# end, as i − t is largest there.

# %%
from minisam_kernels.reference.rel_pos_attention import decomposed_rel_pos

S, D = 7, 16
rng = np.random.default_rng(1)
q, table = rng.standard_normal((S * S, D)), rng.standard_normal((2 * S - 1, D)).cumsum(axis=0) / 6
by_offset = q @ table.T  # [49, 13]
query_row, slot = np.arange(S * S)[:, None] // S, np.arange(S)[None, :]
rel_h = np.take_along_axis(by_offset, query_row - slot + S - 1, axis=1)  # [49, 7]
in_row = (np.arange(S)[:, None] == np.arange(S * S)[None, :] // S).astype(float)  # [7, 49]
bias = rel_h @ in_row  # [49, 49]
expected, _ = decomposed_rel_pos(q[None, None], table, table, (S, S))
assert abs(rel_h - expected[0, 0]).max() < 1e-12
assert abs(bias - np.repeat(rel_h, S, axis=1)).max() < 1e-12

steps = {
    "q Rᵀ: every offset": (by_offset, "offset"),
    "gathered: rel_h": (rel_h, "row of keys"),
    "zeros and ones": (in_row, "key"),
    "rel_h · zeros and ones": (bias, "key"),
}

# %% tags=["hide-input"]
fig, panels = plt.subplots(1, 4, figsize=(11, 3.4), width_ratios=[1.2, 1.1, 1.7, 1.7], layout="constrained")
limit = abs(by_offset).max()
for axes, (title, (matrix, xlabel)) in zip(panels, steps.items(), strict=True):
    colormap, low = ("Greys", 0) if matrix is in_row else (plt.get_cmap("RdBu_r", 27), -limit)
    axes.imshow(matrix, cmap=colormap, vmin=low, vmax=limit, aspect="auto", interpolation="nearest")
    shape = " × ".join(map(str, matrix.shape))
    axes.set(title=f"{title}\n{shape}", xlabel=xlabel, xticks=[], yticks=[], ylabel="query")
panels[2].set_ylabel("row of keys")
panels[2].images[0].set_clim(0, 1)
for i in range(S):  # the offsets that queries of row i need
    panels[0].add_patch(plt.Rectangle((i - 0.5, i * S - 0.5), S, S, fill=False, edgecolor="black"))

# %% [markdown]
# ## The library's
#
# [window_attention.py](../../kernels/minisam_kernels/window_attention.py) does this; the addresses are computed in
# [window_tiles.py](../../kernels/minisam_kernels/window_tiles.py). It has two more ideas. Only the *real* tokens of a
# window are numbered as queries, so the programs of the corner window have 64 queries and not 196 of which 132 are
# thrown away. And in 16-bit types a tile has 32 keys: 7 · 32 = 224 lanes for 196 keys, where tiles of 64 need 256.

# %%
from minisam_kernels.reference.window_attention import window_attention as defined

device = "cuda" if torch.cuda.is_available() else "cpu"
generator = torch.Generator().manual_seed(0)
arguments = [torch.randn(shape, generator=generator) for shape in ((1, 9, 7, 96), (96,), (9, 16), (9, 16))]
result = library(*(x.to(device) for x in arguments), 2, 5).cpu().numpy()
assert abs(result - defined(*(x.numpy() for x in arguments), 2, 5)).max() < 1e-5
real_queries = [min(14, 64 - 14 * y) * min(14, 64 - 14 * x) for y in range(5) for x in range(5)]
assert sum(real_queries) == 4096 and real_queries[-1] == 64 and 196 - 64 == 132
assert -(-196 // 32) * 32 == 224 and -(-196 // 64) * 64 == 256
print("the library's kernel and the definition agree on a grid of 9 × 7 in windows of 5")

# %% [markdown]
# > **What the paper says, what the code does.** SAM's paper says 14 × 14 windows, but not what happens because 14 does
# > not divide 64. Its code pads before the Linear layers. So it also computes q, k and v for 804 padded positions,
# > though they are just the bias, and the last Linear layer processes 804 results that are then cropped. Here these
# > layers process 4096 tokens and not 4900, 16 % less, for the same result.

# %%
assert 70 * 70 - 64 * 64 == 804 and 0.160 < 804 / 4900 < 0.165

# %% [markdown]
# ## Find the bug
#
# A detector with windowed attention, RF-DETR, once divided its grid by the height of a window where the width was
# needed; issue 148 reports it and pull request 630 fixes it. On square images the two are the same. SAM's grid is
# always square, so such a bug would never show in a kernel for SAM. The kernel below copies windows back into the grid,
# which your kernel no longer needs. It is right on every square grid, and on others its masks prevent an error message.
# Fix it.


# %%
@triton.jit
def join_kernel(windows_ptr, grid_ptr, H, W, C, S, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr):
    """One program owns one window and writes its tokens back to their places. There is a bug in it."""
    window = tl.program_id(0)
    down, across = tl.cdiv(H, S), tl.cdiv(W, S)
    image = (window // (down * across)).to(tl.int64)
    top, left = window // down % down * S, window % down * S
    n, channels = tl.arange(0, BLOCK_T), tl.arange(0, BLOCK_C)
    inside = (n < S * S)[:, None] & (channels < C)[None, :]
    x = tl.load(windows_ptr + (window * S * S + n)[:, None] * C + channels[None, :], mask=inside, other=0.0)
    row, column = top + n // S, left + n % S
    on_grid = (row < H) & (column < W)
    token = (image * H + row) * W + column
    tl.store(grid_ptr + token[:, None] * C + channels[None, :], x, mask=inside & on_grid[:, None])


def join_windows(windows: Tensor, H: int, W: int) -> Tensor:
    """The windows [images · down · across, S, S, C] of padded grids -> the grids [images, H, W, C]."""
    count, S, _, C = windows.shape
    images = count // (triton.cdiv(H, S) * triton.cdiv(W, S))
    grid = torch.empty((images, H, W, C), dtype=windows.dtype, device=windows.device)
    blocks = {"BLOCK_T": triton.next_power_of_2(S * S), "BLOCK_C": triton.next_power_of_2(C)}
    join_kernel[(count,)](windows, grid, H, W, C, S, **blocks)
    return grid


check(17, join_windows)

# %% [markdown]
# ## What was left out
#
# The gradient: padded keys have one too, and their sum is part of the gradient of the Linear layer's bias (lesson 18
# has the gradient of attention). Which tiles are fast on a GPU, and why 8 warps and 32 keys: lesson 19. And launches:
# for one image this kernel has 8 µs of work, and starting a kernel also takes microseconds. So on a GPU whole layers
# are recorded once and replayed as a CUDA graph.
