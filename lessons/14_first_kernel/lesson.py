# %% [markdown]
# # Lesson 14 · The first kernel: softmax
#
# Builds on: 2. Runs on a CPU in Triton's interpreter, or on a GPU if there is one.
#
# You know softmax. You will write it for a GPU: see why one kernel beats five array operations, what a program, a
# block and a mask are, look at which program touches which cell of memory, and mend an address that stood in a
# published kernel.
#
# After this lesson you can
#
# - say why one kernel beats five array operations, in bytes;
# - write a kernel with programs, blocks and masks;
# - read which program touches which address.

# %%
import triton
import triton.language as tl
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Bytes
#
# A GPU computes far faster than it reads: an H100 moves some 3.35 TB a second between its memory and its chip, and in
# that time can do some hundred operations on every number that arrives. Softmax does about five. So its time is the
# number of bytes that move, and nothing else.
#
# Written as five array operations, every one reads its input from memory and writes its output back: the maximum
# (reads N numbers of a row), the subtraction (N in, N out), the exponential (N in, N out), the sum (N in), the
# division (N in, N out). That is 8 N numbers. Done in one kernel, a row is read once, all five happen on the chip,
# and it is written once: 2 N. The arithmetic is the same, and the time a quarter.

# %%
steps = {"maximum": (1, 0), "subtract": (1, 1), "exp": (1, 1), "sum": (1, 0), "divide": (1, 1)}
apart, fused = sum(read + write for read, write in steps.values()), 2
rows, N, width = 12 * 4096, 4096, 2  # one of ViT-B's global attentions, in float16
rate = 3.35e12  # bytes a second, an H100
milliseconds = [1e3 * count * rows * N * width / rate for count in (apart, fused)]
assert apart == 8 and 0.9 < milliseconds[0] < 1.0 and 0.2 < milliseconds[1] < 0.3
print(
    f"SAM's softmax of one layer, at least: {milliseconds[0]:.2f} ms apart, {milliseconds[1]:.2f} ms in one kernel"
)

# %% [markdown]
# ## Programs, blocks, masks
#
# A *kernel* is a function that is started many times at once. Each start is a *program*; it asks for its number, and
# from the number it knows which part of the work is its own. Programs cannot see each other, and run in any order.
#
# A program does not work number by number but on *blocks*: `tl.arange(0, BLOCK)` is a whole vector, and BLOCK has
# to be a power of two, known when the kernel is compiled. Rows seldom have such a length, so the block is a little
# longer than the row, and a *mask* says which of its lanes are real. A masked lane reads nothing and gets the value
# `other`.
#
# A pointer is an address; pointer plus vector is a vector of addresses. Memory has no rows: row r of an array of N
# columns starts r·N numbers after the beginning. As a warm-up, a kernel that doubles each row:


# %%
@triton.jit
def double_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers."""
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < N
    x = tl.load(x_ptr + row * N + columns, mask=inside, other=0.0)
    tl.store(y_ptr + row * N + columns, 2 * x, mask=inside)


x = torch.arange(15.0, device="cuda" if torch.cuda.is_available() else "cpu").reshape(3, 5)
y = torch.empty_like(x)
double_kernel[(3,)](x, y, 5, BLOCK=8)
assert torch.equal(y, 2 * x)
print(y.cpu().numpy())

# %% [markdown]
# ## Which program touches which cell
#
# Left: the three programs and their lanes; the last three of each have no cell and are masked. Middle: what becomes
# of that in memory, which is one long row. Without the mask program 0 would read into row 1, and the last one past
# the end, where anything may lie. On the right, watched while they run in the interpreter, the programs of the
# library's softmax, whose programs own sixteen rows each.

# %%
from minisam_kernels.lab.trace import trace_call
from minisam_kernels.softmax import softmax as library

colors = plt.get_cmap("tab10")

# %% tags=["hide-input"]
fig, (left, middle, right) = plt.subplots(
    1, 3, figsize=(11, 3.4), width_ratios=[1, 1.7, 1], layout="constrained"
)
for row in range(3):
    for lane in range(8):
        real = lane < 5
        style = {"facecolor": colors(row) if real else "white", "edgecolor": colors(row), "alpha": 0.75}
        left.add_patch(plt.Rectangle((lane, row), 0.92, 0.9, hatch=None if real else "///", **style))
        if real:
            middle.add_patch(plt.Rectangle((5 * row + lane, 0), 0.92, 0.9, **style))
            middle.text(5 * row + lane + 0.46, 0.45, 5 * row + lane, ha="center", va="center", fontsize=8)
        else:
            far = {"facecolor": "none", "hatch": "///", "edgecolor": colors(row)}
            middle.add_patch(plt.Rectangle((5 * row + lane, 1.1 + 0.45 * row), 0.92, 0.36, **far))
left.set(xlim=(-0.2, 8.2), ylim=(3.1, -0.2), xlabel="lane of the block", title="3 programs, 8 lanes each")
left.set_yticks([0.45, 1.45, 2.45], ["program 0", "program 1", "program 2"])
middle.axvline(15, color="black", linewidth=1.5)
middle.text(15.2, 0.45, "not\nyours", va="center", fontsize=8)
middle.set(xlim=(-0.4, 18.4), ylim=(2.7, -0.3), xlabel="number in memory", yticks=[], xticks=range(0, 20, 5))
middle.set_title("memory; hatched: where masked lanes point")
owner = np.repeat(np.arange(40)[:, None] // 16, 24, axis=1)  # what is expected
if not torch.cuda.is_available():  # what is seen: a GPU's programs cannot be watched
    (launch,) = trace_call(library, {"x": np.zeros((40, 24))}, backward=False, scale=1.0)
    for (program, _, _), seen in launch.tensors[0].reads.items():
        assert (seen.reshape(40, 24) == (owner == program)).all()
    assert launch.grid == (3,)
right.imshow(owner, cmap="tab10", vmin=0, vmax=9, aspect="auto", alpha=0.75)
for program, middle_row in enumerate((7.5, 23.5, 35.5)):
    right.text(11.5, middle_row, f"program {program}", ha="center", va="center")
right.set(title="the library's, 40 × 24", xlabel="column", ylabel="row")

# %% [markdown]
# ## Your turn: softmax
#
# The kernel and its launch. Two questions to answer before you write: what should a masked lane hold so that it
# neither wins the maximum nor adds to the sum? And how many programs are there? The check runs the cases of the
# library's own kernel, between guard bands, and looks at the address of every lane that is not masked.


# %%
@triton.jit
def softmax_kernel(x_ptr, y_ptr, scale, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers; BLOCK is a power of two and at least N."""


def softmax_rows(x: Tensor, scale: float) -> Tensor:
    """softmax(scale * x) of every row of x [R, N]: make the output, launch softmax_kernel, return it."""
    raise NotImplementedError


check(14, softmax_rows)

# %% [markdown]
# In a terminal, `minisam lesson check 14`; and `minisam kernel check lesson_14.py:softmax_rows --like softmax`
# holds it to all that the library's kernels are held to, in float16 too.
#
# ## The library's
#
# [softmax.py](../../kernels/minisam_kernels/softmax.py) gives a program several rows where rows are short, because
# starting a program costs something too; it computes in float32 whatever the type of the numbers; and it has a
# kernel for the gradient.

# %%
x = torch.randn(5, 300, generator=torch.Generator().manual_seed(0)).to(x.device)
assert (library(x) - torch.softmax(x, -1)).abs().max() < 1e-6
print("the library's kernel and torch agree")

# %% [markdown]
# > **What the paper says, what the code does.** The paper's encoder adds to the scores a bias that depends on how far
# > apart two tokens are, and leaves its memory traffic to the framework. A well-known fast version of SAM fused it
# > into attention with a kernel that takes one block of keys for one row of the image: the next exercise.
#
# ## Find the bug
#
# Key token j of a grid W wide sits in row j // W and column j % W. This kernel adds `rel_h` of the row and `rel_w`
# of the column to every score. It passes every test on 16 columns. Mend it.


# %%
@triton.jit
def add_bias_kernel(scores_ptr, rel_h_ptr, rel_w_ptr, out_ptr, H, W, BLOCK: tl.constexpr):
    """One program owns BLOCK key tokens of one row of scores. There is a bug in it."""
    row, block = tl.program_id(0), tl.program_id(1)
    token = block * BLOCK + tl.arange(0, BLOCK)
    inside = token < H * W
    key_row = token // BLOCK
    key_column = token % W
    score = tl.load(scores_ptr + row * H * W + token, mask=inside, other=0.0)
    bias_h = tl.load(rel_h_ptr + row * H + key_row, mask=inside, other=0.0)
    bias_w = tl.load(rel_w_ptr + row * W + key_column, mask=inside, other=0.0)
    tl.store(out_ptr + row * H * W + token, score + bias_h + bias_w, mask=inside)


def add_bias(scores: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    """scores [R, H·W], rel_h [R, H], rel_w [R, W] -> scores with the bias of every key token added."""
    (R, H), W = rel_h.shape, rel_w.shape[1]
    out = torch.empty_like(scores)
    add_bias_kernel[(R, triton.cdiv(H * W, 16))](scores, rel_h, rel_w, out, H, W, BLOCK=16)
    return out


check(14, add_bias)

# %% [markdown]
# ## What was left out
#
# What happens when a row does not fit into a block: lesson 15, where the maximum and the sum are kept up to date
# piece by piece, and softmax and the product with v become one kernel. Warps, registers and the compiler, which
# turn a program into 32 threads at a time: lesson 19. And the interpreter is not a GPU: it runs programs one after
# the other, so it never shows that two of them write one cell, and it computes bfloat16 wrongly, which is why it is
# refused there.
