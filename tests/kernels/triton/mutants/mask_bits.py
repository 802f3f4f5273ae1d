"""Ways to get mask_bits wrong, in its own file and in that of the tiles."""

from minisam_kernels.lab.mutants import Mutant


def own(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "mask_bits", old, new, found_by)


def tiles(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "bilinear_tiles", old, new, found_by)


MUTANTS = [
    own("on the threshold counts", "(pixels > threshold)", "(pixels >= threshold)"),
    own("a threshold of one", "(pixels > threshold)", "(pixels > 1)"),
    own("rows beyond the image set", "above = row_ok[:, None] & (", "above = (row_ok[:, None] | True) & ("),
    own("one row too many", "row_ok = rows < H", "row_ok = rows <= H"),
    own("last row forgotten", "row_ok = rows < H", "row_ok = rows < H - 1"),
    own("bits in reverse", "<< bit[:, None]", "<< (31 - bit)[:, None]"),
    own("rows of the first word for all", "rows = word * BLOCK_M + bit", "rows = bit"),
    own("columns written one apart", "(mask * W + columns) * Q + word", "(mask * W + columns) * Q"),
    own("words counted by rows", "(mask * W + columns) * Q", "(mask * H + columns) * Q"),
    own("one column too many", "column_ok = columns < W", "column_ok = columns <= W"),
    own("only whole tiles", "range(0, W, BLOCK_K)", "range(0, W - W % BLOCK_K, BLOCK_K)"),
    own("one mask for all", "low_res_ptr + mask * h * w", "low_res_ptr + 0 * mask * h * w"),
    own(
        "columns of the first tile for all", "columns = start + tl.arange", "columns = 0 * start + tl.arange"
    ),
    own("no room below the last row", "Q = H // WORD + 1\n", "Q = triton.cdiv(H, WORD)\n"),
    own(
        "memory taken as contiguous",
        "tensor.contiguous() for tensor in tensors",
        "tensor for tensor in tensors",
    ),
    tiles(
        "the last row of logits alone",
        "pixels += weights.to(ACC)[:, None] * across",
        "pixels = weights.to(ACC)[:, None] * across",
    ),
    tiles(
        "last tap outside of the patch",
        "tl.where(ok, first, 0), axis=0) + taps",
        "tl.where(ok, first, 0), axis=0)",
    ),
    tiles(
        "a full tile is empty",
        'pixels = tl.full([BLOCK_M, BLOCK_K], float("inf"), ACC)',
        'pixels = tl.full([BLOCK_M, BLOCK_K], float("-inf"), ACC)',
    ),
    own("products and sums fused", ", enable_fp_fusion=FUSED", "", "machine code"),
    own("words past the last column stored", "words, mask=column_ok)", "words)"),
]
