"""The Triton kernels that the suite in tests/kernels/triton/ holds to their references: one entry each.

An entry names what the suite cannot know: which inputs have a batch axis, which sizes make a small case, and from
which sizes random ones are drawn. Everything else comes from minisam_kernels.cases and the kernel's own file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from hypothesis import strategies as st
from strategies import batches, grids, lengths
from torch import Tensor

from minisam_kernels.cases import Case, cases, make_case
from minisam_kernels.launch import INTERPRETED, Launch
from minisam_kernels.mask_cases import COUNTING

DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPES = {"fp32": torch.float32, "fp16": torch.float16} | ({} if INTERPRETED else {"bf16": torch.bfloat16})

few_batches = st.integers(min_value=1, max_value=2)
few_heads = st.sampled_from([1, 2])
kernel_head_dims = st.sampled_from([16, 24, 32, 40, 64, 80, 104, 128])
long_lengths = st.sampled_from([1, 7, 33, 64, 65, 129])
short_grids = st.tuples(*[st.sampled_from([1, 2, 3, 5, 7])] * 2)
# On a handful of tokens torch's own error, the measure of the error rule, is one or two roundings that may happen to
# be small. Such grids are among the fixed cases, whose numbers never change.
some_grids, some_short_grids = (
    sides.filter(lambda side: side[0] * side[1] >= 8) for sides in (grids, short_grids)
)
few_windows = st.sampled_from([2, 3, 5, 7, 8])  # few of them on a grid, as each is a program for each head
decoder_heads = st.sampled_from([1, 2, 3, 8])
few_tokens = st.sampled_from([1, 2, 5, 7, 8, 16])
channel_counts = st.sampled_from([16, 24, 32, 40, 64, 96, 128, 200, 256])
image_sides = st.sampled_from([1, 2, 7, 16, 31, 33])
logit_sides = st.sampled_from([1, 2, 3, 8, 11, 16])
row_lengths = st.sampled_from([1, 2, 3, 17, 64, 255, 257, 1000, 2049])


@dataclass(frozen=True)
class Operation:
    """One kernel as the suite sees it; sizes are in the order of minisam_kernels.cases.SIZES.

    A small case has few numbers, a long one more scores than its inputs and output have numbers. Blocks divide the
    sides of a whole one. `split` are sizes at which sums are split into parts.
    """

    name: str
    batched: tuple[str, ...]
    small: tuple[int, ...]
    long: tuple[int, ...]
    whole: tuple[int, ...]
    sizes: st.SearchStrategy[tuple[int, ...]]
    split: tuple[tuple[int, ...], ...] = ()

    @property
    def function(self) -> Callable[..., Tensor]:
        return getattr(importlib.import_module(f"minisam_kernels.{self.name}"), self.name)

    @property
    def differentiable(self) -> bool:
        return self.name not in COUNTING

    @property
    def launches(self) -> Mapping[str, Launch]:
        return importlib.import_module(f"minisam_kernels.{self.name}").LAUNCHES

    def with_launch(self, launch: str) -> Callable[..., Tensor]:
        return partial(self.function, launch=launch)

    def case(self, size: tuple[int, ...]) -> Case:
        return make_case(self.name, f"{size}", size)

    def case_for_bits(self) -> Case:
        """A small case in the interpreter, whose programs run one after the other; on a GPU one of many programs."""
        return self.case(self.small) if INTERPRETED else self.telling_cases()[0]

    def cases_for_batches(self) -> list[Case]:
        """The case for bits, and those in which sums are split into parts."""
        return [self.case_for_bits(), *(self.case(size) for size in self.split)]

    def telling_cases(self) -> list[Case]:
        """Few cases that see most faults: sizes that no block divides, and a head dim of two tiles."""
        return [case for case in cases(self.name) if self.is_telling(case)]

    def is_telling(self, case: Case) -> bool:
        return "score" not in case.name and any(
            word in case.name for word in ("prime", "many", "padded", "80")
        )


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("softmax", ("x",), (3, 5), (5, 67), (16, 256), st.tuples(lengths, row_lengths)),
        Operation(
            "attention",
            ("q", "k", "v"),
            (1, 2, 3, 5, 24),
            (1, 1, 131, 131, 16),
            (1, 1, 64, 64, 16),
            st.tuples(batches, few_heads, long_lengths, long_lengths, kernel_head_dims),
        ),
        Operation(
            "cross_attention",
            ("q", "k", "v"),
            (1, 2, 3, 5, 24),
            (1, 1, 40, 300, 16),
            (1, 1, 16, 512, 16),
            st.tuples(
                batches, few_heads, long_lengths, st.sampled_from([1, 7, 65, 257, 513]), kernel_head_dims
            ),
            ((1, 1, 301, 40, 16), (1, 1, 40, 301, 16)),
        ),
        Operation(
            "rel_pos_attention",
            ("q", "k", "v", "rel_h", "rel_w"),
            (1, 2, 2, 3, 24),
            (1, 1, 13, 11, 16),
            (1, 1, 4, 16, 16),
            st.tuples(batches, few_heads, some_grids, kernel_head_dims).map(lambda x: (*x[:2], *x[2], x[3])),
        ),
        Operation(
            "window_attention",
            ("qkv",),
            (1, 3, 2, 2, 24, 2),
            (1, 14, 14, 1, 16, 14),
            (1, 8, 8, 1, 16, 4),
            st.tuples(few_batches, some_short_grids, few_heads, kernel_head_dims, few_windows).map(
                lambda x: (x[0], *x[1], *x[2:])
            ),
        ),
        Operation(
            "token_to_image",
            ("rows", "image"),
            (1, 3, 5, 24),
            (1, 40, 300, 16),
            (1, 16, 1024, 16),
            st.tuples(few_batches, long_lengths, st.sampled_from([1, 7, 65, 513]), channel_counts),
            ((1, 3, 530, 16),),
        ),
        Operation(
            "image_to_token",
            ("image", "rows", "offsets", "values"),
            (1, 1, 2, 3, 5, 24),
            (1, 1, 8, 7, 300, 16),
            (1, 1, 2, 8, 32, 16),
            st.tuples(
                few_batches, st.booleans(), decoder_heads, few_tokens, long_lengths, channel_counts
            ).map(lambda x: (1 if x[1] else x[0], x[0], *x[2:])),
        ),
        *(
            Operation(
                name,
                ("low_res",),
                (1, 3, 2, 5, 7),
                (1, 4, 4, 64, 64),
                (1, 8, 8, 32, 32),
                st.tuples(few_batches, logit_sides, logit_sides, image_sides, image_sides),
            )
            for name in COUNTING
        ),
    )
}
DIFFERENTIABLE = {name: operation for name, operation in OPERATIONS.items() if operation.differentiable}


def tensors(case: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    """A case's inputs on the device of this run, as leaves that want a gradient if there is one."""
    found = case.tensors(dtype, DEVICE)
    return {name: tensor.requires_grad_(not case.counts) for name, tensor in found.items()}


def run(
    function: Callable[..., Tensor], inputs: Mapping[str, Tensor], case: Case, grad_out: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The output and every input's gradient, if there is one; the output's is seeded, or the one given."""
    out = function(**inputs, **case.constants)
    if case.counts:
        return out, {}
    if grad_out is None:
        generator = torch.Generator().manual_seed(0)
        grad_out = torch.randn(out.shape, generator=generator).to(out)
    grads = torch.autograd.grad(out, list(inputs.values()), grad_out)
    return out.detach(), dict(zip(inputs, grads, strict=True))


def assert_same_bits(got: tuple[Tensor, dict[str, Tensor]], wanted: tuple[Tensor, dict[str, Tensor]]) -> None:
    assert torch.equal(got[0], wanted[0]), "outputs differ"
    for name, grad in wanted[1].items():
        assert torch.equal(got[1][name], grad), f"gradients of {name} differ"
