"""A network's geometry: as JSON in the header of our own files, and as the shapes its tensors must have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from minisam.config import CONFIGS, SamConfig, build_from_config
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.model.attention import Attention

Shapes = Mapping[str, tuple[int, ...]]

METADATA_KEY = "minisam"
MAX_METADATA_CHARACTERS = 64 * 1024
MAX_WIDTH = 65_536
MAX_DEPTH = 128
MAX_GRID = 1024


def name_of(config: SamConfig) -> str:
    """The name, for example `vit_b`, or a short description of a geometry without a name."""
    heads = config.decoder_heads
    named = (name for name, known in CONFIGS.items() if replace(known, decoder_heads=heads) == config)
    return next(named, f"{config.encoder_depth}-block, {config.encoder_dim}-wide, {config.image_size}-pixel")


def build_without_memory(config: SamConfig) -> Sam:
    """The network with tensors that have shapes but no values."""
    with torch.device("meta"), _NothingRandom():
        return build_from_config(config)


class _NothingRandom(TorchFunctionMode):
    """Skips random initialisation: on the meta device, its imports would take more than a second."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is nn.init.normal_:
            return kwargs["tensor"]
        return torch.zeros(*args, device="cpu") if func is torch.randn else func(*args, **kwargs)


@lru_cache(maxsize=32)
def expected_shapes(config: SamConfig) -> Shapes:
    """The shape of every tensor of this network."""
    return shapes_of(build_without_memory(config))


def shapes_of(sam: Sam) -> Shapes:
    return shapes_in(sam.state_dict())


def shapes_in(state_dict: Mapping[str, object]) -> Shapes:
    """The tensors of a state dict, without the other entries of quantised layers."""
    return {key: tuple(value.shape) for key, value in state_dict.items() if isinstance(value, torch.Tensor)}


def config_of(sam: Sam, identified: SamConfig) -> SamConfig:
    """`identified`, which comes from the shapes, completed by values from the modules that shapes do not determine."""
    attention = getattr(sam.mask_decoder.transformer, "final_attn_token_to_image", None)
    if not isinstance(attention, Attention):
        raise CheckpointError(
            "the mask decoder's transformer is not minisam's; save its state_dict() with torch.save"
        )
    windows = [getattr(block, "window_size", 0) for block in sam.image_encoder.blocks]
    return replace(
        identified,
        window_size=max(windows) or identified.window_size,
        global_attn_indexes=tuple(index for index, window in enumerate(windows) if not window),
        decoder_heads=attention.num_heads,
    )


def config_to_json(
    config: SamConfig, metadata: Mapping[str, Any], inputs: Mapping[str, Any] | None = None
) -> str:
    """The header text; `inputs` comes from inputs.py.  Raises CheckpointError unless `metadata` is short plain JSON."""
    own = {"inputs": dict(inputs)} if inputs else {}
    try:
        text = json.dumps({"config": asdict(config), "metadata": dict(metadata), **own}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"metadata must be plain JSON ({error})") from None
    if len(text) > MAX_METADATA_CHARACTERS:
        raise CheckpointError(f"metadata takes {len(text)} characters, more than {MAX_METADATA_CHARACTERS}")
    return text


def config_from_json(text: str) -> tuple[SamConfig, dict[str, Any]]:
    """The geometry and the metadata of a minisam file; its `inputs` are under that name in the metadata."""
    config, metadata, _ = record_from_json(text)
    return config, metadata


def record_from_json(text: str) -> tuple[SamConfig, dict[str, Any], object]:
    """The geometry, the metadata and the unchecked inputs of a minisam file.

    Raises:
        CheckpointError: the text is not from `config_to_json`, or no network can have that geometry.
    """
    try:
        if len(text) > MAX_METADATA_CHARACTERS:
            raise ValueError
        record = json.loads(text)
        config, metadata = dict(record["config"]), dict(record.get("metadata", {}))
        if set(config) - {field.name for field in fields(SamConfig)}:
            raise ValueError
        config["global_attn_indexes"] = tuple(config["global_attn_indexes"])
        config = SamConfig(**config)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CheckpointError("has a damaged minisam header; save it again") from None
    check_geometry(config)
    return config, metadata, record.get("inputs", {})


def check_geometry(config: SamConfig) -> None:
    """Raises CheckpointError if no network of this geometry can be built, or only an unreasonably large one."""
    lengths = {name: (value, 1) for name, value in asdict(config).items() if name != "global_attn_indexes"}
    indexes = [("global_attn_indexes", (index, 0)) for index in config.global_attn_indexes]
    for name, (value, least) in (*lengths.items(), *indexes):
        if type(value) is not int or not least <= value <= MAX_WIDTH:
            raise CheckpointError(f"has an impossible geometry: {name} is {str(value)[:40]!r}")
    rules = {
        "encoder_heads divides encoder_dim": config.encoder_dim % config.encoder_heads == 0,
        "patch_size divides image_size": config.image_size % config.patch_size == 0,
        "8 divides prompt_dim": config.prompt_dim % 8 == 0,
        "decoder_heads divides prompt_dim / 2": config.prompt_dim // 2 % config.decoder_heads == 0,
        "4 divides mask_in_chans": config.mask_in_chans % 4 == 0,
        f"at most {MAX_DEPTH} blocks": max(config.encoder_depth, config.decoder_depth) <= MAX_DEPTH,
        f"at most {MAX_GRID} tokens per side": config.image_size // config.patch_size <= MAX_GRID,
        "global_attn_indexes name blocks": all(i < config.encoder_depth for i in config.global_attn_indexes),
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise CheckpointError(f"has an impossible geometry; it breaks the rule: {broken[0]}")
