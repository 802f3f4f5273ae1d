# %% [markdown]
# # Lesson 15 · Online softmax: flash attention
#
# Builds on: 14. Runs on a CPU in Triton's interpreter, or on a GPU if there is one.
#
# You have written softmax as a kernel that loads a whole row. Attention has rows of 4096 scores, and millions of scores
# in all; moving them takes most of the time. You will learn to compute a softmax piece by piece, write attention as one
# kernel that never writes a score to memory, and fix a softmax that is right in mathematics but not on a computer.
#
# After this lesson you can
#
# - say why attention waits for memory when its scores are written;
# - add a tile of keys to the running maximum, sum and average of an online softmax;
# - write attention as one Triton kernel that stores no score;
# - find a running maximum that is wrong.

# %%
import triton
import triton.language as tl
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## What the scores cost
#
# One of ViT-B's global layers has 12 heads and 64 × 64 = 4096 tokens. The scores q kᵀ of one image are 12 · 4096²
# numbers, 403 MB in a 16-bit type. With three kernels, the first product writes them, softmax reads them and writes
# weights, and the second product reads the weights: four passes, 1.6 GB. The inputs q, k, v and the result are only 25
# MB.
#
# How does that compare with the arithmetic? The two products are 51.5 GFLOP (a FLOP is one floating-point operation).
# Measured, an H100 does 780 TFLOP per second and moves 3.0 TB per second (its data sheet says 3.35). So the products
# take 66 µs and the four passes 537 µs. What matters is the number of operations for each byte that is moved. With
# fewer than 780 / 3.0 = 260 of them, a kernel waits for memory.

# %%
heads, tokens, head_dim = 12, 4096, 64

from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.work import attention_work

gpu, work = GPUS["H100"], attention_work("attention", 1, heads, tokens, tokens, head_dim)
flop, fused = work.total("products"), work.total("bytes")
scores = heads * tokens**2 * 2
three_kernels = fused + 4 * scores
assert 402e6 < scores < 403e6 and 1.6e9 < three_kernels < 1.65e9 and 25e6 < fused < 26e6
assert 51e9 < flop < 52e9 and 65e-6 < flop / gpu.products < 67e-6 and 530e-6 < 4 * scores / gpu.bytes < 540e-6
assert gpu.products / gpu.bytes == 260 and 51e-6 < work.total("exponentials") / gpu.exponentials < 52e-6
assert 201e6 < work.total("exponentials") < 202e6

# %% tags=["hide-input"]

fig, axes = plt.subplots(figsize=(9, 3.9), layout="constrained")
intensity = np.logspace(0.5, 4.2, 100)
axes.loglog(intensity, np.minimum(gpu.products, gpu.bytes * intensity) / 1e12, color="black", linewidth=1.5)
axes.axvline(260, color="black", linewidth=0.8, linestyle=":")
axes.text(250, 7, "memory is the limit", ha="right", fontsize=9)
axes.text(275, 7, "the tensor cores are", fontsize=9)
for name, moved, color in (("three kernels", three_kernels, "tab:orange"), ("one kernel", fused, "tab:blue")):
    x, seconds = flop / moved, max(flop / gpu.products, moved / gpu.bytes)
    axes.plot(x, flop / seconds / 1e12, "o", markersize=11, color=color)
    label = f"{name}\n{moved / 1e6:.0f} MB, {x:.0f} FLOP a byte\n{1e6 * seconds:.0f} µs at least"
    below = {"xytext": (-2, -50), "textcoords": "offset points", "fontsize": 10}
    axes.annotate(label, (x, flop / seconds / 1e12), color=color, **below)
axes.set(xlabel="FLOP for every byte that moves", ylabel="TFLOP/s, at best", xlim=(4, 12000), ylim=(5, 1500))
axes.set_title("Attention of one ViT-B layer, one image, on an H100")
axes.grid(which="both", alpha=0.2)

# %% [markdown]
# So the scores must not be written to memory. A program has to take a block of queries, compute their scores, their
# softmax and the mean of the values, and write only this mean.
#
# ## The difficulty
#
# A softmax needs its row's maximum before the first exponential, and the row's sum before the first weight. A program
# with 128 queries cannot store their 128 × 4096 scores on the chip: in float32 they are 2 MB, and an H100 has for one
# program at most 227 KB of shared memory and 256 KB of registers, the fast memories of the chip. There is room for the
# scores of about 64 keys.
#
# ## Correcting earlier sums
#
# Divide the keys into *tiles*, groups of consecutive keys. For the keys so far, keep three values: the largest score m,
# the sum of exponentials l, and the weighted sum of values a (a vector of D numbers),
#
# $$m = \max_j s_j, \qquad l = \sum_j e^{s_j - m}, \qquad a = \sum_j e^{s_j - m}\, v_j .$$
#
# After the last key the result is a / l. Now assume that the next tile has a larger score. Then all exponentials so far
# were computed with an old maximum. But they all differ from the right ones by the same factor:
#
# $$e^{s_j - m_\text{new}} = e^{s_j - m}\cdot e^{m - m_\text{new}} .$$
#
# So one multiplication corrects each of the two sums, and no earlier score is needed again:
#
# $$l_\text{new} = e^{m - m_\text{new}}\, l + \sum_{j\,\in\,\text{tile}} e^{s_j - m_\text{new}}, \qquad
# a_\text{new} = e^{m - m_\text{new}}\, a + \sum_{j\,\in\,\text{tile}} e^{s_j - m_\text{new}}\, v_j .$$
#
# If the maximum does not change, the factor is 1. At the first tile m is −∞ and the factor is 0. The result is not an
# approximation: the same sums are computed in another order. This method is called *online softmax*.
#
# The figure below has one query and 96 keys in six tiles. The largest score is in the third tile. At the top are the
# scores and the running maximum. In the middle is the running sum: grey is the earlier sum after its correction. At the
# bottom is a / l for one channel of the values, which is attention over the keys so far.

# %%
rng = np.random.default_rng(3)
tile, tiles, D = 16, 6, 1
height = np.repeat([0.0, 1.2, 3.2, 0.5, 2.6, -0.5], tile)
s, values = height + 0.8 * rng.standard_normal(tile * tiles), rng.standard_normal(tile * tiles)
values += np.repeat([1.0, -1.0, 2.0, 0.0, 1.0, -2.0], tile)
ends = tile * np.arange(1, tiles + 1)
maxima = np.array([s[:end].max() for end in ends])
sums = np.array([np.exp(s[:end] - m).sum() for end, m in zip(ends, maxima, strict=True)])
averages = np.array(
    [np.exp(s[:end] - m) @ values[:end] / l for end, m, l in zip(ends, maxima, sums, strict=True)]
)
factors = np.exp(np.concatenate([[-np.inf], maxima[:-1]]) - maxima)
kept = factors * np.concatenate([[0.0], sums[:-1]])
weights = np.exp(s - s.max())
assert abs(averages[-1] - weights @ values / weights.sum()) < 1e-12 and maxima.argmax() == 2

# %% tags=["hide-input"]

fig, (top, middle, bottom) = plt.subplots(
    3, 1, figsize=(9.5, 6.2), sharex=True, height_ratios=[1.3, 1, 1], layout="constrained"
)
colors = [plt.get_cmap("tab10")(number) for number in range(tiles)]
where = np.arange(tile * tiles)
top.bar(where, s, width=0.8, color=np.repeat(colors, tile, axis=0))
middle.bar(ends - tile / 2, kept, width=10, color="lightgrey")
middle.bar(ends - tile / 2, sums - kept, bottom=kept, width=10, color=colors)
for number, (end, m, factor) in enumerate(zip(ends, maxima, factors, strict=True)):
    top.plot([end - tile - 0.5, end - 0.5], [m, m], color="black", linewidth=2)
    text = "first tile" if number == 0 else f"old sum × {factor:.2f}"
    middle.text(end - tile / 2, sums[number] + 0.5, text, ha="center", fontsize=9)
bottom.plot(ends - tile / 2, averages, "o-", color="black")
bottom.axhline(averages[-1], color="black", linestyle=":", linewidth=1)
bottom.text(0, averages[-1] + 0.12, "attention over all 96 keys", fontsize=9)
for axes in (top, middle, bottom):
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color="grey", linewidth=0.5)
top.set(ylabel="score", title="one query, six tiles of keys; black: the running maximum m", xlim=(-1, 96))
middle.set(ylabel="sum l", ylim=(0, 1.25 * sums.max()))
bottom.set(ylabel="a / l", xlabel="key")

# %% [markdown]
# ## Your turn: one step
#
# In NumPy, for M queries at once: the inputs are their state and the scores and values of one tile, the result is their
# new state. The state is one array: column 0 is m, column 1 is l, the other D columns are a.


# %%
def add_tile(state: np.ndarray, scores: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What M queries know so far, and one more tile of K keys -> what they know then.

    state [M, 2 + D]: column 0 the maximum m of the scores so far, column 1 the sum l of exp(score - m), and the
    other D the sum of exp(score - m) · value. scores [M, K] and v [K, D] belong to the new tile.
    """
    raise NotImplementedError


check(15, add_tile)

# %% [markdown]
# With a correct step, this loop computes attention for any tile size. Compare `attend(add_tile, q, k, v, 0.25, 7)` with
# the definition, [attention.py](../../kernels/minisam_kernels/reference/attention.py).


# %%
def attend(step, q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, tile: int) -> np.ndarray:
    """q [L, D], k and v [S, D] -> [L, D], with no more than [L, tile] scores at a time."""
    state = np.zeros((len(q), 2 + v.shape[1]))
    state[:, 0] = -np.inf
    for start in range(0, len(k), tile):
        keys, values = k[start : start + tile], v[start : start + tile]
        state = step(state, scale * q @ keys.T, values)
    return state[:, 2:] / state[:, 1:2]


# %% [markdown]
# ## Tiles in Triton
#
# In the kernel, a program computes a block of queries of one head and runs that loop. Two points are new since lesson
# 14.
#
# **A tile has two axes.** A column of row numbers and a row of channel numbers are broadcast to a table of addresses:
# `rows[:, None] * D + dims[None, :]`. Its mask is computed in the same way. Both sides of a tile are powers of two, so
# a head of D = 80 channels needs a tile of 128 with 48 of them masked.
#
# **`tl.dot` multiplies two tiles** on the tensor cores, the units of a GPU that multiply small matrices; each side of a
# tile is at least 16. With `input_precision="ieee"` the products have the precision of float32. By default a GPU rounds
# float32 inputs to 10 bits of mantissa, which the interpreter does not do.
#
# Here is one tile of scores, scale · q kᵀ, for the first 16 queries and 16 keys of one head:


# %%
@triton.jit
def scores_kernel(q_ptr, k_ptr, scores_ptr, scale, S, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """One program owns the scores of the first BLOCK queries with the first BLOCK keys."""
    rows = tl.arange(0, BLOCK)
    dims = tl.arange(0, BLOCK_D)
    offsets = rows[:, None] * D + dims[None, :]
    inside = (rows < S)[:, None] & (dims < D)[None, :]
    q = tl.load(q_ptr + offsets, mask=inside, other=0.0)  # [BLOCK, BLOCK_D]
    k = tl.load(k_ptr + offsets, mask=inside, other=0.0)
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale  # [BLOCK, BLOCK]
    square = rows[:, None] * S + rows[None, :]
    tl.store(scores_ptr + square, scores, mask=(rows < S)[:, None] & (rows < S)[None, :])


device = "cuda" if torch.cuda.is_available() else "cpu"
q, k = torch.randn(2, 11, 24, generator=torch.Generator().manual_seed(0)).to(device)
found = q.new_empty(11, 11)
scores_kernel[(1,)](q, k, found, 0.2, 11, 24, BLOCK=16, BLOCK_D=32)
assert (found - 0.2 * q @ k.T).abs().max() < 1e-5
print("scores of 11 queries and keys in one tile of 16 × 16: right")

# %% [markdown]
# ## Your turn: load a tile
#
# First two pieces, each with its own check. Both are functions that a kernel calls; what they return stays on the chip.
# The first one loads BLOCK rows of one head, from row `start` on. Head h starts h · rows · D numbers after the
# beginning. Multiply in int64, `head.to(tl.int64)`, because such a product can exceed 32 bits in large batches.


# %%
@triton.jit
def load_tile(x_ptr, head, start, rows, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """From row `start` on, BLOCK rows of one head of x [heads, rows, D] -> [BLOCK, BLOCK_D], 0 where x has nothing."""


@triton.jit
def tile_kernel(x_ptr, tiles_ptr, start, rows, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """One program stores what load_tile returns for one head."""
    head = tl.program_id(0)
    lanes = (head * BLOCK + tl.arange(0, BLOCK))[:, None] * BLOCK_D + tl.arange(0, BLOCK_D)[None, :]
    tl.store(tiles_ptr + lanes, load_tile(x_ptr, head, start, rows, D, BLOCK, BLOCK_D))


def read_tile(x: Tensor, start: int) -> Tensor:
    """x [heads, rows, D] -> a tile of 16 rows of each head, [heads, 16, BLOCK_D]."""
    raise NotImplementedError  # write load_tile, then take this line away
    heads, rows, D = x.shape
    width = max(16, triton.next_power_of_2(D))
    tiles = x.new_empty(heads, 16, width)
    tile_kernel[(heads,)](x, tiles, start, rows, D, BLOCK=16, BLOCK_D=width)
    return tiles


check(15, read_tile)

# %% [markdown]
# ## Your turn: the scores of a tile
#
# Which values do the masked lanes have? Zeros in q and k are right for channels beyond D: they add 0 to every product.
# But a *key* beyond S then has the score 0, which is a valid score. Before the softmax it has to be set to −∞.


# %%
@triton.jit
def score_tile(q, k, start, S, scale, BLOCK: tl.constexpr):
    """q [M, D], k [BLOCK, D]: keys from `start` on, of S in all -> scale · q kᵀ [M, BLOCK], -inf from key S on."""


@triton.jit
def tile_weights_kernel(
    q_ptr, k_ptr, weights_ptr, start, S, scale, BLOCK: tl.constexpr, D: tl.constexpr
):  # fmt: skip
    """One program stores exp(score - maximum) for 16 queries and the tile that begins with key `start`."""
    queries, keys, dims = tl.arange(0, 16), start + tl.arange(0, BLOCK), tl.arange(0, D)
    q = tl.load(q_ptr + queries[:, None] * D + dims[None, :])
    k = tl.load(k_ptr + keys[:, None] * D + dims[None, :], mask=(keys < S)[:, None], other=0.0)
    scores = score_tile(q, k, start, S, scale, BLOCK)
    lanes = queries[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    tl.store(weights_ptr + lanes, tl.exp(scores - tl.max(scores, axis=1)[:, None]))


def tile_weights(q: Tensor, k: Tensor, scale: float, start: int) -> Tensor:
    """q [16, D], k [S, D], D = 16 or 32 -> exp(score - maximum) for the 16 keys from `start` on, [16, 16]."""
    raise NotImplementedError  # write score_tile, then take this line away
    weights = q.new_empty(16, 16)
    tile_weights_kernel[(1,)](q, k, weights, start, len(k), scale, BLOCK=16, D=q.shape[1])
    return weights


check(15, tile_weights)

# %% [markdown]
# ## Your turn: the kernel
#
# One program for each block of queries and each head of each image: `tl.program_id(0)` is the block and
# `tl.program_id(1)` the head, counted through all images. q has L rows, k and v have S; L and S may differ: in SAM's
# decoder 7 tokens attend to 4096. Load with `load_tile`, and in the loop over the keys get the scores from
# `score_tile`, or write their lines there, which compiles to the same code. What remains is the step of `add_tile`, and
# the division and the store at the end. The cases are those of the library's kernel. You may choose BLOCK_M and
# BLOCK_K; 32 is a good start.


# %%
@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, scale, L, S, D,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and meets its S keys, BLOCK_K at a time."""


def flash_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(scale · q kᵀ) v for contiguous q [B, N, L, D] and k, v [B, N, S, D]; returns [B, N, L, D]."""
    raise NotImplementedError


check(15, flash_attention)

# %% [markdown]
# In a terminal, `minisam kernel check lesson_15.py:flash_attention --like attention` runs it in float16 too. For that
# the weights have to be converted to v's type before the second `tl.dot`, while m, l and a stay in float32.
#
# ## The library's
#
# [attention.py](../../kernels/minisam_kernels/attention.py) has the same loop and two more ideas. A head of 80 channels
# is two tiles, of width 64 and 16, instead of one of 128, which saves three eighths of the products. And in addition to
# its result it writes one number for each query, the log-sum-exp m + log l. With it, any weight can be computed again
# from its score, as e^(s − lse), so the gradient needs no stored weights either (lesson 18).

# %%
from minisam_kernels.attention import attention as library
from minisam_kernels.reference.attention import attention as defined

q, k, v = torch.randn(3, 1, 2, 50, 80, generator=torch.Generator().manual_seed(1)).to(device)
difference = abs(library(q, k, v, 0.1).cpu().numpy() - defined(*(x.cpu().numpy() for x in (q, k, v)), 0.1))
assert difference.max() < 1e-5
assert (128 - 80) / 128 == 3 / 8
print("the library's kernel and the definition agree")

# %% [markdown]
# Here are the library's loads and stores one after the other, for 64 queries and 96 keys, watched in the interpreter.
# There are two programs with 32 queries each. A program loads its queries once and then takes one tile of keys and
# values after the other. Only at the end does it write, its result and the log-sum-exp (`lse`). Press Play, or move
# the slider.

# %% tags=["hide-input"]
from minisam import show
from minisam_kernels.lab.trace_steps import draw_step, trace_steps

MEANING = (
    "blue: read now; orange: written now; pale blue: accessed before by this program; grey: by another one"
)
animation = None
if not torch.cuda.is_available():
    from minisam_kernels.lab.trace import trace_call

    sizes = {"q": (1, 1, 64, 16), "k": (1, 1, 96, 16), "v": (1, 1, 96, 16)}
    given = {name: rng.standard_normal(size) for name, size in sizes.items()}
    (launch,) = trace_call(library, given, backward=False, scale=0.25)
    steps = trace_steps(launch)
    of_first = [step.tensor for step in launch.steps if step.program == (0, 0, 0)]
    assert of_first == ["q", *3 * ["k", "v"], "out", "lse"] and launch.grid == (2, 1)
    animation = show.frames(
        lambda cells: draw_step(launch, cells), steps, "step", MEANING, first=4, play=True
    )
animation

# %% [markdown]
# *Blue: read in this step. Orange: written. Pale blue: accessed before by the same program. Grey: accessed before by
# other programs. White: not accessed yet.*
#
# > **What the paper says, what the code does.** The first arXiv version of FlashAttention-2 (2307.08691, algorithm 1,
# > line 10) rescales the weighted sum by the *inverse* of e^(m − m_new); issue 991 of its repository reports the error,
# > and its code multiplies by the factor itself. SAM's paper does not discuss this: its code writes every score and the
# > bias to memory (lesson 16).
#
# ## Find the bug
#
# This is softmax for rows of any length: a first pass over the row computes the maximum and the sum, a second one
# writes the result. Liger-Kernel, a widely used library of kernels, had such code for long rows with a wrong running
# maximum. It had no effect, because the code that launches the kernel chose blocks as long as the row, so that it never
# ran, not even in a test. (Both have been fixed since.) The kernel below does run, on rows of any length, and its
# results are right for ordinary numbers. But it fails on some rows. On which? Fix it.


# %%
@triton.jit
def wide_softmax_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers and walks along it twice. There is a bug in it."""
    row = tl.program_id(0).to(tl.int64)
    row_max = float("-inf")
    row_sum = 0.0
    for start in range(0, N, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf"))
        new_max = tl.max(x, axis=0)
        row_sum = row_sum * tl.exp(row_max - new_max) + tl.sum(tl.exp(x - new_max), axis=0)
        row_max = new_max
    for start in range(0, N, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=0.0)
        tl.store(y_ptr + row * N + columns, tl.exp(x - row_max) / row_sum, mask=columns < N)


def wide_softmax(x: Tensor) -> Tensor:
    """softmax of every row of x [R, N], for rows of any length."""
    y = torch.empty_like(x)
    wide_softmax_kernel[(len(x),)](x, y, x.shape[1], BLOCK=64)
    return y


check(15, wide_softmax)

# %% [markdown]
# ## What was left out
#
# The bias on the scores, which SAM's encoder needs: lesson 16. The gradient: lesson 18. The best size of a block, and
# how to load data before it is needed: lesson 19. Two states can be merged in the same way as a tile is added, so the
# keys of a few queries can be divided among several programs. SAM's decoder needs that, for 7 queries and 4096 keys:
# lesson 20. And exponentials take time: the 201 million of this layer take about 52 µs on an H100, its products 66 µs.
# A fast kernel has to compute both at the same time.
