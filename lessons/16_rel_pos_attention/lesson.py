# %% [markdown]
# # Lesson 16 · The fused bias: relative positions inside flash attention
#
# Builds on: 4, 15. Runs on a CPU in Triton's interpreter, or on a GPU if there is one.
#
# SAM's encoder adds a bias to every score, and writing that bias to memory takes longer than attention itself. You will
# choose the kernel's tiles so that the bias of a tile becomes one number for each query and a table that is the same
# for all tiles, combine both with arithmetic that softmax needs anyway, and fix a bug that occurred in a published
# kernel for this layer.
#
# After this lesson you can
#
# - count the bytes that a stored bias costs;
# - choose tiles so that the bias of a tile is one number for each query and one table;
# - write attention with decomposed relative positions as one kernel.

# %%
import triton
import triton.language as tl
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## What the bias costs
#
# Lesson 4's bias for query l and the key in grid row i and grid column j is
#
# $$\text{bias}[l, (i, j)] = \text{rel\_h}[l, i] + \text{rel\_w}[l, j].$$
#
# On SAM's 64 × 64 tokens, rel_h and rel_w are 64 + 64 numbers for each query. Their sum is 4096. For the 12 heads of
# ViT-B, in a 16-bit type, that is 12.6 MB compared with 403 MB.
#
# The flash attention of libraries takes such a bias as one array, so the 403 MB have to be written to memory, and the
# kernel reads them again. At the 3.0 TB per second of an H100 that takes 268 µs, for a layer whose products take 66 µs.

# %%
heads, tokens, side, head_dim = 12, 4096, 64, 64

from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.work import attention_work

gpu, work = GPUS["H100"], attention_work("attention", 1, heads, tokens, tokens, head_dim)
dense, compact, scores = heads * tokens**2 * 2, heads * tokens * 2 * side * 2, heads * tokens**2 * 2
assert 402e6 < dense < 403e6 and 12.5e6 < compact < 12.6e6
qkvo, products = work.total("bytes"), work.total("products") / gpu.products
variants = {
    "all in memory": {"q, k, v, out": qkvo, "bias": 2 * dense, "scores, weights": 4 * scores},
    "flash attention, whole bias": {"q, k, v, out": qkvo, "bias": 2 * dense},
    "this lesson": {"q, k, v, out": qkvo, "rel_h, rel_w": compact},
}
assert 268e-6 < 2 * dense / gpu.bytes < 269e-6 and 65e-6 < products < 67e-6

# %% tags=["hide-input"]

fig, axes = plt.subplots(figsize=(10, 2.9), layout="constrained")
colors = {
    "q, k, v, out": "0.6",
    "bias": "tab:orange",
    "rel_h, rel_w": "tab:blue",
    "scores, weights": "tab:red",
}
for place, parts in enumerate(variants.values()):
    left = 0.0
    for part, moved in parts.items():
        label = part if part not in axes.get_legend_handles_labels()[1] else None
        axes.barh(place, 1e6 * moved / gpu.bytes, left=left, color=colors[part], label=label, height=0.6)
        left += 1e6 * moved / gpu.bytes
    axes.text(
        max(left, 1e6 * products) + 8,
        place,
        f"{sum(parts.values()) / 1e6:.0f} MB, {left:.0f} µs",
        va="center",
    )
axes.axvline(1e6 * products, color="black", linestyle=":")
axes.text(1e6 * products + 4, -0.62, f"the products: {1e6 * products:.0f} µs", fontsize=9, va="center")
axes.set_yticks(range(3), list(variants))
axes.set(xlabel="µs to move the bytes on an H100", xlim=(0, 980), ylim=(2.5, -0.9))
axes.set_title("One global layer of ViT-B, one image")
axes.legend(loc="lower right", fontsize=9)

# %% [markdown]
# ## A tile is one row of the grid
#
# The bias has two terms, and we are free to choose the tiles of keys. Let a tile be one row of the grid: the 64 keys
# (i, 0) to (i, 63). What is the bias in such a tile?
#
# - rel_h[l, i] is **one number for each query**, since all keys of the tile lie in row i.
# - rel_w[l, j] has all columns, so it is **the same table for every tile**, because every row has the same columns.
#
# So a program loads rel_w once, before the loop, and in each step of the loop one number for each of its queries.
#
# The figure shows this for 12 queries on a grid of 4 rows and 16 columns: at the top the whole bias, below it its two
# terms in the same size, the repeated table and the stripes of rel_h.

# %%
rng = np.random.default_rng(5)
M, H, W = 12, 4, 16
centre = np.linspace(2, 13, M)[:, None]
rel_w = 1.6 * np.exp(-((np.arange(W) - centre) ** 2) / 12) + 0.25 * rng.standard_normal((M, W))
rel_h = rng.uniform(-1.2, 1.2, (M, H))
bias = (rel_h[:, :, None] + rel_w[:, None, :]).reshape(M, H * W)
parts = {
    "bias": bias,
    "rel_w: one table, the same for every grid row of keys": np.tile(rel_w, H),
    "rel_h: one number for each query and grid row": np.repeat(rel_h, W, axis=1),
}
whole, columns_part, rows_part = parts.values()
assert np.allclose(whole, columns_part + rows_part)

colors = plt.get_cmap("RdBu_r", 27)

# %% tags=["hide-input"]
fig, panels = plt.subplots(3, 1, figsize=(10, 5.6), sharex=True, layout="constrained")
for axes, (title, part) in zip(panels, parts.items(), strict=True):
    picture = axes.imshow(part, cmap=colors, vmin=-2.7, vmax=2.7, aspect="auto", interpolation="nearest")
    for edge in range(W, H * W, W):
        axes.axvline(edge - 0.5, color="black", linewidth=1.5)
    axes.set(title=title, ylabel="query", yticks=[])
panels[-1].set_xticks(np.arange(H) * W + W / 2 - 0.5, [f"keys of grid row {i}" for i in range(H)])
fig.colorbar(picture, ax=panels, shrink=0.6)

# %% [markdown]
# ## Reducing the arithmetic
#
# There are 201 million scores in this layer. An H100 executes 33.5 · 10¹² simple instructions per second, so *one
# instruction for each score* takes 6 µs, 9 % of the time of the products. Computed as it is defined, a weight takes
# five instructions and an exponential: times scale, plus rel_h, plus rel_w, minus m, and times log₂ e, because the
# hardware only has powers of 2 and computes e^x as 2^(x · log₂ e). Three changes reduce the five to two:
#
# 1. **Powers of 2 throughout.** Multiply the scale by log₂ e beforehand, c = scale · log₂ e, and also rel_h and rel_w,
#    which are small. The maximum is then also that of the scores in base 2.
# 2. **One multiply-add** for c · q kᵀ + rel_w: the hardware does that in a single instruction.
# 3. **rel_h into the maximum.** It is one number for each query, as m is, so it is subtracted from m once for each
#    query instead of being added once for each score:
#
# $$\text{weight} = 2^{\,(c\, q k^{\mathsf T} + \text{rel\_w}) - (m - \text{rel\_h})} .$$
#
# Softmax without a bias also needs a multiplication and a subtraction for each score. The additional cost of the bias
# is one load and two operations for each query and grid row, a sixty-fourth of the number of scores.

# %%
number_of_scores = heads * tokens**2
one_instruction = number_of_scores / (gpu.products_fp32 / 2)  # a multiply-add counts as two there
assert 201e6 < number_of_scores < 202e6 and 6.0e-6 < one_instruction < 6.1e-6
assert 0.085 < one_instruction / products < 0.095
print(
    f"one instruction for each score: {1e6 * one_instruction:.1f} µs; the products: {1e6 * products:.0f} µs"
)

# %% [markdown]
# ## Your turn: one grid row
#
# The step of lesson 15 with this arithmetic, in NumPy: the inputs are the state of M queries and the W keys of one more
# grid row. The maximum in the state is in base 2, the largest value of score · LOG2E. rel_h and rel_w are given in base
# e.

# %%
LOG2E = 1.4426950408889634  # e^x = 2^(x · LOG2E)


def add_grid_row(
    state: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    rel_h: np.ndarray,
    rel_w: np.ndarray,
    scale: float,
) -> np.ndarray:
    """What M queries know so far, and the W keys of one more row of the grid -> what they know then.

    state [M, 2 + D]: column 0 the maximum so far of score · LOG2E, column 1 the sum of the weights, the other D the
    weighted sum of the values. q [M, D]; k and v [W, D]; rel_h [M] is what each query adds to all keys of this row,
    rel_w [M, W] what it adds to each column.
    """
    raise NotImplementedError


check(16, add_grid_row)

# %% [markdown]
# ## Your turn: the bias of the columns
#
# First two pieces of the kernel, each with its own check. BLOCK_K is the smallest power of two that is at least W, so a
# row of 11 columns needs a tile of 16, and the five additional columns need a score of −∞. **The mask is part of the
# bias:** set their rel_w to −∞ once, before the loop; then no score has to be masked inside the loop. rel_w has W
# numbers for each query, so those of query l of head h start at (h · L + l) · W.


# %%
@triton.jit
def load_column_bias(
    rel_w_ptr, head, start, L, W, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):  # fmt: skip
    """rel_w [heads, L, W] of BLOCK_M queries from `start` on, in base 2: [BLOCK_M, BLOCK_K], -inf from column W on."""


@triton.jit
def column_kernel(
    rel_w_ptr, factors_ptr, start, L, W, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):  # fmt: skip
    """One program stores 2 to the power of load_column_bias, for one head."""
    head = tl.program_id(0)
    lanes = (head * BLOCK_M + tl.arange(0, BLOCK_M))[:, None] * BLOCK_K + tl.arange(0, BLOCK_K)[None, :]
    bias = load_column_bias(rel_w_ptr, head, start, L, W, LOG2E, BLOCK_M, BLOCK_K)
    tl.store(factors_ptr + lanes, tl.exp2(bias))


def column_factors(rel_w: Tensor, start: int) -> Tensor:
    """rel_w [heads, L, W] -> e^rel_w of 16 queries of each head, [heads, 16, BLOCK_K], 0 where there is no column."""
    raise NotImplementedError  # write load_column_bias, then take this line away
    heads, L, W = rel_w.shape
    block_k = max(16, triton.next_power_of_2(W))
    factors = rel_w.new_empty(heads, 16, block_k)
    column_kernel[(heads,)](rel_w, factors, start, L, W, LOG2E, BLOCK_M=16, BLOCK_K=block_k)
    return factors


check(16, column_factors)

# %% [markdown]
# ## Your turn: the bias of a row
#
# In the loop, rel_h is one number for each query. Those of query l of head h start at (h · L + l) · H, one for each
# grid row.


# %%
@triton.jit
def load_row_bias(rel_h_ptr, head, start, i, L, H, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr):
    """rel_h [heads, L, H] of BLOCK_M queries from `start` on, for keys of grid row i, in base 2: [BLOCK_M]."""


@triton.jit
def row_kernel(rel_h_ptr, biases_ptr, start, i, L, H, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr):
    """One program stores load_row_bias of one head."""
    head = tl.program_id(0)
    bias = load_row_bias(rel_h_ptr, head, start, i, L, H, LOG2E, BLOCK_M)
    tl.store(biases_ptr + head * BLOCK_M + tl.arange(0, BLOCK_M), bias)


def row_biases(rel_h: Tensor, start: int, i: int) -> Tensor:
    """rel_h [heads, L, H] -> rel_h · LOG2E of 16 queries of each head for grid row i, [heads, 16], 0 beyond L."""
    raise NotImplementedError  # write load_row_bias, then take this line away
    heads, L, H = rel_h.shape
    biases = rel_h.new_empty(heads, 16)
    row_kernel[(heads,)](rel_h, biases, start, i, L, H, LOG2E, BLOCK_M=16)
    return biases


check(16, row_biases)

# %% [markdown]
# ## Your turn: the kernel
#
# Start from your kernel of lesson 15, with these two pieces in it. The loop runs over the H rows of the grid, and a
# tile is as wide as a row. Key column j of grid row i is token i · W + j.


# %%
@triton.jit
def rel_pos_attention_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, out_ptr, scale, H, W, D, LOG2E: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and meets the keys one grid row after the other; BLOCK_K >= W."""


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_h [B, N, H·W, H], rel_w [B, N, H·W, W], contiguous -> [B, N, H·W, D]."""
    raise NotImplementedError


check(16, rel_pos_attention)

# %% [markdown]
# Many attention kernels scale q before the loop. Here that would save nothing, because the scale is part of a
# multiply-add. And in a 16-bit type q · scale would be rounded once more, which loses precision that the float32
# product has.
#
# ## The library's
#
# [rel_pos_attention.py](../../kernels/minisam_kernels/rel_pos_attention.py) has this loop and these three changes. A
# grid row that is wider than a tile is divided into blocks of columns, each with its own part of rel_w. q, k and v are
# read, without a copy, from the array that the Linear layer wrote, in which they are interleaved.

# %%
from minisam_kernels.reference.rel_pos_attention import rel_pos_attention as defined
from minisam_kernels.rel_pos_attention import rel_pos_attention as library

device = "cuda" if torch.cuda.is_available() else "cpu"
generator = torch.Generator().manual_seed(0)
q, k, v = torch.randn(3, 1, 2, 5 * 9, 64, generator=generator)
rel_h, rel_w = torch.randn(1, 2, 45, 5, generator=generator), torch.randn(1, 2, 45, 9, generator=generator)
arguments = (q, k, v, rel_h, rel_w)
result = library(*(x.to(device) for x in arguments), 0.125).cpu().numpy()
assert abs(result - defined(*(x.numpy() for x in arguments), 0.125)).max() < 1e-5
print("the library's kernel and the definition agree on a grid of 5 rows and 9 columns")

# %% [markdown]
# Here are the loads and stores of the library's first two programs on a grid of 3 rows and 16 columns, one after the
# other. Each program has 16 queries. It loads rel_w once, and in each step of the loop one column of rel_h, and k and v
# of one grid row. Press Play, or move the slider.

# %% tags=["hide-input"]
from minisam import show
from minisam_kernels.lab.trace_steps import draw_step, trace_steps

MEANING = (
    "blue: read now; orange: written now; pale blue: accessed before by this program; grey: by another one"
)
animation = None
if not torch.cuda.is_available():
    from minisam_kernels.lab.trace import trace_call

    sizes = {name: (1, 1, 48, 16) for name in ("q", "k", "v", "rel_w")} | {"rel_h": (1, 1, 48, 3)}
    given = {name: rng.standard_normal(size) for name, size in sizes.items()}
    (launch,) = trace_call(library, given, backward=False, scale=0.25)
    steps = trace_steps(launch, programs=2)
    of_first = [step.tensor for step in launch.steps if step.program == (0, 0, 0)]
    assert of_first == ["q", "rel_w", *3 * ["rel_h", "k", "v"], "out", "lse"]
    animation = show.frames(
        lambda cells: draw_step(launch, cells), steps, "step", MEANING, first=7, play=True
    )
animation

# %% [markdown]
# *Blue: read in this step. Orange: written. Pale blue: accessed before by the same program. Grey: accessed before by
# other programs. White: not accessed yet.*
#
# > **What the paper says, what the code does.** SAM's paper notes that the image encoder runs once per image and does
# > not discuss its bias. Its code adds both terms to a matrix of all scores. In float32 that matrix has 0.75 GiB for
# > each global layer of ViT-B and 1.0 GiB for ViT-L and ViT-H, and training keeps it for the backward pass. Here no
# > array has that size.

# %%
gibibytes = {name: count * tokens**2 * 4 / 2**30 for name, count in (("ViT-B", 12), ("ViT-L and ViT-H", 16))}
assert list(gibibytes.values()) == [0.75, 1.0]

# %% [markdown]
# ## Find the bug
#
# segment-anything-fast, a fast version of SAM that many use, adds this bias inside attention with a Triton kernel.
# Until December 2023 that kernel had this bug: pull request 71 reports a large error, pull request 108 fixes it. The
# addresses are right. While the tables are zero, as in a network before training, the result is right too. Here is a
# smaller kernel with the same bug, which computes one query's weights from the products q kᵀ. Fix it.


# %%
@triton.jit
def weights_kernel(
    products_ptr, rel_h_ptr, rel_w_ptr, weights_ptr, scale, H, W, LOG2E: tl.constexpr, BLOCK: tl.constexpr
):
    """One program owns one query's weights for all H·W keys. There is a bug in it."""
    query = tl.program_id(0).to(tl.int64)
    key = tl.arange(0, BLOCK)
    inside = key < H * W
    product = tl.load(products_ptr + query * H * W + key, mask=inside, other=0.0)
    rel_h = tl.load(rel_h_ptr + query * H + key // W, mask=inside, other=0.0)
    rel_w = tl.load(rel_w_ptr + query * W + key % W, mask=inside, other=0.0)
    score = product * (scale * LOG2E) + (rel_h + rel_w)
    score = tl.where(inside, score, float("-inf"))
    weight = tl.exp2(score - tl.max(score, axis=0))
    tl.store(weights_ptr + query * H * W + key, weight / tl.sum(weight, axis=0), mask=inside)


def attention_weights(products: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """The products q kᵀ [R, H·W] of R queries, rel_h [R, H], rel_w [R, W] -> their weights [R, H·W]."""
    (R, H), W = rel_h.shape, rel_w.shape[1]
    weights = torch.empty_like(products)
    block = triton.next_power_of_2(H * W)
    weights_kernel[(R,)](products, rel_h, rel_w, weights, scale, H, W, LOG2E, BLOCK=block)
    return weights


check(16, attention_weights)

# %% [markdown]
# ## What was left out
#
# How rel_h and rel_w are computed: by two small products of q with the tables, before the kernel; 12.6 MB are written
# and read. In windows they are computed inside the kernel: lesson 17. Tiles that are not full: a grid row of 26 columns
# in a tile of 32 wastes a fifth of the products, one of 8 columns in a tile of 16 half of them; SAM's 64 waste nothing.
# And the gradient: that of rel_h is a sum over a tile's columns and that of rel_w a sum over the loop, so the backward
# pass does not need a table of 4096 × 4096 either: lesson 18.
