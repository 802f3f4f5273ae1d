"""What the exporters make of the parts; each export takes seconds."""

import io
import json

import numpy as np
import pytest
import torch
from torch.export import Dim

from minisam.config import CONFIGS, build_from_config
from minisam.errors import MinisamError
from minisam.export import check, program
from minisam.export.parts import part_of


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"]).eval()


@pytest.mark.ci
@pytest.mark.parametrize("name", ["encoder", "decoder", "both"])
def test_onnx_gives_the_networks_results(sam, name):
    onnx = pytest.importorskip("onnx", reason="pip install -e '.[export]' un-skips this")
    pytest.importorskip("onnxscript", reason="pip install -e '.[export]' un-skips this")
    part = part_of(sam, name)
    content = program.to_onnx(part, sam)
    assert check.largest_difference(check.run_by_onnxruntime(content, part), part, sam) <= check.TOLERANCE
    model = onnx.load_from_string(content)
    assert [value.name for value in model.graph.input] == list(part.inputs)
    assert [value.name for value in model.graph.output] == list(part.outputs)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["image_size"]) == sam.image_encoder.img_size
    assert np.allclose(json.loads(about["pixel_mean"]), sam.pixel_mean.flatten())


@pytest.mark.ci
@pytest.mark.parametrize("name", ["encoder", "decoder", "both"])
def test_the_program_gives_the_networks_results(sam, name):
    part = part_of(sam, name)
    content = program.to_program(part, sam)
    assert check.largest_difference(check.run_by_torch(content, part), part, sam) <= check.TOLERANCE
    extra = {"minisam.json": ""}
    torch.export.load(io.BytesIO(content), extra_files=extra)
    assert json.loads(extra["minisam.json"])["image_format"] == "RGB"


@pytest.mark.ci
def test_a_single_mask_is_selected_in_the_program(sam):
    part = part_of(sam, "decoder", return_single_mask=True)
    exported = torch.export.export(part.module, part.example, dynamic_shapes=part.free).module()
    for prompt in check.kinds_of_prompt(sam, torch.Generator()):
        inputs = (torch.ones_like(part.example[0]), *prompt)
        for ours, theirs in zip(part.module(*inputs), exported(*inputs), strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4 * float(ours.abs().max()))
            assert ours.shape[1] == 1


@pytest.mark.ci
def test_the_encoder_is_exported_for_any_batch(sam):
    size = sam.image_encoder.img_size
    images = torch.randn(3, 3, size, size)
    exported = torch.export.export(
        sam.image_encoder, (images[:2],), dynamic_shapes=({0: Dim("batch")},)
    ).module()
    with torch.no_grad():
        for batch in (1, 3):
            torch.testing.assert_close(exported(images[:batch]), sam.image_encoder(images[:batch]))


def test_the_decoder_is_exported_for_any_number_of_prompts_and_tokens(sam):
    dim, grid = sam.prompt_encoder.embed_dim, sam.prompt_encoder.image_embedding_size
    image, pe = torch.randn(1, dim, *grid), sam.prompt_encoder.get_dense_pe()

    def inputs(prompts, tokens):
        return image, pe, torch.randn(prompts, tokens, dim), torch.randn(prompts, dim, *grid), True

    free = (None, None, {0: Dim("prompts"), 1: Dim("tokens")}, {0: Dim("prompts")}, None)
    exported = torch.export.export(sam.mask_decoder, inputs(5, 3), dynamic_shapes=free).module()
    with torch.no_grad():
        for prompts, tokens in ((1, 1), (2, 40), (70, 3)):
            given = inputs(prompts, tokens)
            for ours, theirs in zip(sam.mask_decoder(*given), exported(*given), strict=True):
                torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4 * float(ours.abs().max()))


@pytest.mark.ci
def test_the_prompt_encoder_is_exported_for_any_number_of_prompts(sam):
    size, prompts = float(sam.image_encoder.img_size), Dim("prompts")
    mask_size = sam.prompt_encoder.mask_input_size

    def inputs(count, points):
        corners = torch.tensor([[1.0, 2.0, size / 2, size / 3]]).expand(count, -1)
        coords = torch.rand(count, points, 2) * size, torch.ones(count, points)
        return coords, corners, torch.randn(count, 1, *mask_size)

    free = (({0: prompts, 1: Dim("points")},) * 2, {0: prompts}, {0: prompts})
    exported = torch.export.export(sam.prompt_encoder, inputs(5, 3), dynamic_shapes=free).module()
    for count, points in ((1, 1), (7, 30)):
        given = inputs(count, points)
        for ours, theirs in zip(sam.prompt_encoder(*given), exported(*given), strict=True):
            torch.testing.assert_close(theirs, ours)


def test_what_is_said_about_a_network_is_its_own_and_no_default():
    sam = build_from_config(CONFIGS["nano"])
    usual = program.about(sam)
    sam.set_image_size(128)
    sam.pixel_mean, sam.pixel_std = 0 * sam.pixel_mean + 100, 0 * sam.pixel_std + 50
    sam.mask_threshold, sam.image_format = 0.5, "BGR"
    own = {
        "image_size": "128",
        "pixel_mean": "[100.0, 100.0, 100.0]",
        "pixel_std": "[50.0, 50.0, 50.0]",
        "image_format": "BGR",
        "mask_threshold": "0.5",
    }
    assert program.about(sam) == own and not own.items() & usual.items()


@pytest.mark.parametrize("name", ["encoder", "decoder", "both"])
@pytest.mark.parametrize(("spare", "error"), [(0, KeyError), (-1, MinisamError)])
def test_weights_up_to_the_limit_are_written_as_onnx(sam, monkeypatch, spare, error, name):
    """Each counts once, also those of a decoder, to which its module has two ways."""
    pytest.importorskip("onnx", reason="pip install -e '.[export]' un-skips this")
    pytest.importorskip("onnxscript", reason="pip install -e '.[export]' un-skips this")

    def export(*arguments, **named):
        raise KeyError("exported")

    part = part_of(sam, name)
    weights = sam.state_dict()
    if name != "both":
        weights = {
            key: weight for key, weight in weights.items() if key.startswith("image") == (name == "encoder")
        }
    size = sum(weight.nbytes for weight in weights.values())
    monkeypatch.setattr(program, "LARGEST_ONNX", size + spare)
    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(error, match=r"exported|larger than the 2 GB .* export to \.pt2"):
        program.to_onnx(part, sam)
