"""Wrong answers to lesson 19, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

PATTERN = r"""re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?(\w+)", listing)"""
COUNT = "return opcodes.count(name)"
ROUNDED = "registers_of_a_warp = -(-registers // 8) * 8 * 32"
QUARTERS = "warps_by_registers = 4 * (REGISTERS // 4 // registers_of_a_warp)"
RESERVE = "shared_of_a_program = -(-(shared_bytes + 1024) // 128) * 128"
SHARE = "return programs * warps / WARPS"
FLOP = "flop = 2 * 2 * heads * tokens**2 * head_dim"
MOVED = "moved = 4 * heads * tokens * head_dim * 2"
EXPONENTIALS = "exponentials = heads * tokens**2"
SECONDS = "seconds = max(flop / gpu.products, moved / gpu.bytes, exponentials / gpu.exponentials)"
PRODUCTS = "products = 4 * heads * tokens**2 * head_dim / gpu.products"
MEMORY = "memory = 8 * heads * tokens * head_dim / gpu.bytes"
SPECIAL = "special = heads * tokens**2 / gpu.exponentials"
RATIO = "return max(products, memory, special) / (milliseconds / 1e3)"
TILE = "(1 << (head_dim - 1).bit_length())"

WRONG = {
    "count_instructions": [
        Mistake(
            "The name is looked for anywhere in the text: STS also stands in LDGSTS, and LDS begins LDSM.",
            {COUNT: "return listing.count(name)"},
        ),
        Mistake(
            "Whatever begins with the name is counted: LDGSTS and LDGDEPBAR begin with LDG. The name ends at the dot.",
            {COUNT: "return sum(opcode.startswith(name) for opcode in opcodes)"},
        ),
        Mistake(
            "Whatever ends with the name is counted: LDGSTS ends with STS.",
            {COUNT: "return sum(opcode.endswith(name) for opcode in opcodes)"},
        ),
        Mistake(
            "Instructions with a predicate, @P0 or @!P5, are missed. The predicate decides whether a thread takes "
            "part; the instruction is there.",
            {PATTERN: r"""re.findall(r"/\*[0-9a-f]{4,}\*/\s+(\w+)", listing)"""},
        ),
        Mistake(
            "Only instructions with a predicate are counted; most have none.",
            {PATTERN: r"""re.findall(r"/\*[0-9a-f]{4,}\*/\s+@!?\w+\s+(\w+)", listing)"""},
        ),
        Mistake(
            "The predicate @P0 is read and its negation @!P0 is not.",
            {"(?:@!?": "(?:@"},
        ),
        Mistake(
            "The opcode is compared with its modifiers. HMMA.16816.F32.BF16 is an HMMA: cut at the first dot.",
            {r"\s+)?(\w+)": r"\s+)?([\w.]+)"},
        ),
        Mistake(
            "A name is counted once however often it is there.",
            {COUNT: "return int(name in opcodes)"},
        ),
        Mistake("All instructions are counted, whatever their name.", {COUNT: "return len(opcodes)"}),
        Mistake(
            "The lines are counted that have the name as a word; a label or a comment can have it as well.",
            {COUNT: 'return sum(name in re.findall(r"\\w+", line) for line in listing.splitlines())'},
        ),
        Mistake("The last instruction is left out.", {COUNT: "return opcodes[:-1].count(name)"}),
        Mistake(
            "Addresses are taken to have four digits. A long program has more.",
            {"[0-9a-f]{4,}\\*/": "[0-9a-f]{4}\\*/"},
        ),
    ],
    "occupancy": [
        Mistake(
            "Registers are not rounded up: a thread gets them in steps of 8, so 100 cost as much as 104.",
            {ROUNDED: "registers_of_a_warp = registers * 32"},
        ),
        Mistake(
            "The registers are not counted quarter by quarter. Each quarter of a multiprocessor has 16,384 and takes "
            "whole warps; what is left over in the four cannot be put together.",
            {QUARTERS: "warps_by_registers = REGISTERS // registers_of_a_warp"},
        ),
        Mistake(
            "The system's 1 KB of shared memory for each program is missing.",
            {RESERVE: "shared_of_a_program = max(1, -(-shared_bytes // 128) * 128)"},
        ),
        Mistake(
            "The registers are counted for one warp and not for all warps of the program.",
            {"warps_by_registers // warps,": "warps_by_registers,"},
        ),
        Mistake(
            "Registers limit nothing here. Each of a warp's 32 threads has that many: 148 registers and 8 warps are "
            "38,912 of 65,536.",
            {"        warps_by_registers // warps,\n": ""},
        ),
        Mistake("The shared memory is not looked at.", {"        SHARED // shared_of_a_program,\n": ""}),
        Mistake(
            "There are no more than 64 warp slots: an occupancy above 1 does not exist.",
            {"        WARPS // warps,\n": ""},
        ),
        Mistake(
            "No more than 32 programs are on a multiprocessor at a time, however small they are.",
            {"        WARPS // warps,\n        PROGRAMS,\n": "        WARPS // warps,\n"},
        ),
        Mistake(
            "Programs come whole: round down.",
            {
                "warps_by_registers // warps,": "warps_by_registers / warps,",
                "SHARED // shared_of_a_program,": "SHARED / shared_of_a_program,",
            },
        ),
        Mistake(
            "That is the number of programs; the share of the 64 warp slots is asked for.",
            {SHARE: "return programs"},
        ),
        Mistake(
            "That is the share of program slots; it is warps that the hardware switches between.",
            {SHARE: "return programs / PROGRAMS"},
        ),
        Mistake(
            "In per cent; a share between 0 and 1 is asked for.",
            {SHARE: "return 100 * programs * warps / WARPS"},
        ),
        Mistake(
            "The limits are maximal one by one, but a program needs all of them at once: the smallest decides.",
            {"programs = min(": "programs = max("},
        ),
        Mistake(
            "Programs by registers are not whole numbers. A program that fits by half does not run.",
            {"warps_by_registers // warps": "warps_by_registers / warps"},
        ),
    ],
    "attention_floor": [
        Mistake(
            "The three times are added. Tensor cores, memory and special functions work side by side, so the longest "
            "is the floor.",
            {SECONDS: SECONDS.replace("max(", "sum((").replace("exponentials)", "exponentials))")},
        ),
        Mistake(
            "The shortest time is taken. Nothing is done before the slowest unit is: the longest.",
            {SECONDS: SECONDS.replace("max(", "min(")},
        ),
        Mistake(
            "A multiply-add is counted once. The rate counts it as two, so the work has to as well.",
            {FLOP: "flop = 2 * heads * tokens**2 * head_dim"},
        ),
        Mistake(
            "Half of the work is missing twice over: there are two products, and a multiply-add is two operations.",
            {FLOP: "flop = heads * tokens**2 * head_dim"},
        ),
        Mistake(
            "The products grow with the square of the tokens: every query meets every key.",
            {FLOP: "flop = 2 * 2 * heads * tokens * head_dim"},
        ),
        Mistake(
            "The scores are moved too. A fused kernel keeps them on the chip.",
            {MOVED: "moved = 4 * heads * tokens * head_dim * 2 + 4 * heads * tokens**2 * 2"},
        ),
        Mistake(
            "A number in bfloat16 has 2 bytes, not 4.", {MOVED: "moved = 4 * heads * tokens * head_dim * 4"}
        ),
        Mistake("Elements are counted; each has 2 bytes.", {MOVED: "moved = 4 * heads * tokens * head_dim"}),
        Mistake(
            "Bits are counted; the rate is in bytes.", {MOVED: "moved = 4 * heads * tokens * head_dim * 16"}
        ),
        Mistake(
            "Only what comes in is counted; the result has to be written.",
            {MOVED: "moved = 3 * heads * tokens * head_dim * 2"},
        ),
        Mistake(
            "The exponentials are left out. They are few, and so are the units that make them.",
            {SECONDS: "seconds = max(flop / gpu.products, moved / gpu.bytes)"},
        ),
        Mistake(
            "The bytes are left out; where there are few keys they take the longest.",
            {SECONDS: "seconds = max(flop / gpu.products, exponentials / gpu.exponentials)"},
        ),
        Mistake(
            "One exponential is counted for each channel of a score; a score has one.",
            {EXPONENTIALS: "exponentials = heads * tokens**2 * head_dim"},
        ),
        Mistake(
            "In milliseconds; microseconds are asked for.", {"return 1e6 * seconds": "return 1e3 * seconds"}
        ),
        Mistake(
            "The scores are counted as memory traffic. A fused kernel never writes them.",
            {
                "moved = 4 * heads * tokens * head_dim * 2": (
                    "moved = 4 * heads * tokens * head_dim * 2 + 2 * heads * tokens**2 * 2"
                )
            },
        ),
    ],
    "share_of_floor": [
        Mistake(
            "The bug is still there: a head of 80 is counted as the 128 that a tile of this kernel holds. The floor "
            "belongs to the task. A kernel that computes with zeros has to look worse for it, not better.",
            {PRODUCTS: PRODUCTS.replace("head_dim", TILE), MEMORY: MEMORY.replace("head_dim", TILE)},
        ),
        Mistake(
            "The products still count the padding of the tile.",
            {PRODUCTS: PRODUCTS.replace("head_dim", TILE)},
        ),
        Mistake("The bytes still count the padding of the tile.", {MEMORY: MEMORY.replace("head_dim", TILE)}),
        Mistake(
            "The tile is rounded up to a multiple of 16: still what a kernel does, not what has to be done.",
            {PRODUCTS: PRODUCTS.replace("head_dim", "(-(-head_dim // 16) * 16)")},
        ),
        Mistake(
            "The tile is rounded down: that is less than there is to do.",
            {PRODUCTS: PRODUCTS.replace("head_dim", "(1 << head_dim.bit_length() - 1)")},
        ),
        Mistake(
            "The ratio is upside down: the floor divided by the time is at most 1.",
            {RATIO: "return (milliseconds / 1e3) / max(products, memory, special)"},
        ),
        Mistake(
            "The milliseconds are taken for seconds.",
            {RATIO: "return max(products, memory, special) / milliseconds"},
        ),
        Mistake(
            "The three times are added; the longest of them is the floor.",
            {RATIO: "return (products + memory + special) / (milliseconds / 1e3)"},
        ),
        Mistake(
            "The exponentials got lost; for narrow heads they take the longest.",
            {RATIO: "return max(products, memory) / (milliseconds / 1e3)"},
        ),
        Mistake(
            "The bytes got lost; where there are few keys they take the longest.",
            {RATIO: "return max(products, special) / (milliseconds / 1e3)"},
        ),
        Mistake(
            "The products got lost, which take the longest for wide heads.",
            {RATIO: "return max(memory, special) / (milliseconds / 1e3)"},
        ),
        Mistake(
            "The share is limited to 1. A measured time below the floor is a mistake in one of the two, and has "
            "to show.",
            {
                ("return max(products, memory, special) / (milliseconds / 1e3)"): (
                    "return min(1.0, max(products, memory, special) / (milliseconds / 1e3))"
                )
            },
        ),
    ],
}
