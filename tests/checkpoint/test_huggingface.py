"""Weights under transformers' key names load into the same network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from minisam.checkpoint import load_checkpoint, load_state_dict
from minisam.checkpoint.geometry import expected_shapes
from minisam.checkpoint.huggingface import FOURIER_KEY, rename_huggingface
from minisam.config import CONFIGS
from minisam.errors import CheckpointError

transformers = pytest.importorskip("transformers", reason="pip install -e '.[test]' brings transformers")


@pytest.fixture(scope="module")
def theirs():
    """A small network with random weights; transformers fixes what it has no argument for."""
    vision = {
        "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 64,
        "patch_size": 8, "window_size": 3, "global_attn_indexes": [1], "output_channels": 32, "mlp_dim": 96,
    }  # fmt: skip
    prompt = {"hidden_size": 32, "image_size": 64, "patch_size": 8, "image_embedding_size": 8}
    decoder = {"hidden_size": 32, "mlp_dim": 40, "iou_head_hidden_dim": 20}
    config = transformers.SamConfig(
        vision_config={**vision, "num_pos_feats": 16},
        prompt_encoder_config=prompt,
        mask_decoder_config=decoder,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.SamModel(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def test_saved_by_transformers(tmp_path: Path, theirs):
    theirs.save_pretrained(tmp_path)
    sam = load_checkpoint(tmp_path / "model.safetensors")
    config = load_state_dict(tmp_path / "model.safetensors")[1]
    assert (config.encoder_heads, config.window_size, config.global_attn_indexes) == (3, 3, (1,))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            sam.image_encoder(image), theirs.get_image_embeddings(image), rtol=1e-4, atol=1e-4
        )
        points, labels = torch.tensor([[[10.0, 20.0]]]), torch.tensor([[1]])
        out = theirs(
            pixel_values=image[:1],
            input_points=points[None],
            input_labels=labels[None],
            multimask_output=True,
        )
        sparse, dense = sam.prompt_encoder((points, labels), None, None)
        embedding, position = sam.image_encoder(image[:1]), sam.prompt_encoder.get_dense_pe()
        masks, iou = sam.mask_decoder(embedding, position, sparse, dense, True)
    torch.testing.assert_close(masks, out.pred_masks[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(iou, out.iou_scores[0], rtol=1e-3, atol=1e-3)


def test_both_copies_of_the_point_encoding(tmp_path: Path, theirs):
    state = {key: tensor.clone() for key, tensor in theirs.state_dict().items()}
    save_file(state, tmp_path / "both.safetensors")
    loaded = load_state_dict(tmp_path / "both.safetensors")[0]
    assert torch.equal(loaded[FOURIER_KEY], state["shared_image_embedding.positional_embedding"])
    state["shared_image_embedding.positional_embedding"] += 1
    save_file(state, tmp_path / "differ.safetensors")
    with pytest.raises(CheckpointError, match=r"two keys name .*gaussian_matrix, and their values differ"):
        load_checkpoint(tmp_path / "differ.safetensors")


def test_missing_key_is_named_as_ours(tmp_path: Path, theirs):
    state = {key: tensor.clone() for key, tensor in theirs.state_dict().items()}
    del state["mask_decoder.upscale_layer_norm.bias"]
    save_file(state, tmp_path / "sam.safetensors")
    with pytest.raises(CheckpointError, match=r"1 key \(mask_decoder\.output_upscaling\.1\.bias\) missing"):
        load_checkpoint(tmp_path / "sam.safetensors")


def test_a_perceptron_of_two_layers_has_no_hidden_one():
    head = "mask_decoder.iou_prediction_head"
    renamed = rename_huggingface(
        dict.fromkeys([f"{head}.proj_in.bias", f"{head}.proj_out.bias"], torch.ones(1))
    )
    assert list(renamed) == [f"{head}.layers.0.bias", f"{head}.layers.1.bias"]


def test_vit_b_has_every_key():
    with torch.device("meta"):
        state = transformers.SamModel(transformers.SamConfig()).state_dict()
    del state["prompt_encoder.shared_embedding.positional_embedding"]
    renamed = {key: tuple(tensor.shape) for key, tensor in rename_huggingface(state).items()}
    assert renamed == dict(expected_shapes(CONFIGS["vit_b"]))
