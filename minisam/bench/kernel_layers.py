"""Attention layers with our kernels, compared with our torch modules and transformers': time, and the results.

The first global and the first windowed layer of an encoder: projection, attention, projection.  The output and, in
the other direction, the gradients of tokens and weights are compared for the last image of the batch; the gradient
of the output is zero for the others, and the gradients of the weights are those of this image alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from minisam.bench.agreement import TORCH, Agreement, complaint, exactly, worst
from minisam.bench.kernel_encoder import Contestant, Encoders, caught, with_backend
from minisam_kernels.lab.bench import DIRECTIONS, Timer
from minisam_kernels.lab.results import OURS, KernelResult, Results


def measure_layers(encoders: Encoders, results: Results, model: str, batch: int, timer: Timer) -> None:
    config = encoders.config
    side = config.image_size // config.patch_size
    generator = torch.Generator(encoders.device).manual_seed(2)
    shape = (batch, side, side, config.encoder_dim)
    tokens = torch.randn(shape, generator=generator, device=encoders.device).to(encoders.dtype)
    first_global = config.global_attn_indexes[0]
    first_window = next(i for i in range(config.encoder_depth) if i not in config.global_attn_indexes)
    for kernel, index in (("rel_pos_attention", first_global), ("window_attention", first_window)):
        contestants = dict(layer_contestants(encoders, index))
        right = right_results(encoders, index, tokens)
        for direction in DIRECTIONS:
            name = f"{kernel} layer"
            result = KernelResult(name, model, batch, str(encoders.dtype).removeprefix("torch."), direction)
            results.kernels.append(result)
            agreements: dict[str, Agreement] = {}
            for contestant, (layer, attend) in contestants.items():
                with caught(contestant, result.failed):
                    milliseconds = time_layer(layer, attend, tokens, direction, timer)
                    agreements[contestant] = agreement(layer, attend, tokens, direction, right[direction])
                    result.relative_error[contestant] = agreements[contestant].error
                    result.milliseconds[contestant] = milliseconds
            if wrong := complaint(agreements):
                result.failed[OURS] = wrong
                result.milliseconds.pop(OURS, None)


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


def right_results(encoders: Encoders, index: int, tokens: Tensor) -> dict[str, dict[str, Tensor]]:
    """The output for the last image, and all gradients, by our torch modules in float32."""
    layer: Any = encoders.precise().blocks[index].attn
    with exactly():
        last = tokens[-1:].float()
        return {direction: results_of(layer, layer, last, direction) for direction in DIRECTIONS}


def agreement(
    layer: nn.Module, attend: Contestant, tokens: Tensor, direction: str, right: dict[str, Tensor]
) -> Agreement:
    """The worst of all compared tensors; transformers has the same names for the weights of this layer."""
    found = results_of(layer, attend, tokens, direction)
    return worst([Agreement.of(found[name], right[name]) for name in found.keys() & right.keys()])


def results_of(layer: nn.Module, attend: Contestant, tokens: Tensor, direction: str) -> dict[str, Tensor]:
    """The output for the last image, or the gradients of its tokens and of the weights."""
    if direction == "forward":
        with torch.no_grad():
            return {"output": attend(tokens)[-1:]}
    leaves = {"tokens": tokens.detach().requires_grad_(), **dict(layer.named_parameters())}
    out = attend(leaves["tokens"])
    generator = torch.Generator(out.device).manual_seed(3)
    grad_out = torch.zeros_like(out)
    grad_out[-1:] = torch.randn(out[-1:].shape, generator=generator, device=out.device).to(out)
    grads = dict(zip(leaves, torch.autograd.grad(out, list(leaves.values()), grad_out), strict=True))
    return {**grads, "tokens": grads["tokens"][-1:]}
