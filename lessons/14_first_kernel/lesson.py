# %% [markdown]
# # Lesson 14 · The first kernel: softmax
#
# Builds on: 2. Runs on a CPU in Triton's interpreter, or on a GPU if there is one.
#
# You know softmax. You will write it for a GPU, and see why one kernel is faster than five array operations, what a
# program, a block and a mask are, and which program accesses which cell of memory. Then you will fix a wrong address
# that occurred in a published kernel.
#
# After this lesson you can
#
# - say, in bytes, why one kernel is faster than five array operations;
# - write a kernel with programs, blocks and masks;
# - say which program accesses which address.

# %%
import triton
import triton.language as tl
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Bytes
#
# A GPU computes much faster than it reads from memory: an H100 moves about 3.35 TB per second between its memory and
# its chip, and could do about a hundred operations on every number in that time. Softmax needs about five. So its time
# depends only on the number of bytes that are moved.
#
# In a program of five array operations, every one reads its input from memory and writes its output back: the maximum
# (reads the N numbers of a row), the subtraction (reads N, writes N), the exponential (reads N, writes N), the sum
# (reads N), the division (reads N, writes N). Together that is 8 N numbers. A single kernel reads a row once, does all
# five operations on the chip, and writes the row once: 2 N. The arithmetic is the same, but it takes a quarter of the
# time.

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
# A *kernel* is a function that a GPU runs many times at once. Each of these runs is called a *program*. It has a
# number, which determines its part of the work. Programs cannot communicate with each other, and run in any order.
#
# A program does not work number by number but on *blocks*: `tl.arange(0, BLOCK)` is a whole vector, and BLOCK has to be
# a power of two, known when the kernel is compiled. Rows seldom have such a length, so the block is a little longer
# than the row, and a *mask* says which of its elements, called *lanes*, are inside the row. A lane whose mask is false
# reads nothing and gets the value `other`.
#
# A pointer is an address; a pointer plus a vector is a vector of addresses. Memory is one long sequence: row r of an
# array of N columns starts r·N numbers after the beginning. Here is a first kernel, which doubles each row:


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
# ## Which program accesses which cell
#
# Left: the three programs and their lanes; the last three lanes of each are masked. Middle: the same in memory, which
# is one long sequence. Without the mask, program 0 would also read from row 1, and the last program would read beyond
# the end, where other data may be. Right: the programs of the library's softmax, observed while they run in the
# interpreter; each of them computes sixteen rows.

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
# The same three programs, one access after the other. Press Play, or move the slider.

# %% tags=["hide-input"]
from minisam import show
from minisam_kernels.lab.trace_steps import draw_step, trace_steps

MEANING = (
    "blue: read now; orange: written now; pale blue: accessed before by this program; grey: by another one"
)
animation = None
if not torch.cuda.is_available():
    steps = trace_steps(launch)
    animation = show.frames(
        lambda cells: draw_step(launch, cells), steps, "step", MEANING, first=3, play=True
    )
animation

# %% [markdown]
# *Blue: read in this step. Orange: written in this step. Pale blue: accessed before by the same program. Grey: accessed
# before by other programs. White: not accessed yet.*
#
# ## Your turn: softmax
#
# Write the kernel and its launch. First answer two questions: which value should a masked lane have so that it changes
# neither the maximum nor the sum? And how many programs are needed? The check runs the cases of the library's own
# kernel. It places guard bands, memory filled with NaN, before and after each array, and checks the address of every
# lane that is not masked.


# %%
@triton.jit
def softmax_kernel(x_ptr, y_ptr, scale, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers; BLOCK is a power of two and at least N."""


def softmax_rows(x: Tensor, scale: float) -> Tensor:
    """softmax(scale * x) of every row of x [R, N]: make the output, launch softmax_kernel, return it."""
    raise NotImplementedError


check(14, softmax_rows)

# %% [markdown]
# In a terminal, `minisam lesson check 14`; and `minisam kernel check lesson_14.py:softmax_rows --like softmax` runs all
# checks of the library's kernels on it, in float16 too.
#
# ## The library's
#
# [softmax.py](../../kernels/minisam_kernels/softmax.py) gives a program several rows if rows are short, because
# starting a program also takes time; it computes in float32 for all types of input; and it has a kernel for the
# gradient.

# %%
x = torch.randn(5, 300, generator=torch.Generator().manual_seed(0)).to(x.device)
assert (library(x) - torch.softmax(x, -1)).abs().max() < 1e-6
print("the library's kernel and torch agree")

# %% [markdown]
# > **What the paper says, what the code does.** The paper's encoder adds to the scores a bias that depends on how far
# > apart two tokens are, and the paper says nothing about the bytes that this moves. A well-known fast version of SAM
# > adds it inside an attention kernel; an early version of that kernel had the bug of the next exercise.
#
# ## Find the bug
#
# Key token j of a grid of width W is in row j // W and column j % W. This kernel adds `rel_h` of the row and `rel_w` of
# the column to every score. It passes every test with 16 columns. Fix it.


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
# Rows that do not fit into a block: lesson 15, where the maximum and the sum are updated block by block, and softmax
# and the product with v become one kernel. Warps (groups of 32 threads), registers, and the compiler: lesson 19. And
# the interpreter is not a GPU: it runs programs one after the other, so it does not show that two of them write to the
# same cell, and its results in bfloat16 are wrong, so minisam refuses bfloat16 there.
