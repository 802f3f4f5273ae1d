"""How much each kernel has to compute and to move: matrix products, bytes, exponentials, with the calculation.

    attention, forward     q kᵀ and p v                        2 products of 2·L·S·D per head, L·S exponentials
    backward, one kernel   q kᵀ, do vᵀ, pᵀ do, ds k, dsᵀ q     5 products, the exponentials again
    backward, split        q kᵀ and do vᵀ are computed twice   7 products, twice the exponentials

Every input is read once and every output written once; softmax's weights never leave the multiprocessor.

B batch   N heads   L queries   S keys   D head dim   C = N·D   H, W grid   W² tokens of a window: `window`²
"""

from __future__ import annotations

from dataclasses import dataclass

GRID, WINDOW = 64, 14
BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class Term:
    """One line of the calculation: what it counts, the factors, and their product."""

    what: str
    factors: tuple[float, ...]

    @property
    def amount(self) -> float:
        amount = 1.0
        for factor in self.factors:
            amount *= factor
        return amount


@dataclass(frozen=True)
class Work:
    """The amount of work, on any GPU."""

    name: str
    dtype: str
    products: tuple[Term, ...]
    bytes: tuple[Term, ...]
    exponentials: tuple[Term, ...]

    def total(self, kind: str) -> float:
        return sum(term.amount for term in getattr(self, kind))


def attention_work(
    name: str,
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    head_dim: int,
    dtype: str = "bf16",
    backward: bool = False,
    split: bool = False,
) -> Work:
    """Attention of `queries` over `keys`; `split` counts the backward as two kernels, one for dq, one for dk, dv."""
    factor = (7 if split else 5) if backward else 2
    size, per_head = BYTES[dtype], (batch, heads, queries, keys)
    on_queries = Term(
        "q, out, dout, dq" if backward else "q, out",
        (4 if backward else 2, batch, heads, queries, head_dim, size),
    )
    on_keys = Term(
        "k, v, dk, dv" if backward else "k, v", (4 if backward else 2, batch, heads, keys, head_dim, size)
    )
    statistics = (Term("log-sum-exp and delta, fp32", (2, batch, heads, queries, 4)),) if backward else ()
    return Work(
        name,
        dtype,
        products=(Term(f"{factor} products of 2·B·N·L·S·D", (factor, 2, *per_head, head_dim)),),
        bytes=(on_queries, on_keys, *statistics),
        exponentials=(
            Term("2·B·N·L·S", (2, *per_head)) if backward and split else Term("B·N·L·S", per_head),
        ),
    )


def rel_pos_attention_work(
    batch: int,
    heads: int,
    head_dim: int,
    grid: tuple[int, int] = (GRID, GRID),
    dtype: str = "bf16",
    backward: bool = False,
    split: bool = False,
    projections: bool = False,
) -> Work:
    """Attention over the grid.  `projections`: rel_h and rel_w are computed inside instead of being read."""
    H, W = grid
    plain = attention_work("rel_pos_attention", batch, heads, H * W, H * W, head_dim, dtype, backward, split)
    tokens = (batch, heads, H * W)
    if projections:
        products = (6 if backward else 2, *tokens, H + W, head_dim)
        inside = Term("q·R_h and q·R_w" + (", to q and to R" if backward else ""), products)
        return Work(plain.name, dtype, (*plain.products, inside), plain.bytes, plain.exponentials)
    size = BYTES[dtype]
    bias = Term("rel_h, rel_w", (*tokens, H + W, size))
    if backward:
        bias = Term("rel_h, rel_w, d rel_h, d rel_w", (2, *tokens, H + W, size))
    return Work(plain.name, dtype, plain.products, (*plain.bytes, bias), plain.exponentials)


def window_attention_work(
    batch: int,
    heads: int,
    head_dim: int,
    grid: tuple[int, int] = (GRID, GRID),
    window: int = WINDOW,
    dtype: str = "bf16",
    backward: bool = False,
) -> Work:
    """Each real token attends to the window² keys of its window, padding among them."""
    tokens, keys, size = (batch, heads, grid[0] * grid[1]), window * window, BYTES[dtype]
    factor = 5 if backward else 2
    tensors = Term(
        "qkv, dqkv, out, dout" if backward else "qkv, out", (8 if backward else 4, *tokens, head_dim, size)
    )
    return Work(
        "window_attention",
        dtype,
        products=(
            Term(f"{factor} products of 2·B·N·H·W·window²·D", (factor, 2, *tokens, keys, head_dim)),
            Term(
                "q·R_h and q·R_w" + (", to q and to R" if backward else ""),
                (6 if backward else 2, *tokens, 2 * window, head_dim),
            ),
        ),
        bytes=(tensors,),
        exponentials=(Term("B·N·H·W·window²", (*tokens, keys)),),
    )


def token_to_image_work(
    batch: int, rows: int, tokens: int, channels: int, dtype: str = "bf16", backward: bool = False
) -> Work:
    """Rows of all heads over an image that is both key and value; all images have the same positions."""
    plain = attention_work("token_to_image", batch, 1, rows, tokens, channels, dtype, backward)
    size = BYTES[dtype]
    factor = 4 if backward else 2
    return Work(
        plain.name,
        dtype,
        plain.products,
        bytes=(
            Term(
                "rows, out" + (", their gradients" if backward else ""), (factor, batch, rows, channels, size)
            ),
            Term(
                "image" + (", its gradient" if backward else ""), (factor // 2, batch, tokens, channels, size)
            ),
            Term(
                "positions" + (", their gradient" if backward else ""), (factor // 2, tokens, channels, size)
            ),
        ),
        exponentials=plain.exponentials,
    )


def image_to_token_work(
    batch: int, rows: int, tokens: int, channels: int, dtype: str = "bf16", backward: bool = False
) -> Work:
    """The image of every prompt, updated by `rows` values of all heads; the layer norm's sums are not counted."""
    plain = attention_work("image_to_token", batch, 1, tokens, rows, channels, dtype, backward)
    size = BYTES[dtype]
    factor = 2 if backward else 1
    return Work(
        plain.name,
        dtype,
        plain.products,
        bytes=(
            Term(
                "image, out" + (", their gradients" if backward else ""),
                (2 * factor, batch, tokens, channels, size),
            ),
            Term(
                "rows, values" + (", their gradients" if backward else ""),
                (2 * factor, batch, rows, channels, size),
            ),
            Term("positions" + (", their gradient" if backward else ""), (factor, tokens, channels, size)),
        ),
        exponentials=plain.exponentials,
    )


def softmax_work(rows: int, columns: int, dtype: str = "bf16", backward: bool = False) -> Work:
    """Read once and written once; the backward reads the output and its gradient."""
    return Work(
        "softmax",
        dtype,
        products=(),
        bytes=(
            Term("y, dy, dx" if backward else "x, y", (3 if backward else 2, rows, columns, BYTES[dtype])),
        ),
        exponentials=() if backward else (Term("rows·columns", (rows, columns)),),
    )
