"""SAM with an external token: its own keys stay as they are, files come back, commands answer in one line."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from minisam import SamPredictor
from minisam.build import build_sam
from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.errors import CheckpointError, PromptError
from minisam.text import Clip, TextSam, load_text_sam, save_text_sam, text_sam
from minisam.text.external_prompt import ExternalPrompt

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TextSam("nano", build_sam("nano"), Clip()).eval()


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "text.safetensors"
    save_text_sam(path, model)
    return path


def test_sams_keys_do_not_change(model):
    plain = build_from_config(CONFIGS["nano"])
    assert list(model.sam.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(model.sam.state_dict(), strict=True)


def test_a_file_comes_back(model, weights, tmp_path):
    loaded = load_text_sam(weights)
    state = loaded.state_dict()
    for key, value in model.state_dict().items():
        assert value.equal(state[key]), key
    assert loaded.embed_text("red wheel").equal(model.embed_text("red wheel"))
    save_text_sam(tmp_path / "half.safetensors", model, "float16")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * weights.stat().st_size
    half = load_text_sam(tmp_path / "half.safetensors").embed_text("red wheel")
    torch.testing.assert_close(half, model.embed_text("red wheel"), rtol=0.02, atol=0.02)


def test_a_half_file_rounds_parameters_and_keeps_positions(model, tmp_path):
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for value in changed.state_dict().values():
            value.add_(torch.rand_like(value) * 1e-3)
    save_text_sam(tmp_path / "half.safetensors", changed, "float16")
    found, parameters = (
        load_text_sam(tmp_path / "half.safetensors").state_dict(),
        dict(changed.named_parameters()),
    )
    assert found.keys() > parameters.keys(), "the Fourier matrix is none"
    for key, value in changed.state_dict().items():
        rounded = value.half().float()
        assert not rounded.equal(value)
        assert found[key].equal(rounded if key in parameters else value), key


def test_the_image_size_comes_back(model, tmp_path):
    model.sam.set_image_size(96)
    try:
        save_text_sam(tmp_path / "text.safetensors", model)
    finally:
        model.sam.set_image_size(64)
    assert load_text_sam(tmp_path / "text.safetensors").sam.image_encoder.img_size == 96


def test_both_kinds_of_embeddings_are_measured_from_their_own_centre():
    external = ExternalPrompt(4, 6)
    external.centres.copy_(torch.randn(2, 4))
    torch.nn.init.normal_(external.type_embed)
    image, text = external.centres
    offset = torch.randn(4)
    same = external(torch.stack([image + offset]), "image"), external(torch.stack([text + offset]), "text")
    torch.testing.assert_close(*same)
    torch.testing.assert_close(same[0][0, 0], external.projection.weight @ offset + external.type_embed)


def test_a_token_is_a_prompt_by_itself_and_beside_a_point(model):
    predictor = SamPredictor(model.sam)
    predictor.set_image(PIXELS)
    red, blue = model.embed_text("red wheel"), model.embed_text("blue dog")
    alone, iou, low = predictor.predict(external=red, return_logits=True)
    assert alone.shape == (3, 30, 50) and iou.shape == (3,) and low.shape == (3, 32, 32)
    point = {"point_coords": np.array([[9, 9]]), "point_labels": np.array([1]), "return_logits": True}
    answers = [alone, predictor.predict(**point)[0]]
    answers += [predictor.predict(**point, external=token)[0] for token in (red, blue)]
    for i in range(4):
        for j in range(i):
            assert not np.allclose(answers[i], answers[j])


def test_texts_go_through_together(model):
    together = model.embed_text(["red wheel", "blue dog"])
    apart = torch.cat([model.embed_text("red wheel"), model.embed_text("blue dog")])
    torch.testing.assert_close(together, apart)
    predictor = SamPredictor(model.sam)
    predictor.set_image(PIXELS)
    masks, _ = predictor.predict_low_res_torch(None, None, external=together)
    torch.testing.assert_close(masks[1:], predictor.predict_low_res_torch(None, None, external=apart[1:])[0])


def test_a_picture_is_fitted_into_a_square(model):
    padded = np.zeros((48, 48, 3), np.uint8)
    padded[12:36] = np.random.default_rng(1).integers(0, 256, (24, 48, 3))
    wide = padded[12:36]
    assert model.embed_image(wide).equal(model.embed_image(padded))
    assert not torch.allclose(model.embed_image(wide), model.embed_image(PIXELS), rtol=0.05, atol=0.05)


def test_tokens_of_another_network_and_of_another_number_are_refused(model):
    predictor = SamPredictor(model.sam)
    predictor.set_image(PIXELS)
    with pytest.raises(PromptError, match=r"\(B, n, 96\)"):
        predictor.predict(external=torch.zeros(1, 1, 256))
    points, labels = torch.zeros(3, 1, 2), torch.ones(3, 1)
    with pytest.raises(PromptError, match="3 prompts"):
        predictor.predict_torch(points, labels, external=torch.zeros(2, 1, 96))


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    Image.fromarray(PIXELS[:9, :9]).save(tmp_path / "crop.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    "prompt", [["--text", "Red striped wheel"], ["--like", "CROP"], ["--text", "dog", "--point", "9,9"]]
)
def test_segment_by_words_and_by_a_picture(photo, weights, capsys, prompt):
    prompt = [str(photo.with_name("crop.png")) if word == "CROP" else word for word in prompt]
    assert main(["segment", str(photo), "--checkpoint", str(weights), *prompt]) == 0
    assert "predicted IoU" in capsys.readouterr().out
    assert photo.with_name("photo_segment.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--text", " "], 2, "no words"),
        (["--text", "red zebra"], 2, "zebra"),
        (["--text", "dog", "--like", "crop.png"], 2, "one of them"),
        (["--like", "nothing.png"], 3, "nothing.png"),
        (["--text", "dog", "--checkpoint", "SAM"], 3, "no weights for text"),
        (["--text", "dog", "--checkpoint", "nothing.safetensors"], 3, "no such file"),
    ],
)
def test_segment_says_what_is_wrong(photo, weights, tmp_path, capsys, arguments, code, message):
    save_checkpoint(build_from_config(CONFIGS["nano"]), tmp_path / "sam.safetensors")
    arguments = [str(tmp_path / "sam.safetensors") if word == "SAM" else word for word in arguments]
    if "--checkpoint" not in arguments:
        arguments = [*arguments, "--checkpoint", str(weights)]
    assert main(["segment", str(photo), *arguments]) == code
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_without_weights_that_ship_it_says_how_to_get_some(photo, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("minisam.text.text_sam.SHIPPED", tmp_path / "none.safetensors")
    assert main(["segment", str(photo), "--text", "dog"]) == 3
    assert "minisam text sam" in capsys.readouterr().err


def test_a_file_of_parts_that_do_not_fit_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(text_sam, "check_clip", lambda clip: None)
    wider = TextSam("nano", model.sam, model.clip, ExternalPrompt(64, 96))
    save_text_sam(tmp_path / "text.safetensors", wider)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_text_sam(tmp_path / "text.safetensors")
    other = TextSam("nano", model.sam, Clip(replace(model.clip.config, text_layers=1)))
    other.clip.config = model.clip.config
    save_text_sam(tmp_path / "text.safetensors", other)
    with pytest.raises(CheckpointError, match="no CLIP that fits"):
        load_text_sam(tmp_path / "text.safetensors")


class Wrapper(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


def wrap_sam(model):
    attention = model.sam.image_encoder.blocks[0].attn
    attention.qkv = Wrapper(attention.qkv)


def wrap_clip(model):
    model.clip.visual.conv1 = Wrapper(model.clip.visual.conv1)


def change_norm(model):
    model.sam.image_encoder.blocks[0].norm1.eps = 0.1


def change_format(model):
    model.sam.image_format = "HSV"


@pytest.mark.parametrize("change", [wrap_sam, wrap_clip, change_norm, change_format])
def test_what_could_not_be_loaded_is_not_written(model, tmp_path, change):
    changed = copy.deepcopy(model)
    change(changed)
    with pytest.raises(CheckpointError, match="cannot be saved"):
        save_text_sam(tmp_path / "text.safetensors", changed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("texts", [None, 3, b"red", ["red", 3], {"red": 1}])
def test_what_is_no_text_is_refused(model, texts):
    with pytest.raises(PromptError, match="a text must be a string"):
        model.embed_text(texts)


def test_the_second_of_two_texts_is_not_dropped(model):
    predictor = SamPredictor(model.sam)
    predictor.set_image(np.zeros((40, 64, 3), np.uint8))
    tokens = model.embed_text(["red wheel", "green wheel"])
    with pytest.raises(PromptError, match="got 2; use predict_torch for several"):
        predictor.predict(external=tokens)
    assert predictor.predict_torch(None, None, external=tokens)[1].shape == (2, 3)
