"""How the weights of every network are drawn at the start, as in `initial_weights.json`.

    python tests/initial_weights.py     writes the file again, where an initialisation is meant to change

A training repeats a result in docs/ only from the same kind of random weights, and no equation of the network holds
them. For each tensor: the one value it has, or the mean and standard deviation of its values over several draws.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from minisam.adapt.adapters import add_adapters
from minisam.adapt.hq_token import add_hq_token
from minisam.adapt.lora import add_lora
from minisam.adapt.rsprompter.config import small_config
from minisam.adapt.rsprompter.prompter import build_prompter
from minisam.config import CONFIGS, build_from_config
from minisam.detect.box_head import ObjectBoxHead
from minisam.model import Sam
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder
from minisam.text.clip import Clip
from minisam.text.external_prompt import ExternalPrompt
from minisam.train.affinity import AffinityHead
from minisam.train.initialise import initialise_

FILE = Path(__file__).with_suffix(".json")
DRAWS = 3


def nano() -> Sam:
    return build_from_config(CONFIGS["nano"])


def changed(change: Callable[[Sam], object]) -> nn.Module:
    sam = nano()
    change(sam)
    return sam


def detector(variant: str) -> nn.Module:
    sam = nano()
    prompter = build_prompter(sam, small_config(sam, variant, ("disc", "square")))
    own = {id(parameter) for parameter in sam.parameters()}
    return nn.ParameterDict(
        {name.replace(".", "/"): p for name, p in prompter.named_parameters() if id(p) not in own}
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Sam": nano,
    "Sam to train": lambda: changed(initialise_),
    "adapters": lambda: changed(lambda sam: add_adapters(sam, None, True)),
    "LoRA": lambda: changed(lambda sam: add_lora(sam, 4, 1.0, ("q", "v"), None)),
    "HQ token": lambda: changed(lambda sam: add_hq_token(sam, "add")),
    "masked autoencoder": lambda: MaskedAutoencoder(64, 8, 48, 2, 4, 32, 2, 4),
    "Clip": Clip,
    "external prompt": lambda: ExternalPrompt(64, 64),
    "box head": lambda: ObjectBoxHead(64, 64),
    "affinity head": lambda: AffinityHead(64),
    **{f"detector {name}": lambda name=name: detector(name) for name in ("anchor", "query", "seg", "det")},
}


def statistics(name: str) -> dict[str, list[float]]:
    """By name, with N for the numbers of layers: [value], or [mean, standard deviation, number of values]."""
    pooled: dict[str, list[torch.Tensor]] = {}
    with torch.random.fork_rng():
        for seed in range(DRAWS):
            torch.manual_seed(seed)
            for tensor, parameter in NETWORKS[name]().named_parameters():
                pooled.setdefault(re.sub(r"\d+", "N", tensor), []).append(
                    parameter.detach().flatten().double()
                )
    found = {}
    for tensor, parts in pooled.items():
        values = torch.cat(parts)
        same = bool((values == values[0]).all())
        found[tensor] = (
            [values[0].item()] if same else [values.mean().item(), values.std().item(), len(values)]
        )
    return found


if __name__ == "__main__":
    lines = []
    for network in NETWORKS:
        rounded = {
            name: [*(float(f"{one:.5g}") for one in own[:2]), *own[2:]]
            for name, own in statistics(network).items()
        }
        lines.append(f"{json.dumps(network)}: {json.dumps(rounded)}")
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
