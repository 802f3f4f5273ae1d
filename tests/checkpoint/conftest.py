"""A network of 30,000 parameters, with every part of a Sam, in each of the files that can hold it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minisam.checkpoint import save_checkpoint
from minisam.config import SamConfig, build_from_config
from minisam.model import Sam

MICRO = SamConfig(
    encoder_dim=16,
    encoder_depth=3,
    encoder_heads=2,
    global_attn_indexes=(1,),
    image_size=40,
    patch_size=8,
    window_size=3,
    prompt_dim=16,
    mask_in_chans=4,
    decoder_depth=2,
    decoder_heads=8,
    decoder_mlp_dim=24,
    iou_head_hidden_dim=12,
)


@pytest.fixture(scope="session")
def micro_config() -> SamConfig:
    return MICRO


@pytest.fixture
def micro() -> Sam:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sam = build_from_config(MICRO)
        for parameter in sam.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return sam


def save_legacy(sam: Sam, path: Path) -> None:
    torch.save(sam.state_dict(), path, _use_new_zipfile_serialization=False)


SAVERS: dict[str, Callable[[Sam, Path], object]] = {
    "ours": lambda sam, path: save_checkpoint(sam, path),
    "ours, float16": lambda sam, path: save_checkpoint(sam, path, dtype="float16"),
    "official": lambda sam, path: torch.save(sam.state_dict(), path),
    "official, before torch 1.6": save_legacy,
    "wrapped": lambda sam, path: torch.save({"model": sam.state_dict()}, path),
}


@pytest.fixture(params=SAVERS)
def saver(request: pytest.FixtureRequest) -> Callable[[Sam, Path], object]:
    return SAVERS[request.param]
