"""Ways to get softmax wrong."""

from minisam_kernels.lab.mutants import Mutant


def mutant(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "softmax", old, new, found_by)


MUTANTS = [
    mutant("scale dropped", "x * scale, float", "x, float"),
    mutant("scale dropped on the way back", "grad_x = scale * y", "grad_x = y"),
    mutant(
        "scale applied twice",
        "tl.exp(scores - row_max[:, None])",
        "tl.exp(scale * (scores - row_max[:, None]))",
    ),
    mutant("maximum not subtracted", "tl.exp(scores - row_max[:, None])", "tl.exp(scores)"),
    mutant(
        "one maximum for all rows",
        "row_max = tl.max(scores, axis=1)",
        "row_max = tl.max(tl.max(scores, axis=1), axis=0) + tl.zeros_like(tl.max(scores, axis=1))",
    ),
    mutant("past the end counts as a score of zero", 'x * scale, float("-inf")', "x * scale, 0.0"),
    mutant(
        "last column masked away", "scores = tl.where((columns < N)", "scores = tl.where((columns < N - 1)"
    ),
    mutant("one column too many", "scores = tl.where((columns < N)", "scores = tl.where((columns <= N)"),
    mutant(
        "no mask at the load",
        "tl.load(x_ptr + offsets, mask=inside, other=0.0)",
        "tl.load(x_ptr + offsets)",
    ),
    mutant(
        "no mask at the store", "y.to(y_ptr.dtype.element_ty), mask=inside", "y.to(y_ptr.dtype.element_ty)"
    ),
    mutant(
        "rows not masked at the store",
        "y.to(y_ptr.dtype.element_ty), mask=inside",
        "y.to(y_ptr.dtype.element_ty), mask=(columns < N)[None, :]",
    ),
    mutant("not divided by the sum", "y = exponentials / row_sum[:, None]", "y = exponentials"),
    mutant("sum not taken from the gradient", "(grad_y - shared[:, None])", "grad_y"),
    mutant("sum without weights", "tl.sum(grad_y * y, axis=1)", "tl.sum(grad_y, axis=1)"),
    mutant("sum added to the gradient", "(grad_y - shared[:, None])", "(grad_y + shared[:, None])"),
    mutant("gradient not weighted", "scale * y * (grad_y", "scale * (grad_y"),
    mutant("no grid for the last rows", "triton.cdiv(R, choice.block_m)", "max(1, R // choice.block_m)"),
    mutant("memory taken as contiguous", "    x = x.contiguous()\n", ""),
    mutant("gradient taken as contiguous", "    grad_y = grad_y.contiguous()\n", ""),
    mutant(
        "block too short for the row", "triton.next_power_of_2(N)}", "triton.next_power_of_2(N) // 2 or 1}"
    ),
    mutant(
        "gradient loaded without other",
        "grad_y = tl.load(grad_y_ptr + offsets, mask=inside, other=0.0)",
        "grad_y = tl.load(grad_y_ptr + offsets, mask=inside)",
    ),
    mutant("padding scored -10000", 'x * scale, float("-inf")', "x * scale, -1e4"),
    mutant(
        "offsets of 32 bits",
        "offsets = rows.to(tl.int64)[:, None] * N + columns[None, :]\n\n    # Values",
        "offsets = rows[:, None] * N + columns[None, :]\n\n    # Values",
        "offsets",
    ),
]
