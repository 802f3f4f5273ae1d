"""The image encoder and its attention layers with our kernels, compared with our torch modules and transformers' SAM.

All contestants have the same random weights, taken from one module of transformers, and get the same images.  The
reference is our torch encoder in float32: every timed result is also compared with it. Our kernels may have at most
twice the error of our torch modules in the same type.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from minisam.backend import use_backend
from minisam.checkpoint.huggingface import rename_huggingface
from minisam.config import SamConfig, build_from_config
from minisam_kernels.lab.bench import DIRECTIONS, Deadline, Timer
from minisam_kernels.lab.check import one_line
from minisam_kernels.lab.results import OURS, EncoderResult, KernelResult, Results

TORCH = "minisam, torch backend"
THEIRS = ("eager", "sdpa")
FACTOR = 2.0
Contestant = Callable[[Tensor], Tensor]


class Encoders:
    """The encoders of one geometry with the same weights: ours, and transformers' for each kind of attention."""

    def __init__(self, config: SamConfig, device: str, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.theirs = {name: build_transformers_encoder(config, name, device) for name in THEIRS}
        first = self.theirs[THEIRS[0]]
        enliven(first)
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

    def reference(self, images: Tensor) -> Tensor:
        """The embeddings by our torch modules in float32, from the weights before they were rounded.

        cuDNN would otherwise round the patch embedding's inputs to TF32.
        """
        with torch.device(self.device):
            precise = build_from_config(self.config).image_encoder.eval()
        precise.load_state_dict(self.precise_weights)
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.no_grad(), use_backend("torch"), exact:
            return precise(images.float())

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
def enliven(encoder: nn.Module) -> None:
    """Give the position tables random values; they start as zeros, and zeros hide errors."""
    torch.manual_seed(0)
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            parameter.normal_(std=0.3)


def with_backend(backend: str, encoder: Callable[[Tensor], Tensor]) -> Contestant:
    def run(images: Tensor) -> Tensor:
        with use_backend(backend):
            return encoder(images)

    return run


def measure_encoder(
    encoders: Encoders, result: EncoderResult, compiled: bool, deadline: Deadline, timer: Timer
) -> None:
    """Images per second of every contestant, each compared with the float32 embeddings afterwards."""
    images = encoders.images(result.batch)
    reference = encoders.reference(images[-1:])
    for name, encode in encoders.contestants(compiled).items():
        if deadline.passed:
            return
        with caught(name, result.failed), torch.no_grad():
            milliseconds = timer(lambda encode=encode: encode(images))
            difference = encode(images)[-1:].float() - reference
            result.relative_error[name] = float(difference.norm() / reference.norm())
            result.images_per_second[name] = 1e3 * result.batch / milliseconds
    errors = result.relative_error
    if OURS in errors and TORCH in errors and not errors[OURS] <= FACTOR * errors[TORCH]:
        result.failed[OURS] = f"wrong: error {errors[OURS]:.1e}, torch's in the same type {errors[TORCH]:.1e}"
        del result.images_per_second[OURS]


def measure_layers(encoders: Encoders, results: Results, model: str, batch: int, timer: Timer) -> None:
    """The first global and the first windowed attention layer: projection, attention, projection."""
    config = encoders.config
    side = config.image_size // config.patch_size
    generator = torch.Generator(encoders.device).manual_seed(2)
    shape = (batch, side, side, config.encoder_dim)
    tokens = torch.randn(shape, generator=generator, device=encoders.device).to(encoders.dtype)
    first_global = config.global_attn_indexes[0]
    first_window = next(i for i in range(config.encoder_depth) if i not in config.global_attn_indexes)
    for kernel, index in (("rel_pos_attention", first_global), ("window_attention", first_window)):
        contestants = dict(layer_contestants(encoders, index))
        for direction in DIRECTIONS:
            name = f"{kernel} layer"
            result = KernelResult(name, model, batch, str(encoders.dtype).removeprefix("torch."), direction)
            results.kernels.append(result)
            for contestant, (layer, attend) in contestants.items():
                with caught(contestant, result.failed):
                    result.milliseconds[contestant] = time_layer(layer, attend, tokens, direction, timer)


def layer_contestants(encoders: Encoders, index: int) -> Iterator[tuple[str, tuple[nn.Module, Contestant]]]:
    """Each attention layer, the owner of its weights, and a call on the tokens [B, H, W, C]."""
    ours: Any = encoders.ours.blocks[index].attn
    yield OURS, (ours, with_backend("triton", ours))
    yield TORCH, (ours, with_backend("torch", ours))
    for name, encoder in encoders.theirs.items():
        layer = encoder.vision_encoder.layers[index]
        yield f"transformers, {name}", (layer.attn, lambda x, layer=layer: transformers_layer(layer, x))


def transformers_layer(layer: Any, tokens: Tensor) -> Tensor:
    """Its attention, with the copies into windows and back from the block around it."""
    if layer.window_size == 0:
        return layer.attn(tokens)[0]
    windows, padded = layer.window_partition(tokens, layer.window_size)
    out = layer.attn(windows)[0]
    return layer.window_unpartition(out, layer.window_size, padded, (tokens.shape[1], tokens.shape[2]))


def time_layer(layer: nn.Module, attend: Contestant, tokens: Tensor, direction: str, timer: Timer) -> float:
    if direction == "forward":
        with torch.no_grad():
            return timer(lambda: attend(tokens))
    leaves = [tokens.detach().requires_grad_(), *layer.parameters()]
    out = attend(leaves[0])
    grad_out = torch.ones_like(out)
    return timer(lambda: torch.autograd.grad(out, leaves, grad_out, retain_graph=True))


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
