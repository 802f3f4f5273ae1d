"""Adaptation files: small, for one base alone, whole or refused."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_networks import SMALL, outputs, small_sam

from minisam.adapt.files import KEY, load_adapter, save_adapter
from minisam.adapt.methods import METHODS, Method, adapt
from minisam.checkpoint.checksum import to_safetensors
from minisam.config import CONFIGS, build_from_config
from minisam.errors import CheckpointError, MinisamError

README = Path(__file__).parents[2] / "README.md"
ALL = [Method(name) for name in METHODS] + [
    Method("lora", decoder=False, rank=2, scale=0.5, on=("k", "mlp"), blocks=(2,)),
    Method("adapter", decoder=False, blocks=(0, 1)),
    Method("hq", mode="only"),
    Method("late", late=1),
]


def trained(method: Method):
    """A network as after training by a method: all that is trained has moved."""
    adapted = adapt(small_sam(), method)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in adapted.sam.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


@pytest.mark.parametrize("method", ALL, ids=str)
def test_a_file_gives_the_same_network_on_the_same_base(method, tmp_path):
    adapted = trained(method)
    save_adapter(adapted, tmp_path / "a.safetensors")
    sam = small_sam()
    loaded = load_adapter(sam, tmp_path / "a.safetensors")
    assert (loaded.method, loaded.base) == (method, adapted.base)
    with torch.no_grad():
        for one, other in zip(outputs(adapted.sam), outputs(sam), strict=True):
            assert torch.equal(one, other)
    names = [name for name, parameter in sam.named_parameters() if parameter.requires_grad]
    assert sorted(load_file(tmp_path / "a.safetensors")) == sorted(names)


@pytest.mark.parametrize("method", ALL, ids=str)
def test_before_training_nothing_has_changed(method):
    plain, adapted = small_sam(), adapt(small_sam(), method)
    if method.name == "hq":
        adapted.sam.mask_decoder.mode = "off"
    with torch.no_grad():
        for one, other in zip(outputs(plain), outputs(adapted.sam), strict=True):
            torch.testing.assert_close(other[:, : one.shape[1]], one, atol=1e-6, rtol=1e-6)


def test_another_base_is_refused_and_left_as_it_is(tmp_path):
    save_adapter(trained(Method("lora")), tmp_path / "a.safetensors")
    for sam in (small_sam(1), small_sam(config=replace(SMALL, encoder_depth=4)), small_sam().half()):
        names = [name for name, _ in sam.named_parameters()]
        with pytest.raises(CheckpointError, match=r"a\.safetensors: adapts other weights"):
            load_adapter(sam, tmp_path / "a.safetensors")
        assert names == [name for name, _ in sam.named_parameters()]


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors, about: tensors.popitem(),
        lambda tensors, about: tensors.update(more=torch.zeros(1)),
        lambda tensors, about: tensors.update(dict.fromkeys(list(tensors)[:1], torch.zeros(2))),
        lambda tensors, about: next(iter(tensors.values())).fill_(float("nan")),
        lambda tensors, about: about.pop("base"),
        lambda tensors, about: about.update(base=5),
        lambda tensors, about: about["method"].pop("late"),
        lambda tensors, about: about["method"].update(name="other"),
        lambda tensors, about: about["method"].update(rank=0),
        lambda tensors, about: about["method"].update(rank="4"),
        lambda tensors, about: about["method"].update(on=["x"]),
        lambda tensors, about: about["method"].update(blocks=[7]),
        lambda tensors, about: about["method"].update(unknown=1),
        lambda tensors, about: about.update(method=[]),
    ],
)
def test_a_damaged_file_changes_nothing(damage, tmp_path):
    save_adapter(trained(Method("lora")), tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        about = json.loads(file.metadata()[KEY])
    damage(tensors, about)
    save_file(tensors, tmp_path / "b.safetensors", {KEY: json.dumps(about)})
    sam = small_sam()
    names = [name for name, _ in sam.named_parameters()]
    with pytest.raises(CheckpointError, match=r"b\.safetensors: .*"):
        load_adapter(sam, tmp_path / "b.safetensors")
    assert names == [name for name, _ in sam.named_parameters()]


def test_a_whole_network_is_no_adaptation(tmp_path):
    from minisam.checkpoint import save_checkpoint

    save_checkpoint(small_sam(), tmp_path / "w.safetensors")
    with pytest.raises(
        CheckpointError, match="holds no adaptation; a whole network is loaded by load_checkpoint"
    ):
        load_adapter(small_sam(), tmp_path / "w.safetensors")


def test_what_is_not_finite_is_not_written(tmp_path):
    adapted = trained(Method("lora"))
    with torch.no_grad():
        adapted.sam.image_encoder.blocks[0].attn.qkv.lora_b[0, 0, 0] = float("nan")
    with pytest.raises(CheckpointError, match="lora_b holds values that are not finite"):
        save_adapter(adapted, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def megabytes(network: str, method: Method) -> float:
    """The size of the file that `save_adapter` writes."""
    with torch.device("meta"):
        sam = build_from_config(CONFIGS[network])
        names = method.apply(sam)
    about = json.dumps({"method": asdict(method), "base": "0" * 64})
    tensors = {name: torch.zeros(sam.get_parameter(name).shape) for name in names}
    return len(to_safetensors(tensors, {KEY: about})) / 1e6


def test_a_lora_of_vit_b_is_small():
    """147,456 numbers of four bytes, and a header."""
    assert megabytes("vit_b", Method("lora", decoder=False)) < 0.7


def test_files_have_the_sizes_that_the_readme_states():
    """Of tiny and of vit_b; for LoRA also without the decoder."""
    rows = dict(
        re.findall(r"^\| `(\w+)` \|.*\| (.*MB.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert list(rows) == ["decoder", "lora", "adapter", "hq", "token", "iou"]
    for name, text in rows.items():
        methods = [Method(name), Method("lora", decoder=False)] if name == "lora" else [Method(name)]
        of = [(network, method) for method in methods for network in ("tiny", "vit_b")]
        for stated, (network, method) in zip(re.findall(r"\d+(?:\.\d+)?", text), of, strict=True):
            digits = len(stated.partition(".")[2])
            assert f"{megabytes(network, method):.{digits}f}" == stated, (
                name,
                network,
            )


def test_other_methods_are_refused():
    with pytest.raises(MinisamError, match="'prompt'; use iou, token, decoder, late, full, lora"):
        Method("prompt")


PAIRS = [
    (first, second)
    for first in ("lora", "adapter", "hq")
    for second in ("decoder", "late", "full", "adapter", "hq")
    if (first, second) != ("adapter", "adapter")  # a block has one pair of adapters
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_second_adaptation_stands_on_the_first(first, second, tmp_path):
    adapted = trained(Method(first))
    save_adapter(adapted, tmp_path / "1.safetensors")
    again = adapt(adapted.sam, Method(second))
    with torch.no_grad():
        next(p for p in again.sam.parameters() if p.requires_grad).add_(0.1)
    save_adapter(again, tmp_path / "2.safetensors")
    loaded = load_adapter(
        load_adapter(small_sam(), tmp_path / "1.safetensors").sam, tmp_path / "2.safetensors"
    )
    for one, other in zip(again.sam.state_dict().values(), loaded.sam.state_dict().values(), strict=True):
        assert torch.equal(one, other)
