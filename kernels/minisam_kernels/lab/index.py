"""The generated part of kernels/README.md: the traffic that each kernel saves, its floors, and measured times.

    bytes    for ViT-B's call for one image in bfloat16, for masks in float32: every input read once and every output
             written once; for separate operations, also their intermediate results (`intermediates`)
    floors   forward and backward, batch 8, by roofline.py
    measured from kernels/benchmarks/*.json; "unmeasured" if there is no file

`python -m minisam_kernels.lab.index` prints it; tests/kernels/lab/test_index.py compares the page with it.
"""

from __future__ import annotations

from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.results import OURS, committed_results
from minisam_kernels.lab.roofline import floor_on
from minisam_kernels.lab.work import BYTES, GRID, WINDOW, Term
from minisam_kernels.lab.work_in_sam import KERNELS, LOW, MODELS, PHOTO, directions_of, dtype_of, work_of

MODEL = "vit_b"
HEAD = (
    "kernel",
    "bytes, separate operations",
    "bytes, fused",
    "floor on an H100 / H200, forward",
    "backward",
    "measured",
)


def intermediates(kernel: str) -> tuple[Term, ...]:
    """The intermediate results that separate operations write and read again; forward, one image."""
    (heads, head_dim), tokens, size = MODELS[MODEL], GRID * GRID, BYTES[dtype_of(kernel)]
    if kernel == "softmax":
        return (Term("x, x − max, exp, its sum: six more passes", (6, heads * tokens, tokens, size)),)
    if kernel == "attention":
        return (Term("scores and weights, written and read", (4, heads, tokens, tokens, size)),)
    if kernel == "cross_attention":
        return (Term("scores and weights, written and read", (4, 64, 8, 7, tokens, size)),)
    if kernel == "rel_pos_attention":
        return (Term("the dense bias, written and read", (2, heads, tokens, tokens, size)),)
    if kernel == "window_attention":
        across = -(-GRID // WINDOW)
        padded = (across * WINDOW) ** 2
        return (
            Term("pad, partition, unpartition, crop", (4, 2, padded, heads * head_dim, size)),
            Term("the dense bias, written and read", (2, across**2, heads, WINDOW**4, size)),
        )
    if kernel == "token_to_image":
        prompts, inner = 64, 128
        return (
            Term("keys and values, written and read", (4, prompts, tokens, inner, size)),
            Term("scores and weights, written and read", (4, prompts, 8, 7, tokens, size)),
        )
    if kernel == "image_to_token":
        prompts, inner = 64, 128
        return (
            Term("queries and outputs of the heads, written and read", (4, prompts, tokens, inner, size)),
            Term("scores and weights, written and read", (4, prompts, 8, 7, tokens, size)),
            Term("y + e, W_o's product and the sum, written and read", (6, prompts, tokens, 256, size)),
        )
    if kernel in ("mask_statistics", "mask_bits"):
        masks, (height, width), square = 3 * 64, PHOTO, 4 * LOW
        comparisons = 3 if kernel == "mask_statistics" else 1
        return (
            Term("the network's square, written and read", (2, masks, square, square, size)),
            Term(
                "the image, written once, read for each comparison",
                (1 + comparisons, masks, height, width, size),
            ),
            Term("a byte for each comparison, written and read", (2 * comparisons, masks, height, width)),
        )
    raise ValueError(f"no kernel {kernel!r}; there are {', '.join(KERNELS)}")


def row(kernel: str) -> tuple[str, ...]:
    one_image = work_of(kernel, MODEL, 1, dtype_of(kernel)).total("bytes")
    separate = one_image + sum(term.amount for term in intermediates(kernel))
    floors = [
        " / ".join(
            f"{floor_on(GPUS[gpu], work_of(kernel, MODEL, 8, dtype_of(kernel), backward)).floor * 1e6:.0f}"
            for gpu in ("H100", "H200")
        )
        for backward in (False, True)[: len(directions_of(kernel))]
    ]
    return (
        kernel,
        megabytes(separate),
        megabytes(one_image),
        f"{floors[0]} µs",
        f"{floors[1]} µs" if len(floors) > 1 else "none",
        measured(kernel),
    )


def megabytes(amount: float) -> str:
    return f"{amount / 1e6:.0f} MB" if amount < 1e9 else f"{amount / 1e9:.1f} GB"


def measured(kernel: str) -> str:
    """The medians of every device that has a file, batch 8."""
    found = [
        f"{results.device}: {item.direction} {item.milliseconds[OURS] * 1e3:.0f} µs"
        for results in committed_results()
        for item in results.kernels
        if (item.kernel, item.model, item.batch, item.dtype) == (kernel, MODEL, 8, dtype_of(kernel))
        and OURS in item.milliseconds
    ]
    return "; ".join(found) or "unmeasured"


def table() -> str:
    lines = [HEAD, ("---",) * len(HEAD), *(row(kernel) for kernel in KERNELS)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(table())
