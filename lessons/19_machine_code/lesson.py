# %% [markdown]
# # Lesson 19 · Machine code and rooflines: what a kernel costs before it runs
#
# Builds on: 15. Runs on a CPU, without a GPU; it compiles for two of them.
#
# You have written kernels and checked that they are right. Are they fast? Much can be said without a GPU: the compiler
# runs on any machine, and its output can be read; and the shortest possible time of any kernel follows from three
# numbers. You will read machine code, compute how many programs fit on a multiprocessor, compute the shortest possible
# time of attention, and fix a benchmark that favours the wrong kernel.
#
# After this lesson you can
#
# - read registers, spills and tensor-core instructions from compiled code;
# - compute how many programs fit on a multiprocessor;
# - compute the shortest time that attention can take on a GPU.

# %%
from minisam.lesson.page import check, np, plt

# %% [markdown]
# ## What a GPU consists of
#
# An A100 has 108 *multiprocessors*, an H100 132. Each runs several programs at a time. A program consists of several
# *warps*, groups of 32 threads that execute each instruction together; Triton's option `num_warps` sets the number. The
# programs on one multiprocessor share its resources, and these are small:
#
# | one multiprocessor of | A100 | H100 |
# |---|---|---|
# | registers, of 4 bytes | 65,536 | 65,536 |
# | shared memory | 164 KB | 228 KB |
# | places for warps | 64 | 64 |
# | places for programs | 32 | 32 |
#
# A block of your kernel, such as the 128 × 64 scores of a tile of attention, is stored in registers: with 8 warps,
# which are 256 threads, each thread has 32 of the numbers. Data that is being loaded is stored in shared memory.
#
# ## From Triton to machine code
#
# Triton turns a kernel into PTX, a portable assembly, and NVIDIA's assembler turns that into the instructions of one
# generation, sm_80 for the A100 and sm_90 for the H100. The assembler and a disassembler come with Triton. So a laptop
# can show what a GPU would run. The lab does this in a separate process, because this one uses the interpreter.
#
# We compile four kernels, only the forward pass: softmax, attention in bfloat16 for both GPUs, and attention in float32
# with the tile size for 16-bit types.
# %%
from minisam_kernels.lab.inspection import Request, compiler

KERNELS = {
    "softmax\nA100, bfloat16": ("softmax", "bf16", None, "sm_80"),
    "attention\nA100, bfloat16": ("attention", "bf16", "half", "sm_80"),
    "attention\nH100, bfloat16": ("attention", "bf16", "half", "sm_90"),
    "attention, same tile\nA100, float32": ("attention", "fp32", "half", "sm_80"),
}
codes = {}
with compiler() as worker:
    for title, (operation, dtype, launch, arch) in KERNELS.items():
        request = Request(operation, dtype, 64, launch, (arch,), listing=True, only=f"{operation}_kernel")
        (compiled,) = worker.compile(request)
        codes[title] = compiled.code
softmax, ampere, hopper, wide = codes.values()
assert softmax.num_warps == 16 and all(code.num_warps == 8 for code in (ampere, hopper, wide))
longest = max(len(code.listing.splitlines()) for code in codes.values())
assert longest > 3000
print(f"{len(codes)} kernels compiled, the longest to thousands of instructions")

# %% [markdown]
# ## Reading a listing
#
# These are some lines of the softmax kernel for the A100, compiled by Triton 3.9:
#
# ```text
# /*0150*/   @P0 LDG.E.128 R4, [R8.64] ;             8 numbers of 16 bits from global memory into R4 … R7
# /*01d0*/       FMUL R11, R11, c[0x0][0x170] ;      times the scale, an argument of the kernel
# /*0350*/       FMNMX R12, R4, R11, !PT ;           the larger of two
# /*03c0*/       SHFL.BFLY PT, R13, R12, 0x10, 0x1f; another thread's maximum, 16 lanes away
# /*0470*/       STS [R3], R18 ;                     the warp's maximum into shared memory
# /*0480*/       BAR.SYNC.DEFER_BLOCKING 0x0 ;       wait for the other warps
# /*0710*/       MUFU.EX2 R7, R13 ;                  2 to the power of R13
# /*0c30*/       STG.E.128 [R8.64], R4 ;             8 numbers out
# ```
#
# First the address, then sometimes a *predicate*: with `@P0` only those threads execute the instruction whose flag P0
# is set; the mask of the kernel has become this flag. Then the *opcode*, whose first part is its name, and the
# operands. `R` is a register of each thread. The most important names:
#
# | name | what |
# |---|---|
# | LDG, STG | from and to global memory; `.128` is 16 bytes a thread, the widest there is |
# | LDGSTS | from global to shared memory without a register, while the program continues |
# | LDS, LDSM, STS | from and to shared memory |
# | HMMA, HGMMA | tensor cores: of a warp on an A100, of four warps together on an H100 |
# | FFMA, FMUL, FADD | float32, one operation per thread |
# | MUFU | special functions: `.EX2` is 2ˣ, `.RCP` is 1 / x |
# | LDL, STL | from and to *local* memory: registers that did not fit |
#
# With a listing we can check what the compiler did. With a row of 4096 scores and 16 warps, a thread has 8 scores. So
# we expect one load of 16 bytes, and 8 exponentials and one reciprocal: 9 MUFU. Is that so? Write a function that
# counts.


# %%
def count_instructions(listing: str, name: str) -> int:
    """How many instructions of a listing have that name: their opcode up to the first dot."""
    raise NotImplementedError


check(19, count_instructions)

# %% [markdown]
# ## Tensor cores
#
# An HMMA.16816 multiplies 16 × 16 by 16 × 8 numbers, for one warp. A step of attention's loop has two products, 128
# queries by 64 keys by 64 channels and the same for the values. Together that is 2 · 128 · 64 · 64 / (16 · 8 · 16) =
# 512 instructions, 64 for each of the 8 warps. An HGMMA.64x64x16 multiplies 64 × 16 by 16 × 64, for four warps at once:
# 2 · 128 · 64 · 64 / (64 · 64 · 16) = 16, 8 for each of the two groups of four.
#
# One HMMA is 4096 operations, an FFMA of a warp only 64. So most instructions of a kernel may be float32 instructions,
# while nearly all its arithmetic is done by tensor cores.

# %%
from minisam.lesson.find import lesson

count = lesson(19).exercises["count_instructions"].reference  # once yours is right, put it here
pieces = 2 * 128 * 64 * 64 // (16 * 8 * 16) // 8, 2 * 128 * 64 * 64 // (64 * 64 * 16) // 2
assert pieces == (64, 8)
for code, name, expected in ((ampere, "HMMA", pieces[0]), (hopper, "HGMMA", pieces[1])):
    found = count(code.listing, name)
    assert found > 0 and found % expected == 0  # a compiler may write a loop's body out more than once
    print(f"{name}: {expected} for each step of the loop, as expected")
assert count(softmax.listing, "MUFU") >= 9 and count(softmax.listing, "LDG") == 1
alone = 2 * 128 * 64 * 64 // (32 * 8)  # multiply-adds of one thread
assert alone == 4096 and count(wide.listing, "HMMA") == 0 and count(wide.listing, "FFMA") >= alone
assert 2 * 16 * 8 * 16 == 4096 and 2 * 32 == 64

# %% [markdown]
# In float32 there are no such instructions: tensor cores would round the numbers to fewer bits, and the kernel does not
# allow that (`input_precision="ieee"`). Instead, each thread executes 4096 multiply-adds.
#
# ## Spills
#
# A thread can use 255 registers, and the assembler may choose fewer. If a kernel needs more values at a time, some are
# written to memory and read back: it *spills*. The result is still right, so spills are easily overlooked. The listing
# then has STL and LDL, and the kernel has a *stack*. The fourth kernel needs 128 × 64 scores, as many sums, and the
# tiles of q, k and v, in numbers of 32 bits instead of 16, and its products need their operands in registers.

# %%
from minisam_kernels.attention import LAUNCHES

GROUPS = {
    "tensor cores": ("HMMA", "HGMMA"),
    "float32 arithmetic": ("FFMA", "FMUL", "FADD", "FMNMX", "FSEL", "FSETP"),
    "special functions": ("MUFU",),
    "global memory": ("LDG", "LDGSTS", "STG"),
    "shared memory": ("LDS", "LDSM", "STS", "SHFL"),
    "spills": ("LDL", "STL"),
}
colors = ["tab:green", "tab:blue", "tab:purple", "tab:olive", "tab:cyan", "tab:red", "lightgray"]

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(10, 3.2), layout="constrained")
for row, code in enumerate(codes.values()):
    counts = [sum(count(code.listing, name) for name in names) for names in GROUPS.values()]
    total = len([line for line in code.listing.splitlines() if "NOP" not in line])
    start = 0.0
    for color, number in zip(colors, [*counts, total - sum(counts)], strict=True):
        share = 100 * number / total
        axes.barh(row, share, left=start, color=color, edgecolor="white", linewidth=0.6)
        if share > 2.5:
            axes.text(start + share / 2, row, f"{share:.0f}", ha="center", va="center", fontsize=9)
        start += share
axes.set_yticks(range(4), list(codes))
axes.invert_yaxis()
axes.set(xlabel="of a kernel's instructions, %", xlim=(0, 100))
axes.spines[["top", "right"]].set_visible(False)
handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in colors]
fig.legend(handles, [*GROUPS, "addresses, control"], loc="outside upper center", ncols=4, frameon=False)
spilled = count(wide.listing, "LDL") + count(wide.listing, "STL")

# %%
assert wide.stack_bytes > 500 and spilled > 0.1 * len(wide.listing.splitlines())
assert all(code.stack_bytes == 0 for code in (softmax, ampere, hopper))
assert (LAUNCHES["single"].block_m, LAUNCHES["single"].block_k) == (32, 32)

# %% [markdown]
# More than a tenth of the fourth kernel's instructions only write registers to memory and read them back. The remedy is
# a smaller tile: the library's default for float32 has 32 queries and 32 keys, and no stack. The project's tests
# compile every kernel for both GPUs and fail if a default launch spills.
#
# ## Occupancy
#
# A load from memory takes hundreds of clock cycles. While a warp waits for it, the multiprocessor runs another warp, if
# there is one. The number of warps depends on how many programs fit at once, which can be computed:
#
# - **Registers.** A thread gets them in steps of 8. The multiprocessor has four quarters with 16,384 registers each,
#   and a warp runs in one of them. Attention on the A100 uses 148 registers per thread, so 152 · 32 = 4864 for each
#   warp; 3 warps fit in a quarter and 12 in total. A program has 8 warps, so one program fits.
# - **Shared memory.** A program takes what it needs, plus 1 KB for the system, rounded up to 128 bytes.
# - **Places.** 64 warps, 32 programs.
#
# The smallest of the limits is the number of programs, and the *occupancy* is the share of the 64 places for warps that
# are then used: 1 · 8 / 64, an eighth.

# %%
per_quarter = 65536 // 4 // (152 * 32)
assert per_quarter == 3 and 4 * per_quarter // 8 * 8 / 64 == 1 / 8

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 4, figsize=(11, 4.5), layout="constrained")
palette = plt.get_cmap("tab10")
for axes, (title, code) in zip(panels, codes.items(), strict=True):
    for place in range(64):
        program = place // code.num_warps
        style = (
            {"facecolor": palette(program)} if program < code.programs_per_sm else {"facecolor": "#eeeeee"}
        )
        axes.add_patch(plt.Rectangle((place % 8, place // 8), 0.9, 0.9, **style))
    axes.set(xlim=(-0.2, 8.1), ylim=(10.4, -0.2), aspect="equal")
    axes.set_axis_off()
    limit = f"{code.registers} registers a thread\n{code.shared_bytes / 1024:.0f} KB shared, {code.num_warps} warps"
    if code.stack_bytes:
        limit += f"\n{code.stack_bytes} bytes spilled a thread"
    axes.set_title(f"{title}\n{100 * code.occupancy:.3g} %, limited by {code.limited_by}", fontsize=10)
    axes.text(4, 8.35, limit, ha="center", va="top", fontsize=9)
fig.suptitle("64 places for warps; each colour is a program\n", fontsize=11)

# %%
assert softmax.occupancy == 1 and softmax.limited_by == "warps"
assert 96 < ampere.registers <= 255 and ampere.limited_by == "registers" and ampere.occupancy <= 0.25

# %% [markdown]
# Is an eighth bad? For softmax it would be, because other warps are all that can run while one waits for its loads.
# Attention is different: its LDGSTS load the next keys while the tensor cores work on the current ones, and with a
# large tile, which needs many registers, each key is read fewer times. A low occupancy can explain why a kernel waits
# for memory, but a high one is not a goal in itself.
#
# ## Your turn: occupancy on an A100


# %%
REGISTERS, SHARED, WARPS, PROGRAMS = 65536, 164 * 1024, 64, 32  # of one multiprocessor of an A100


def occupancy(registers: int, shared_bytes: int, warps: int) -> float:
    """registers of a thread, shared memory and warps of a program -> the share of WARPS that is filled."""
    raise NotImplementedError


check(19, occupancy)

# %% [markdown]
# ## Floors
#
# Machine code shows how a kernel works, but not how good it is. For that we compare it with the shortest possible time
# of *any* kernel, its *floor*. Attention over ViT-B's 4096 tokens with 12 heads of 64 channels has three tasks, in any
# implementation:
#
# - multiply: q kᵀ and p v, 2 · 12 · 4096² · 64 multiply-adds, each two operations: 51.5 GFLOP;
# - move: read q, k, v and write the result, 4 · 12 · 4096 · 64 numbers of 2 bytes: 25 MB;
# - compute exponentials: one for each score, 12 · 4096² = 201 million.
#
# A GPU has a separate unit for each, and they work at the same time. Each amount divided by the unit's rate is a time,
# and the longest of the three is the floor. On an H200, with 780 TFLOP, 4.3 TB and 3.9 · 10¹² exponentials per second,
# these are 66, 6 and 52 µs. The floor is 66 µs. Memory needs much less, but the exponentials nearly as much: a kernel
# that multiplies, then computes exponentials, then multiplies takes 66 + 52 µs, so fast kernels do both at the same
# time.

# %%
from minisam_kernels.lab.gpus import GPUS, Gpu
from minisam_kernels.lab.roofline import floor_on, working
from minisam_kernels.lab.work_in_sam import work_of

print("\n".join(working(GPUS["H200"], work_of("attention", "vit_b", 1))[:-1]))
floor = floor_on(GPUS["H200"], work_of("attention", "vit_b", 1))
assert [round(1e6 * time) for time in (floor.products, floor.bytes, floor.exponentials)] == [66, 6, 52]
assert floor.limit == "products" and 117 < 1e6 * floor.serial < 119

# %% [markdown]
# > **What the paper says, what the code does.** A GPU's data sheet has the peak rates of its units: 989 TFLOP per
# > second in bfloat16 and 3.35 TB for an H100. A product of two large matrices was measured at 798, and a copy at 3.0.
# > The lab's floors use measured rates where available ([gpus.py](../../kernels/minisam_kernels/lab/gpus.py) names
# > every source), because compared with a rate that cannot be reached, every kernel looks bad. Note the unit: tables of
# > models often count a multiply-add as one operation, data sheets as two.
#
# ## Your turn: a floor
#
# For any GPU of the lab, `gpu` has the three rates.


# %%
def attention_floor(heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    """Microseconds that attention over one image takes at least: forward, bfloat16, every tensor moved once.

    gpu.products, gpu.exponentials and gpu.bytes are what the GPU does in a second; a multiply-add counts as two.
    """
    raise NotImplementedError


check(19, attention_floor)

# %% [markdown]
# ## The roofline
#
# Divide the operations by the bytes: how many operations are there for each byte that is moved? An H100 does 780 TFLOP
# in the time in which it moves 3.0 TB, which is 260 operations per byte. In the figure this is the *ridge*. A kernel to
# the left of it is limited by memory; to the right it is limited by the tensor cores.
#
# Fusing, that is, combining several operations in one kernel, does not change the operations. It reduces the bytes, and
# so moves a kernel to the right. Below, dots are separate operations, with scores or a dense bias written to memory,
# and rings are the fused kernels.

# %%
from minisam_kernels.lab.index import intermediates

gpu = GPUS["H100"]
ridge = gpu.products / gpu.bytes
assert 255 < ridge < 265

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
across = np.logspace(0, 4, 200)
axes.plot(across, np.minimum(gpu.products, across * gpu.bytes) / 1e12, color="black", linewidth=1.4)
axes.axvline(ridge, color="gray", linestyle=":", linewidth=1.2)
axes.text(ridge * 1.06, 1000, f"ridge: {ridge:.0f} operations a byte", color="gray")
limits = {}
for color, kernel in enumerate(("cross_attention", "window_attention", "rel_pos_attention", "attention")):
    work = work_of(kernel, "vit_b", 1)
    fused = floor_on(gpu, work)
    limits[kernel] = fused.limit
    flop, fewer = work.total("products"), work.total("bytes")
    more = fewer + sum(term.amount for term in intermediates(kernel))
    apart = max(flop / gpu.products, more / gpu.bytes)
    ends = [(flop / more, flop / apart / 1e12), (flop / fewer, flop / fused.floor / 1e12)]
    style = {"arrowstyle": "-|>", "color": f"C{color}", "linewidth": 1.5, "shrinkA": 4, "shrinkB": 6}
    axes.annotate("", ends[1], ends[0], arrowprops=style)
    axes.plot(*ends[0], "o", color=f"C{color}", markersize=6)
    label = f"{kernel}: {1e6 * apart:.0f} µs apart, {1e6 * fused.floor:.0f} µs fused ({fused.limit})"
    axes.plot(
        *ends[1], "o", color=f"C{color}", fillstyle="none", markersize=10, markeredgewidth=2, label=label
    )
axes.set(xscale="log", yscale="log", xlim=(2, 5000), ylim=(2, 1500))
axes.set(xlabel="operations for every byte that moves", ylabel="TFLOP a second, at most")
axes.set_title("an H100's roofline; ViT-B's kernels for one image, forward")
axes.legend(loc="lower right", fontsize=8.5, facecolor="white", framealpha=1, edgecolor="none")
axes.grid(alpha=0.2)
axes.spines[["top", "right"]].set_visible(False)

# %%
assert limits == {
    "cross_attention": "memory",
    "window_attention": "memory",
    "rel_pos_attention": "products",
    "attention": "products",
}
assert 128 / 80 == 1.6  # what the next exercise is about

# %% [markdown]
# So the kernels of the encoder's global layers have to keep the tensor cores busy, while those of its windows and of
# the decoder need few and wide loads: the same algorithm has to be optimised differently. The floors of all kernels,
# forward and backward, are in [the kernels' index](../../kernels/README.md), and `minisam kernel roofline` prints how
# they are computed.
#
# ## Find the bug
#
# A benchmark reports the floor of a kernel as a share of its time. ViT-H's heads have 80 channels. One well-known
# kernel pads them with zeros to 128, because tiles are powers of two, and this report favours it: 1.6 times as much
# arithmetic for the same result, and a share of the floor that is 1.6 times as high. With heads of 64 everything is
# right. Fix it.


# %%
def share_of_floor(milliseconds: float, heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    """How near a measured time of attention is to the least possible one: 1 is perfect. There is a bug in it."""
    tile = 1 << (head_dim - 1).bit_length()
    products = 4 * heads * tokens**2 * tile / gpu.products
    memory = 8 * heads * tokens * tile / gpu.bytes
    special = heads * tokens**2 / gpu.exponentials
    return max(products, memory, special) / (milliseconds / 1e3)


check(19, share_of_floor)

# %% [markdown]
# ## What was left out
#
# Time. Nothing here has been measured: a floor is a limit, a listing shows the instructions, but only a GPU can tell
# how long they take (`minisam kernel bench`). The time also depends on bank conflicts, the L2 cache, how evenly the
# programs are distributed over the multiprocessors, and the order of the instructions, for which there are profilers.
# PTX was left out, and so were the other GPU architectures that the lab compiles for, sm_89, sm_100 and AMD's gfx942:
# `minisam kernel inspect attention --arch gfx942`. And the numbers in the figures are those of one version of one
# compiler; a test checks that no default launch spills, with any version that it runs with.
