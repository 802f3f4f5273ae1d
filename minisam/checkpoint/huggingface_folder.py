"""A network in a folder of transformers: `SamModel.from_pretrained(folder)`, `SamProcessor.from_pretrained(folder)`.

model.safetensors           the tensors under transformers' names (huggingface.py)
config.json                 the geometry
preprocessor_config.json    the size of images and their colour statistics; since transformers 5 inside
                            processor_config.json
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import read_tensors
from minisam.checkpoint.huggingface import rename_for_huggingface
from minisam.checkpoint.save import savable
from minisam.config import SamConfig
from minisam.errors import CheckpointError, DatasetError
from minisam.files import write_atomically
from minisam.json_files import read_json
from minisam.model import Sam
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
USUAL_HEADS = 8
WHITE = 255
ROUNDING = 1e-4
"""Relative: config files hold colour statistics with six digits or more."""


def is_huggingface_folder(folder: str | os.PathLike[str]) -> bool:
    return any((Path(folder) / name).is_file() for name in (CONFIG, *WEIGHTS))


def save_for_transformers(sam: Sam, folder: str | os.PathLike[str]) -> None:
    """Write a folder that transformers loads as a `SamModel` with its `SamProcessor`.

    Its config.json sets the decoder's eps to segment-anything's 1e-5; transformers' own default is 1e-6.

    Raises:
        CheckpointError: see `save_checkpoint`.
        OSError: see `minisam.files.write_atomically`.
    """
    tensors, config, inputs = savable(sam)
    content = to_safetensors(rename_for_huggingface(tensors), {"format": "pt"})
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {CONFIG: model_settings(config), PREPROCESSOR: processor_settings(config, inputs)}
    for name, values in settings.items():
        text = json.dumps(values, indent=2) + "\n"
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))
    write_atomically(folder / WEIGHTS[0], lambda file: file.write(content))


def read_folder(folder: str) -> tuple[dict[str, Tensor], int, dict[str, Any]]:
    """The tensors, the decoder's number of heads, which no tensor shows, and the properties of inputs.py.

    Raises CheckpointError if a file is missing or damaged.
    """
    weights = next((name for name in WEIGHTS if (Path(folder) / name).is_file()), None)
    if weights is None:
        raise CheckpointError(
            f"is a folder without {WEIGHTS[0]}; give a file, or a folder of save_pretrained"
        )
    try:
        tensors, _ = read_tensors(Path(folder) / weights)
    except CheckpointError as error:
        raise CheckpointError(f"{weights} {error}") from error.__cause__
    decoder = _settings(folder, CONFIG).get("mask_decoder_config")
    heads = decoder.get("num_attention_heads") if isinstance(decoder, dict) else None
    nested = _settings(folder, PROCESSOR).get("image_processor")
    processor = nested if isinstance(nested, dict) else _settings(folder, PREPROCESSOR)
    return tensors, heads if heads is not None else USUAL_HEADS, _statistics(processor)


def model_settings(config: SamConfig) -> dict[str, Any]:
    """config.json."""
    image = {"image_size": config.image_size, "patch_size": config.patch_size}
    return {
        "architectures": ["SamModel"],
        "model_type": "sam",
        "dtype": "float32",
        "vision_config": {
            "hidden_size": config.encoder_dim,
            "num_hidden_layers": config.encoder_depth,
            "num_attention_heads": config.encoder_heads,
            "mlp_dim": 4 * config.encoder_dim,
            "output_channels": config.prompt_dim,
            "num_pos_feats": config.prompt_dim // 2,
            "window_size": config.window_size,
            "global_attn_indexes": list(config.global_attn_indexes),
            **image,
        },
        "prompt_encoder_config": {
            "hidden_size": config.prompt_dim,
            "image_embedding_size": config.image_size // config.patch_size,
            "mask_input_channels": config.mask_in_chans,
            **image,
        },
        "mask_decoder_config": {
            "hidden_size": config.prompt_dim,
            "mlp_dim": config.decoder_mlp_dim,
            "num_hidden_layers": config.decoder_depth,
            "num_attention_heads": config.decoder_heads,
            "iou_head_hidden_dim": config.iou_head_hidden_dim,
            "layer_norm_eps": 1e-5,
        },
    }


def processor_settings(config: SamConfig, inputs: dict[str, Any]) -> dict[str, Any]:
    """preprocessor_config.json."""
    size, low_res = config.image_size, 4 * config.image_size // config.patch_size
    return {
        "processor_class": "SamProcessor",
        "image_processor_type": "SamImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": 2,
        "size": {"longest_edge": size},
        "do_rescale": True,
        "rescale_factor": 1 / WHITE,
        "do_normalize": True,
        "image_mean": [value / WHITE for value in inputs.get("pixel_mean", IMAGENET_MEAN)],
        "image_std": [value / WHITE for value in inputs.get("pixel_std", IMAGENET_STD)],
        "do_pad": True,
        "pad_size": {"height": size, "width": size},
        "mask_size": {"longest_edge": low_res},
        "mask_pad_size": {"height": low_res, "width": low_res},
    }


def _settings(folder: str, name: str) -> dict[str, Any]:
    if not (Path(folder) / name).exists():
        return {}
    try:
        content = read_json(Path(folder) / name)
    except DatasetError:
        content = None
    if not isinstance(content, dict):
        raise CheckpointError(f"{name} is damaged, not a JSON object; download or save it again")
    return content


def _statistics(processor: dict[str, Any]) -> dict[str, Any]:
    """The mean and the deviation of colours, in grey levels, if they are not the usual ones.

    transformers multiplies an image by rescale_factor if do_rescale, and then normalises it if do_normalize.
    """
    factor = processor.get("rescale_factor", 1 / WHITE) if _is_on(processor, "do_rescale") else 1.0
    normalised = _is_on(processor, "do_normalize")
    found: dict[str, Any] = {}
    pairs = (("image_mean", "pixel_mean", IMAGENET_MEAN, 0.0), ("image_std", "pixel_std", IMAGENET_STD, 1.0))
    for name, ours, usual, none in pairs:
        default = [value / WHITE for value in usual]
        values = _three_numbers(processor.get(name, default) if normalised else [none] * 3, factor)
        if values is None or (name == "image_std" and values.min() <= 0):
            raise CheckpointError(f"{PREPROCESSOR} or {PROCESSOR} has an impossible {name} or rescale_factor")
        if not torch.allclose(values, torch.tensor(usual), rtol=ROUNDING, atol=0):
            found[ours] = values.tolist()
    return found


def _is_on(processor: dict[str, Any], name: str) -> bool:
    value = processor.get(name, True)
    if not isinstance(value, bool):
        raise CheckpointError(f"{PREPROCESSOR} or {PROCESSOR} has a {name} that is neither true nor false")
    return value


def _three_numbers(values: Any, scale: Any) -> Tensor | None:
    try:
        found = torch.tensor(values).float() / scale
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError):
        return None
    return found if found.shape == (3,) and bool(found.isfinite().all()) else None
