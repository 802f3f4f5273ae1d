"""SAM and CLIP combined: words or an image become the external token of a prompt.

    "red wheel" -> Clip's text encoder  ┐
                                        ├-> ExternalPrompt -> token [1, 1, E] -> SamPredictor.predict(external=token)
    crop        -> Clip's image encoder ┘

Its Sam is an ordinary one, with the keys of an official state dict; only its weights are trained for the token.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from minisam.build import WEIGHTS
from minisam.checkpoint.formats import first_not_finite
from minisam.checkpoint.geometry import shapes_of
from minisam.checkpoint.inputs import check_inputs, savable_inputs_of, set_inputs_
from minisam.checkpoint.rebuildable import check_rebuildable
from minisam.checkpoint.save import stored_type
from minisam.config import CONFIGS, build_from_config
from minisam.data.images import check_image_array
from minisam.errors import CheckpointError, PromptError
from minisam.model import Sam
from minisam.text.clip import Clip
from minisam.text.external_prompt import ExternalPrompt
from minisam.text.files import build_clip, check_clip, describe_clip, read_bundle, write_bundle

SHIPPED = WEIGHTS / "text" / "nano.safetensors"


class TextSam(nn.Module):
    """A Sam of `preset`, a Clip, and the ExternalPrompt between them."""

    def __init__(self, preset: str, sam: Sam, clip: Clip, external: ExternalPrompt | None = None) -> None:
        super().__init__()
        self.preset, self.sam, self.clip = preset, sam, clip
        embed_dim = sam.prompt_encoder.embed_dim
        self.external = external or ExternalPrompt(clip.config.embed_dim, embed_dim)

    @torch.no_grad()
    def embed_text(self, texts: str | Sequence[str]) -> Tensor:
        """Tokens [B, 1, E] of one text or of several.  Raises PromptError for a text that cannot be read."""
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, Sequence | np.ndarray) or not all(isinstance(text, str) for text in texts):
            raise PromptError("a text must be a string, for example 'red wheel', or a list of strings")
        return self.external(self.clip.encode_texts(texts), "text")

    @torch.no_grad()
    def embed_image(self, crop: NDArray[np.uint8]) -> Tensor:
        """The token [1, 1, E] of an image [h, w, 3] uint8 of the object to find, scaled into a square.

        Raises ImageError if it is not such an image.
        """
        size = self.clip.config.crop_size
        square = ImageOps.pad(Image.fromarray(np.ascontiguousarray(check_image_array(crop))), (size, size))
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float()
        return self.external(self.clip.encode_crops(pixels.to(self.sam.device)), "image")


def save_text_sam(
    path: str | os.PathLike[str],
    model: TextSam,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """All weights in one file; float16 halves it, and keeps the Fourier matrix of the points in float32.

    Raises CheckpointError for a network that `load_text_sam` could not rebuild, as `save_checkpoint` does.
    """
    check_rebuildable(model.sam, CONFIGS[model.preset], shapes_of(model.sam))
    check_clip(model.clip)
    stored = stored_type(dtype)
    parameters = dict(model.named_parameters())
    tensors = {
        key: tensor.to(stored if key in parameters else torch.float32)
        for key, tensor in model.state_dict().items()
    }
    if key := first_not_finite(tensors):
        raise CheckpointError(f"{key} holds values that are not finite in {dtype}; nothing was written")
    about = {"preset": model.preset, "clip": describe_clip(model.clip)}
    if inputs := savable_inputs_of(model.sam, CONFIGS[model.preset]):
        about["inputs"] = inputs
    write_bundle(path, tensors, about)


def load_text_sam(path: str | os.PathLike[str] | None = None) -> TextSam:
    """Load a file of `save_text_sam`, in evaluation mode, float32, on the CPU; without a path, the included weights.

    Raises CheckpointError if there are none, or if the file is damaged or of another network.
    """
    if path is None and not SHIPPED.exists():
        raise CheckpointError(
            "this version includes no weights for text prompts; train them with `minisam text clip` and "
            "`minisam text sam`, then give their file"
        )
    path = SHIPPED if path is None else path
    tensors, about = read_bundle(path)
    parts = {name: strip(tensors, f"{name}.") for name in ("sam", "clip", "external")}
    if about.get("preset") not in CONFIGS or not all(parts.values()):
        raise CheckpointError(
            f"{Path(path)}: has no network for text prompts; give the file of `minisam text sam`"
        )
    clip = build_clip(parts["clip"], about, path)
    model = TextSam(about["preset"], build_from_config(CONFIGS[about["preset"]]), clip)
    try:
        model.sam.load_state_dict(parts["sam"], strict=True)
        model.external.load_state_dict(parts["external"], strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{Path(path)}: its weights do not fit a {about['preset']} network") from error
    try:
        set_inputs_(model.sam, check_inputs(about.get("inputs", {}), CONFIGS[model.preset]))
    except CheckpointError as error:
        raise CheckpointError(f"{Path(path)}: {error}") from None
    return model.eval()


def strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
