"""Wrong answers to lesson 27, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

LANES = "lane_row, lane_column = row // size_per_thread[0], column // size_per_thread[1]"
WARPS = "warp_row, warp_column = lane_row // threads_per_warp[0], lane_column // threads_per_warp[1]"
LANE = "lane = lane_row % threads_per_warp[0] * threads_per_warp[1] + lane_column % threads_per_warp[1]"
WARP = "warp = warp_row % warps_per_cta[0] * warps_per_cta[1] + warp_column % warps_per_cta[1]"
THREAD = "return 32 * warp + lane"
ROW = "row = lane // threads_per_warp[1] * size_per_thread[0]"
COLUMN = "column = lane % threads_per_warp[1] * size_per_thread[1]"
LINE = "lines.add((row * columns + column) * 4 // 128)"
LINES = "return len(lines)"
GROUPS = "groups = warps // 4"
PIECES = "return m // (64 * groups) * -(-n // 256) * (k // (256 // bits))"
IN_THREAD = "in_thread = min(128 // bits, columns)"
ACROSS = "across = min(columns // in_thread, 32)"
DOWN = "down = 32 // across"
LAYOUT = "return np.array([[1, in_thread], [down, across], [warps, 1]], shape.dtype)"

WRONG = {
    "thread_of": [
        Mistake("The number of the warp is missing: thread = 32 · warp + lane.", {THREAD: "return lane"}),
        Mistake("This is the warp. The thread is 32 · warp + lane.", {THREAD: "return warp"}),
        Mistake(
            "Lanes are numbered down the columns. They are numbered row by row.",
            {
                LANE: "lane = lane_column % threads_per_warp[1] * threads_per_warp[0]"
                " + lane_row % threads_per_warp[0]"
            },
        ),
        Mistake(
            "Warps are numbered down the columns. They are numbered row by row.",
            {WARP: "warp = warp_column % warps_per_cta[1] * warps_per_cta[0] + warp_row % warps_per_cta[0]"},
        ),
        Mistake(
            "A thread is taken to hold one number. It holds size_per_thread numbers side by side.",
            {LANES: "lane_row, lane_column = row // 1, column // 1"},
        ),
        Mistake(
            "The two numbers of size_per_thread are exchanged: rows first, then columns.",
            {LANES: "lane_row, lane_column = row // size_per_thread[1], column // size_per_thread[0]"},
        ),
        Mistake(
            "The tile is not repeated: where it is larger than all threads together, they hold it several times over.",
            {WARP: "warp = warp_row * warps_per_cta[1] + warp_column"},
        ),
        Mistake(
            "Only along the rows is the tile repeated. It is repeated down as well.",
            {WARP: WARP.replace("warp_row % warps_per_cta[0]", "warp_row")},
        ),
        Mistake(
            "The lane's row is multiplied by the wrong side: a row of lanes has threads_per_warp[1] of them.",
            {LANE: LANE.replace("* threads_per_warp[1] +", "* threads_per_warp[0] +")},
        ),
        Mistake(
            "A warp is taken to have 64 threads. It has 32.",
            {THREAD: "return 64 * warp + lane"},
        ),
        Mistake(
            "x and y are exchanged: row is the first axis.",
            {LANES: "lane_row, lane_column = column // size_per_thread[0], row // size_per_thread[1]"},
        ),
        Mistake(
            "Four warps are assumed: the numbers start again after the fourth.",
            {"return 32 * warp + lane": "return 32 * (warp % 4) + lane"},
        ),
        Mistake(
            "Lane and warp are exchanged: a warp's 32 threads have consecutive numbers.",
            {"return 32 * warp + lane": "return 32 * lane + warp"},
        ),
    ],
    "lines_of_a_load": [
        Mistake("These are the lanes. Count the lines that they touch, each once.", {LINES: "return 32"}),
        Mistake("The bytes are missing: a float32 number has 4.", {LINE: LINE.replace(" * 4 //", " //")}),
        Mistake(
            "A line is taken to have 32 bytes. That is a sector; a line has 128.",
            {LINE: LINE.replace("128", "32")},
        ),
        Mistake(
            "The lanes are numbered down the columns. They are numbered row by row.",
            {
                ROW: "row = lane % threads_per_warp[0] * size_per_thread[1]",
                COLUMN: "column = lane // threads_per_warp[0] * size_per_thread[0]",
            },
        ),
        Mistake(
            "The lanes stand next to each other. Each holds size_per_thread numbers, and the next one starts behind "
            "them.",
            {COLUMN: COLUMN.replace(" * size_per_thread[1]", "")},
        ),
        Mistake(
            "The rows of the lanes are next to each other. Each lane holds size_per_thread[0] rows.",
            {ROW: ROW.replace(" * size_per_thread[0]", "")},
        ),
        Mistake(
            "All lanes are taken to be in one row. There are threads_per_warp[1] in a row.",
            {ROW: "row = 0", COLUMN: "column = lane * size_per_thread[1]"},
        ),
        Mistake(
            "The matrix is taken to be stored column by column. It is stored row by row.",
            {LINE: LINE.replace("row * columns + column", "column * columns + row")},
        ),
        Mistake(
            "A row is taken to be as long as the lanes reach. It has `columns` numbers.",
            {LINE: LINE.replace("row * columns", "row * threads_per_warp[1] * size_per_thread[1]")},
        ),
        Mistake("Rows are counted, not lines.", {LINE: "lines.add(row)"}),
        Mistake(
            "size_per_thread is not used. Lane l of a row begins at its own place times the size.",
            {
                (" * size_per_thread[0]\n        column"): ("\n        column"),
                ("% threads_per_warp[1] * size_per_thread[1]\n        lines"): (
                    "% threads_per_warp[1]\n        lines"
                ),
            },
        ),
    ],
    "count_wgmma": [
        Mistake(
            "All groups are counted. Each group issues the instructions for its share of the rows.",
            {PIECES: PIECES.replace("(64 * groups)", "64")},
        ),
        Mistake(
            "A warp is taken for a group. A group has four warps, and issues an instruction together.",
            {GROUPS: "groups = warps"},
        ),
        Mistake(
            "k is cut into 16 numbers for any type. It is cut into 32 bytes: 32 numbers of 8 bits.",
            {PIECES: PIECES.replace("256 // bits", "16")},
        ),
        Mistake(
            "An instruction is taken to have 64 columns at most. It has up to 256.",
            {PIECES: PIECES.replace("-(-n // 256)", "-(-n // 64)")},
        ),
        Mistake(
            "An instruction is taken to have 128 columns at most. It has up to 256.",
            {PIECES: PIECES.replace("-(-n // 256)", "-(-n // 128)")},
        ),
        Mistake(
            "An instruction is taken to have any number of columns. It has at most 256.",
            {PIECES: PIECES.replace("-(-n // 256) * ", "")},
        ),
        Mistake(
            "The columns are rounded down: 64 columns need an instruction, too.",
            {PIECES: PIECES.replace("-(-n // 256)", "(n // 256)")},
        ),
        Mistake(
            "An instruction is taken to have 16 rows. That is the share of one warp; a group has 64.",
            {PIECES: PIECES.replace("64 * groups", "16 * groups")},
        ),
        Mistake(
            "k is taken to go through in one instruction. An instruction takes 32 bytes along k.",
            {PIECES: PIECES.replace(" * (k // (256 // bits))", "")},
        ),
        Mistake(
            "k is cut into 64 bytes. An instruction takes 32 bytes along k.",
            {PIECES: PIECES.replace("256 // bits", "512 // bits")},
        ),
        Mistake(
            "The columns are rounded down: what is left over after whole 256 needs an instruction, too.",
            {"-(-n // 256)": "max(1, n // 256)"},
        ),
        Mistake(
            "k is cut into as many numbers as one has bits. It is cut into 32 bytes, 256 bits.",
            {"(k // (256 // bits))": "max(1, k // bits)"},
        ),
    ],
    "coalesced_layout": [
        Mistake(
            "The bug is still there: lanes lie one below the other, and neighbours read addresses a row apart.",
            {
                ACROSS: "down = min(int(shape[0]), 32)",
                DOWN: "across = 32 // down",
                IN_THREAD: "in_thread = 128 // bits",
                LAYOUT: LAYOUT.replace("[warps, 1]", "[1, warps]"),
            },
        ),
        Mistake(
            "A thread's load is right, and the lanes lie one below the other. They go along the row first.",
            {ACROSS: "across = 1"},
        ),
        Mistake(
            "The warps lie side by side. One below the other, each reads whole rows.",
            {LAYOUT: LAYOUT.replace("[warps, 1]", "[1, warps]")},
        ),
        Mistake(
            "A thread holds more numbers than a short row has.",
            {IN_THREAD: "in_thread = 128 // bits", ACROSS: "across = max(min(columns // in_thread, 32), 1)"},
        ),
        Mistake(
            "A thread loads one number. The widest load has 16 bytes.",
            {IN_THREAD: "in_thread = 1"},
        ),
        Mistake(
            "A thread loads four numbers of any type. The widest load has 16 bytes: eight of float16.",
            {IN_THREAD: "in_thread = min(4, columns)"},
        ),
        Mistake(
            "A thread loads 32 bytes. The widest load has 16.",
            {IN_THREAD: "in_thread = min(256 // bits, columns)"},
        ),
        Mistake(
            "All 32 lanes lie along the row, even where it is shorter: several lanes then hold the same elements.",
            {ACROSS: "across = 32"},
        ),
        Mistake(
            "Rows and columns are exchanged. In a row-major matrix, a row's numbers are next to each other.",
            {LAYOUT: "return np.array([[in_thread, 1], [across, down], [1, warps]], shape.dtype)"},
        ),
        Mistake(
            "The numbers of a thread lie one below the other. A wide load needs them side by side.",
            {LAYOUT: LAYOUT.replace("[1, in_thread]", "[in_thread, 1]")},
        ),
        Mistake(
            "bits is taken for bytes: a number of 32 bits has 4 bytes, and 16 bytes hold four.",
            {"in_thread = min(128 // bits, columns)": "in_thread = min(max(16 // bits, 1), columns)"},
        ),
    ],
}
