"""Recognises the network in a file from the names and shapes of its tensors.

    encoder_dim, grid   image_encoder.pos_embed [1, grid, grid, dim]
    head_dim            rel_pos_h [2·size − 1, head_dim]; size = grid in a global block, else the window
    depth               how many numbers follow image_encoder.blocks.

Only the decoder's number of heads cannot be seen: it is 8, as published, unless one of our presets has exactly these
shapes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from minisam.checkpoint.formats import printable
from minisam.checkpoint.geometry import Shapes, check_geometry, expected_shapes, name_of
from minisam.config import CONFIGS, SamConfig
from minisam.errors import CheckpointError

NOT_SAM = "is not a Segment Anything checkpoint"
OTHER_NETWORKS = {
    "image_encoder.trunk.": "a SAM 2 network",
    "vision_encoder.backbone.": "a SAM 2 network",
    "mask_decoder.hf_token": "an HQ-SAM network",
    "image_encoder.patch_embed.seq.": "a MobileSAM network",
    "layer1.0.": "a ResNet",
    "cls_token": "a plain Vision Transformer",
    "visual.": "a CLIP network",
    "backbone.": "a detector",
    "module.": "weights saved from inside DataParallel; strip `module.` from its keys",
}
PARTS = {
    "mask_decoder": ("mask_decoder.", "output_upscaling.", "output_hypernetworks_mlps.", "iou_token."),
    "prompt_encoder": ("prompt_encoder.", "point_embeddings.", "mask_downscaling.", "pe_layer."),
    "image_encoder": ("image_encoder.", "neck."),
}
ADAPTED = ("lora_", "base_layer.", "adapter")
ADAPTER = (
    "; it looks like an adapter (LoRA), or a network with adapters inside: save the network with them merged"
)


def identify_fitting(shapes: Shapes) -> SamConfig:
    """The geometry whose tensors have exactly these names and shapes.

    Raises:
        CheckpointError: there is none; the message compares with the most similar network.
    """
    candidates = [config for config in CONFIGS.values() if config.encoder_depth == encoder_depth(shapes)]
    try:
        identified = identify(shapes)
    except CheckpointError as error:
        closest = min(candidates, key=lambda config: count_differences(config, shapes), default=None)
        if closest and count_differences(closest, shapes) < len(expected_shapes(closest)) / 4:
            check_fits(closest, shapes)
        raise error
    if not count_differences(identified, shapes):
        heads = identified.decoder_heads
        presets = (known for known in candidates if replace(known, decoder_heads=heads) == identified)
        return next(presets, identified)
    closest = min([identified, *candidates], key=lambda config: count_differences(config, shapes))
    check_fits(closest, shapes)
    return closest


def identify(shapes: Shapes) -> SamConfig:
    """The geometry according to the tensors that determine it, without checking the others.

    Raises:
        CheckpointError: one of them is missing, or they contradict each other.
    """

    def length(key: str, axis: int) -> int:
        if key not in shapes:
            raise CheckpointError(f"{NOT_SAM}: no key {key}{_what_instead(shapes)}")
        if len(shapes[key]) <= axis or shapes[key][axis] < 1:
            raise CheckpointError(f"{NOT_SAM}: {key} has shape {list(shapes[key])}")
        return shapes[key][axis]

    dim, grid = length("image_encoder.pos_embed", 3), length("image_encoder.pos_embed", 1)
    patch_size = length("image_encoder.patch_embed.proj.weight", 2)
    depth = encoder_depth(shapes)
    attended = [(length(f"image_encoder.blocks.{i}.attn.rel_pos_h", 0) + 1) // 2 for i in range(depth)]
    windows = Counter(size for size in attended if size != grid)
    config = SamConfig(
        encoder_dim=dim,
        encoder_depth=depth,
        encoder_heads=max(1, dim // length("image_encoder.blocks.0.attn.rel_pos_h", 1)),
        global_attn_indexes=tuple(index for index, size in enumerate(attended) if size == grid),
        image_size=grid * patch_size,
        patch_size=patch_size,
        window_size=windows.most_common(1)[0][0] if windows else SamConfig.window_size,
        prompt_dim=length("prompt_encoder.no_mask_embed.weight", 1),
        mask_in_chans=length("prompt_encoder.mask_downscaling.3.weight", 0),
        decoder_depth=_count(shapes, "mask_decoder.transformer.layers."),
        decoder_mlp_dim=length("mask_decoder.transformer.layers.0.mlp.lin1.weight", 0),
        iou_head_hidden_dim=length("mask_decoder.iou_prediction_head.layers.0.weight", 0),
    )
    check_geometry(config)
    return config


def encoder_depth(shapes: Shapes) -> int:
    return _count(shapes, "image_encoder.blocks.")


def count_differences(config: SamConfig, shapes: Shapes) -> int:
    """How many tensors are missing, too many, or of another shape."""
    expected = expected_shapes(config)
    return sum(expected.get(key) != shapes.get(key) for key in expected.keys() | shapes.keys())


def check_fits(config: SamConfig, shapes: Shapes) -> None:
    """Raises CheckpointError, with the first difference, if these are not the tensors of that network."""
    if difference := difference_of(config, shapes):
        remedy = (
            ADAPTER if is_adapted(shapes) else "; save the network's whole state_dict(), and nothing else"
        )
        raise CheckpointError(difference + remedy)


def difference_of(config: SamConfig, shapes: Shapes) -> str | None:
    """The first difference between these tensors and those of that network, or None."""
    expected, name = expected_shapes(config), name_of(config)
    missing = [key for key in expected if key not in shapes]
    unknown = [key for key in shapes if key not in expected]
    differing = [key for key in expected if key in shapes and expected[key] != shapes[key]]
    if missing:
        return f"holds {name} weights with {_some(missing)} missing"
    if differing:
        first = differing[0]
        more = f", and {len(differing) - 1} more differ" if len(differing) > 1 else ""
        wanted, found = list(expected[first]), list(shapes[first])
        return f"holds {name} weights, but {first} has shape {found}, expected {wanted}{more}"
    if unknown:
        return f"holds {name} weights with {_some(unknown)} that the network does not have"
    return None


def is_adapted(shapes: Shapes) -> bool:
    return any(word in key for key in shapes for word in ADAPTED)


def _count(shapes: Shapes, prefix: str) -> int:
    pattern = re.compile(rf"{re.escape(prefix)}(\d+)\.")
    return len({match[1] for key in shapes if (match := pattern.match(key))})


def _some(keys: list[str]) -> str:
    shown = ", ".join(printable(key) for key in keys[:3])
    return f"{len(keys)} key{'s' * (len(keys) > 1)} ({shown}{', ...' * (len(keys) > 3)})"


def _what_instead(shapes: Shapes) -> str:
    if is_adapted(shapes):
        return ADAPTER
    for prefix, what in OTHER_NETWORKS.items():
        if any(key.startswith(prefix) for key in shapes):
            return f"; it looks like {what}"
    for part, beginnings in PARTS.items():
        if any(key.startswith(beginnings) for key in shapes):
            return (
                f"; it holds only a part: `minisam convert FILE OUT --base WHOLE` makes a whole network, or give "
                f"sam.{part}.load_state_dict() these tensors (without `{part}.` before their names)"
            )
    if any(key.startswith("blocks.0.attn.") for key in shapes):
        return "; it looks like a Vision Transformer without SAM's prompt encoder and decoder"
    return f"; one of its keys is {printable(min(shapes))}" if shapes else "; it is empty"
