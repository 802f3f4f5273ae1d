"""The image encoder with our kernels, compared with our torch modules and transformers' SAM.

All contestants have the same random weights, taken from one module of transformers, and get the same images.  The
reference is our torch encoder in float32: every timed result is also compared with it, by two numbers.

    error = ‖found − right‖ / ‖right‖       at most twice that of our torch modules in the same type
    scale = ⟨found, right⟩ / ‖right‖²       1 up to 0.003: rounding cancels in this sum, a wrong factor does not
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from minisam.backend import use_backend
from minisam.bench.agreement import TORCH, Agreement, complaint, exactly
from minisam.checkpoint.huggingface import rename_huggingface
from minisam.config import SamConfig, build_from_config
from minisam.model import ImageEncoderViT
from minisam_kernels.lab.answers.words import one_line
from minisam_kernels.lab.bench import Deadline, Timer
from minisam_kernels.lab.results import OURS, EncoderResult

THEIRS = ("eager", "sdpa")
Contestant = Callable[[Tensor], Tensor]


class Encoders:
    """The encoders of one geometry with the same weights: ours, and transformers' for each kind of attention."""

    def __init__(self, config: SamConfig, device: str, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.theirs = {name: build_transformers_encoder(config, name, device) for name in THEIRS}
        first = self.theirs[THEIRS[0]]
        give_real_values(first)
        for other in self.theirs.values():
            other.load_state_dict(first.state_dict())
        with torch.device(device):
            self.ours = build_from_config(config).image_encoder
        renamed = rename_huggingface(first.state_dict())
        self.ours.load_state_dict({key.removeprefix("image_encoder."): x for key, x in renamed.items()})
        self.precise_weights = {key: x.clone() for key, x in self.ours.state_dict().items()}
        for encoder in (self.ours, *self.theirs.values()):
            encoder.to(dtype).eval()

    def images(self, batch: int) -> Tensor:
        side = self.config.image_size
        generator = torch.Generator(self.device).manual_seed(1)
        return torch.randn((batch, 3, side, side), generator=generator, device=self.device).to(self.dtype)

    def precise(self) -> ImageEncoderViT:
        """Our encoder in float32, with the weights before they were rounded."""
        with torch.device(self.device):
            precise = build_from_config(self.config).image_encoder.eval()
        precise.load_state_dict(self.precise_weights)
        return precise

    def reference(self, images: Tensor) -> Tensor:
        """The embeddings by our torch modules in float32, from the weights before they were rounded."""
        with torch.no_grad(), exactly():
            return self.precise()(images.float())

    def contestants(self, compiled: bool) -> dict[str, Contestant]:
        """The contestants by name; the compiled ones need about a minute before their first result."""
        if compiled:
            ours = with_backend("triton", torch.compile(self.ours))
            theirs = torch.compile(lambda x: self.theirs["sdpa"](x).last_hidden_state)
            return {f"{OURS}, compiled": ours, "transformers, sdpa, compiled": theirs}
        found = {OURS: with_backend("triton", self.ours), TORCH: with_backend("torch", self.ours)}
        for name, encoder in self.theirs.items():
            found[f"transformers, {name}"] = lambda x, encoder=encoder: encoder(x).last_hidden_state
        return found


def build_transformers_encoder(config: SamConfig, attention: str, device: str) -> Any:
    """transformers' image encoder of this geometry; `attention` is "eager" or "sdpa"."""
    import transformers

    vision = transformers.SamVisionConfig(
        hidden_size=config.encoder_dim,
        output_channels=config.prompt_dim,
        num_hidden_layers=config.encoder_depth,
        num_attention_heads=config.encoder_heads,
        image_size=config.image_size,
        patch_size=config.patch_size,
        window_size=config.window_size,
        global_attn_indexes=list(config.global_attn_indexes),
        num_pos_feats=config.prompt_dim // 2,
    )
    vision._attn_implementation = attention
    with torch.device(device):
        return transformers.SamVisionModel(vision)


@torch.no_grad()
def give_real_values(encoder: nn.Module) -> None:
    """Random weights of the size of trained ones.

    transformers starts with weights of 1e-10 and position tables of zeros; every output would be 0, right or wrong.
    """
    torch.manual_seed(0)
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            parameter.normal_(std=0.3)
        elif parameter.dim() > 1:
            parameter.normal_(std=parameter[0].numel() ** -0.5)
        elif name.endswith("weight"):
            parameter.normal_(mean=1.0, std=0.1)
        else:
            parameter.normal_(std=0.1)


def with_backend(backend: str, encoder: Callable[[Tensor], Tensor]) -> Contestant:
    def run(images: Tensor) -> Tensor:
        with use_backend(backend):
            return encoder(images)

    return run


def measure_encoder(
    encoders: Encoders, result: EncoderResult, compiled: bool, deadline: Deadline, timer: Timer
) -> None:
    """Images per second of every contestant, each compared with the float32 embeddings afterwards."""
    images, agreements = encoders.images(result.batch), dict[str, Agreement]()
    reference = encoders.reference(images[-1:])
    for name, encode in encoders.contestants(compiled).items():
        if deadline.passed:
            break
        with caught(name, result.failed), torch.no_grad():
            milliseconds = timer(lambda encode=encode: encode(images))
            agreements[name] = Agreement.of(encode(images)[-1:], reference)
            result.relative_error[name] = agreements[name].error
            result.images_per_second[name] = 1e3 * result.batch / milliseconds
    if wrong := complaint(agreements):
        result.failed[OURS] = wrong
        result.images_per_second.pop(OURS, None)


@contextmanager
def caught(name: str, failed: dict[str, str]) -> Iterator[None]:
    """Records the error of a contestant that raises, and frees its memory afterwards."""
    try:
        yield
    except Exception as error:
        failed[name] = one_line(error)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
