# %% [markdown]
# # Lesson 27 · Gluon: layouts, TMA and wgmma by hand
#
# Builds on: 19. Compiles for an H100 without a GPU; it needs Linux with Triton.
#
# In Triton you say what a block of numbers becomes; the compiler decides which thread holds which number, how data
# comes into shared memory, and when the tensor cores start. Gluon is the same language without these decisions: you
# make them. You will predict which thread has which number, count lines of memory and instructions, write a product
# with a bulk copy and wgmma, and compare with what the compiler made. Nothing is run: all of it is read from machine
# code.
#
# After this lesson you can
#
# - say which thread holds which number of a block, from its layout;
# - count the lines of memory that a load touches, and choose a layout that touches the fewest;
# - write a product with a bulk copy and wgmma, and count its instructions in machine code.

# %%
import re

import triton
from triton.backends.compiler import GPUTarget
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon._runtime import GluonASTSource  # for Triton 3.6
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma, warpgroup_mma

from minisam.lesson.page import check, np, plt

# %% [markdown]
# ## Which thread has which number
#
# A kernel's program runs on *warps* of 32 threads, whose places in the warp are called *lanes*. A tile of 32 × 32
# numbers is spread over the registers of these threads. The *layout* says which thread has which number. Gluon's
# `BlockedLayout` describes it by three pairs of numbers, rows first:
#
# - `size_per_thread`: the numbers that a thread holds side by side;
# - `threads_per_warp`: how the 32 lanes are arranged, numbered row by row;
# - `warps_per_cta`: how the warps are arranged, numbered row by row.
#
# All of them together cover size · threads · warps numbers along an axis. If the tile is larger, it is covered again
# from the first warp on, and each thread holds several pieces. A fourth argument, `order`, is [1, 0] here: along a row
# first. Here are two layouts for a tile of 16 × 32 numbers and two warps. A colour is a warp, and the number a lane:

# %%
from minisam.lesson.find import lesson

thread_at = lesson(27).exercises["thread_of"].reference  # once yours is right, put it here
WIDE = ((1, 4), (4, 8), (2, 1))
TALL = ((4, 1), (4, 8), (1, 2))
row, column = (places.ravel().astype(float) for places in np.mgrid[:16, :32])

# %% tags=["hide-input"]
fig, panels = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for axes, sizes in zip(panels, (WIDE, TALL), strict=True):
    thread = thread_at(row, column, *sizes).reshape(16, 32)
    axes.imshow(thread // 32, cmap="Pastel1", vmin=0, vmax=8)
    for y in range(16):
        for x in range(32):
            axes.text(x, y, int(thread[y, x] % 32), ha="center", va="center", fontsize=6)
    axes.set(title="size {}, threads {}, warps {}".format(*map(list, sizes)), xticks=[], yticks=[])

# %%
assert thread_at(row, column, *WIDE)[4] == 1 and thread_at(row, column, *TALL)[4] == 4

# %% [markdown]
# ## Your turn: which thread?
#
# In NumPy.


# %%
def thread_of(
    row: np.ndarray,
    column: np.ndarray,
    size_per_thread: tuple[int, int],
    threads_per_warp: tuple[int, int],
    warps_per_cta: tuple[int, int],
) -> np.ndarray:
    """row [n], column [n] of elements -> the number of the thread that holds each, 32 · warp + lane, [n]."""
    raise NotImplementedError


check(27, thread_of)

# %% [markdown]
# ## What a layout costs
#
# When a warp loads, its 32 addresses leave together. Memory answers in *lines* of 128 bytes. If the lanes load 32
# neighbouring float32 numbers, one line is enough. If each loads from another row of a wide matrix, 32 lines are needed
# for the same 128 bytes. The first case is called *coalesced*.
#
# ## Your turn: lines
#
# Each lane loads its first element. How many lines do the lanes touch?


# %%
def lines_of_a_load(size_per_thread: tuple[int, int], threads_per_warp: tuple[int, int], columns: int) -> int:
    """How many lines of 128 bytes the 32 lanes of warp 0 touch, each loading its first element.

    The matrix has float32 numbers, `columns` in a row, rows after each other in memory from the start of a line.
    """
    raise NotImplementedError


check(27, lines_of_a_load)

# %% [markdown]
# Here is a kernel in Gluon: it doubles a matrix of 64 × 128 numbers. `gl.arange` needs a layout, too. The row numbers
# are one axis of the tile, so theirs is a *slice* of the tile's layout, without the other axis. It is compiled twice,
# with the layout as the only difference:


# %%
@gluon.jit
def double_kernel(x_ptr, out_ptr, LAYOUT: gl.constexpr):
    """One program doubles a matrix of 64 × 128 float32 numbers."""
    rows = gl.arange(0, 64, layout=gl.SliceLayout(1, LAYOUT))
    columns = gl.arange(0, 128, layout=gl.SliceLayout(0, LAYOUT))
    offsets = rows[:, None] * 128 + columns[None, :]
    gl.store(out_ptr + offsets, 2 * gl.load(x_ptr + offsets))


def compile_for_h100(kernel, signature: dict[str, str], constants: dict[str, object]):
    """What Triton's compiler makes of a Gluon kernel for sm_90, with four warps; pointers are multiples of 16."""
    pointers = [number for number, kind in enumerate(signature.values()) if kind.startswith("*")]
    aligned = {(number,): [["tt.divisibility", 16]] for number in pointers}
    source = GluonASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})


POINTERS = {"x_ptr": "*fp32", "out_ptr": "*fp32", "LAYOUT": "constexpr"}
loads = {}
for name, sizes in (
    ("lanes along the rows", ([1, 4], [1, 32], [4, 1])),
    ("lanes down the columns", ([1, 1], [32, 1], [2, 2])),
):
    compiled = compile_for_h100(double_kernel, POINTERS, {"LAYOUT": gl.BlockedLayout(*sizes, order=[1, 0])})
    loads[name] = re.findall(r"ld\.global\S*", compiled.asm["ptx"])
    print(f"{name:24} {len(loads[name]):4} loads for each thread: {loads[name][0]}")
along, down = loads.values()
assert len(along) == 64 * 128 // (128 * 4) == 16 and "v4" in along[0] and "v4" not in down[0]
assert len(down) == 64 * 128 // 128 == 64
count_lines = lesson(27).exercises["lines_of_a_load"].reference
assert count_lines((1, 4), (1, 32), 128) == 4 and count_lines((1, 1), (32, 1), 128) == 32

# %% [markdown]
# The same result, but four times as many loads, each with 32 lines in place of 4. Triton's compiler searches for the
# first layout by itself. In Gluon, the compiler uses the layout that you write.
#
# ## A product by hand
#
# On an H100, two engines work beside the threads:
#
# - **TMA** copies a whole tile from global to shared memory. One thread starts it with a *descriptor*: address, shape
#   and tile. TMA then copies without the threads, and counts the bytes at a *barrier*, a counter in shared memory that
#   threads can wait for. The program sets the number of bytes that the barrier expects, and waits for them.
# - **wgmma** multiplies tiles that lie in shared memory. Four warps together are a *warp group* and issue it. One
#   instruction has 64 rows, up to 256 columns, and 32 bytes of numbers along k: 16 numbers of 16 bits.
#
# In shared memory, rows are *swizzled*: pieces of 16 bytes change places in each row. Shared memory has 32 *banks*,
# each of which serves one address at a time; a column of a swizzled tile lies in several of them, and is read faster.
# `NVMMASharedLayout` describes this, and both engines know it. The sums of wgmma are in registers, in a special layout,
# `NVMMADistributedLayout`.
#
# Here is the product of two 64 × 64 tiles of float16. In Triton, `tl.dot` does all of this:


# %%
async_load = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared  # its name in Triton 3.6


@gluon.jit
def product_kernel(a_desc, b_desc, out_ptr):
    """One program: out [64, 64] = a @ b, float32 sums of float16 products."""
    a = gl.allocate_shared_memory(a_desc.dtype, a_desc.block_type.shape, a_desc.layout)
    b = gl.allocate_shared_memory(b_desc.dtype, b_desc.block_type.shape, b_desc.layout)
    arrived = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(arrived, count=1)
    mbarrier.expect(arrived, a_desc.block_type.nbytes + b_desc.block_type.nbytes)
    async_load(a_desc, [0, 0], arrived, a)
    async_load(b_desc, [0, 0], arrived, b)
    mbarrier.wait(arrived, 0)
    mbarrier.invalidate(arrived)
    SUMS: gl.constexpr = gl.NVMMADistributedLayout(
        version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 64, 16]
    )
    sums = warpgroup_mma(a, b, gl.zeros([64, 64], gl.float32, SUMS))
    rows = gl.arange(0, 64, layout=gl.SliceLayout(1, SUMS))
    columns = gl.arange(0, 64, layout=gl.SliceLayout(0, SUMS))
    gl.store(out_ptr + rows[:, None] * 64 + columns[None, :], sums)


# %% [markdown]
# ## Your turn: how many wgmma?
#
# A tile of m × k times one of k × n, with `warps` warps: the groups share the rows.


# %%
def count_wgmma(m: int, n: int, k: int, bits: int, warps: int) -> int:
    """How many wgmma instructions each group of four warps issues for a product of an m × k and a k × n tile."""
    raise NotImplementedError


check(27, count_wgmma)

# %% [markdown]
# The compiled kernel, disassembled (lesson 19). UTMALDG is a bulk copy, SYNCS works on a barrier, HGMMA is wgmma:

# %%
from minisam_kernels.lab.machine_code import read_cubin

swizzled = gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16)
tile = f"tensordesc<fp16[64, 64],{swizzled!r}>"
product = compile_for_h100(product_kernel, {"a_desc": tile, "b_desc": tile, "out_ptr": "*fp32"}, {})
code = read_cubin("sm_90", product.asm["cubin"], product.metadata.shared, 4)
names = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)", code.listing, re.MULTILINE)
count_reference = lesson(27).exercises["count_wgmma"].reference
assert names.count("UTMALDG") == 2 and names.count("HGMMA") == count_reference(64, 64, 64, 16, 4) == 4
assert names.count("LDG") == 0 and names.count("SYNCS") >= 3
assert 2 * 64 * 64 * 2 == 16384 <= code.shared_bytes < 16384 + 64
for name, what in (("UTMALDG", "bulk copies"), ("HGMMA", "wgmma"), ("LDG", "loads by threads")):
    print(f"{name:8} {names.count(name):3}  {what}")

# %% [markdown]
# Two instructions bring 16,384 bytes, and four multiply them; no thread loads a number. Everything around them is
# waiting, addresses, and writing the sums. A real kernel has a loop with several buffers and barriers: while wgmma
# works on one tile, TMA brings the next. In Triton that is `num_stages=3`; in Gluon you write it, and can let some
# warps only load, others only multiply (`gl.warp_specialize`).
#
# > **Four languages, one attention.** What the author of an attention kernel decides, and what others decide:
# >
# > | | Helion | Triton | TileLang | Gluon |
# > |---|---|---|---|---|
# > | tile sizes | searched | you | you | you |
# > | addresses | from indices of tensors | you | from copies of tiles | you |
# > | what lies in shared memory | compiler | compiler | you | you |
# > | stages of loading | searched | a number | a number | you, barrier by barrier |
# > | layouts of registers | compiler | compiler | inferred, or you | you |
# > | wgmma and TMA | compiler | compiler | compiler | you |
# >
# > Helion, by the PyTorch team, is written like PyTorch with loops over tiles and becomes Triton. TileLang describes
# > copies and products of tiles, and infers layouts; it is built on TVM, not on Triton. In all of them, you write the
# > mathematics, such as the online softmax of lesson 15.
#
# ## Find the bug
#
# A colleague chooses a layout for any row-major matrix. Each thread loads 16 bytes, the widest load there is. Results
# are right with any layout, so no test fails; the kernel is slow. What should be:
#
# 1. a thread holds 16 bytes of a row, or the whole row if it is shorter;
# 2. as many lanes lie along the row as it has room for, the rest of the 32 below them;
# 3. the warps lie one below the other.
#
# Sizes are powers of two. Fix it.


# %%
def coalesced_layout(shape: np.ndarray, bits: int, warps: int) -> np.ndarray:
    """shape [2] of a row-major matrix -> size_per_thread, threads_per_warp and warps_per_cta, as [3, 2].

    There is a bug in it.
    """
    in_thread = 128 // bits
    down = min(int(shape[0]), 32)
    across = 32 // down
    return np.array([[1, in_thread], [down, across], [1, warps]], shape.dtype)


# %%
chosen = coalesced_layout(np.array([64.0, 128.0]), 32, 4).astype(int).tolist()
lines = lesson(27).exercises["lines_of_a_load"].reference(chosen[0], chosen[1], 128)
print(f"size {chosen[0]}, threads {chosen[1]}, warps {chosen[2]}: a load touches {lines} lines")
assert lines == 32

# %%
check(27, coalesced_layout)

# %% [markdown]
# ## What was left out
#
# Running the kernel and measuring its time, for which one needs a GPU. Changing layouts (`gl.convert_layout`), which
# goes through shared memory and is often what a slow kernel does without its author's knowledge. The layout of wgmma's
# sums, other shared layouts, and bank conflicts. Clusters of programs that share tiles. Blackwell's tensor memory,
# where the sums no longer lie in registers. A whole attention in Gluon is a few hundred lines, of which the mathematics
# is lesson 15.
