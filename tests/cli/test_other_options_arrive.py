"""As test_options_arrive.py, for detect, adapt, click, export and the tools of the lab and the course."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import small_sam

from minisam.adapt.adapt_task import Training
from minisam.adapt.choose import SETTINGS
from minisam.adapt.methods import Method
from minisam.build import WEIGHTS
from minisam.checkpoint import save_checkpoint
from minisam.checkpoint.digest import weights_digest
from minisam.cli.main import main
from minisam.data.images import save_image
from minisam.train.mixed import CutoutsOn
from minisam.train.presets import RECIPES, RECIPES_ON_CUTOUTS

NANO = ["--checkpoint", str(WEIGHTS / "nano.safetensors")]


@pytest.fixture
def on_meta(monkeypatch):
    """A device by another name than cpu."""
    monkeypatch.setattr("minisam.device.check_device", lambda name: {"cpu": "cpu", "fast": "meta"}[name])


def test_adapt(given, on_meta, tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (48, 40), 255).save(tmp_path / "own" / name / f"{number}.png")
    words = "adapt own --method lora --prompts click --rank 3 --decoder --steps 5 --lr 0.01"
    words += " --batch-size 3 --validation 0.5 --save-every 7 --patience 9 --seed 4 --device fast --full-size"
    got = given("minisam.adapt.adapt_run.adapt_to_folder", f"{words} -o run")
    options = got["options"]
    assert options.method == Method("lora", decoder=True, rank=3)
    settings = options.training.settings
    how = Training(settings, "click", 3, patience=9, seed=4, full_size=True)
    assert options.training == how and settings != SETTINGS["lora"]
    assert (options.held_out, options.save_every, options.device, options.log) == (0.5, 7, "meta", None)
    assert got["out"] == Path("run") and got["folder"].names == [
        f"images/{number}.png" for number in range(4)
    ]


def test_train_on_cutouts(given, monkeypatch):
    words = "train --preset tiny --cutouts a e --backgrounds b f --leave-out c d --log tensorboard -o x"
    monkeypatch.setattr("minisam.cli.train.check_log", lambda args: None)
    got = given("minisam.train.sam_run.sam_run", words)
    both = [CutoutsOn(Path(one), Path(on), ("c", "d")) for one in "ae" for on in "bf"]
    assert (got["cutouts"], got["recipe"], got["held_out"]) == (both, RECIPES_ON_CUTOUTS["tiny"], 0.0)
    asked = []
    monkeypatch.setattr("minisam.evaluate.cutouts.cutout_validation", lambda *given: asked.append(given))
    got = given("minisam.train.sam_run.sam_run", words)
    got["validation"]("sam")
    assert asked == [("sam", Path.cwd() / "a", Path.cwd() / "b", ("c", "d"))]


def test_train_from_an_autoencoder(given, monkeypatch):
    monkeypatch.setattr("minisam.pretrain.transfer.trunk_of", lambda path: f"trunk of {path}")
    got = given("minisam.train.sam_run.sam_run", "train --preset tiny --from-mae mae.safetensors -o x")
    assert got["start"] == "trunk of mae.safetensors" and got["recipe"] == RECIPES["tiny"]


def test_detect_train(given, on_meta):
    save_checkpoint(small_sam(), "small.safetensors")
    words = "detect train --world micro --images 6 --variant query --sizes small --steps 5 --batch-size 3"
    words += " --validation 0.5 --train-encoder --seed 4 --save-every 7 --device fast -o run"
    got = given("minisam.train.run.TrainingRun", f"{words} --checkpoint small.safetensors")
    task = got["task"]
    assert (got["folder"], got["save_every"]) == (Path("run"), 7)
    assert (task.recipe.steps, task.recipe.images, task.seed, task.device) == (5, 3, 4, "meta")
    assert len(task.images.names) == 6 and len(task.training) == len(task.held_out) == 3
    assert task.base == weights_digest(small_sam())
    config = task.prompter.config
    assert config.variant == "query" and config.train_encoder
    assert task.images.about == "micro 6 48 0 False"


@pytest.mark.parametrize(("sizes", "is_small"), [("auto", True), ("small", True), ("published", False)])
def test_detect_train_in_a_size(given, monkeypatch, sizes, is_small):
    save_checkpoint(small_sam(), "small.safetensors")
    name = "small_config" if is_small else "published_config"
    got = given(
        f"minisam.adapt.rsprompter.config.{name}",
        f"detect train --world micro --images 4 --sizes {sizes} --checkpoint small.safetensors -o run",
    )
    assert list(got.values())[1] == "anchor"
    task = given(
        "minisam.train.run.TrainingRun",
        f"detect train --world micro --images 4 --sizes {sizes} --checkpoint small.safetensors -o run",
    )["task"]
    assert task.recipe.lr == (1e-3 if is_small else 3e-4)


def test_detect(given, on_meta):
    save_image(Path("a.png"), np.zeros((20, 30, 3), np.uint8))
    words = ["detect a.png --detector d.safetensors", *NANO]
    got = given("minisam.adapt.rsprompter.prompter_file.load_prompter", " ".join(words))
    assert list(got.values())[1] == Path("d.safetensors")
    assert next(iter(got.values())).image_encoder.img_size == 64


def test_amg_in_a_region(given):
    Image.new("RGB", (40, 30)).save("a.png")
    words = f"amg a.png {' '.join(NANO)} --roi 1,2,30,20 --figure --adapter x.safetensors"
    got = given("minisam.cli.amg_worker.Worker", words)
    args = got["args"]
    assert (args.roi, args.figure, args.adapter) == ([1, 2, 30, 20], True, Path("x.safetensors"))


def test_click(given, on_meta):
    Image.new("RGB", (40, 30)).save("a.png")
    Image.new("RGB", (50, 30)).save("b.png")
    got = given("minisam.web.server.ClickServer", f"click a.png b.png {' '.join(NANO)} --port 1234")
    assert (got["folder"], got["port"]) == (Path.cwd(), 1234)
    assert [photo.name for photo in got["session"].photos.all] == ["a.png", "b.png"]


def test_export_of_a_part(given):
    words = f"export decoder {' '.join(NANO)} --return-single-mask --precision fp16 -o x.onnx"
    got = given("minisam.cli.export.export", words)
    assert list(got.values())[1:] == ["decoder", True, Path("x.onnx"), "fp16"]
    assert got["sam"].image_encoder.img_size == 64
    got = given("minisam.cli.export.export", f"export encoder {' '.join(NANO)}")
    assert list(got.values())[1:] == ["encoder", False, Path("encoder.onnx"), "fp32"]


@pytest.mark.parametrize("part", ["decoder", "both"])
def test_only_the_encoder_has_no_single_mask(given, part):
    got = given("minisam.export.parts.part_of", f"export {part} {' '.join(NANO)} --return-single-mask")
    assert list(got.values())[1:] == [part, True]


def test_kernel_check(given):
    pytest.importorskip("triton")
    Path("mine.py").write_text("def f(x):\n    return x\n")
    words = "kernel check mine.py:f --like softmax --dtype fp32 --case 1x1"
    got = given("minisam_kernels.lab.check.chosen_checks", words)
    assert list(got.values()) == ["softmax", ["fp32"], "1x1"]


@pytest.mark.parametrize("backward", [False, True])
def test_kernel_trace(given, backward):
    pytest.importorskip("triton")
    got = given(
        "minisam_kernels.lab.trace.trace_call", f"kernel trace softmax -o a.png {'--backward' * backward}"
    )
    assert list(got.values())[2] is backward


def test_kernel_bench(given, monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    got = given("minisam.bench.kernels.bench", "kernel bench -o x.json --quick --minutes 3 --json")
    assert list(got.values()) == [Path("x.json"), True, 3, True]
    got = given("minisam.bench.kernels.bench_one", "kernel bench softmax -o x.json --minutes 3 --json")
    assert [got[name] for name in list(got)[3:]] == [Path("x.json"), 3, True]
    assert next(iter(got.values())) == "softmax"


def test_lesson_grade(given):
    Path("class").mkdir()
    Path("class/kim.py").write_text("def f():\n    pass\n")
    got = given("minisam.lesson.grade.grade", "lesson grade class --lesson 3 --seconds 7 --memory 2")
    file, folder, rules, number = got.values()
    assert (file, folder, number) == (Path("class/kim.py"), Path("class"), 3)
    assert (rules.seconds, rules.gigabytes) == (7.0, 2.0)


def test_lesson_check_of_one_exercise(given):
    Path("lesson_02.py").write_text("")
    got = given("minisam.lesson.hand_in.mark", "lesson check 2")
    assert len(list(got.values())[2]) > 1 and got["file"] == Path("lesson_02.py")
    name = list(got.values())[2][-1]
    got = given("minisam.lesson.hand_in.mark", f"lesson check 2 lesson_02.py --exercise {name}")
    assert list(got.values())[2] == [name]


def test_lesson_handout_build_and_stale(given):
    got = given("minisam.lesson.handout.write_handout", "lesson handout 2 -o x")
    assert (got["lesson"].number, got["out"]) == (2, Path("x"))
    got = given("minisam.lesson.build.build", "lesson build 3")
    assert next(iter(got.values())).number == 3
    got = given("minisam.lesson.translated_lesson.to_translate", "lesson stale 3 --language zh-CN")
    assert (got["language"], got["chosen"].number) == ("zh-CN", 3)
    got = given(
        "minisam.lesson.translated_lesson.open_translated", "lesson open 3 --language zh-CN -o sub.py"
    )
    assert (got["lesson"].number, got["language"], got["folder"]) == (3, "zh-CN", Path("."))


def test_experiment_with_other_weights(given, monkeypatch):
    save_checkpoint(small_sam(), "small.safetensors")
    monkeypatch.setattr("minisam.experiments.experiment.find", Measured)
    words = "experiment E3 --checkpoint small.safetensors -o x"
    got = given("minisam.experiments.experiment.write_outcome", words)
    assert (got["network"], got["outcome"]) == ("small.safetensors", 48)


class Measured:
    """An experiment whose outcome is the size of the network that it is given."""

    question = "Which network?"

    def __init__(self, name: str) -> None:
        self.id = name

    def run(self, sam, settings):
        return sam.image_encoder.img_size


def test_text_words(capsys, tmp_path):
    assert main(["text", "words"]) == 0
    printed = capsys.readouterr().out
    assert main(["text", "words", "-o", str(tmp_path / "words.txt")]) == 0
    assert (tmp_path / "words.txt").read_text() == printed


@pytest.mark.parametrize("cutouts", [False, True])
def test_data_bench(given, monkeypatch, cutouts):
    monkeypatch.setattr("minisam.cli.data.check_device", lambda name: None)
    words = "data bench --batch-size 3 --repeats 2"
    if cutouts:
        got = given("minisam.cli.data.render_cutouts", f"{words} --cutouts a --backgrounds b --leave-out c")
        assert list(got.values())[:2] == [Path("a"), Path("b")] and list(got.values())[3] == 3
    else:
        got = given("minisam.cli.data.render_scenes", f"{words} --world micro --device fast")
        assert (got["batch_size"], got["world"], got["device"]) == (3, "micro", "fast")
