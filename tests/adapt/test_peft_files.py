"""LoRA in peft's files: peft loads what is written, and what peft writes is loaded; the function is the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from small_networks import SMALL, outputs, small_sam

from minisam.adapt.from_peft import load_from_peft
from minisam.adapt.methods import Method, adapt
from minisam.adapt.peft_files import CONFIG, WEIGHTS, save_for_peft
from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import read_tensors
from minisam.errors import CheckpointError

peft = pytest.importorskip("peft", reason="pip install peft to compare with it")


def randomised(adapted):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.sam.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


def written(tmp_path, **settings):
    adapted = randomised(adapt(small_sam(), Method("lora", **settings)))
    save_for_peft(adapted, tmp_path)
    return adapted


CHOICES = [
    {},
    {"on": ("q", "k", "v"), "decoder": False},
    {"on": ("q", "v", "mlp", "proj"), "rank": 2, "scale": 0.5},
    {"on": ("mlp",), "blocks": (1, 2), "scale": 2.0},
]


@pytest.mark.parametrize("settings", CHOICES)
def test_peft_loads_what_is_written(tmp_path, settings):
    adapted = written(tmp_path, **settings)
    model = peft.PeftModel.from_pretrained(small_sam(), tmp_path)
    with torch.no_grad():
        for one, other in zip(outputs(adapted.sam), outputs(model.base_model.model), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", CHOICES)
def test_what_is_written_is_loaded_again(tmp_path, settings):
    adapted = written(tmp_path, **settings)
    again = load_from_peft(small_sam(), tmp_path)
    assert set(again.method.on) == set(adapted.method.on) and again.method.rank == adapted.method.rank
    assert again.method.scale == pytest.approx(adapted.method.scale)
    with torch.no_grad():
        for one, other in zip(outputs(adapted.sam), outputs(again.sam), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_block_10_is_not_block_1(tmp_path):
    deep = replace(SMALL, encoder_depth=11)
    save_for_peft(adapt(small_sam(config=deep), Method("lora", blocks=(10,))), tmp_path)
    assert load_from_peft(small_sam(config=deep), tmp_path).method.blocks == (10,)


def written_by_peft(config, folder):
    """peft's model of a small Sam with random updates, after saving it."""
    model = peft.get_peft_model(small_sam(), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    return model


def test_what_peft_writes_is_loaded(tmp_path):
    config = peft.LoraConfig(
        r=3, lora_alpha=12, target_modules=r"image_encoder\..*(qkv|lin1|lin2)", use_rslora=True
    )
    model = written_by_peft(config, tmp_path)
    adapted = load_from_peft(small_sam(), tmp_path)
    assert adapted.method.on == ("q", "k", "v", "mlp") and not adapted.method.decoder
    with torch.no_grad():
        for one, other in zip(outputs(model.base_model.model), outputs(adapted.sam), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_factor_for_names_that_end_alike_counts_as_in_peft(tmp_path):
    """peft's alpha_pattern has the ends of names, as regular expressions; its rank_pattern too."""
    config = peft.LoraConfig(
        r=3,
        lora_alpha=3,
        target_modules=r"image_encoder\..*(qkv|lin1|lin2)",
        rank_pattern={"lin1|lin2": 6, "qkv": 6},
        alpha_pattern={"lin[12]": 24, r"attn\.qkv": 24},
    )
    model = written_by_peft(config, tmp_path)
    adapted = load_from_peft(small_sam(), tmp_path)
    assert adapted.method.scale == 4
    with torch.no_grad():
        for one, other in zip(outputs(model.base_model.model), outputs(adapted.sam), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("first", ["pissa", "olora"])
def test_a_lora_on_a_changed_base_is_refused(tmp_path, first):
    config = peft.LoraConfig(r=2, lora_alpha=2, target_modules=r".*qkv", init_lora_weights=first)
    model = peft.get_peft_model(small_sam(), config)
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=f"{first} changes the base network too"):
        load_from_peft(small_sam(), tmp_path)


def test_only_lora_is_written(tmp_path):
    with pytest.raises(CheckpointError, match="hold LoRA, not the method 'full'"):
        save_for_peft(adapt(small_sam(), Method("full")), tmp_path / "out")
    adapted = adapt(small_sam(), Method("lora"))
    with torch.no_grad():
        next(p for n, p in adapted.sam.named_parameters() if "lora_b" in n)[0] = torch.nan
    with pytest.raises(CheckpointError, match="not finite; nothing was written"):
        save_for_peft(adapted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def changed(folder, change):
    tensors, _ = read_tensors(folder / WEIGHTS)
    config = json.loads((folder / CONFIG).read_text())
    change(tensors, config)
    (folder / WEIGHTS).write_bytes(to_safetensors(tensors, {"format": "pt"}))
    (folder / CONFIG).write_text(json.dumps(config))


QKV = "base_model.model.image_encoder.blocks.0.attn.qkv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, c: t.pop(f"{QKV}.lora_B.weight"), "do not fit each other"),
        (lambda t, c: t.update({f"{QKV}.lora_B.weight": torch.zeros(9, 8)}), "does not fit this network"),
        (lambda t, c: [t.pop(f"{QKV}.lora_{x}.weight") for x in "AB"] and c.pop("lora_alpha"), "lora_alpha"),
        (
            lambda t, c: t.update({"base_model.model.mask_decoder.no": torch.zeros(3)}),
            "has no mask_decoder.no",
        ),
        (lambda t, c: c.update(peft_type="IA3"), "not the settings of a LoRA"),
        (
            lambda t, c: c.update(alpha_pattern={QKV.removeprefix("base_model.model."): 1}),
            "scales its layers",
        ),
        (lambda t, c: c.update(alpha_pattern={"(": 1}), "has no lora_alpha"),
        (lambda t, c: t[f"{QKV}.lora_A.weight"].fill_(torch.inf), "not finite"),
        (lambda t, c: t.clear() or t.update(a=torch.zeros(1)), "adapts no layer"),
    ],
)
def test_other_files_are_refused_and_change_nothing(tmp_path, change, message):
    written(tmp_path)
    changed(tmp_path, change)
    sam = small_sam()
    with pytest.raises(CheckpointError, match=message):
        load_from_peft(sam, tmp_path)
    for (name, value), other in zip(sam.state_dict().items(), small_sam().state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="give a folder that peft has written"):
        load_from_peft(small_sam(), tmp_path / "none")
