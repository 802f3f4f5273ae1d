"""What the answers of lesson 19 are held to: pieces of real machine code, the lab's own arithmetic, and its GPUs.

The listings are nvdisasm's, of Triton 3.9: minisam_kernels.lab.inspection makes them.
"""

import re
from collections import Counter

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.lab.gpus import GPUS, Gpu
from minisam_kernels.lab.occupancy import programs_per_multiprocessor
from minisam_kernels.lab.roofline import floor_on
from minisam_kernels.lab.work import attention_work

SOFTMAX = """\
//--------------------- .text._softmax_kernel     --------------------------
        .section        .text._softmax_kernel,"ax",@progbits
_softmax_kernel:
.text._softmax_kernel:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
        /*0010*/                   S2R R3, SR_TID.X ;
        /*0150*/               @P0 LDG.E.128 R4, [R8.64] ;
        /*01d0*/                   FMUL R11, R11, c[0x0][0x170] ;
        /*0350*/                   FMNMX R12, R4, R11, !PT ;
        /*03c0*/                   SHFL.BFLY PT, R13, R12, 0x10, 0x1f ;
        /*0470*/                   STS [R3], R18 ;
        /*0480*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0490*/                   LDS R13, [R12] ;
        /*0700*/              @!P3 FMUL R10, R10, 0.5 ;
        /*0710*/                   MUFU.EX2 R7, R13 ;
        /*0760*/                   MUFU.EX2 R6, R10 ;
        /*0a60*/                   MUFU.RCP R16, R16 ;
        /*0a70*/               @P1 FMUL R6, R6, 0.25 ;
        /*0c20*/              @!P0 EXIT ;
        /*0c30*/                   STG.E.128 [R8.64], R4 ;
        /*0c40*/                   EXIT ;
.L_x_0:
        /*0c50*/                   BRA `(.L_x_0);
"""
AMPERE = """\
        /*0340*/              @!P5 LDG.E.128 R28, [R2.64] ;
        /*0360*/              @!P0 LDG.E.128 R32, [R4.64] ;
        /*0650*/                   LDGSTS.E.BYPASS.128 [R10+0x4000], [R16.64], !P6 ;
        /*0660*/                   LDGSTS.E.BYPASS.128 [R10+0x5000], [R18.64], P4 ;
        /*0670*/                   LDGDEPBAR ;
        /*06e0*/              @!P3 BRA `(.L_x_0) ;
        /*09c0*/                   DEPBAR.LE SB0, 0x0 ;
        /*0a00*/                   LDSM.16.M88.4 R80, [R23+0x4000] ;
        /*0a10*/                   LDSM.16.M88.4 R76, [R20] ;
        /*0ab0*/                   HMMA.16816.F32.BF16 R72, R76.reuse, R80, RZ ;
        /*0ad0*/                   HMMA.16816.F32.BF16 R92, R76.reuse, R84, RZ ;
        /*0ae0*/                   HMMA.16816.F32.BF16 R96, R76, R88, RZ ;
        /*1720*/                   F2FP.BF16.PACK_AB R105, R145, R144 ;
        /*1780*/                   MUFU.EX2 R121, R71 ;
"""
HOPPER = """\
        /*0d50*/                   WARPGROUP.ARRIVE ;
        /*0d60*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8], RZ, !UPT ;
        /*0d70*/                   UIADD3 UR8, UR16, 0x2, URZ ;
        /*0db0*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8], R24 ;
        /*0e00*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8], R24 ;
        /*0e50*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8], R24, gsb0 ;
        /*0ea0*/                   WARPGROUP.DEPBAR.LE gsb0, 0x0 ;
        /*0eb0*/                   FMUL R91, R33, UR21 ;
        /*0f70*/                   FSEL R89, R89, -INF , !P6 ;
"""
SPILLED = """\
// STL and LDL: a register's value goes to memory and comes back
        /*14fa0*/                  LDL.LU R113, [R1+0x984] ;
        /*14fd0*/                  FFMA R125, R119, R4, R125 ;
        /*15010*/                  LDL.LU R0, [R1+0x58c] ;
        /*15020*/                  STL [R1+0x8d4], R4 ;
        /*15030*/                  FFMA R124, R119, R5, R124 ;
        /*15050*/                  STL [R1+0x8d8], R6 ;
        /*15070*/                  STL [R1+0x8dc], R5 ;
        /*15080*/                  LDL.LU R5, [R1+0x59c] ;
        /*150a0*/                  LDL.LU R119, [R1+0x970] ;
"""
COUNTED = {
    "global loads of softmax": (SOFTMAX, "LDG"),
    "special functions of softmax": (SOFTMAX, "MUFU"),
    "products of softmax": (SOFTMAX, "FMUL"),
    "the way out of softmax": (SOFTMAX, "EXIT"),
    "the last instruction": (SOFTMAX, "BRA"),
    "shared stores of softmax": (SOFTMAX, "STS"),
    "global loads of attention": (AMPERE, "LDG"),
    "asynchronous copies of attention": (AMPERE, "LDGSTS"),
    "shared loads of attention": (AMPERE, "LDS"),
    "shared stores of attention": (AMPERE, "STS"),
    "tensor cores of an A100": (AMPERE, "HMMA"),
    "tensor cores of an H100": (HOPPER, "HGMMA"),
    "values spilled": (SPILLED, "STL"),
    "values fetched back": (SPILLED, "LDL"),
}
PROGRAMS = {  # registers of a thread, shared memory of a program, warps of a program
    "attention": (148, 32 * 1024, 8),
    "attention's dQ": (164, 24 * 1024, 4),
    "attention in float32": (80, 28 * 1024 + 128, 4),
    "softmax": (22, 64, 16),
    "a little over 96 registers": (100, 16 * 1024, 4),
    "one warp a program": (148, 0, 1),
    "four programs less the reserve": (64, 41 * 1024, 4),
    "many small programs": (16, 0, 1),
    "all registers": (255, 1024, 8),
    "more shared memory than there is": (64, 170 * 1024, 4),
}
FLOORS = {  # heads, tokens, head dim, GPU
    "ViT-B's on an H200": (12, 4096, 64, "H200"),
    "ViT-H's on an H100": (16, 4096, 80, "H100"),
    "ViT-L's on an A100": (16, 4096, 64, "A100"),
    "windows, all 25 at once": (300, 196, 64, "H100"),
    "narrow heads": (8, 4096, 16, "H200"),
    "wide heads on a T4": (8, 4096, 128, "T4"),
}
MEASURED = {  # milliseconds, heads, tokens, head dim, GPU
    "ViT-B": (0.14, 12, 4096, 64, "H200"),
    "ViT-H": (0.30, 16, 4096, 80, "H200"),
    "a head of 24": (0.50, 12, 4096, 24, "T4"),
    "windows": (0.02, 300, 196, 80, "H100"),
    "narrow heads": (0.06, 8, 4096, 16, "H200"),
    "wide heads": (0.20, 8, 4096, 128, "H100"),
    "a time below the floor": (0.05, 12, 4096, 64, "H200"),
}


def listing_cases() -> list[Case]:
    return [
        Case("count_instructions", name, {}, {"listing": listing, "name": opcode})
        for name, (listing, opcode) in COUNTED.items()
    ]


def program_cases() -> list[Case]:
    names = ("registers", "shared_bytes", "warps")
    return [
        Case("occupancy", name, {}, dict(zip(names, numbers, strict=True)))
        for name, numbers in PROGRAMS.items()
    ]


def floor_cases() -> list[Case]:
    return [
        Case("attention_floor", name, {}, {"heads": N, "tokens": L, "head_dim": D, "gpu": GPUS[gpu]})
        for name, (N, L, D, gpu) in FLOORS.items()
    ]


def measured_cases() -> list[Case]:
    return [
        Case(
            "share_of_floor",
            name,
            {},
            {"milliseconds": time, "heads": N, "tokens": L, "head_dim": D, "gpu": GPUS[gpu]},
        )
        for name, (time, N, L, D, gpu) in MEASURED.items()
    ]


def count_instructions(listing: str, name: str) -> int:
    """An instruction ends with a semicolon; the word after its address and its predicate, up to a dot, is its name."""
    names: Counter[str] = Counter()
    for line in listing.splitlines():
        if line.lstrip().startswith("/*") and ";" in line:
            words = re.split(r"\*/", line, maxsplit=1)[1].replace(";", " ").split()
            names[words[words[0].startswith("@")].split(".")[0]] += 1
    return names[name]


def occupancy(registers: int, shared_bytes: int, warps: int) -> float:
    return programs_per_multiprocessor("sm_80", registers, shared_bytes, warps).occupancy


def attention_floor(heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    return 1e6 * floor_on(gpu, attention_work("attention", 1, heads, tokens, tokens, head_dim)).floor


def share_of_floor(milliseconds: float, heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    return attention_floor(heads, tokens, head_dim, gpu) / (1e3 * milliseconds)


EXERCISES = [
    Exercise(
        name="count_instructions",
        task="how many instructions of one kind a listing of machine code has",
        cases=listing_cases,
        reference=count_instructions,
        hints=(
            "A line of an instruction is: address in /* */, perhaps a predicate (@P0, @!P5), opcode, operands.",
            "Take the opcode up to its first dot and compare it as a whole: LDGSTS is neither LDG nor STS.",
            "re.findall with a group for the opcode, and an optional part (?:@!?\\w+\\s+)? before it.",
        ),
    ),
    Exercise(
        name="occupancy",
        task="the share of a multiprocessor's warp slots that a kernel fills",
        cases=program_cases,
        reference=occupancy,
        hints=(
            "Find how many programs fit by registers, by shared memory, by warps and by slots; the smallest decides.",
            "A warp takes 32 times the registers of a thread, rounded up to 8 first. How many warps fit in a quarter?",
            "A program takes its shared memory plus 1024 bytes, rounded up to 128.",
        ),
    ),
    Exercise(
        name="attention_floor",
        task="the least time that attention can take on a GPU, in microseconds",
        cases=floor_cases,
        reference=attention_floor,
        hints=(
            "Three amounts: operations of the two products, bytes of q, k, v and out, exponentials.",
            "q kᵀ takes tokens² · head_dim multiply-adds a head, and p v as many.",
            "Each amount divided by its rate is a time; the units work side by side, so the longest is the floor.",
        ),
    ),
    Exercise(
        name="share_of_floor",
        task="find the bug: a measured time beside its floor",
        cases=measured_cases,
        reference=share_of_floor,
        find_the_bug=True,
        hints=(
            "It is right for heads of 16, 64 and 128. What does it do with 80?",
            "Does what has to be done depend on how a kernel does it?",
        ),
    ),
]
