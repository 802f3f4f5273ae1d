"""Wrong answers to lesson 4, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

PLACES = "places = (np.arange(rows) + 0.5) * len(table) / rows - 0.5"
INTERP = "np.interp(places, np.arange(len(table)), channel)"
ROW = "table[i - j + size - 1]"
BIAS = "bias_per_key = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)"
SCORES = "scores_per_key = scale * q @ k.transpose(-2, -1) + bias_per_key"
WEIGHTS = "scores_per_key.softmax(dim=-1) @ v"
GRID = "grid = q.unflatten(2, (H, W))"
GRID_BIAS = "    bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)"
GRID_SCORES = "scores = (scale * q) @ k.transpose(-2, -1) + bias\n"
TABLE_H = "rows[:, None] - rows[None, :] + H - 1"
TABLE_W = "columns[:, None] - columns[None, :] + W - 1"

WRONG = {
    "relative_position_table": [
        Mistake(
            "The offset has the wrong sign: it is the query's place less the key's, i - j.",
            {ROW: "table[j - i + size - 1]"},
        ),
        Mistake(
            "Offsets below zero count from the table's end in Python: row 0 belongs to the offset -(size - 1), so "
            "add size - 1.",
            {ROW: "table[i - j]"},
        ),
        Mistake(
            "One row too far: the largest offset, size - 1, has the last row, number 2 · size − 2.",
            {ROW: "table[i - j + size]"},
        ),
        Mistake(
            "Left and right are the same here: the distance |i - j| was taken. The offset has a sign, and a row "
            "each.",
            {ROW: "table[abs(i - j) + size - 1]"},
        ),
        Mistake("The places are added: it is their difference that counts.", {ROW: "table[i + j]"}),
        Mistake(
            "The table was made for another size, and its first rows were taken as they are. Resample it to "
            "2 · size − 1 rows first.",
            {"if len(table) != rows:": "if len(table) < rows:"},
        ),
        Mistake(
            "The middle rows were cut out, as if offsets were patches everywhere. SAM stretches the table: half "
            "the size means that a row stands for an offset twice as large.",
            {PLACES: "places = np.arange(rows) + (len(table) - rows) / 2"},
        ),
        Mistake(
            "First and last row were laid on first and last row (align_corners=True). Here a row is an interval, "
            "and the intervals' ends meet: (r + 1/2) · R / rows − 1/2.",
            {PLACES: "places = np.linspace(0, len(table) - 1, rows)"},
        ),
        Mistake(
            "The nearest row was taken; interpolate linearly between two.",
            {INTERP: "channel[np.clip(np.rint(places), 0, len(table) - 1).astype(int)]"},
        ),
        Mistake(
            "The half is added and not taken away again: (r + 1/2) · R / rows is where the row's middle is, and "
            "row 0's middle is at 1/2.",
            {PLACES: PLACES.replace(" - 0.5", "")},
        ),
        Mistake(
            "Places are scaled from the rows' beginnings; scale from their middles, (r + 1/2) · R / rows − 1/2.",
            {PLACES: "places = np.arange(rows) * len(table) / rows"},
        ),
        Mistake(
            "The channels come first here; the result is [size, size, D].",
            {ROW: f"{ROW}.transpose(2, 0, 1)"},
        ),
        Mistake(
            "A table that is too long is cut instead of resized: the middle rows are kept.",
            {
                "table = np.stack(channels, axis=-1).astype(table.dtype)": (
                    "resized = np.stack(channels, axis=-1).astype(table.dtype)\n"
                    "        table = table[(len(table) - rows) // 2 :][:rows] if len(table) > rows else resized"
                )
            },
        ),
    ],
    "rel_pos_attention": [
        Mistake(
            "The bias is scaled along with the scores. It is added as it is: only q kᵀ is multiplied by the scale.",
            {SCORES: "scores_per_key = scale * (q @ k.transpose(-2, -1) + bias_per_key)"},
        ),
        Mistake(
            "Key tokens are counted column by column; they come row by row: token m is in row m // W, column m % W.",
            {
                BIAS: BIAS.replace(
                    "rel_h[..., :, None] + rel_w[..., None, :]", "rel_h[..., None, :] + rel_w[..., :, None]"
                )
            },
        ),
        Mistake(
            "The two terms are multiplied; the bias is their sum.",
            {BIAS: BIAS.replace("] + rel", "] * rel")},
        ),
        Mistake(
            "Only the rows count: rel_w is missing.",
            {BIAS: BIAS.replace("rel_w[..., None, :]", "0 * rel_w[..., None, :]")},
        ),
        Mistake(
            "Only the columns count: rel_h is missing.",
            {BIAS: BIAS.replace("rel_h[..., :, None]", "0 * rel_h[..., :, None]")},
        ),
        Mistake(
            "The bias is added after the softmax; it belongs to the scores.",
            {
                SCORES: "scores_per_key = scale * q @ k.transpose(-2, -1)",
                WEIGHTS: "(scores_per_key.softmax(dim=-1) + bias_per_key) @ v",
            },
        ),
        Mistake("The bias is subtracted.", {SCORES: SCORES.replace("+ bias", "- bias")}),
        Mistake(
            "The bias is transposed: it is the query that asks about the key's place, so a row of the bias "
            "belongs to a query.",
            {SCORES: f"{SCORES}.transpose(-2, -1)"},
        ),
        Mistake("The scale is missing.", {SCORES: SCORES.replace("scale * ", "")}),
        Mistake(
            "All heads have the first head's bias; every head's queries ask for themselves.",
            {SCORES: f"{SCORES}[:, :1]"},
        ),
        Mistake("The bias is missing.", {SCORES: SCORES.replace(" + bias_per_key", "")}),
        Mistake(
            "Softmax over the queries; a query shares itself out among the keys, the last axis.",
            {WEIGHTS: "scores_per_key.softmax(dim=-2) @ v"},
        ),
        Mistake(
            "The exponential is taken without subtracting the maximum: huge scores become infinity, and NaN.",
            {WEIGHTS: "scores_per_key.exp() / scores_per_key.exp().sum(dim=-1, keepdim=True) @ v"},
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"scores_per_key = scale *": "scores_per_key = q.shape[-1] ** -0.5 *"},
        ),
    ],
    "attend_on_grid": [
        Mistake(
            "The bug is still there: the position terms are made of scaled queries, so they are √D times too "
            "small, 8 times for SAM's ViT-B. They take q as it is.",
            {GRID: "grid = (scale * q).unflatten(2, (H, W))"},
        ),
        Mistake(
            "The scale is gone altogether: the position terms are right, q kᵀ has to be scaled.",
            {GRID_SCORES: "scores = q @ k.transpose(-2, -1) + bias\n"},
        ),
        Mistake(
            "The scale is divided out of the position terms twice: they are √D times too large now.",
            {GRID: "grid = (q / scale).unflatten(2, (H, W))"},
        ),
        Mistake(
            "The keys ask now. It is the query that meets the table's row.",
            {GRID: "grid = k.unflatten(2, (H, W))"},
        ),
        Mistake(
            "The offsets have the other sign: query less key was right.",
            {
                TABLE_H: "rows[None, :] - rows[:, None] + H - 1",
                TABLE_W: "columns[None, :] - columns[:, None] + W - 1",
            },
        ),
        Mistake(
            "The scale is applied to q kᵀ twice.",
            {GRID_SCORES: "scores = (scale * q) @ (scale * k).transpose(-2, -1) + bias\n"},
        ),
        Mistake(
            "Key tokens are counted column by column in the bias; they come row by row.",
            {
                GRID_BIAS: GRID_BIAS.replace(
                    "rel_h[..., :, None] + rel_w[..., None, :]", "rel_h[..., None, :] + rel_w[..., :, None]"
                )
            },
        ),
        Mistake(
            "The rows' term got lost.",
            {GRID_BIAS: GRID_BIAS.replace("rel_h[..., :, None]", "0 * rel_h[..., :, None]")},
        ),
        Mistake(
            "The columns' term got lost.",
            {GRID_BIAS: GRID_BIAS.replace("rel_w[..., None, :]", "0 * rel_w[..., None, :]")},
        ),
        Mistake(
            "The scale is on the values: softmax has to see it.",
            {
                GRID_SCORES: "scores = q @ k.transpose(-2, -1) + bias\n",
                "scores.softmax(dim=-1) @ v\n": "scores.softmax(dim=-1) @ (scale * v)\n",
            },
        ),
        Mistake("The bias is missing.", {GRID_SCORES: "scores = (scale * q) @ k.transpose(-2, -1)\n"}),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"(scale * q) @": "(q.shape[-1] ** -0.5 * q) @"},
        ),
    ],
}
