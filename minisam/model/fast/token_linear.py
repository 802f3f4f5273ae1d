"""A linear layer over many tokens, written as the 1 × 1 convolution that it is.

    out[t] = W · token[t] + b        for every token t of a grid or a sequence

On a CPU torch hands a float32 `nn.Linear` to MKL, and a 1 × 1 convolution to oneDNN if it has two threads or more.
The sums are the same; which of the two is faster depends on the processor.  Where MKL does not use the widest
instructions oneDNN takes half its time, and elsewhere about as long.  `minisam bench encoder` shows the difference.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.fast.as_built import is_linear

FEWEST_TOKENS = 256  # below, preparing a convolution costs more than it brings


class TokenLinear(nn.Linear):
    """[..., in_features] -> [..., out_features]; parameters and results are those of nn.Linear.

    The network's own layers are plain nn.Linear, by whose exact type quantisers and adapters find them; see
    `apply_linear`.
    """

    def forward(self, input: Tensor) -> Tensor:
        return token_linear(input, self.weight, self.bias)


def apply_linear(layer: nn.Module, tokens: Tensor) -> Tensor:
    """layer(tokens) by `token_linear`, if the layer is nn.Linear; whatever is in its place is called."""
    return token_linear(tokens, layer.weight, layer.bias) if is_linear(layer) else layer(tokens)


def token_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear: input [..., in_features], weight [out_features, in_features] -> [..., out_features]."""
    tokens = input.numel() // input.shape[-1]
    as_convolution = (
        tokens >= FEWEST_TOKENS
        and input.device.type == "cpu"
        and input.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )
    if not as_convolution:
        return F.linear(input, weight, bias)
    columns = input.reshape(1, tokens, 1, -1).permute(0, 3, 1, 2)
    out = F.conv2d(columns, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*input.shape[:-1], -1)
