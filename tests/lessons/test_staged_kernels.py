"""Lessons 15 and 16 check pieces of a kernel before the whole: put together, the pieces are the kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minisam.lesson.check import check_answer
from minisam.lesson.find import lesson
from minisam.lesson.mistakes import Mistake
from minisam_kernels.lab.answers.absent import has_triton

FIRST = "tl.program_id(0) * BLOCK_M"
FLASH_ATTENTION = {
    "q = tl.load(q_ptr + own, mask=own_ok, other=0.0)": f"q = load_tile(q_ptr, head, {FIRST}, L, D, BLOCK_M, BLOCK_D)",
    "k = tl.load(k_ptr + tile, mask=tile_ok, other=0.0)": "k = load_tile(k_ptr, head, start, S, D, BLOCK_K, BLOCK_D)",
    "v = tl.load(v_ptr + tile, mask=tile_ok, other=0.0)": "v = load_tile(v_ptr, head, start, S, D, BLOCK_K, BLOCK_D)",
    'scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale': (
        "scores = score_tile(q, k, start, S, scale, BLOCK_K)"
    ),
    'scores = tl.where((columns < S)[None, :], scores, float("-inf"))': "",
}
REL_POS_ATTENTION = {
    'column_bias = tl.where(column_ok[None, :], rel_w.to(tl.float32) * LOG2E, float("-inf"))': (
        f"column_bias = load_column_bias(rel_w_ptr, head, {FIRST}, L, W, LOG2E, BLOCK_M, BLOCK_K)"
    ),
    "row_bias = rel_h.to(tl.float32) * LOG2E": (
        f"row_bias = load_row_bias(rel_h_ptr, head, {FIRST}, i, L, H, LOG2E, BLOCK_M)"
    ),
}


@pytest.mark.skipif(not has_triton(), reason="kernels need Triton")
@pytest.mark.parametrize(
    ("number", "name", "pieces"),
    [(15, "flash_attention", FLASH_ATTENTION), (16, "rel_pos_attention", REL_POS_ATTENTION)],
)
def test_the_pieces_are_the_kernel(number, name, pieces):
    chosen = lesson(number)
    together = Mistake("the kernel, made of its pieces", pieces).function(chosen.solution, name)
    exercise = chosen.exercises[name]
    few = replace(exercise, cases=lambda: exercise.cases()[:4])
    assert check_answer(few, together, [], chosen.solution).ok
