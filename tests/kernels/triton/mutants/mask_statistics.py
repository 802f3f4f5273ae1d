"""Ways to get mask_statistics wrong, in its own file and in that of the tiles."""

from minisam_kernels.lab.mutants import Mutant


def own(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "mask_statistics", old, new, found_by)


def tiles(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "bilinear_tiles", old, new, found_by)


MUTANTS = [
    own("middle counted in place of lower", "(pixels > lower))", "(pixels > middle))"),
    own(
        "on the threshold counts",
        "set_pixels = ok & (pixels > middle)",
        "set_pixels = ok & (pixels >= middle)",
    ),
    own("on the upper threshold counts", "(pixels > upper))", "(pixels >= upper))"),
    own(
        "pixels beyond the image counted",
        "ok = row_ok[:, None] & column_ok[None, :]",
        "ok = row_ok[:, None] | column_ok[None, :]",
    ),
    own("rows beyond the image counted", "row_ok = rows < H", "row_ok = rows <= H"),
    own("one column too many", "column_ok = columns < W", "column_ok = columns <= W"),
    own("last column forgotten", "column_ok = columns < W", "column_ok = columns < W - 1"),
    own("only whole tiles", "range(0, W, BLOCK_K)", "range(0, W - W % BLOCK_K, BLOCK_K)"),
    own("one mask for all", "low_res_ptr + mask * h * w", "low_res_ptr + 0 * mask * h * w"),
    own("every strip is the first", "rows = strip * BLOCK_M", "rows = 0 * strip * BLOCK_M"),
    own("box of the last tile alone", "tl.minimum(first, tl.where(", "(tl.where("),
    own("right edge of the last tile alone", "tl.maximum(last, tl.where(", "(tl.where("),
    own("area of the last tile alone", "lower_and_middle += (ok", "lower_and_middle = (ok"),
    own(
        "doubt at the upper threshold forgotten",
        "unsure = unsure | in_doubt(pixels, size, upper, doubt)",
        "unsure = unsure",
    ),
    own("doubt beyond the image counted", "(ok & unsure)", "(unsure)"),
    own("strips written over each other", "(mask * strips + strip) * 8", "(mask * strips) * 8"),
    own(
        "rows of the box from the areas at lower",
        "tl.where(in_row > 0, rows, H)",
        "tl.where(tl.sum(lower_and_middle % HALF, axis=1) > 0, rows, H)",
    ),
    own("a full strip's last row", "tl.where(in_row > 0, rows, -1)", "rows"),
    own("counts that run into each other", "tl.constexpr(2**16)", "tl.constexpr(2)"),
    own(
        "upper and doubt swapped",
        "tl.sum(tl.sum(upper_and_doubt % HALF",
        "tl.sum(tl.sum(upper_and_doubt // HALF",
    ),
    own("strips not added", "parts[:, :, :4].sum(dim=1, dtype=torch.int32)", "parts[:, 0, :4]"),
    own("an empty mask has a box", "corners.where(counts[:, 1:2] > 0, 0)", "corners"),
    own("lower edges united by the largest", "parts[:, :, 4:6].amin(dim=1)", "parts[:, :, 4:6].amax(dim=1)"),
    own(
        "memory taken as contiguous",
        "tensor.contiguous() for tensor in tensors",
        "tensor for tensor in tensors",
    ),
    tiles(
        "weights of the first tap for all",
        "column_weights_ptr + columns * COLUMN_TAPS + t",
        "column_weights_ptr + columns * COLUMN_TAPS",
    ),
    tiles(
        "rows' weights of the first tap for all",
        "row_weights_ptr + rows * ROW_TAPS + s",
        "row_weights_ptr + rows * ROW_TAPS",
    ),
    tiles("one row of logits for all taps", "(first_row + s)[:, None] * w", "(first_row)[:, None] * w"),
    tiles("one column of logits for all taps", "(first_column + t)[None, :]", "(first_column)[None, :]"),
    tiles("size without the sign taken away", "tl.maximum(size, tl.abs(logits))", "tl.maximum(size, logits)"),
    tiles(
        "last tap outside of the patch",
        "tl.where(ok, first, 0), axis=0) + taps",
        "tl.where(ok, first, 0), axis=0)",
    ),
    tiles("the first row of patches alone", "range(top, bottom, PATCH_H)", "range(top, top + 1, PATCH_H)"),
    tiles("the first patch of a row alone", "range(left, right, PATCH_W)", "range(left, left + 1, PATCH_W)"),
    tiles("inside and outside swapped", "if largest < lowest - margin", "if largest < highest - margin"),
    tiles(
        "a tile between the thresholds is full",
        "elif smallest > highest + margin",
        "elif smallest > lowest + margin",
    ),
    tiles("no margin below", "if largest < lowest - margin", "if largest <= lowest"),
    tiles("doubt without a size", "margin = doubt * size + SMALLEST\n", "margin = SMALLEST\n"),
    tiles("exact zeros in doubt", " | ((size == 0) & (pixels == 0))", ""),
    tiles("a thousand times the roundings", "ROUNDINGS = 10", "ROUNDINGS = 10000"),
    tiles(
        "first logits loaded without other",
        "tl.load(first_ptr + places, mask=ok, other=0)",
        "tl.load(first_ptr + places, mask=ok)",
    ),
    own(
        "offsets of 32 bits",
        "tl.program_id(0).to(tl.int64), tl.program_id(1)",
        "tl.program_id(0), tl.program_id(1)",
        "offsets",
    ),
    tiles("products and sums fused", "FUSED = False", "FUSED = True", "machine code"),
]
