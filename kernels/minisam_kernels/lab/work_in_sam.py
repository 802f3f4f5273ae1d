"""The work of each kernel as SAM calls it: the models' heads, the decoder's prompts, and the masks of a photo."""

from __future__ import annotations

from minisam_kernels.lab.work import (
    BYTES,
    GRID,
    Term,
    Work,
    attention_work,
    image_to_token_work,
    rel_pos_attention_work,
    softmax_work,
    token_to_image_work,
    window_attention_work,
)
from minisam_kernels.mask_cases import COUNTING

MODELS = {"vit_b": (12, 64), "vit_l": (16, 64), "vit_h": (16, 80)}  # heads, head dim
LOW, PHOTO = 256, (1365, 2048)


def dtype_of(kernel: str) -> str:
    """The type in which a kernel is timed: mask kernels agree with F.interpolate only for float32 logits."""
    return "fp32" if kernel in COUNTING else "bf16"


def directions_of(kernel: str) -> tuple[str, ...]:
    return ("forward",) if kernel in COUNTING else ("forward", "backward")


def mask_work(kernel: str, masks: int, dtype: str) -> Work:
    """Masks of 256 x 256 logits on a photo of 2048 x 1365 pixels: what is read and written.

    How many pixels are computed depends on the length of the outlines; the floor does not include it.
    """
    height, width = PHOTO
    if kernel == "mask_bits":
        written = Term("one bit per pixel, words of 32", (masks, width, height // 32 + 1, 4))
    else:
        written = Term("8 numbers of 4 bytes per strip of 32 rows", (masks, -(-height // 32), 8, 4))
    return Work(kernel, dtype, (), (Term("logits", (masks, LOW, LOW, BYTES[dtype])), written), ())


def work_of(kernel: str, model: str, batch: int, dtype: str = "bf16", backward: bool = False) -> Work:
    """The work of a kernel in SAM's image encoder, mask decoder or mask generator.

    The decoder has 64 prompts per image and the mask generator three masks per prompt, for every model. Raises
    ValueError for the backward of a kernel that has none.
    """
    if kernel in COUNTING:
        if backward:
            raise ValueError(f"{kernel} counts: it has no backward")
        return mask_work(kernel, 3 * 64 * batch, dtype)
    heads, head_dim = MODELS[model]
    tokens = GRID * GRID
    if kernel == "rel_pos_attention":
        return rel_pos_attention_work(batch, heads, head_dim, dtype=dtype, backward=backward)
    if kernel == "window_attention":
        return window_attention_work(batch, heads, head_dim, dtype=dtype, backward=backward)
    if kernel == "attention":
        return attention_work(kernel, batch, heads, tokens, tokens, head_dim, dtype, backward)
    if kernel == "cross_attention":
        return attention_work(kernel, 64 * batch, 8, 7, tokens, 16, dtype, backward)
    if kernel == "token_to_image":
        return token_to_image_work(64 * batch, 8 * 7, tokens, 256, dtype, backward)
    if kernel == "image_to_token":
        return image_to_token_work(64 * batch, 8 * 7, tokens, 256, dtype, backward)
    if kernel == "softmax":
        return softmax_work(batch * heads * tokens, tokens, dtype, backward)
    raise ValueError(f"no kernel {kernel!r}; there are {', '.join(KERNELS)}")


KERNELS = (
    "softmax",
    "attention",
    "cross_attention",
    "rel_pos_attention",
    "window_attention",
    "token_to_image",
    "image_to_token",
    "mask_statistics",
    "mask_bits",
)
