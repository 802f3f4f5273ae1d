"""From a prompt on an image to masks: the encoder runs once per image, the decoder once per prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.data.images import check_image_array
from minisam.model import Sam
from minisam.model.batched_prompts import is_size
from minisam.predict.batched_prompts import as_mask_logits, check_batches, check_values
from minisam.predict.external_tokens import append_tokens, check_one_prompt
from minisam.predict.given_numbers import as_numpy, check_finite, to_tensor
from minisam.predict.prompts import check_boxes, check_mask, check_points, is_no_box
from minisam.predict.resize_longest_side import ResizeLongestSide


class SamPredictor:
    """`set_image`, then `predict` as often as you like; segment-anything's methods, shapes and results.

    `original_size` and `input_size`, both (H, W), exist after the first image.  orig_h, orig_w, input_h and input_w
    are None, as in segment-anything, which never sets them.
    """

    original_size: tuple[int, int]
    input_size: tuple[int, int]
    own_transform: ResizeLongestSide | None = None
    orig_h: int | None = None
    orig_w: int | None = None
    input_h: int | None = None
    input_w: int | None = None

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.reset_image()

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def transform(self) -> ResizeLongestSide:
        """From pixels of an image to those of the network's input, at its current size.

        An assigned transform is kept.
        """
        return self.own_transform or ResizeLongestSide(self.model.image_encoder.img_size)

    @transform.setter
    def transform(self, transform: ResizeLongestSide) -> None:
        self.own_transform = transform

    def reset_image(self) -> None:
        """Forget the image."""
        self.is_image_set = False
        self.features: Tensor | None = None

    def set_image(self, image: NDArray[np.uint8], image_format: str = "RGB") -> None:
        """Encode an image [H, W, 3] uint8.

        Raises ImageError for any other input, ValueError for a format other than RGB and BGR.
        """
        if image_format not in ("RGB", "BGR"):
            raise ValueError(f"image_format must be RGB or BGR, got {image_format!r}")
        image = check_image_array(image)
        self.set_torch_image(self._scaled(image, image_format), (image.shape[0], image.shape[1]))

    @torch.no_grad()
    def set_images_in_turn(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[None]:
        """Encode images [H, W, 3] uint8 RGB in one call; each step of the iterator sets the next of them.

        Raises ImageError for any other input.
        """
        images = [check_image_array(image) for image in images]
        scaled = [self._scaled(image, "RGB") for image in images]
        embeddings = self.model.image_encoder(torch.cat([self.model.preprocess(x) for x in scaled]))
        for image, x, embedding in zip(images, scaled, embeddings, strict=True):
            self._keep(embedding[None], (x.shape[2], x.shape[3]), (image.shape[0], image.shape[1]))
            yield

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, int]) -> None:
        """Encode an image [1, 3, h, w] already scaled to the network's size, 0 … 255.

        Raises ValueError if its longest side is not the network's, there are several images, it has values that are
        not finite, or `original_image_size` is not (H, W).
        """
        transformed_image = to_tensor(transformed_image, "transformed_image").to(self.device)
        size = self.model.image_encoder.img_size
        if (
            transformed_image.dim() != 4
            or transformed_image.shape[:2] != (1, 3)
            or max(transformed_image.shape[2:]) != size
        ):
            got = tuple(transformed_image.shape)
            raise ValueError(
                f"set_torch_image takes one image [1, 3, h, w] with a longest side of {size}, got {got}; "
                "for several images call the network with a list of records"
            )
        check_finite(transformed_image, "transformed_image")
        if not is_size(original_image_size):
            raise ValueError(
                f"original_image_size must be (H, W), two whole numbers above 0, got {original_image_size!r}"
            )
        self.reset_image()
        features = self.model.image_encoder(self.model.preprocess(transformed_image))
        self._keep(features, (transformed_image.shape[2], transformed_image.shape[3]), original_image_size)

    def predict(
        self,
        point_coords: NDArray | None = None,
        point_labels: NDArray | None = None,
        box: NDArray | None = None,
        mask_input: NDArray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        external: Tensor | None = None,
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Masks for one prompt, in pixels of the original image.

        point_coords [N, 2] as (x, y) with point_labels [N] (1 foreground, 0 background); box [4]; mask_input
        [1, h, w], the low-resolution logits of an earlier prediction; external [1, n, E], additional tokens, for
        example a text's (minisam/text).  Returns masks [C, H, W] (bool, or logits), predicted IoU [C], low-resolution
        logits [C, h, w]; logits and IoUs are float32, or float64 for a float64 network.

        Several boxes [N, 4] are *one* prompt, for one object: the result has C masks, not N times C.  For a result
        per box, as SAM 2 gives, call `predict_torch(None, None, transform.apply_boxes_torch(boxes, size))`.
        Points and corners outside the image by less than a pixel or a hundredth of its longest side count as on its
        edge. An empty array of boxes is ignored if there is another prompt, and an empty array of points if there is
        a box.

        Raises PromptError for an unusable prompt, RuntimeError before `set_image` and if the network's image size has
        changed since.
        """
        self._require_image()
        if external is not None:
            check_one_prompt(external)
        coords = labels = boxes = masks = None
        if point_coords is not None or point_labels is not None:
            fewest = 1 if box is None and mask_input is None and external is None else 0
            points, label_values = check_points(point_coords, point_labels, self.original_size, fewest)
            on_image = torch.from_numpy(points).to(self.device)[None]
            coords = self.transform.apply_coords_torch(on_image, self.original_size)
            labels = torch.from_numpy(label_values).to(self.device)[None]
        has_points = coords is not None and coords.numel() > 0
        has_other = has_points or mask_input is not None or external is not None
        if box is not None and not (has_other and is_no_box(box)):
            corners = torch.from_numpy(check_boxes(box, self.original_size)).to(self.device)
            boxes = self.transform.apply_boxes_torch(corners.reshape(1, -1, 4), self.original_size)
        if mask_input is not None:
            logits = check_mask(mask_input, self.model.prompt_encoder.mask_input_size)
            masks = torch.from_numpy(logits).to(self.device)[None]
        predicted = self.predict_torch(
            coords, labels, boxes, masks, multimask_output, return_logits, external
        )
        masks_np, iou_np, low_res_np = (as_numpy(tensor[0]) for tensor in predicted)
        return masks_np, iou_np, low_res_np

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        external: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks for B prompts at once, already in the scale of the network's input (see `transform`).

        point_coords [B, N, 2], point_labels [B, N], boxes [B, 4] (a result for each), [B, n, 4] (n boxes in each
        prompt) or [4], mask_input [B, 1, h, w] or [1, h, w], external [B, n, E].  B may be 0.
        Returns masks [B, C, H, W], predicted IoU [B, C], low-resolution logits [B, C, h, w].

        NumPy arrays and tensors on other devices are copied to the network's device.

        Raises PromptError for points without labels, labels without points, shapes that do not fit together, values
        that are not finite, and labels other than −1 … 3.
        """
        names = ("point_coords", "point_labels", "boxes", "mask_input", "external")
        given = (point_coords, point_labels, boxes, mask_input, external)
        coords, labels, box, mask, tokens = (
            None if each is None else to_tensor(each, name).to(self.device)
            for each, name in zip(given, names, strict=True)
        )
        check_values(coords, labels, box, mask)
        low_res_masks, iou_predictions = self.predict_low_res_torch(
            coords, labels, box, mask, multimask_output, tokens
        )
        masks = self.model.postprocess_masks(low_res_masks, self.input_size, self.original_size)
        if not return_logits:
            masks = masks > self.model.mask_threshold
        return masks, iou_predictions, low_res_masks

    @torch.no_grad()
    def predict_low_res_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        external: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`predict_torch` without the masks in pixels: low-resolution logits [B, C, h, w], predicted IoU [B, C]."""
        features = self._require_image()
        if mask_input is not None:
            mask_input = as_mask_logits(mask_input)
        check_batches(
            point_coords, point_labels, boxes, mask_input, self.model.prompt_encoder.mask_input_size
        )
        points = None if point_coords is None or point_labels is None else (point_coords, point_labels)
        sparse, dense = self.model.prompt_encoder(points, boxes, mask_input)
        if external is not None:
            sparse, dense = append_tokens(sparse, dense, external)
        return self.model.mask_decoder(
            features, self.model.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output
        )

    def get_image_embedding(self) -> Tensor:
        """The embedding of the current image, [1, E, h, w]."""
        return self._require_image()

    def _scaled(self, image: NDArray[np.uint8], image_format: str) -> Tensor:
        """An image at the network's size, [1, 3, h, w], on its device."""
        if image_format != self.model.image_format:
            image = image[..., ::-1]
        resized = self.transform.apply_image(np.ascontiguousarray(image))
        return torch.from_numpy(resized).to(self.device).permute(2, 0, 1)[None]

    def _keep(self, features: Tensor, input_size: tuple[int, int], original_size: tuple[int, int]) -> None:
        self.features, self.input_size, self.original_size = features, input_size, original_size
        self.is_image_set = True

    def _require_image(self) -> Tensor:
        if self.features is None:
            raise RuntimeError("no image is set: call set_image(image) before predict")
        grid, wanted = tuple(self.features.shape[-2:]), tuple(self.model.prompt_encoder.image_embedding_size)
        if grid != wanted:
            size = self.model.image_encoder.img_size
            raise RuntimeError(
                f"the network's image size is {size} and was {size * max(grid) // max(wanted)} when the image was "
                "set: call set_image(image) again"
            )
        return self.features
