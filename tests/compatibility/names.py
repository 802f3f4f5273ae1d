"""The state of every name of segment-anything 1.0.1: the same in minisam, or different on purpose, and why.

A row stands for a name and for all names inside it that have no row.  `tests/compatibility/page.py` writes
docs/compatibility.md from this table, and test_names.py holds every row against the original.
"""

from __future__ import annotations

from typing import NamedTuple

SAME, DIFFERS, ABSENT = "same", "differs", "absent"


class Row(NamedTuple):
    """`note`: how and why a name differs, or what a name that is the same can do in addition."""

    name: str
    state: str
    note: str = ""


NAMES = (
    Row(
        "automatic_mask_generator.SamAutomaticMaskGenerator",
        SAME,
        "Additional arguments at the end, keyword-only.",
    ),
    Row(
        "automatic_mask_generator.SamAutomaticMaskGenerator.generate",
        SAME,
        "Additional argument `region`: click only inside a mask.",
    ),
    Row(
        "automatic_mask_generator.SamAutomaticMaskGenerator._generate_masks",
        SAME,
        "`generate` calls these four methods if one of them is replaced, in a subclass or on the object. Otherwise it "
        "computes the same masks in fewer steps.",
    ),
    Row("automatic_mask_generator.SamAutomaticMaskGenerator._process_crop", SAME),
    Row("automatic_mask_generator.SamAutomaticMaskGenerator._process_batch", SAME),
    Row("automatic_mask_generator.SamAutomaticMaskGenerator.postprocess_small_regions", SAME),
    Row(
        "build_sam.build_sam",
        SAME,
        "Recognises from the file whether it is vit_h, vit_l, vit_b or another network; the original accepts only "
        "vit_h. `minisam.build_sam` without arguments differs: it returns the trained `tiny`, since vit_h with random "
        "weights has no use.",
    ),
    Row("build_sam.build_sam_vit_h", SAME),
    Row("build_sam.build_sam_vit_l", SAME),
    Row("build_sam.build_sam_vit_b", SAME),
    Row(
        "build_sam._build_sam",
        ABSENT,
        "`minisam.build_from_config` builds every geometry, from named values.",
    ),
    Row("modeling.common.MLPBlock", SAME),
    Row("modeling.common.LayerNorm2d", SAME),
    Row(
        "modeling.image_encoder.ImageEncoderViT", SAME, "Also accepts images of other sizes than `img_size`."
    ),
    Row(
        "modeling.image_encoder.Block",
        DIFFERS,
        "`input_size` has the default (64, 64); in the original the default None fails with relative positions. "
        "A block passes the whole grid to its own `attn`, which partitions the windows itself. Another module in its "
        "place gets windows, as in the original.",
    ),
    Row("modeling.image_encoder.Block.window_size", SAME),
    Row(
        "modeling.image_encoder.Attention",
        SAME,
        "A missing `input_size` is a ValueError, not an AssertionError.",
    ),
    Row("modeling.image_encoder.window_partition", SAME),
    Row("modeling.image_encoder.window_unpartition", SAME),
    Row("modeling.image_encoder.get_rel_pos", SAME),
    Row("modeling.image_encoder.add_decomposed_rel_pos", SAME),
    Row("modeling.image_encoder.PatchEmbed", SAME),
    Row("modeling.mask_decoder.MaskDecoder", SAME, "`image_index`: prompts on several images in one call."),
    Row("modeling.mask_decoder.MLP", SAME, "minisam's name for it is `HypernetworkHead`."),
    Row(
        "modeling.prompt_encoder.PromptEncoder", SAME, "Also accepts several boxes in one prompt, [B, n, 4]."
    ),
    Row(
        "modeling.prompt_encoder.PromptEncoder._embed_points",
        DIFFERS,
        "The same for labels 1, 0 and -1. Labels 2 and 3 are the corners of a box, as in the original's ONNX model "
        "and in SAM 2; the original gives these labels no meaning.",
    ),
    Row("modeling.prompt_encoder.PromptEncoder._embed_boxes", SAME),
    Row("modeling.prompt_encoder.PromptEncoder._embed_masks", SAME),
    Row("modeling.prompt_encoder.PromptEncoder._get_batch_size", SAME),
    Row("modeling.prompt_encoder.PromptEncoder._get_device", SAME),
    Row(
        "modeling.prompt_encoder.PositionEmbeddingRandom",
        SAME,
        "minisam's name for it is `FourierEncoding`, and for `_pe_encoding` it is `encode`.",
    ),
    Row("modeling.sam.Sam", SAME),
    Row("modeling.transformer.TwoWayTransformer", SAME),
    Row("modeling.transformer.TwoWayAttentionBlock", SAME),
    Row("modeling.transformer.Attention", SAME),
    Row("predictor.SamPredictor", SAME),
    Row(
        "predictor.SamPredictor.set_image",
        DIFFERS,
        "The same for uint8 [H, W, 3]. Other input raises an ImageError with the remedy; the original fails later, or "
        "misreads the input.",
    ),
    Row(
        "predictor.SamPredictor.predict",
        DIFFERS,
        "The same for prompts on the image. Lists, torch tensors, several boxes [N, 4] and 2-D masks are accepted too. "
        "A bool mask becomes logits of -10 and 10, because 0 and 1 as logits would mean an uncertain mask. Invalid "
        "prompts (points without labels, unknown labels, a point far outside the image, a box without an area) raise a "
        "PromptError; the original computes a mask from them.",
    ),
    Row("predictor.SamPredictor.predict_torch", SAME),
    Row("utils.amg.MaskData", SAME, "A column of a wrong type is a TypeError, not an AssertionError."),
    Row("utils.amg.is_box_near_crop_edge", SAME),
    Row("utils.amg.box_xyxy_to_xywh", SAME),
    Row(
        "utils.amg.batch_iterator",
        SAME,
        "Sequences of several lengths are a ValueError, not an AssertionError.",
    ),
    Row("utils.amg.mask_to_rle_pytorch", SAME),
    Row("utils.amg.rle_to_mask", SAME, "Counts that do not fill the size are an RleError."),
    Row("utils.amg.area_from_rle", SAME),
    Row("utils.amg.calculate_stability_score", SAME),
    Row("utils.amg.build_point_grid", SAME),
    Row("utils.amg.build_all_layer_point_grids", SAME),
    Row(
        "utils.amg.generate_crop_boxes",
        DIFFERS,
        "The same, but empty crops are left out. They occur if an image has fewer pixels per side than crops; the "
        "original's generator fails on them.",
    ),
    Row("utils.amg.uncrop_boxes_xyxy", SAME),
    Row("utils.amg.uncrop_points", SAME),
    Row("utils.amg.uncrop_masks", SAME),
    Row("utils.amg.remove_small_regions", SAME, "Needs no OpenCV. Another mode is a ValueError."),
    Row("utils.amg.coco_encode_rle", SAME, "Needs no pycocotools."),
    Row("utils.amg.batched_mask_to_box", SAME),
    Row("utils.onnx.SamOnnxModel", SAME),
    Row("utils.transforms.ResizeLongestSide", SAME),
    Row(
        "utils.transforms.ResizeLongestSide.apply_boxes_torch",
        DIFFERS,
        "The same for [4] and [B, 4]. Additional axes are kept, [B, n, 4] -> [B, n, 4], for several boxes in one "
        "prompt; the original returns [B · n, 4].",
    ),
    Row(
        "utils.transforms.ResizeLongestSide.get_preprocess_shape",
        DIFFERS,
        "The same, but no side becomes shorter than a pixel: 1 x 2000 becomes 1 x 1024, where the original returns "
        "0 x 1024, an image without pixels.",
    ),
)

# What differs, how minisam behaves, and why, for differences that belong to no single name.
BESIDES = (
    (
        "`sam_model_registry`",
        "also has `tiny` and `nano`; its values can be pickled, as in the original",
        "networks small enough for a laptop",
    ),
    (
        "a point or box a little outside the image",
        "up to a pixel or a hundredth of the longest side counts as on the edge; farther out is a PromptError",
        "detectors return boxes slightly outside; farther out is usually (y, x) for (x, y), or another image's prompt",
    ),
    (
        "a box without an area, or with swapped corners",
        "PromptError; the original computes a mask",
        "SAM was not trained on such boxes, and its masks would not show that (x, y, width, height) was passed",
    ),
    (
        "coordinates that are not finite, labels other than -1 to 3, an image with NaN",
        "refused, also in `predict_torch` and `Sam.forward`; the original computes masks from them",
        "they have no meaning as a prompt, and the masks would look valid",
    ),
    (
        "an image larger than the network's input, in `Sam.preprocess`",
        "refused; the original crops it silently",
        "the masks would not cover the cropped part",
    ),
    (
        "records of `Sam.forward` with `box` where `boxes` is meant, `apply_boxes` of eight numbers in a row",
        "refused; the original ignores the prompt, or makes two boxes of the numbers",
        "the masks would not be those of the prompt that was meant",
    ),
    (
        "networks in bfloat16 or float16",
        "`predict` returns float32; the original fails",
        "NumPy has no bfloat16",
    ),
    (
        "wrong arguments",
        "ValueError, TypeError or one of `minisam.errors`; the original raises AssertionErrors",
        "`python -O` removes assertions, and they have no message",
    ),
    (
        "another module in the place of a layer, or of a block's attention",
        "works as in the original: the fast paths, which read a layer's weights, are not used, and an attention "
        "gets windows",
        "LoRA and similar methods",
    ),
    (
        "gradients of mask tokens that `multimask_output` does not select",
        "None, where the original has zeros: these masks are not computed",
        "saves time; DistributedDataParallel needs `find_unused_parameters=True`",
    ),
    (
        "a function assigned to a module of `segment_anything`, such as `image_encoder.window_partition = mine`",
        "has no effect; assign a module or a method instead",
        "`minisam.segment_anything` only re-exports names",
    ),
)
