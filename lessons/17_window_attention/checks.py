"""What the answers of lesson 17 are held to: places of a window, the kernel's own cases, grids of every shape."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case, cases, reference

WINDOWS = {  # images, H, W, channels, S, which window
    "the only window": (1, 3, 3, 6, 3, 0),
    "one token": (1, 1, 1, 3, 1, 0),
    "the second of a row": (1, 4, 6, 3, 2, 1),
    "the second row of windows": (1, 4, 6, 3, 2, 4),
    "beyond the right edge": (1, 6, 7, 6, 3, 2),
    "beyond the lower edge": (1, 7, 6, 3, 3, 5),
    "the corner": (1, 5, 7, 3, 3, 5),
    "the third image": (3, 5, 4, 3, 3, 9),
    "a window larger than the grid": (2, 2, 3, 3, 4, 1),
}
GRIDS = {  # images, H, W, channels, S
    "square, whole windows": (1, 6, 6, 2, 3),
    "square, padded": (2, 5, 5, 3, 3),
    "wide": (1, 4, 10, 2, 3),
    "tall": (1, 11, 4, 3, 4),
    "two wide images": (2, 3, 8, 2, 3),
    "a window larger than the grid": (1, 2, 3, 4, 7),
}


def window_cases() -> list[Case]:
    found = []
    for seed, (name, (B, H, W, channels, S, window)) in enumerate(WINDOWS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"qkv": normal((B, H, W, channels)), "qkv_bias": normal(channels)}
        found.append(Case("window_slots", name, inputs, {"window": window, "window_size": S}))
    return found


def window_slots(qkv: np.ndarray, qkv_bias: np.ndarray, window: int, window_size: int) -> np.ndarray:
    """The usual way: pad with the bias, cut every window, take one."""
    return cut(padded(qkv, qkv_bias, window_size), window_size)[window].reshape(window_size**2, -1)


def padded(grid: np.ndarray, vector: np.ndarray, multiple: int) -> np.ndarray:
    B, H, W, channels = grid.shape
    out = np.empty((B, H + -H % multiple, W + -W % multiple, channels), grid.dtype)
    out[:] = vector
    out[:, :H, :W] = grid
    return out


def cut(grid: np.ndarray, S: int) -> np.ndarray:
    """[B, down · S, across · S, channels] -> [B · down · across, S, S, channels]."""
    B, H, W, channels = grid.shape
    return grid.reshape(B, H // S, S, W // S, S, channels).swapaxes(2, 3).reshape(-1, S, S, channels)


def attention_cases() -> list[Case]:
    """The kernel's cases without their tables, by number of windows; two kinds of scores would tell nothing more."""
    found = []
    for case in cases("window_attention"):
        if case.name.startswith(("equal scores", "one score above all")):
            continue
        inputs = {name: case.inputs[name] for name in ("qkv", "qkv_bias")}
        found.append(Case(case.operation, case.name, inputs, case.constants))
    return sorted(found, key=number_of_windows)


def number_of_windows(case: Case) -> int:
    B, H, W, _ = case.inputs["qkv"].shape
    S = int(case.constants["window_size"])
    return B * -(-H // S) * -(-W // S) * int(case.constants["num_heads"])


def window_attention(qkv: np.ndarray, qkv_bias: np.ndarray, num_heads: int, window_size: int) -> np.ndarray:
    """The project's definition, with tables of zeros."""
    tables = np.zeros((2, 2 * window_size - 1, qkv.shape[-1] // (3 * num_heads)), qkv.dtype)
    return reference("window_attention")(qkv, qkv_bias, *tables, num_heads, window_size)


def grid_cases() -> list[Case]:
    found = []
    for seed, (name, (B, H, W, C, S)) in enumerate(GRIDS.items()):
        whole = np.random.default_rng(seed).standard_normal((B, H + -H % S, W + -W % S, C))
        found.append(Case("join_windows", name, {"windows": cut(whole, S)}, {"H": H, "W": W}))
    return found


def join_windows(windows: np.ndarray, H: int, W: int) -> np.ndarray:
    """Back together, and cropped."""
    _, S, _, C = windows.shape
    down, across = -(-H // S), -(-W // S)
    rows = windows.reshape(-1, down, across, S, S, C).swapaxes(2, 3)
    return rows.reshape(-1, down * S, across * S, C)[:, :H, :W].copy()


EXERCISES = [
    Exercise(
        name="window_slots",
        task="from a window's number to the addresses of its tokens, in NumPy",
        cases=window_cases,
        reference=window_slots,
        hints=(
            "There are down = ⌈H / S⌉ times across = ⌈W / S⌉ windows in an image; -(-H // S) rounds up.",
            "Window w of its image begins at row (w // across) · S and column (w % across) · S.",
            "Place n of a window is n // S rows and n % S columns further.",
            "Token (row, column) of an image is number (image · H + row) · W + column of qkv.reshape(-1, 3·C).",
            "A place with row >= H or column >= W has no token: np.where(on_grid[:, None], …, qkv_bias).",
        ),
    ),
    Exercise(
        name="window_attention",
        task="window attention as one Triton kernel: no padding, no cutting, no joining",
        cases=attention_cases,
        reference=window_attention,
        framework="triton",
        banned=("copy_ into a part", "clone", "constant_pad_nd", "cat", "stack"),
        hints=(
            "tl.program_id(0) is the window, (1) the head, (2) the block of queries; C = tl.num_programs(1) * D.",
            "Of token t, q of head h starts at t * 3 * C + h * D, k at C further, v at 2 * C further.",
            "Keys: tl.where(on_grid[:, None], addresses in qkv, addresses in the bias), then one load for both.",
            "Three masks: n < S·S for places there are, on_grid for where a key lies, both for what is stored.",
            "The loop and the online softmax are lesson 15's, over n in range(0, S * S, BLOCK_K).",
        ),
    ),
    Exercise(
        name="join_windows",
        task="find the bug: windows put back into their grid",
        cases=grid_cases,
        reference=join_windows,
        framework="triton",
        find_the_bug=True,
        hints=(
            "It is right on every square grid. Which two numbers are the same there?",
            "Draw the windows of a grid that is 2 windows high and 4 wide, and number them as one reads.",
        ),
    ),
]
