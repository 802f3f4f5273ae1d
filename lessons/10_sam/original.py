"""What segment-anything's own code answers: a small network, its prompts, and its answers in original.npz.

    python lessons/10_sam/original.py       writes original.npz; needs segment-anything-py (CONTRIBUTING.md)

The weights are drawn from a seed, so that no file has to hold them: NumPy promises that the numbers of a RandomState
never change. Image and prompts are drawn from one, too. The image has the network's scale already, since no two
versions of a resampling filter need agree to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from minisam.config import SamConfig, build_from_config
from minisam.model import Sam

SMALL = SamConfig(
    encoder_dim=32,
    encoder_depth=2,
    encoder_heads=2,
    global_attn_indexes=(1,),
    image_size=64,
    patch_size=8,
    window_size=3,
    prompt_dim=32,
    decoder_mlp_dim=64,
    iou_head_hidden_dim=32,
)
# The image's size on the network's input (h, w), its original size (H, W), and the clicks' labels.
PROMPTS = {
    "two clicks on a wide image": ((43, 64), (30, 45), [1, 0]),
    "three clicks on a tall image": ((64, 28), (75, 33), [0, 1, 1]),
    "one click on a large image": ((48, 64), (60, 80), [1]),
    "one click on a square": ((64, 64), (40, 40), [1]),
}
EMBEDDINGS = ("iou_token.", "mask_tokens.", "point_embeddings.", "point_embed.", "mask_embed.")


def draw_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A tensor for each name, from one seed: matrices by fan-in, norms near one, biases and tables alive."""
    random = np.random.RandomState(10)
    weights = {}
    for name in sorted(shapes):
        noise = random.standard_normal(shapes[name])
        if "positional_encoding" in name or any(kind in name for kind in EMBEDDINGS):
            values = noise
        elif name.endswith("bias") or "rel_pos" in name or "pos_embed" in name:
            values = 0.3 * noise
        elif noise.ndim == 1:
            values = 1 + 0.3 * noise
        else:
            values = noise / noise[0].size ** 0.5
        weights[name] = torch.from_numpy(values.astype(np.float32))
    return weights


def shapes_of(sam: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in sam.state_dict().items()}


def build_small() -> Sam:
    """minisam's network with these weights."""
    sam = build_from_config(SMALL)
    sam.load_state_dict(draw_weights(shapes_of(sam)), strict=True)
    return sam


def draw_prompt(name: str) -> dict[str, np.ndarray]:
    """image [3, h, w] of whole numbers in 0 … 255, points [K, 2] in pixels of the original image, labels [K]."""
    (h, w), (height, width), labels = PROMPTS[name]
    random = np.random.RandomState(len(name))
    y, x = np.mgrid[:h, :w]
    waves = [np.sin(a * x + b * y + c) for a, b, c in random.uniform((-0.3, -0.3, 0), (0.3, 0.3, 6), (3, 3))]
    disc = (x - 0.6 * w) ** 2 + (y - 0.4 * h) ** 2 < (0.3 * min(h, w)) ** 2
    points = random.uniform(0, 1, (len(labels), 2)) * (width - 1, height - 1)
    image = np.rint(np.clip(127 + 90 * np.stack(waves) * np.where(disc, -1, 1), 0, 255))
    return {"image": image, "points": np.rint(points), "labels": np.array(labels, float)}


def ask_the_original() -> dict[str, np.ndarray]:
    """For each prompt, by "name/what": embedding [32, 8, 8], logits [3, H, W], iou [3].

    Raises OriginalMissingError where segment-anything's own code is not installed.
    """
    from minisam.bench.original import import_original
    from minisam.bench.twins import build_original

    sam = build_original(SMALL)
    sam.load_state_dict(draw_weights(shapes_of(sam)), strict=True)
    predictor = import_original().SamPredictor(sam)
    answers = {}
    for name, (_, original_size, labels) in PROMPTS.items():
        prompt = draw_prompt(name)
        predictor.set_torch_image(torch.from_numpy(prompt["image"][None]).float(), original_size)
        logits, iou, _ = predictor.predict(
            prompt["points"], np.array(labels), multimask_output=True, return_logits=True
        )
        embedding = predictor.get_image_embedding()[0].numpy()
        for what, values in (("embedding", embedding), ("logits", logits), ("iou", iou)):
            answers[f"{name}/{what}"] = values
    return answers


def main() -> None:
    from minisam.files import write_atomically

    path = Path(__file__).parent / "original.npz"
    answers = ask_the_original()
    write_atomically(path, lambda file: np.savez_compressed(file, **answers))
    print(path)


if __name__ == "__main__":
    main()
