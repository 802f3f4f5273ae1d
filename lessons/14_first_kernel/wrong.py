"""Wrong answers to lesson 14, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

LOAD = 'tl.load(x_ptr + row * N + columns, mask=inside, other=float("-inf")) * scale'
STORE = "tl.store(y_ptr + row * N + columns, exponentials / row_sum, mask=inside)"
LAUNCH = "softmax_kernel[(R,)](x, y, scale, N, BLOCK=triton.next_power_of_2(N))"

WRONG = {
    "softmax_rows": [
        Mistake(
            "The load has no mask: lanes beyond the row's end read the next row, and past the tensor's end memory that "
            "is not yours.",
            {LOAD: "tl.load(x_ptr + row * N + columns) * scale"},
        ),
        Mistake(
            "The store has no mask: lanes beyond the row's end write over the next row, and past the tensor's end over "
            "memory that is not yours.",
            {STORE: "tl.store(y_ptr + row * N + columns, exponentials / row_sum)"},
        ),
        Mistake(
            "Masked lanes hold 0, which counts as a score of 0: it adds exp(0 - max) to the sum. Let them hold -inf.",
            {'other=float("-inf")) * scale': "other=0.0) * scale"},
        ),
        Mistake(
            "The maximum is not subtracted: exp overflows for scores above 88.7.",
            {"tl.exp(x - row_max)": "tl.exp(x)"},
        ),
        Mistake("The scale is missing.", {LOAD: LOAD.removesuffix(" * scale")}),
        Mistake("The scale is applied twice.", {"tl.exp(x - row_max)": "tl.exp((x - row_max) * scale)"}),
        Mistake("Not divided by the row's sum.", {STORE: STORE.replace(" / row_sum", "")}),
        Mistake(
            "Every program reads row 0: the address does not contain the program's number.",
            {LOAD: LOAD.replace("row * N + ", "")},
        ),
        Mistake(
            "Every program writes row 0; the other rows are memory that nobody wrote.",
            {STORE: STORE.replace("row * N + ", "")},
        ),
        Mistake(
            "Rows are BLOCK apart in these addresses. BLOCK is what a program holds; in memory rows are N apart.",
            {LOAD: LOAD.replace("row * N", "row * BLOCK"), STORE: STORE.replace("row * N", "row * BLOCK")},
        ),
        Mistake(
            "One program is launched for all rows: the grid says how many there are, and it should be (R,).",
            {LAUNCH: LAUNCH.replace("(R,)", "(1,)")},
        ),
        Mistake(
            "The grid has a program for each column. A program owns a row, so there are R.",
            {LAUNCH: LAUNCH.replace("(R,)", "(N,)")},
        ),
        Mistake(
            "Blocks have sizes that are powers of two: use triton.next_power_of_2(N), and a mask for the rest.",
            {LAUNCH: LAUNCH.replace("triton.next_power_of_2(N)", "N")},
        ),
        Mistake(
            "The block is shorter than some rows, and what lies beyond it is never looked at.",
            {LAUNCH: LAUNCH.replace("triton.next_power_of_2(N)", "16")},
        ),
        Mistake(
            "The kernel is launched, and torch computes the result. What is computed, the kernel computes.",
            {
                ("BLOCK=triton.next_power_of_2(N))\n    return y"): (
                    "BLOCK=triton.next_power_of_2(N))\n    return (scale * x).softmax(dim=-1)"
                )
            },
        ),
        Mistake(
            "The kernel makes the exponentials, and torch divides by their sums. The "
            "division belongs into the kernel as well.",
            {
                "exponentials / row_sum, mask": "exponentials, mask",
                "    return y\n": "    return y / y.sum(dim=-1, keepdim=True)\n",
            },
        ),
    ],
    "add_bias": [
        Mistake(
            "The bug is still there: token // BLOCK is the number of the block. It is the grid's row only if the "
            "grid is as wide as a block; the row of a token is token // W.",
            {"key_row = token // W": "key_row = token // BLOCK"},
        ),
        Mistake(
            "One row for the whole block: a block may begin in one row of the grid and end in the next.",
            {"key_row = token // W": "key_row = (block * BLOCK) // W + token * 0"},
        ),
        Mistake(
            "Divided by H. Tokens are counted along a row of the grid, which has W of them.",
            {"key_row = token // W": "key_row = token // H"},
        ),
        Mistake(
            "Row and column are exchanged.",
            {
                "key_row = token // W": "key_row = token % H",
                "key_column = token % W": "key_column = token // H",
            },
        ),
        Mistake(
            "The column is the remainder by W, not by BLOCK.",
            {"key_column = token % W": "key_column = token % BLOCK"},
        ),
        Mistake("The bias of the columns is missing.", {"score + bias_h + bias_w": "score + bias_h"}),
        Mistake("The bias of the rows is missing.", {"score + bias_h + bias_w": "score + bias_w"}),
        Mistake(
            "The two biases are multiplied; they are added.",
            {"score + bias_h + bias_w": "score + bias_h * bias_w"},
        ),
        Mistake(
            "Every query gets the bias of query 0: its own starts at row * H.",
            {"rel_h_ptr + row * H + key_row": "rel_h_ptr + key_row"},
        ),
    ],
}
