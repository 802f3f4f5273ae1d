from pathlib import Path

import pytest

from minisam_kernels.lab.index import intermediates, measured, table
from minisam_kernels.lab.results import KernelResult, Results
from minisam_kernels.lab.work_in_sam import KERNELS

PAGE = Path(__file__).parents[3] / "kernels" / "README.md"


def test_the_page_shows_what_is_generated():
    shown = PAGE.read_text(encoding="utf-8").split("<!-- kernels -->\n")[1].split("\n<!-- /kernels -->")[0]
    assert shown == table()


@pytest.mark.parametrize(
    ("kernel", "megabytes"),
    [
        ("rel_pos_attention", 2 * 403),
        ("window_attention", 106),
        ("attention", 4 * 403),
        ("softmax", 6 * 403),
        ("token_to_image", 268 + 117),
        ("mask_statistics", 1611 + 8588 + 3221),
        ("mask_bits", 1611 + 4294 + 1074),
    ],
)
def test_what_separate_operations_move_besides(kernel, megabytes):
    """403 MB are 12 heads' 4096² numbers of two bytes; windows: 25 of 196 tokens and as many bias entries squared.

    Masks: 192 squares of 1024² numbers, and 192 images of 537 MB in all as bytes, four times that as numbers.
    The decoder: keys and values of 64 prompts, 4096 · 128 numbers each, and the weights of 56 rows over 4096 tokens.
    """
    assert sum(term.amount for term in intermediates(kernel)) / 1e6 == pytest.approx(megabytes, rel=0.01)


def test_every_kernel_has_its_intermediates():
    assert all(intermediates(kernel) for kernel in KERNELS)
    with pytest.raises(ValueError, match="no kernel 'flash'"):
        intermediates("flash")


def test_measured_figures_come_from_the_files(monkeypatch):
    item = KernelResult("attention", "vit_b", 8, "bf16", "forward", {"minisam": 1.25})
    results = Results("Some GPU", {}, "abc", "today", [item])
    monkeypatch.setattr("minisam_kernels.lab.index.committed_results", lambda: [results])
    assert measured("attention") == "Some GPU: forward 1250 µs"
    assert measured("softmax") == "unmeasured"
