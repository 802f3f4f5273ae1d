"""The predicted times by hand, and against what the kernels have to compute."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from minisam_kernels.lab.catalog import OPERATIONS
from minisam_kernels.lab.gpus import GPUS, MULTIPROCESSORS
from minisam_kernels.lab.inspection import Compiled, Request, compiler
from minisam_kernels.lab.instructions import Counts, Executed, read_instructions
from minisam_kernels.lab.machine_code import MachineCode
from minisam_kernels.lab.prediction import (
    Execution,
    UnpredictedError,
    compile_call,
    execution,
    predict,
    predict_direction,
    prediction_lines,
)
from minisam_kernels.lab.turns import TURNS, queries_of_windows
from minisam_kernels.lab.work_in_sam import work_of

PREDICTIONS = sorted((Path(__file__).parents[3] / "kernels" / "benchmarks" / "predictions").glob("*.json"))
SASS = """
.text.kernel:
        /*0000*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0010*/              @!P0 BRA `(.L_x_3) ;
.L_x_0:
        /*0020*/                   MOV R1, R2 ;
.L_x_1:
        /*0030*/                   LDGSTS.E.BYPASS.128 [R131], desc[UR28][R40.64], P6 ;
        /*0040*/                   HMMA.16816.F32.BF16 R24, R4, R6, R24 ;
        /*0050*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24, gsb0 ;
        /*0060*/                   MUFU.EX2 R7, R7 ;
        /*0070*/               @P1 BRA `(.L_x_1) ;
        /*0080*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0090*/               @P2 BRA `(.L_x_0) ;
.L_x_3:
        /*00a0*/                   STG.E.U16 desc[UR4][R2.64], R4 ;
        /*00b0*/                   EXIT ;
.L_x_9:
        /*00c0*/                   BRA `(.L_x_9);
"""
RUN = Execution("k", False, 132 * 10, 4, 128, 4, Counts(), 0.4884e9, 3.9e9, 0.0, 0.0, 5.5e9)
"""On an H100, half a millisecond of instructions, a whole one of exponentials and of the L2 cache."""


def test_instructions_are_counted_in_the_innermost_loop_and_outside():
    found = read_instructions(SASS)
    turn = Counts(
        5, exponentials=1, wgmma_flop=2 * 64 * 128 * 16 // 4, mma_flop=2 * 16 * 8 * 16, bytes=32 * 16
    )
    assert found.loops == (turn,)
    assert found.outside == Counts(8, bytes=32 * 16 + 32 * 2, barriers=1)
    assert Executed.from_json(json.loads(json.dumps({"outside": vars(turn), "loops": []}))).outside == turn


def test_each_unit_and_the_waiting_by_hand():
    found = predict(GPUS["H100"], RUN)
    assert found.instructions == pytest.approx(0.5e-3)
    assert (found.exponentials, found.l2_cache) == pytest.approx((1e-3, 1e-3))
    assert (found.programs_at_a_time, found.unevenness) == (4, 1)
    multiplying = replace(RUN, wgmma_flop=0.39e12, mma_flop=0.63 * 0.39e12)
    found = predict(GPUS["H100"], multiplying)
    assert found.products == pytest.approx(1e-3)
    assert found.dependent == pytest.approx(2e-3)
    assert (found.seconds, found.limit) == (pytest.approx(1e-3), "exponentials")
    alone = predict(GPUS["H100"], replace(multiplying, programs_per_multiprocessor=1))
    assert (alone.seconds, alone.limit) == (pytest.approx(2e-3), "waiting")


def test_memory_and_uneven_multiprocessors_by_hand():
    found = predict(GPUS["H100"], replace(RUN, programs=132 * 10 + 1), memory_seconds=2e-3)
    assert found.limit == "memory"
    assert found.seconds == pytest.approx(2e-3 * 11 * 132 / 1321)
    few = predict(GPUS["H100"], replace(RUN, programs=66))
    assert (few.programs_at_a_time, few.unevenness) == (1, 2)


def test_rel_pos_attention_on_an_h100_by_hand():
    """369 instructions a turn and 941 besides, 64 turns, 6144 programs of 4 warps; 4224 bytes a turn, 9216 besides."""
    turn = Counts(369, exponentials=34, wgmma_flop=262144, bytes=4224)
    code = MachineCode("sm_90", 188, 0, 40960, 4, 2, 0.125, "registers", {"wgmma": 8}, {}, 0)
    code = replace(code, executed=Executed(Counts(941, exponentials=2, bytes=9216), (turn,)))
    request, grid = Request("rel_pos_attention", "bf16", 64, None, ("sm_90",)), (64, 12, 8)
    compiled = Compiled(
        request, "rel_pos_attention_kernel", grid, {"BLOCK_K": 64}, 2, code, {"H": 64, "W": 64}
    )
    run = execution(compiled)
    assert run.instructions == 6144 * 4 * (941 + 64 * 369)
    assert run.wgmma_flop == work_of("rel_pos_attention", "vit_b", 8).total("products")
    found = predict(GPUS["H100"], run)
    assert round(found.instructions * 1e6) == 618
    assert round(found.products * 1e6) == 529
    assert round(found.l2_cache * 1e6) == 1249
    assert found.limit == "L2 cache" and found.programs_at_a_time == 2
    last = prediction_lines(GPUS["H100"], [(run, found)], 529e-6)[-1]
    assert last == "  predicted 1261 µs, 2.4 times the floor; not measured"
    wrong = replace(compiled, code=replace(code, executed=Executed(Counts(941), ())))
    with pytest.raises(UnpredictedError, match="0 loops in its machine code, 1 expected"):
        execution(wrong)


def test_the_real_queries_of_windows():
    sizes = {"H": 64, "W": 64, "S": 14, "BLOCKS": 2, "BLOCK_M": 128, "BLOCK_K": 32}
    found = queries_of_windows(sizes)
    assert (found.count(196), found.count(112), found.count(64)) == (16, 8, 1)
    outside, loop = TURNS["window_attention_kernel"](sizes)
    assert outside == Fraction(16 * 2 + 9, 50) and loop == outside * 7


@pytest.mark.ci
@pytest.mark.parametrize(("gpu", "unit"), [("H100", "wgmma_flop"), ("A100", "mma_flop")])
@pytest.mark.parametrize("kernel", ["attention", "rel_pos_attention"])
def test_the_tensor_cores_multiply_what_the_work_says(kernel, gpu, unit):
    """Two products forward; backward in two kernels computes the scores and their gradients twice: seven."""
    work = work_of(kernel, "vit_b", 2)
    with compiler() as worker:
        compiled = compile_call(worker, GPUS[gpu], kernel, "vit_b", 2, "bf16")
    for backward, products in ((False, 2), (True, 7)):
        runs = predict_direction(GPUS[gpu], compiled, work, backward)
        assert sum(getattr(run, unit) for run, _ in runs) == products / 2 * work.total("products")


@pytest.mark.ci
def test_7_tokens_cost_the_16_rows_of_one_tile():
    """Triton places warps along the rows of a 16 x 16 tile, which is one warp's: four would compute it four times."""
    work = work_of("cross_attention", "vit_b", 1)
    with compiler() as worker:
        compiled = compile_call(worker, GPUS["A100"], "cross_attention", "vit_b", 1, "bf16")
    done = sum(run.mma_flop for run, _ in predict_direction(GPUS["A100"], compiled, work, False))
    assert done == Fraction(16, 7) * work.products[0].amount


@pytest.mark.ci
@pytest.mark.parametrize("kernel", ["window_attention", "token_to_image", "image_to_token"])
def test_padding_multiplies_at_most_three_times_the_work(kernel):
    work = work_of(kernel, "vit_b", 1)
    with compiler() as worker:
        compiled = compile_call(worker, GPUS["A100"], kernel, "vit_b", 1, "bf16")
    done = sum(run.mma_flop for run, _ in predict_direction(GPUS["A100"], compiled, work, False))
    assert work.products[0].amount <= done <= 3 * work.products[0].amount


def test_what_cannot_be_predicted_says_why():
    with compiler() as worker:
        with pytest.raises(
            UnpredictedError, match="no prediction for T4, whose L2 rate is not known here; use H200"
        ):
            compile_call(worker, GPUS["T4"], "softmax", "vit_b", 1, "bf16")
        with pytest.raises(UnpredictedError, match="mask_bits: how much it computes depends on the masks"):
            compile_call(worker, GPUS["H100"], "mask_bits", "vit_b", 1, "fp32")
    with pytest.raises(UnpredictedError, match="softmax: torch computes its backward"):
        predict_direction(GPUS["H100"], [], work_of("softmax", "vit_b", 1), True)


def test_every_gpu_with_a_rate_of_the_l2_cache_is_known_and_says_where_from():
    assert MULTIPROCESSORS.keys() <= GPUS.keys()
    for name, sm in MULTIPROCESSORS.items():
        assert sm.source and GPUS[name].bytes < sm.l2_bytes
        assert 16 * sm.number * sm.hertz == pytest.approx(GPUS[name].exponentials, rel=0.01)


@pytest.mark.parametrize("path", PREDICTIONS, ids=lambda path: path.stem)
def test_the_committed_predictions_follow_from_what_they_counted(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    gpu = GPUS[document["gpu"]]
    assert document["measured"] is False
    assert {one["kernel"] for one in document["floors"]} == set(OPERATIONS)
    for one in document["floors"]:
        total = 0.0
        for launch in one.get("launches", []):
            then = launch["predicted"]
            now = predict(
                gpu,
                execution_of(launch),
                then["seconds"] / then["unevenness"] if then["limit"] == "memory" else 0.0,
            )
            assert now.seconds == pytest.approx(then["seconds"], rel=2e-3) and now.limit == then["limit"]
            total += now.seconds
        if "launches" in one:
            assert total == pytest.approx(one["predicted_seconds"], rel=2e-3)
        else:
            assert one["predicted_seconds"] is None and one["why_not"]


def execution_of(launch: dict) -> Execution:
    plain = {key: value for key, value in launch.items() if key != "predicted"}
    return Execution(**{**plain, "turn": Counts(**plain["turn"])})
