"""What a command is given arrives at the function that does the work, with its value; the work itself is not done."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_networks import small_sam

from minisam.build import WEIGHTS, build_sam
from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.config import CONFIGS
from minisam.data.segmentation_folder import hashed_order, open_folder
from minisam.data.skipped import Skipped
from minisam.engine.settings import ENGINES
from minisam.evaluate import WorldResult
from minisam.pretrain.recipes import PRETRAINING
from minisam.text.clip_task import ClipRecipe
from minisam.text.text_sam_task import TextRecipe
from minisam.train.interactive import Rounds
from minisam.train.mixed import CutoutsOn
from minisam.train.presets import RECIPES, RECIPES_FROM_WEIGHTS, RECIPES_ON_CUTOUTS


def test_train(given):
    words = "train --preset nano --steps 5 --image-size 128 --batch-size 3 --lr 2e-4 --rounds 4 1 --seed 6"
    got = given("minisam.train.sam_run.sam_run", f"{words} --precision bf16 --save-every 11 -o runs/x")
    recipe = replace(RECIPES["nano"], steps=5).with_images(128, 3).with_rounds(Rounds(4, 1)).with_rate(2e-4)
    wanted = {"model": "nano", "folder": Path("runs/x"), "recipe": recipe, "seed": 6, "device": "cpu"}
    wanted |= {"precision": "bf16", "save_every": 11, "data": None, "held_out": 0.0}
    assert {name: got[name] for name in wanted} == wanted
    assert got["validation"] is None and not got["cutouts"]


def test_train_from_weights_on_a_folder(given):
    export = "data export --images 4 --size 32 -o data"
    assert main(export.split()) == 0
    words = f"train --preset nano --from {WEIGHTS / 'nano.safetensors'} --data data --validation 0.25"
    got = given("minisam.train.sam_run.sam_run", words)
    assert got["recipe"] == RECIPES_FROM_WEIGHTS["nano"] and got["folder"] == Path("runs/nano")
    assert (got["data"], got["held_out"]) == (Path("data"), 0.25) and got["validation"] is not None
    sam = small_sam(config=CONFIGS["nano"])
    assert list(got["start"](sam)) == ["start_from"]


def test_pretrain(given):
    words = "pretrain --preset tiny --steps 7 --mask-ratio 0.5 --seed 3 --precision bf16 --save-every 9 -o x"
    got = given("minisam.pretrain.mae_task.mae_run", words)
    recipe = replace(PRETRAINING["tiny"], steps=7, mask_ratio=0.5)
    assert (got["model"], got["folder"], got["recipe"]) == ("tiny", Path("x"), recipe)
    assert (got["seed"], got["device"], got["precision"], got["save_every"]) == (3, "cpu", "bf16", 9)


def test_text_clip(given):
    got = given("minisam.text.clip_task.ClipTask", "text clip --steps 7 --seed 3 --precision bf16 -o x")
    assert got == {"recipe": replace(ClipRecipe(), steps=7), "seed": 3, "precision": "bf16"}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_text_sam(given, share):
    Path("clip.safetensors").write_bytes(b"")
    words = "text sam --clip clip.safetensors --preset tiny --from start.safetensors --steps 7 --seed 3"
    words += f" --precision bf16 --captions {share} -o x" + " --frozen-encoder" * (share > 0)
    got = given("minisam.text.text_sam_task.TextSamTask", words)
    assert got == {
        "clip_file": Path("clip.safetensors"),
        "recipe": replace(TextRecipe(), steps=7),
        "preset": "tiny",
        "seed": 3,
        "precision": "bf16",
        "start_from": Path("start.safetensors"),
        "captions": share,
        "frozen_encoder": share > 0,
    }


@pytest.mark.parametrize("target", ["clip_task.ClipTask", "text_sam_task.TextSamTask"])
def test_text_saves_as_often_as_asked(given, monkeypatch, target):
    module, name = f"minisam.text.{target}".rsplit(".", 1)
    monkeypatch.setattr(importlib.import_module(module), name, lambda *arguments: arguments)
    Path("clip.safetensors").write_bytes(b"")
    words = "text clip" if name == "ClipTask" else "text sam --clip clip.safetensors"
    got = given("minisam.train.run.TrainingRun", f"{words} --save-every 9 -o x")
    assert (got["folder"], got["save_every"]) == (Path("x"), 9)


def test_engine(given):
    words = "engine run -o x --from start.safetensors --images 3 4 5 6 --manual-rounds 2 --steps 7 8"
    got = given("minisam.engine.run.EngineRun", f"{words} --held-out 9 --seed 10")
    later = ENGINES["nano"].later
    settings = replace(
        ENGINES["nano"],
        start_from=str(Path("start.safetensors").resolve()),
        first=replace(later, steps=7),
        later=replace(later, steps=8),
        **{
            "labelled": 3,
            "manual": 4,
            "semi": 5,
            "automatic": 6,
            "manual_rounds": 2,
            "held_out": 9,
            "seed": 10,
        },
    )
    assert (got["folder"], got["settings"]) == (Path("x"), settings)


def test_engine_as_it_is(given):
    assert given("minisam.engine.run.EngineRun", "engine run -o x --seed 0")["settings"] == ENGINES["nano"]


def test_eval(given, monkeypatch):
    monkeypatch.setattr("minisam.device.check_device", lambda name: {"fast": "meta"}[name])
    words = "eval --model nano --worlds sketch --images 5 --targets 3 --clicks 2 --seed 7 --device fast"
    got = given("minisam.cli.eval_sources.evaluate_world", words.replace("sketch", "micro"))
    assert (got["world"], got["images"], got["targets_per_image"]) == ("micro", 5, 3)
    assert (got["seed"], got["clicks"]) == (7, 2) and got["sam"].device.type == "meta"
    assert got["sam"].image_encoder.img_size == CONFIGS["nano"].image_size


def test_eval_of_a_file_on_a_folder(given):
    save_checkpoint(small_sam(), "small.safetensors")
    export = "data export --images 4 --size 32 -o data"
    assert main(export.split()) == 0
    words = "eval --checkpoint small.safetensors --data data --images 3 --targets 2 --clicks 1 --seed 7"
    got = given("minisam.cli.eval_sources.evaluate_pictures", words)
    assert got["folder"].path == Path("data") and len(got["indices"]) == 3
    assert got["indices"] == sorted(got["indices"]) and got["targets_per_picture"] == 2
    names = open_folder(Path("data")).names
    order = hashed_order(names)
    assert set(got["indices"]) == set(order[:3]) and got["spare"] == order[3:] and len(names) == 4
    assert (got["seed"], got["clicks"]) == (7, 1) and got["sam"].image_encoder.img_size == 48


def test_baselines_are_measured_on_the_targets_of_the_network(given, monkeypatch):
    measured = []

    def evaluate_cutouts(sam, *arguments, clicks, on_batch, **named):
        measured.append([*arguments, *named.values()])
        return None, Skipped()

    monkeypatch.setattr("minisam.cli.eval_sources.evaluate_cutouts", evaluate_cutouts)
    words = "eval --model nano --cutouts a --backgrounds b --leave-out c d --images 5 --targets 3 --seed 7"
    got = given("minisam.cli.eval_sources.cutout_targets", f"{words} --baselines")
    assert [list(got.values())[1:]] == measured == [[Path.cwd() / "a", Path.cwd() / "b", 5, 3, 7, ("c", "d")]]


def test_baselines_are_measured_on_the_pictures_of_the_network(given, monkeypatch):
    assert main(["data", "export", "--images", "4", "--size", "32", "-o", "data"]) == 0
    measured = []

    def evaluate_pictures(sam, folder, indices, targets, seed, **named):
        measured.append([indices, targets, seed, named["spare"]])
        return WorldResult("data", 3, 6, {}, []), Skipped()

    monkeypatch.setattr("minisam.cli.eval_sources.evaluate_pictures", evaluate_pictures)
    words = "eval --model nano --data data --images 3 --targets 2 --seed 7 --baselines"
    got = given("minisam.cli.eval_sources.baseline_targets", words)
    assert [list(got.values())[2:]] == measured


@pytest.mark.parametrize("quick", [False, True])
def test_experiment(given, monkeypatch, quick):
    monkeypatch.setattr("minisam.experiments.experiment.find", lambda name: SeenExperiment(name))
    words = "experiment E3 --model nano --work runs/y -o x " + (
        "--quick" if quick else "--images 5 --seeds 2"
    )
    got = given("minisam.experiments.experiment.write_outcome", words)
    assert got["folder"] == (Path("x/quick") if quick else Path("x")) and got["network"] == "nano"
    assert got["settings"].images == (2 if quick else 5) and got["settings"].quick == quick
    assert got["settings"].seeds == ((0,) if quick else (0, 1))
    assert got["settings"].work == (Path("runs/y/quick") if quick else Path("runs/y"))
    assert got["experiment"].id == "E3"


class SeenExperiment:
    question = "What arrives?"

    def __init__(self, name: str) -> None:
        self.id = name

    def run(self, sam, settings):
        return None


def test_bench_adapt(given):
    got = given(
        "minisam.bench.adapting.measure_adapting",
        "bench adapt --model tiny --images 5 --prompts 3 --repeats 4",
    )
    assert got == {"model": "tiny", "images": 5, "prompts": 3, "threads": 2, "steps": 4}


def test_bench_encoder(given):
    got = given("minisam.bench.encoder.measure_encoder", "bench encoder --model tiny --size 64 --repeats 4")
    assert (got["model"], got["size"], got["threads"], got["repeats"]) == ("tiny", 64, 2, 4)


@pytest.mark.parametrize("single", [False, True])
def test_bench_decoder(given, single):
    words = f"bench decoder --model tiny --prompts 5 --repeats 4 {'--single' if single else ''}"
    got = given("minisam.bench.decoder.measure_decoder", words)
    assert (got["model"], got["prompts"], got["repeats"]) == ("tiny", 5, 4)
    assert got["multimask_output"] is not single


def test_bench_amg(given):
    words = "bench amg --model tiny --size 80 --points-per-side 5 --repeats 4"
    got = given("minisam.bench.amg.measure_amg", words)
    setting = got["setting"]
    assert (setting.model, setting.image_size, setting.points_per_side, setting.threads) == ("tiny", 80, 5, 2)
    assert got["repeats"] == 4


@pytest.mark.parametrize("backend", [None, "torch"])
def test_bench_amg_on_a_gpu(given, monkeypatch, backend):
    monkeypatch.setattr("minisam.device.check_device", lambda name: name)
    monkeypatch.setattr("minisam.bench.device_meter.CudaMeter", lambda device: f"meter of {device}")
    words = f"bench amg --device cuda:1 {f'--backend {backend}' if backend else ''}"
    monkeypatch.setattr(
        "minisam.bench.amg.measure_amg", lambda *arguments: pytest.fail("measured on the CPU")
    )
    got = given("minisam.bench.amg_on_device.measure_amg_on_device", words)
    assert (got["meter"], got["backend"]) == ("meter of cuda:1", backend or "triton")


def test_bench_train(given):
    words = "bench train --model nano --repeats 4 --precision bf16"
    got = given("minisam.bench.training.measure_training", words)
    assert (got["model"], got["recipe"], got["steps"]) == ("nano", RECIPES["nano"], 4)
    assert (got["threads"], got["precision"]) == (2, "bf16") and not got["source"]["cutouts"]


def test_bench_train_on_cutouts(given):
    got = given(
        "minisam.bench.training.measure_training", "bench train --cutouts a --backgrounds b --leave-out c d"
    )
    assert got["recipe"] == RECIPES_ON_CUTOUTS["tiny"]
    assert got["source"] == {"cutouts": [CutoutsOn(Path("a"), Path("b"), ("c", "d"))]}


def test_segment(given):
    Image.fromarray(np.full((30, 40, 3), 9, np.uint8)).save("a.png")
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 10:30] = 255
    Image.fromarray(mask).save("mask.png")
    words = "segment a.png --point 3,4 --negative 5,6 --point 7,8 --box 1,2,20,21 --mask mask.png --single"
    got = given("minisam.predict.predictor.predict", words, owner="SamPredictor")
    assert got["point_coords"].tolist() == [[3, 4], [7, 8], [5, 6]] and got["point_labels"].tolist() == [
        1,
        1,
        0,
    ]
    assert got["box"].tolist() == [[1, 2, 20, 21]] and got["multimask_output"] is False
    assert got["mask_input"].shape == (1, *build_sam().prompt_encoder.mask_input_size)
    assert got["mask_input"].max() == pytest.approx(10)


def test_amg(given):
    Image.fromarray(np.full((30, 40, 3), 9, np.uint8)).save("a.png")
    words = "amg a.png --preset paper --points-per-side 5 --points-per-batch 6 --pred-iou-thresh 0.1 --single"
    words += " --stability-score-thresh 0.2 --box-nms-thresh 0.3 --crop-n-layers 1 --min-mask-region-area 7"
    got = given("minisam.cli.amg_worker.SamAutomaticMaskGenerator", words)
    wanted = {"points_per_side": 5, "points_per_batch": 6, "pred_iou_thresh": 0.1, "box_nms_thresh": 0.3}
    wanted |= {"stability_score_thresh": 0.2, "crop_n_layers": 1, "min_mask_region_area": 7}
    wanted |= {"multimask_output": False, "max_area_fraction": 0.95, "crop_n_points_downscale_factor": 2}
    wanted |= {"output_mode": "coco_rle", "keep_largest_region": False}
    assert {name: value for name, value in got.items() if name != "model"} == wanted


def test_amg_with_thresholds_of_zero(given):
    Image.fromarray(np.full((30, 40, 3), 9, np.uint8)).save("a.png")
    words = "amg a.png --preset paper --pred-iou-thresh 0 --stability-score-thresh 0 --crop-n-layers 0"
    got = given("minisam.cli.amg_worker.SamAutomaticMaskGenerator", words)
    assert [got[name] for name in ("pred_iou_thresh", "stability_score_thresh", "crop_n_layers")] == [0, 0, 0]


def test_data_preview(given):
    words = "data preview --world micro --seed 3 --images 5 --size 48 --knob contrast=0.5 --knob levels=2"
    got = given("minisam.cli.data.render_scenes", words)
    assert (got["seed"], got["batch_size"], got["image_size"], got["world"]) == (3, 5, 48, "micro")
    assert got["knobs"] == {"contrast": 0.5, "levels": 2}


def test_data_export(given):
    words = "data export --world micro --seed 3 --images 5 --size 48 --knob contrast=0.5 -o x"
    got = given("minisam.cli.data.annotated_scenes", words)
    assert (got["images"], got["seed"]) == (5, 3)
    got = given("minisam.cli.data.render_scenes", words)
    assert (got["world"], got["seed"], got["batch_size"], got["image_size"]) == ("micro", 3_000_000, 8, 48)
    assert got["knobs"] == {"contrast": 0.5}


def test_data_of_cutouts(given):
    folders = "--cutouts a --backgrounds b --leave-out c d"
    words = f"data preview {folders} --part all --seed 3 --images 5 --size 48"
    got = given("minisam.cli.data.render_cutouts", words)
    assert (got["cutouts"], got["backgrounds"], got["leave_out"]) == (Path("a"), Path("b"), ("c", "d"))
    assert (got["seed"], got["batch_size"], got["image_size"], got["part"]) == (3, 5, 48, "all")
    got = given(
        "minisam.cli.data.render_cutouts", f"data export {folders} --part all --seed 3 --size 48 -o x"
    )
    assert (got["cutouts"], got["backgrounds"], got["leave_out"]) == (Path("a"), Path("b"), ("c", "d"))
    assert (got["seed"], got["batch_size"], got["image_size"], got["part"]) == (3_000_000, 8, 48, "all")
    words = f"data shrink {folders} --cutout-side 70 --background-side 80 -o x"
    got = given("minisam.cli.data.prepare_folders", words)
    assert list(got.values()) == [Path("a"), Path("b"), Path("x"), 70, 80, ("c", "d")]


def test_kernel_roofline(given):
    pytest.importorskip("triton")
    words = "kernel roofline attention --gpu A100 --model vit_l --batch 3 --dtype fp16"
    got = given("minisam_kernels.lab.work_in_sam.work_of", words)
    assert list(got.values())[:4] == ["attention", "vit_l", 3, "fp16"]


def test_kernel_inspect(given):
    pytest.importorskip("triton")
    words = "kernel inspect attention --arch sm_80 --dtype fp16 --head-dim 32 --launch half"
    got = given("minisam_kernels.lab.inspection.inspect", words)
    assert list(got.values()) == ["attention", "fp16", 32, ["sm_80"], ["half"], None]


@pytest.mark.parametrize("command", ["lesson check 2 mine.py", "kernel check mine.py:f --like softmax"])
def test_limits_of_the_process_that_runs_an_answer(given, command):
    pytest.importorskip("triton")
    Path("mine.py").write_text("def f(x):\n    return x\n")
    got = given("minisam_kernels.lab.answers.process.Rules", f"{command} --seconds 3 --memory 1.5")
    assert list(got.values()) == [3.0, 1.5]
