"""Wrappers' names come off; parts, shards and adapters are named with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from minisam.checkpoint import load_checkpoint, load_state_dict_into, save_checkpoint
from minisam.checkpoint.prefixes import without_prefixes, without_wrappers
from minisam.errors import CheckpointError
from minisam.model import Sam

PREFIXES = (
    "_orig_mod.",
    "module.",
    "model.",
    "sam.",
    "module._orig_mod.",
    "model._orig_mod.",
    "net.model.module.",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefixed_network_loads(tmp_path: Path, micro: Sam, prefix: str):
    state = micro.state_dict()
    torch.save({prefix + key: tensor for key, tensor in state.items()}, tmp_path / "sam.pth")
    loaded = load_checkpoint(tmp_path / "sam.pth").state_dict()
    assert list(loaded) == list(state) and all(loaded[key].equal(state[key]) for key in state)
    load_state_dict_into(micro, tmp_path / "sam.pth")


def test_wrapped_parts_load(tmp_path: Path, micro: Sam):
    def renamed(key: str) -> str:
        for part in ("image_encoder.", "mask_decoder.transformer."):
            key = key.replace(part, f"{part}_orig_mod.", 1)
        return key

    state = micro.state_dict()
    torch.save({renamed(key): tensor for key, tensor in state.items()}, tmp_path / "sam.pth")
    assert list(load_checkpoint(tmp_path / "sam.pth").state_dict()) == list(state)


def test_what_lightning_writes_loads(tmp_path: Path, micro: Sam):
    optimizer = torch.optim.AdamW(micro.parameters())
    micro.mask_decoder.iou_token.weight.sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5",
        "state_dict": {f"model.{key}": tensor for key, tensor in micro.state_dict().items()},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "callbacks": {},
    }
    torch.save(content, tmp_path / "last.ckpt")
    assert load_checkpoint(tmp_path / "last.ckpt").image_encoder.img_size == 40


def test_a_state_of_another_name_loads(tmp_path: Path, micro: Sam):
    torch.save({"net": micro.state_dict(), "step": 3, "args": {"lr": 0.1}}, tmp_path / "sam.pth")
    assert load_checkpoint(tmp_path / "sam.pth").image_encoder.img_size == 40


def refusal(tmp_path: Path, tensors: dict[str, torch.Tensor], name: str = "sam.pth") -> str:
    torch.save(tensors, tmp_path / name)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("part", ["mask_decoder", "prompt_encoder", "image_encoder"])
@pytest.mark.parametrize("prefixed", [True, False])
def test_a_part_alone_says_where_it_belongs(tmp_path: Path, micro: Sam, part: str, prefixed: bool):
    tensors = micro.get_submodule(part).state_dict(prefix=f"{part}." * prefixed)
    assert "only a part: `minisam convert FILE OUT --base WHOLE`" in refusal(tmp_path, tensors)
    assert f"give sam.{part}.load_state_dict()" in refusal(tmp_path, tensors)


def test_other_things_beside_a_network_are_named(tmp_path: Path, micro: Sam):
    tensors = {f"model.{key}": tensor for key, tensor in micro.state_dict().items()}
    words = refusal(tmp_path, {**tensors, "loss.weight": torch.ones(2)})
    assert "under 'model.' and 1 other tensors ('loss.weight'" in words and "save only the network" in words
    twice = {**micro.state_dict(), "module.mask_decoder.iou_token.weight": torch.ones(1, 16)}
    assert "twice" in refusal(tmp_path, twice)


def test_adapters_say_that_they_are_to_be_merged(tmp_path: Path, micro: Sam):
    inside = {key.replace("qkv.", "qkv.base_layer."): tensor for key, tensor in micro.state_dict().items()}
    alone = {"base_model.model.image_encoder.blocks.0.attn.qkv.lora_A.weight": torch.ones(2, 16)}
    for tensors in ({**inside, **alone}, alone):
        assert "adapter" in refusal(tmp_path, tensors)


def test_a_shard_says_how_to_save_one_file(tmp_path: Path, micro: Sam):
    half = dict(list(micro.state_dict().items())[:40])
    words = refusal(tmp_path, half, "pytorch_model-00001-of-00002.bin")
    assert "is one of 2 shards" in words and "max_shard_size" in words
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {}}, indent=2))
    with pytest.raises(CheckpointError, match="is JSON, such as the index of a network saved in shards"):
        load_checkpoint(index)
    save_checkpoint(micro, tmp_path / "model-00001-of-00001.safetensors")
    load_checkpoint(tmp_path / "model-00001-of-00001.safetensors")


def test_names():
    assert without_wrappers("module._orig_mod.a.module.b") == "a.b"
    assert without_wrappers("a._fsdp_wrapped_module._checkpoint_wrapped_module.b") == "a.b"
    assert without_wrappers("module") == "" and without_wrappers("my_module.x") == "my_module.x"
    assert without_prefixes({"a": 1, "b": 2}) == {"a": 1, "b": 2}
