"""A folder for transformers: `SamModel` and `SamProcessor` load it and find the same masks; and the way back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_networks import SMALL, small_sam

import minisam
from minisam.checkpoint import load_checkpoint, load_state_dict, read_metadata
from minisam.checkpoint.huggingface import rename_for_huggingface, rename_huggingface
from minisam.checkpoint.huggingface_folder import save_for_transformers
from minisam.errors import CheckpointError

transformers = pytest.importorskip("transformers", reason="pip install -e '.[test]' brings transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("transformers") / "sam"
    save_for_transformers(small_sam(), path)
    return path


PROMPTS = {
    "points": {"point_coords": [[10, 20], [30, 5]], "point_labels": [1, 0]},
    "box": {"box": [4, 6, 30, 31]},
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_their_masks_are_ours(folder, prompt):
    """The image has the network's longest side, so that nothing is resized before the network."""
    image = np.random.default_rng(0).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    predictor = minisam.SamPredictor(small_sam())
    predictor.set_image(image)
    masks, ious, low_res = predictor.predict(**prompt)
    processor = transformers.SamProcessor.from_pretrained(folder)
    model = transformers.SamModel.from_pretrained(folder)
    if "box" in prompt:
        inputs = processor(image, input_boxes=[[prompt["box"]]], return_tensors="pt")
    else:
        points, labels = [[prompt["point_coords"]]], [[prompt["point_labels"]]]
        inputs = processor(image, input_points=points, input_labels=labels, return_tensors="pt")
    with torch.no_grad():
        out = model(**inputs, multimask_output=True)
    theirs = processor.post_process_masks(
        out.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )[0][0].numpy()
    np.testing.assert_allclose(out.pred_masks[0, 0].numpy(), low_res, atol=1e-4 * np.abs(low_res).max())
    np.testing.assert_allclose(out.iou_scores[0, 0].numpy(), ious, atol=1e-5)
    assert 0.01 < masks.mean() < 0.99
    assert np.array_equal(theirs, masks)


@pytest.mark.parametrize("factor", [0.5, 1.01])
@pytest.mark.parametrize("changed", ["pixel_mean", "pixel_std"])
def test_colour_statistics_of_ones_own_come_back(changed, factor, tmp_path):
    """Each by itself: ours and transformers' read what was written."""
    sam = small_sam()
    setattr(sam, changed, factor * getattr(sam, changed))
    save_for_transformers(sam, tmp_path)
    found = load_checkpoint(tmp_path)
    theirs = transformers.SamProcessor.from_pretrained(tmp_path).image_processor
    for name, of_theirs in (("pixel_mean", theirs.image_mean), ("pixel_std", theirs.image_std)):
        wanted = getattr(sam, name)
        torch.testing.assert_close(getattr(found, name), wanted)
        torch.testing.assert_close(255 * torch.tensor(of_theirs), wanted.flatten())


def test_nothing_is_new_or_missing_for_transformers(folder):
    model, report = transformers.SamModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.mask_decoder_config.layer_norm_eps == 1e-5


def test_the_way_back_is_exact(folder):
    state, config = load_state_dict(folder)
    assert config == SMALL  # two heads in the decoder, which only config.json shows
    for key, tensor in small_sam().state_dict().items():
        assert torch.equal(state[key], tensor), key
    assert read_metadata(folder) == {}


def test_weights_of_torch_are_read_where_there_is_no_safetensors_file(tmp_path):
    save_for_transformers(small_sam(), tmp_path)
    torch.save(rename_for_huggingface(small_sam(1).state_dict()), tmp_path / "pytorch_model.bin")
    for seed in (0, 1):
        state, config = load_state_dict(tmp_path)
        assert config == SMALL
        assert all(torch.equal(state[key], tensor) for key, tensor in small_sam(seed).state_dict().items())
        (tmp_path / "model.safetensors").unlink(missing_ok=True)


def test_a_folder_that_transformers_has_written(folder, tmp_path):
    transformers.SamModel.from_pretrained(folder).save_pretrained(tmp_path)
    processor = transformers.SamProcessor.from_pretrained(folder)
    processor.image_processor.image_mean = [0.5, 0.25, 0.125]
    processor.save_pretrained(tmp_path)
    sam = load_checkpoint(tmp_path)
    assert sam.pixel_mean.flatten().tolist() == pytest.approx([127.5, 63.75, 31.875])
    assert sam.pixel_std.flatten().tolist() == pytest.approx(list(minisam.model.sam.IMAGENET_STD))
    assert load_state_dict(tmp_path)[1] == SMALL


def test_colour_statistics_are_kept(tmp_path):
    sam = small_sam()
    sam.pixel_mean.fill_(100.0)
    save_for_transformers(sam, tmp_path)
    assert load_checkpoint(tmp_path).pixel_mean.flatten().tolist() == pytest.approx([100.0] * 3)
    image = transformers.SamProcessor.from_pretrained(tmp_path)(
        np.full((48, 48, 3), 100, np.uint8), return_tensors="pt"
    )["pixel_values"]
    assert image.abs().max() < 1e-5


@pytest.mark.parametrize("factor", [1 / 255, 0.5, 1.0])
def test_colour_statistics_are_in_units_of_the_rescaled_image(factor, tmp_path):
    save_for_transformers(small_sam(), tmp_path)
    mean, std = torch.tensor([100.0, 90.0, 80.0]), torch.tensor([50.0, 40.0, 30.0])
    settings = {"image_mean": (factor * mean).tolist(), "image_std": (factor * std).tolist()}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"rescale_factor": factor}))
    sam = load_checkpoint(tmp_path)
    torch.testing.assert_close(sam.pixel_mean.flatten(), mean)
    torch.testing.assert_close(sam.pixel_std.flatten(), std)


@pytest.mark.parametrize("without", [(), ("image_mean", "image_std"), ("rescale_factor",)])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("rescaled", [True, False])
def test_what_transformers_does_to_an_image_is_done_here(rescaled, normalised, without, tmp_path):
    save_for_transformers(small_sam(), tmp_path)
    path = tmp_path / "preprocessor_config.json"
    own = {"image_mean": [0.5, 0.25, 0.125], "image_std": [0.25, 0.5, 2.0], "rescale_factor": 0.25}
    settings = json.loads(path.read_text()) | own | {"do_rescale": rescaled, "do_normalize": normalised}
    path.write_text(json.dumps({key: value for key, value in settings.items() if key not in without}))
    sam = load_checkpoint(tmp_path)
    side = sam.image_encoder.img_size
    image = np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)
    theirs = transformers.SamProcessor.from_pretrained(tmp_path)(image, return_tensors="pt")["pixel_values"]
    ours = sam.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None])
    torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-5)


def test_names_go_there_and_back():
    state = small_sam().state_dict()
    theirs = rename_for_huggingface(state)
    assert len(theirs) == len(state) and not theirs.keys() & {"image_encoder.pos_embed"}
    assert list(rename_huggingface(theirs)) == list(state)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("config.json", "[]", "config.json is damaged"),
        ("config.json", {"mask_decoder_config": {"num_attention_heads": 3}}, "decoder_heads divides"),
        ("config.json", {"mask_decoder_config": {"num_attention_heads": True}}, "decoder_heads is .True"),
        ("preprocessor_config.json", {"image_mean": ["a", 0, 0]}, "impossible image_mean"),
        ("preprocessor_config.json", {"image_std": [0, 1, 1]}, "impossible image_std"),
        ("preprocessor_config.json", {"image_mean": [1, 1, 1], "rescale_factor": 0}, "impossible image_mean"),
        ("preprocessor_config.json", {"do_normalize": False, "rescale_factor": -1}, "or rescale_factor"),
        ("preprocessor_config.json", {"do_rescale": "no"}, "has a do_rescale that is neither true nor false"),
        (
            "preprocessor_config.json",
            {"do_normalize": 0},
            "has a do_normalize that is neither true nor false",
        ),
        ("processor_config.json", {"image_processor": {"image_mean": [1, 2]}}, "impossible image_mean"),
        ("model.safetensors", "x" * 40, "model.safetensors is a truncated or damaged|claims"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, says):
    save_for_transformers(small_sam(), tmp_path)
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(tmp_path)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(CheckpointError, match=r"is a folder without model\.safetensors"):
        load_checkpoint(tmp_path)
