# %% [markdown]
# # Lesson 18 · The backward pass: gradients without stored scores
#
# Builds on: 16. Runs on a CPU in Triton's interpreter, or on a GPU if there is one.
#
# You know attention as one kernel that stores no score. Training needs its gradients, and the usual formula for them
# needs all the scores. You will derive that formula, check it by finite differences, find out why two numbers for each
# query replace 4096, write the kernel for the gradient of the queries, and see why the same input should give the same
# bits.
#
# After this lesson you can
#
# - derive the gradient of a softmax and of attention;
# - check a gradient by finite differences;
# - say which two numbers for each query make it unnecessary to store scores;
# - write the kernel for the queries' gradient.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## What a gradient is
#
# The result of a network in training is one number, the loss. The gradient dO of an output O has O's shape. Each of its
# numbers is the derivative of the loss with respect to that element of O: by how much the loss grows when the element
# grows a little. The backward pass gets dO and computes the same for q, k and v. Attention has three steps, and each of
# them is differentiated separately. (The matrix S contains the scores; in shapes, as before, S is the number of keys.)
#
# $$S = \text{scale}\; q k^{\mathsf T}, \qquad P = \text{softmax}(S), \qquad O = P v$$
#
# Two of them are matrix products. For a product Y = A B the gradients are dA = dY Bᵀ and dB = Aᵀ dY; the shapes allow
# no other product. So
#
# $$dV = P^{\mathsf T} dO, \qquad dP = dO\, v^{\mathsf T}, \qquad dQ = \text{scale}\; dS\, k, \qquad
# dK = \text{scale}\; dS^{\mathsf T} q$$
#
# The step from dP to dS is still missing.
#
# ## The gradient of softmax
#
# If one score of a row increases a little, its weight increases. Since the sum of the row is still one, all other
# weights decrease, each in proportion to itself:
#
# $$\frac{\partial P_s}{\partial S_s} = P_s\,(1 - P_s), \qquad
# \frac{\partial P_t}{\partial S_s} = -P_s P_t \quad\text{for the other keys } t$$
#
# The sum over all weights that the score changes, each multiplied by its dP, is
#
# $$dS_s = P_s \Big(dP_s - \underbrace{\textstyle\sum_t P_t\, dP_t}_{\text{mean of } dP}\Big)$$
#
# So dS of a key is positive if its dP is above the weighted mean of the row, and negative if it is below. The sum of
# each row of dS is zero.
# %%
from minisam_kernels.reference.softmax import softmax

rng = np.random.default_rng(3)
weights, grad_weights = softmax(0.7 * rng.standard_normal(8)), rng.standard_normal(8)
mean = (weights * grad_weights).sum()
grad_scores = weights * (grad_weights - mean)
assert abs(grad_scores.sum()) < 1e-12

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 3, figsize=(11, 3.1), layout="constrained")
sign = np.where(grad_weights > mean, "tab:blue", "tab:orange")
panels[0].bar(range(8), weights, color="tab:gray")
panels[0].set_title("P: the weights of one query")
panels[1].bar(range(8), grad_weights - mean, bottom=mean, color=sign)
panels[1].axhline(mean, color="black", linestyle="--", linewidth=1.2)
panels[1].set_title("dP, from its mean (dashed)")
panels[2].bar(range(8), grad_scores, color=sign)
panels[2].axhline(0, color="black", linewidth=0.8)
panels[2].set_title("dS = P (dP − mean): sums to zero")
for axes in panels:
    axes.set(xlabel="key", xticks=range(8))
    axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Your turn: the gradient of softmax
#
# For every row. One of the cases has 1031 columns, so do not compute the matrix of all derivatives of a row.


# %%
def softmax_backward(weights: np.ndarray, grad_weights: np.ndarray) -> np.ndarray:
    """P and dP, both [rows, S] -> dS [rows, S]."""
    raise NotImplementedError


check(18, softmax_backward)

# %% [markdown]
# ## How to check a gradient
#
# A wrong formula for a gradient can have the right shapes, and a network with a wrong gradient still learns something.
# So gradients are compared with their definition. Change the inputs by a step h in some direction u, and by −h, and
# compare the losses:
#
# $$\frac{\text{loss}(x + h u) - \text{loss}(x - h u)}{2h} \;\approx\; \textstyle\sum_i dX_i\, u_i$$
#
# How small should h be? With a large step the curvature of the loss causes an error that grows as h². With a small step
# two nearly equal numbers are subtracted, and their rounding causes an error that grows as 1/h. In float64 a step of
# 10⁻⁵ gives a relative error below 10⁻⁹. In float32 the same step gives an error of about one in a hundred, and the
# best step, which is not known beforehand, one of about 10⁻⁵. That is why gradients are checked in float64.

# %%
from minisam_kernels.cases import Case, gradients
from minisam_kernels.reference.attention import attention

q, k, v, grad_out = np.random.default_rng(0).standard_normal((4, 1, 1, 12, 16))
directions = np.random.default_rng(1).standard_normal((8, *q.shape))
case = Case("attention", "", {"q": q, "k": k, "v": v}, {"scale": 0.25})
exact = (gradients(case, grad_out)["q"] * directions).sum(axis=(1, 2, 3, 4))


def slope(direction: np.ndarray, h: float, dtype: type) -> float:
    """The loss's slope along the direction, by differences of numbers of that type."""
    forth, back, keys, values, grad = (
        array.astype(dtype) for array in (q + h * direction, q - h * direction, k, v, grad_out)
    )
    losses = [(attention(moved, keys, values, dtype(0.25)) * grad).sum() for moved in (forth, back)]
    return float(losses[0] - losses[1]) / (2 * h)


steps = np.logspace(-9, 0, 28)

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
errors = {}
for dtype, color in ((np.float32, "tab:orange"), (np.float64, "tab:blue")):
    off = np.array([[slope(u, h, dtype) for u in directions] for h in steps]) - exact
    errors[dtype] = np.sqrt((off**2).mean(axis=1) / (exact**2).mean())
    axes.loglog(steps, errors[dtype], ".-", color=color, label=dtype.__name__)
axes.set(xlabel="step h", ylabel="relative error of the slope", ylim=(3e-12, 1e4))
axes.text(2e-9, 3e-10, "rounding, 1 / h", color="tab:blue")
axes.text(2e-8, 3e1, "rounding, 1 / h", color="tab:orange")
axes.text(1.2e-3, 1e-7, "bend, h²")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
at = abs(steps - 1e-5).argmin()

# %%
assert errors[np.float64][at] < 1e-9 and 2e-3 < errors[np.float32][at] < 5e-2
assert 2e-6 < errors[np.float32].min() < 2e-4

# %% [markdown]
# ## Weights need not be stored
#
# dV needs P, and dS needs P and dP. The usual method stores P for the backward pass: 4096 × 4096 weights for each of 12
# heads, in each of ViT-B's four global layers. The kernel of lesson 15 does not store the scores. Two numbers for each
# query are enough to compute the weights again.
#
# **The log-sum-exp.** The forward pass computes the row's maximum m and its sum l; it stores one number, m + log l.
# With it every weight can be computed again, separately and in any order: $P_{ls} = \exp(S_{ls} - \text{lse}_l)$. No
# maximum is needed: the exponent is at most 0. The product q kᵀ is computed once more; on an H200 that takes a third of
# the time of reading its result from memory.
#
# **delta.** The mean of dP is a sum over all keys, and a kernel that reads them tile by tile would have it only after
# the last tile. But the sum over the keys can be computed first:
#
# $$\text{delta}_l = \sum_s P_{ls}\, dP_{ls} = \sum_s P_{ls} \sum_d dO_{ld}\, v_{sd}
# = \sum_d dO_{ld} \sum_s P_{ls}\, v_{sd} = \sum_d dO_{ld}\, O_{ld}$$
#
# It is the row sum of dO ∘ O, the elementwise product: 64 products, available before the first key is read.

# %%
heads, tokens, D = 12, 64 * 64, 64
stored, kept = heads * tokens * tokens * 2, heads * tokens * 2 * 4
again = 2 * heads * tokens * tokens * D / 780e12  # seconds, at 780 TFLOP/s
reading = stored / 4.3e12  # at 4.3 TB/s
assert 0.3 < again / reading < 0.4
assert 402e6 < stored < 403e6 and 390e3 < kept < 400e3
print(f"P in bfloat16: {stored / 1e6:.0f} MB a layer; lse and delta in float32: {kept / 1e6:.1f} MB")

P = softmax(0.25 * q @ k.swapaxes(-1, -2))
dP = grad_out @ v.swapaxes(-1, -2)
assert np.allclose((P * dP).sum(axis=-1), (grad_out * (P @ v)).sum(axis=-1), atol=1e-12)

# %% [markdown]
# ## Your turn: the gradient of attention
#
# In NumPy, from what the forward pass stored. The cases are those of the library's kernel: more keys than queries,
# scores of several hundred, with axes for batch and heads.


# %%
def attention_backward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    out: np.ndarray,
    lse: np.ndarray,
    grad_out: np.ndarray,
    scale: float,
) -> np.ndarray:
    """q, out, grad_out [..., L, D], k, v [..., S, D], lse [..., L] -> dQ, dK, dV one below the other.

    That is [..., L + S + S, D]. No maximum and no sum over the keys is needed.
    """
    raise NotImplementedError


check(18, attention_backward)

# %% [markdown]
# ## Two passes
#
# dQ is a sum over the keys, dK and dV are sums over the queries. Consider dS as a matrix with a row for each query and
# a column for each key. A program that is responsible for some rows can compute their dQ, with a loop over the columns;
# one that is responsible for some columns can compute their dK and dV. No program can do both alone.
#
# One solution: programs are responsible for columns and *add* to dQ in memory, all to the same rows, with atomic
# additions. That takes five matrix products. But the programs run in no fixed order, and sums of rounded numbers depend
# on the order. The other solution is two kernels in which each result is written by one program only. They compute q kᵀ
# and dO vᵀ twice, so this takes seven products. minisam uses the second solution. Left and middle: which program of the
# library's kernels writes which cells. Right: one number to which 64 programs add, in 500 different orders.

# %%
from minisam_kernels.attention import attention as kernel
from minisam_kernels.lab.trace import trace_call

L, S, dims = 70, 70, 16
row_owner, column_owner = np.arange(L) // 16, np.arange(S) // 32  # what is expected
if not torch.cuda.is_available():  # what is seen: a GPU's programs cannot be watched
    inputs = dict(zip("qkv", np.random.default_rng(1).standard_normal((3, 1, 1, L, dims)), strict=True))
    for launch in trace_call(kernel, inputs, backward=True, scale=0.25):
        for name, owner in (("grad_q", row_owner), ("grad_k", column_owner), ("grad_v", column_owner)):
            for tensor in (tensor for tensor in launch.tensors if tensor.name == name and tensor.writes):
                assert (tensor.count("writes") == 1).all()
                for program, written in tensor.writes.items():
                    assert (written.reshape(L, dims).all(axis=1) == (owner == program[0])).all()

parts = np.random.default_rng(0).standard_normal(64).astype(np.float32)
orders = [np.random.default_rng(order).permutation(64) for order in range(500)]
sums = np.array([np.cumsum(parts[order], dtype=np.float32)[-1] for order in orders], dtype=np.float64)
true = parts.astype(np.float64).sum()
assert len(set(sums)) > 10 and abs(sums - true).max() < 1e-4

# %% tags=["hide-input"]

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
left.imshow(np.repeat(row_owner[:, None], S, axis=1), cmap="tab10", vmax=9, alpha=0.7)
middle.imshow(np.repeat(column_owner[None], L, axis=0), cmap="tab10", vmax=9, alpha=0.7)
arrow = {"arrowprops": {"arrowstyle": "-|>", "linewidth": 1.6}}
for program in range(5):
    row = (16 * program + min(16 * program + 15, L - 1)) / 2
    left.annotate("", (66, row), (24, row), **arrow)
    left.text(2, row, f"program {program}", va="center", fontsize=9)
for program in range(3):
    column = (32 * program + min(32 * program + 31, S - 1)) / 2
    middle.annotate("", (column, 66), (column, 30), **arrow)
    middle.text(column, 27, f"program {program}", rotation=90, ha="center", va="bottom", fontsize=9)
left.set_title("first kernel: sums over keys, dQ")
middle.set_title("second: over queries, dK and dV")
for axes in (left, middle):
    axes.set(xlabel="key", ylabel="query", xticks=(0, 32, 64), yticks=(0, 16, 32, 48, 64))
right.hist((sums - true) * 1e7, bins=40, color="tab:gray")
right.set(xlabel="error of the sum, 10⁻⁷", ylabel="of 500 orders")
right.set_title("atomic additions in any order")
right.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# Each of these sums is as exact as float32 allows. But if a training run cannot be repeated exactly, it is hard to find
# the step at which an error occurred. And a test that compares two runs then needs a tolerance, and may miss a real
# race condition (two programs that write to the same cell).
#
# ## Your turn: the first kernel
#
# dQ for one head. The addresses and the mask of the keys are given; add the mathematics, in an order that is possible
# for a program. Question: a masked key has k = 0, so it adds dS · 0 to dQ. Why is the mask of the scores still needed?
# (A case has scores of about −160.) Use `input_precision="ieee"` in every `tl.dot`: without it a GPU rounds the factors
# of float32 products to ten bits after the point (TF32).

# %%
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def query_gradient_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, grad_out_ptr, grad_q_ptr, scale, L, S,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries and their dQ, and walks over the keys, BLOCK_K at a time."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    dims = tl.arange(0, D)
    own = rows[:, None] * D + dims[None, :]
    q = tl.load(q_ptr + own, mask=row_ok[:, None], other=0.0)
    # 1. load out, grad_out and lse; make delta [BLOCK_M] of them
    grad_q = tl.zeros([BLOCK_M, D], tl.float32)
    for start in range(0, S, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < S
        keys = columns[:, None] * D + dims[None, :]
        k = tl.load(k_ptr + keys, mask=column_ok[:, None], other=0.0)
        # 2. load v
        scores = scale * tl.dot(q, tl.trans(k), input_precision="ieee")
        scores = tl.where(column_ok[None, :], scores, float("-inf"))
        # 3. weights, their gradient, the scores' gradient; add to grad_q
    tl.store(grad_q_ptr + own, scale * grad_q, mask=row_ok[:, None])


def query_gradient(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor, scale: float
) -> Tensor:
    """q, out, grad_out [L, D], k, v [S, D], lse [L] -> dQ [L, D]."""
    raise NotImplementedError  # complete the kernel, then take this line away
    (L, D), S = q.shape, len(k)
    grad_q = torch.empty_like(q)
    query_gradient_kernel[(triton.cdiv(L, 16),)](
        q, k, v, out, lse, grad_out, grad_q, scale, L, S, D=D, BLOCK_M=16, BLOCK_K=32
    )
    return grad_q


check(18, query_gradient)

# %% [markdown]
# ## The gradient of the bias
#
# SAM adds two numbers to the score of query l and the key in grid row i and column j: rel_h[l, i] and rel_w[l, j]. The
# gradient of a number that is added to W scores is the sum of their gradients:
#
# $$d\,\text{rel\_h}_{li} = \sum_j dS_{l,(i,j)}, \qquad d\,\text{rel\_w}_{lj} = \sum_i dS_{l,(i,j)}$$
#
# A dense bias has a gradient as large as the scores, 403 MB per layer, which would have to be written to memory and
# then summed by another kernel. The first kernel, which takes the keys one grid row at a time, can compute the sums
# directly: the sum of a tile of dS along its rows is d rel_h[:, i], and the sum of all tiles is d rel_w.


# %%
def bias_gradients(grad_scores: Tensor, H: int, W: int) -> Tensor:
    """dS [N, L, H·W] -> d rel_h [N, L, H] and d rel_w [N, L, W] side by side: [N, L, H + W]."""
    raise NotImplementedError


check(18, bias_gradients)

# %% [markdown]
# ## The library's
#
# [attention_backward.py](../../kernels/minisam_kernels/attention_backward.py) has the two passes, and
# [rel_pos_attention_backward.py](../../kernels/minisam_kernels/rel_pos_attention_backward.py) adds the bias to them.
# The next cell compares them with the gradients of the dense formula in float64, on a grid of 5 × 7. It also compares
# the bits of two runs, and of an image alone and in a batch.

# %%
from minisam_kernels.rel_pos_attention import rel_pos_attention

H, W, images = 5, 7, 2
shapes = {"q": 16, "k": 16, "v": 16, "rel_h": H, "rel_w": W}
rng = np.random.default_rng(0)
arrays = {name: rng.standard_normal((images, 1, H * W, last)) for name, last in shapes.items()}
grad_out = rng.standard_normal((images, 1, H * W, 16))
device = "cuda" if torch.cuda.is_available() else "cpu"


def library_gradients(image: slice) -> dict[str, Tensor]:
    given = {
        name: torch.tensor(array[image], dtype=torch.float32, device=device, requires_grad=True)
        for name, array in arrays.items()
    }
    out = rel_pos_attention(**given, scale=0.25)
    grads = torch.autograd.grad(out, list(given.values()), torch.tensor(grad_out[image]).to(out))
    return dict(zip(given, grads, strict=True))


both, again, alone = library_gradients(slice(2)), library_gradients(slice(2)), library_gradients(slice(1, 2))
wanted = gradients(Case("rel_pos_attention", "", arrays, {"scale": 0.25}), grad_out)
for name, grad in both.items():
    assert abs(grad.cpu().numpy() - wanted[name]).max() < 1e-5 * max(1, abs(wanted[name]).max())
    assert torch.equal(grad, again[name]) and torch.equal(grad[1:], alone[name])
print(
    "the kernels' five gradients agree with the formula's; run twice and in a batch, they are the same bits"
)

# %% [markdown]
# What do the two additional products cost? On an H200, for ViT-B's global layer and one image, they raise the floor by
# two fifths. (The floor is the shortest time that tensor cores, memory and exponentials allow, lesson 19.) Writing and
# reading a dense bias and its gradient once would take longer than the whole backward pass.

# %%
from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.roofline import floor_on
from minisam_kernels.lab.work import attention_work

shape = {"batch": 1, "heads": 12, "queries": 4096, "keys": 4096, "head_dim": 64, "backward": True}
five, seven = (
    floor_on(GPUS["H200"], attention_work("", **shape, split=split)).floor * 1e6 for split in (False, True)
)
dense = 4 * 12 * 4096**2 * 2 / GPUS["H200"].bytes * 1e6  # bias and its gradient, each written and read
assert 160 < five < 170 and 1.39 < seven / five < 1.41 and dense > 1.5 * seven
print(f"five products {five:.0f} µs, seven {seven:.0f} µs; a dense bias and its gradient {dense:.0f} µs more")

# %% [markdown]
# > **What the paper says, what the code does.** FlashAttention's backward (Dao et al. 2022) computes the weights again
# > from the row's maximum and sum. FlashAttention-2 (Dao 2023, section 3.2) has one kernel whose programs are
# > responsible for keys and add to dQ atomically: five products, and last bits that differ between runs. Here two
# > kernels do seven. SAM's paper does not discuss it, and its released code leaves the backward pass to autograd, which
# > keeps the 4096² weights of every head.
#
# ## Find the bug
#
# rel_h and rel_w are not inputs of the network. They are q · R_h and q · R_w, with two learned tables, so their
# gradients are passed on to q, which gets three contributions: through the keys, through the rows and through the
# columns. This function adds them. With it, training works, but a little worse than it should, and there is no error
# message. Fix it. (Lesson 4 says from which q the bias is computed.)


# %%
def all_of_grad_q(
    grad_scores: np.ndarray, k: np.ndarray, R_h: np.ndarray, R_w: np.ndarray, scale: float
) -> np.ndarray:
    """dS [H·W, H·W], k [H·W, D], R_h [H, H, D], R_w [W, W, D] -> dQ [H·W, D]. There is a bug in it.

    R_h[i, m] is the table's row for a query in grid row i and a key in grid row m; R_w the same for columns.
    """
    (H, _, D), W = R_h.shape, len(R_w)
    grid = grad_scores.reshape(H, W, H, W)  # the query's row and column, the key's row and column
    grad_rel_h, grad_rel_w = grid.sum(axis=3), grid.sum(axis=2)
    through_keys = grad_scores @ k
    through_rows = np.einsum("hwm,hmd->hwd", grad_rel_h, R_h).reshape(H * W, D)
    through_columns = np.einsum("hwn,wnd->hwd", grad_rel_w, R_w).reshape(H * W, D)
    return scale * (through_keys + through_rows + through_columns)


check(18, all_of_grad_q)

# %% [markdown]
# ## What was left out
#
# The second kernel: like the first one, but with the queries in the loop and two sums; a good exercise, without a
# check. The backward pass of windows, where programs for queries and programs for keys alternate, so that the latter
# find a window's tokens in the cache, and where the gradients of padded keys and values are added to that of the
# projection's bias. The gradients of the tables R_h and R_w, which are one more matrix product. How the size of tiles
# changes a kernel's use of registers: lesson 19. And race conditions: the interpreter runs programs one after the
# other, so it never shows one. The addresses do, and the figure above was drawn from them: no two programs write to the
# same cell.
