"""Values with which softmax and attention go wrong: they overflow an exponential, underflow it, or cancel.

    huge scores, scores far below zero, equal scores, one score above all, rows far apart, values that cancel

Inputs of a case of cases.py are changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from minisam_kernels.cases import Case

LOWEST = "scores below -10000"


def change_row(kind: str, x: np.ndarray) -> None:
    """Rows of softmax, in place."""
    if kind == "huge scores":
        x += 300
    elif kind == "scores far below zero":
        x -= 300
    elif kind == LOWEST:
        x -= 30000
    elif kind == "equal scores":
        x *= 0
    elif kind == "rows far apart":
        x += 200.0 * np.arange(len(x))[:, None]
    else:
        x[:, 2] += 200


def change_scores(kind: str, case: Case) -> None:
    """Queries, keys and tables of an attention, in place, so that its scores are of that kind."""
    inputs, (q, keys) = case.inputs, queries_and_keys(case)
    if kind == "huge scores":
        q *= 10
    elif kind == "equal scores":
        q *= 0
    elif kind == "one score above all":
        keys[0][..., 2, :] *= 60
    else:
        # Rows that sum to zero cancel the part that all channels of a query have in common.
        for name in {"rel_pos_h", "rel_pos_w"} & set(inputs):
            inputs[name] -= inputs[name].mean(axis=-1, keepdims=True)
        head_dim = inputs.get("rel_pos_h", q).shape[-1]
        depth, step, mean = (200, 0.05, 100) if kind == LOWEST else (150, 0.1, 1)
        q[...] = 0.1 * q - depth * head_dim**-0.5
        for k in keys:
            k[...] = step * k + mean


def let_values_cancel(inputs: dict[str, np.ndarray]) -> None:
    """Equal weights, and values near 500 for the first half of the keys, near -500 for the second."""
    for name in {"q", "rel_h", "rel_w"} & set(inputs):
        inputs[name] *= 0
    v = inputs["v"]
    keys = v.shape[2]
    v[:, :, : keys // 2] += 500
    v[:, :, keys - keys // 2 :] -= 500


def queries_and_keys(case: Case) -> tuple[np.ndarray, list[np.ndarray]]:
    """The queries and keys among a case's inputs, to be changed in place, including the keys of padded tokens."""
    if case.operation == "token_to_image":
        return case.inputs["rows"], [case.inputs["image"]]
    if case.operation == "image_to_token":
        return case.inputs["image"], [case.inputs["rows"]]
    if case.operation != "window_attention":
        return case.inputs["q"], [case.inputs["k"]]
    qkv, bias = case.inputs["qkv"], case.inputs["qkv_bias"]
    C = len(bias) // 3
    return qkv[..., :C], [qkv[..., C : 2 * C], bias[C : 2 * C]]
