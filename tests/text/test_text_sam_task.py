"""Both trainings resume with identical results after a kill, and their commands fit together."""

from dataclasses import replace

import pytest
import torch

from minisam.cli.main import main
from minisam.data.partworld import render_scenes
from minisam.errors import CheckpointError
from minisam.evaluate.targets import evaluation_scenes
from minisam.text import load_text_sam
from minisam.text.clip_task import ClipRecipe, ClipTask
from minisam.text.measure import Measured, captions_of_others
from minisam.text.pairs import draw_pairs, phrasings
from minisam.text.targets import draw_targets, scene_size, unique_captions
from minisam.text.text_sam_task import TextRecipe, TextSamTask
from minisam.train.metrics import read_rows
from minisam.train.run import TrainingRun

CLIP = ClipRecipe(steps=4, scenes=2, per_scene=3)
SAM = TextRecipe(steps=4, scenes=2, per_scene=2, single_round_share=0.5)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    TrainingRun(ClipTask(replace(CLIP, steps=1)), folder).run()
    return folder / "clip.safetensors"


def run_clip(folder, _):
    return TrainingRun(ClipTask(CLIP), folder, save_every=2)


def run_sam(folder, clip_file):
    return TrainingRun(TextSamTask(clip_file, SAM), folder, save_every=2)


@pytest.mark.parametrize(("start", "result"), [(run_clip, "clip.safetensors"), (run_sam, "text.safetensors")])
def test_a_resumed_run_is_bit_equal(tmp_path, clip_file, start, result):
    start(tmp_path / "whole", clip_file).run()
    stopped = start(tmp_path / "parts", clip_file)
    (tmp_path / "parts").mkdir()
    for _ in range(3):
        stopped.train_step()
    stopped.save()
    start(tmp_path / "parts", clip_file).run()
    whole, parts = ((tmp_path / name / result).read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    rows = [read_rows(tmp_path / name / "metrics.csv", 99) for name in ("whole", "parts")]
    assert [row["step"] for row in rows[0]] == [4]
    assert [{**row, "seconds": 0} for row in rows[0]] == [{**row, "seconds": 0} for row in rows[1]]


def test_a_frozen_encoder_stays_as_it_was_while_the_rest_learns(clip_file):
    task = TextSamTask(clip_file, replace(SAM, token_alone=1.0, warmup=1), frozen_encoder=True)
    run = TrainingRun(task)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    run.step = 1
    run.train_step()
    changed = {name for name, value in task.model.state_dict().items() if not value.equal(before[name])}
    assert {"external.projection.weight", "external.type_embed"} <= changed
    assert any(name.startswith("sam.mask_decoder") for name in changed)
    assert not any(name.startswith(("clip", "sam.image_encoder")) for name in changed)
    assert task.about() != TextSamTask(clip_file, task.recipe).about()  # such runs do not resume each other


def test_a_step_trains_sam_and_the_projection_but_not_clip(clip_file):
    task = TextSamTask(clip_file, replace(SAM, token_alone=1.0, warmup=1))
    run = TrainingRun(task)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    run.step = 1  # of 4, after the warm-up
    alone, external = run.train_step()[-1], task.optimizers[0].param_groups[-1]
    assert alone == 1 and run.lr == pytest.approx(0.75 * 5e-4)
    assert (external["lr"], external["weight_decay"]) == (pytest.approx(0.75 * 2e-3), 0)
    groups = [group for optimizer in task.optimizers for group in optimizer.param_groups]
    assert all(group["lr"] == 0.75 * group["base_lr"] for group in groups)
    changed = {name for name, value in task.model.state_dict().items() if not value.equal(before[name])}
    assert {"external.projection.weight", "external.type_embed"} <= changed
    assert any(name.startswith("sam.mask_decoder") for name in changed)
    assert not any(name.startswith("clip") for name in changed) and "external.centres" not in changed


def test_captions_may_take_the_place_of_crops_and_a_run_may_go_on_from_another(tmp_path, clip_file):
    run_sam(tmp_path / "first", clip_file).run()
    file = tmp_path / "first" / "text.safetensors"
    recipe = replace(SAM, steps=1, token_alone=1.0)
    task = TextSamTask(clip_file, recipe, start_from=file, captions=1.0)
    start = load_text_sam(file)
    assert task.model.sam.mask_decoder.iou_token.weight.equal(start.sam.mask_decoder.iou_token.weight)
    for name, value in start.external.state_dict().items():
        assert task.model.external.state_dict()[name].equal(value), name
    targets = task.draw(3, unique=True)
    task.model.eval()
    tokens = task.tokens(targets, torch.Generator().manual_seed(0))
    torch.testing.assert_close(tokens, task.model.embed_text(targets.captions))
    task.captions = 0.5
    mixed = task.tokens(targets, torch.Generator().manual_seed(0))
    in_words = (mixed - task.model.embed_text(targets.captions)).abs().amax(dim=(1, 2)) < 1e-5
    assert in_words.any() and not in_words.all()
    TrainingRun(task, tmp_path / "second").run()
    with pytest.raises(CheckpointError, match="other settings"):
        TrainingRun(TextSamTask(clip_file, recipe, start_from=file), tmp_path / "second").run()


def test_a_run_goes_on_only_with_the_networks_that_it_began_with(tmp_path, clip_file):
    TrainingRun(TextSamTask(clip_file, replace(SAM, steps=1)), tmp_path / "first").run()
    file = tmp_path / "first" / "text.safetensors"
    TextSamTask(clip_file, SAM, start_from=file)
    TrainingRun(ClipTask(replace(CLIP, steps=1), seed=1), tmp_path / "clip").run()
    with pytest.raises(CheckpointError, match="another CLIP; pass --clip"):
        TextSamTask(tmp_path / "clip" / "clip.safetensors", SAM, start_from=file)
    with pytest.raises(CheckpointError, match="holds a nano network; give --preset nano"):
        TextSamTask(clip_file, SAM, preset="tiny", start_from=file)


def test_other_settings_and_another_clip_do_not_take_up_a_state(tmp_path, clip_file):
    run = run_sam(tmp_path, clip_file)
    run.train_step()
    run.save()
    with pytest.raises(CheckpointError, match="other settings"):
        TrainingRun(TextSamTask(clip_file, replace(SAM, lr=1e-5)), tmp_path).run()


class Trained:
    """A run that has been measured twice."""

    seconds = 3.0

    def __init__(self, *arguments):
        early = {"pairs": 64.0, "found": 0.1, "caption": 0.2, "random caption": 0.3}
        self.validations = [early, {"pairs": 32.0, "found": 0.5, "caption": 0.75, "random caption": 0.25}]

    def run(self):
        pass


def test_the_commands_print_the_last_measurement(tmp_path, capsys, monkeypatch, clip_file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minisam.train.run.TrainingRun", Trained)
    assert main(["text", "clip", "--steps", "5", "-o", "clip"]) == 0
    printed = capsys.readouterr().out
    assert "trained 5 steps in 3 s" in printed and "of 32 new objects and captions, 50% find" in printed
    assert main(["text", "sam", "--clip", str(clip_file), "--steps", "6", "-o", "sam"]) == 0
    printed = capsys.readouterr().out
    assert "trained 6 steps in 3 s" in printed and "caption 0.750, random caption 0.250" in printed


def test_the_commands_fit_together(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["text", "clip", "--steps", "1", "-o", "clip"]) == 0
    (tmp_path / "clip" / "validation.csv").unlink()
    assert main(["text", "clip", "--steps", "1", "-o", "clip"]) == 0
    assert (tmp_path / "clip" / "validation.csv").exists()
    assert main(["text", "sam", "--clip", "clip/clip.safetensors", "--steps", "1", "-o", "sam"]) == 0
    assert "sam/text.safetensors" in capsys.readouterr().out
    assert main(["text", "sam", "--clip", "nowhere.safetensors"]) == 3
    assert "`minisam text clip` makes it" in capsys.readouterr().err
    assert main(["text", "sam", "--clip", "sam/metrics.csv", "--steps", "1", "-o", "other"]) == 3
    assert "metrics.csv" in capsys.readouterr().err


def test_a_pair_is_a_mask_with_its_caption_and_something_true():
    scenes = render_scenes(1, 4, 64)
    pairs = draw_pairs(scenes, 6, seed=0, min_area=1 / 200, whole_caption=0.0)
    assert len(pairs.captions) > 8
    for mask, image, caption, text in zip(*pairs[:2], *pairs[2:], strict=True):
        nodes = [k for k, phrase in enumerate(scenes.captions[image]) if phrase == caption]
        assert any(mask.equal(scenes.labels[image, scenes.level[image, k].long()] == k) for k in nodes)
        assert set(text.split()) <= set(caption.split())
    assert any(text != caption for text, caption in zip(pairs.texts, pairs.captions, strict=True))


def test_phrasings_of_a_caption_with_names_of_two_words():
    assert phrasings("dark grey dead leaves left piece of the pair") == [
        "dead leaves dark grey left piece of the pair",
        "dark grey left piece of the pair",
        "dark grey dead leaves left piece",
        "dead leaves dark grey left piece",
        "dark grey left piece",
    ]


def test_targets_shrink_with_their_images_and_may_have_to_be_unique():
    (scenes,) = evaluation_scenes("train", 4, scene_size(64), 5)
    targets = draw_targets(scenes, 64, 8, 0, 1 / 64)
    assert targets.images.shape[-1] == 64 and targets.scenes.shape[-1] == scene_size(64) == 128
    shares = [m.flatten(1).float().mean(1) for m in (targets.masks, targets.scene_masks)]
    torch.testing.assert_close(shares[0], shares[1], rtol=0.3, atol=0.01)
    scenes.captions[0] = [caption and "red plain ball" for caption in scenes.captions[0]]
    assert not any(unique_captions(scenes, ["red plain ball"], torch.tensor([0])))
    kept = draw_targets(scenes, 64, 8, 0, 1 / 64, unique=True)
    assert not (kept.image_index == 0).any() and len(kept.captions) == len(kept.masks) > 0
    other = captions_of_others(kept)
    for image, caption in zip(kept.image_index.tolist(), other, strict=True):
        assert any(
            c == caption and i != image for c, i in zip(kept.captions, kept.image_index.tolist(), strict=True)
        )


def test_a_point_alone_is_measured_as_a_click(clip_file):
    model = TextSamTask(clip_file, SAM).model.eval()
    (scenes,) = evaluation_scenes("train", 2, scene_size(64), 6, object_scale=1.5)
    targets = draw_targets(scenes, 64, 8, 0, 1 / 64)
    with torch.inference_mode():
        assert Measured(model.sam, targets).ious(point=True).mean() > 0.3
