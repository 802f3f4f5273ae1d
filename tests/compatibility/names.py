"""What became of every name of segment-anything 1.0.1: the same here, or different on purpose, and why.

A row stands for a name and all names below it that have no row of their own.  `tests/compatibility/page.py` writes
docs/compatibility.md from this table, and test_names.py holds every row against the original.
"""

from __future__ import annotations

from typing import NamedTuple

SAME, DIFFERS, ABSENT = "same", "differs", "absent"


class Row(NamedTuple):
    """`note` says of a name that differs how and why; of one that is the same what it can do besides."""

    name: str
    state: str
    note: str = ""


NAMES = (
    Row(
        "automatic_mask_generator.SamAutomaticMaskGenerator",
        SAME,
        "More arguments, by keyword only, at the end.",
    ),
    Row(
        "automatic_mask_generator.SamAutomaticMaskGenerator.generate",
        SAME,
        "`region`: clicks inside a mask alone.",
    ),
    Row(
        "automatic_mask_generator.SamAutomaticMaskGenerator._generate_masks",
        SAME,
        "`generate` takes the way through these four methods where one of them is replaced, by a subclass or on "
        "the object; else a shorter one to the same masks.",
    ),
    Row("automatic_mask_generator.SamAutomaticMaskGenerator._process_crop", SAME),
    Row("automatic_mask_generator.SamAutomaticMaskGenerator._process_batch", SAME),
    Row("automatic_mask_generator.SamAutomaticMaskGenerator.postprocess_small_regions", SAME),
    Row(
        "build_sam.build_sam",
        SAME,
        "A file decides by itself whether it is vit_h, vit_l, vit_b or another network; the original takes vit_h "
        "alone. `minisam.build_sam` differs without arguments: it brings the trained `tiny`, since vit_h with random "
        "weights helps nobody.",
    ),
    Row("build_sam.build_sam_vit_h", SAME),
    Row("build_sam.build_sam_vit_l", SAME),
    Row("build_sam.build_sam_vit_b", SAME),
    Row("build_sam._build_sam", ABSENT, "`minisam.build_from_config` takes every geometry, with names."),
    Row("modeling.common.MLPBlock", SAME),
    Row("modeling.common.LayerNorm2d", SAME),
    Row("modeling.image_encoder.ImageEncoderViT", SAME, "Takes images of other sizes than `img_size` too."),
    Row(
        "modeling.image_encoder.Block",
        DIFFERS,
        "`input_size` has the default (64, 64), where the original stops at None if there are relative positions. "
        "A block hands the whole grid to its own `attn`, which cuts the windows itself; another module in its place "
        "gets the windows, as in the original.",
    ),
    Row("modeling.image_encoder.Block.window_size", SAME),
    Row(
        "modeling.image_encoder.Attention",
        SAME,
        "Its missing `input_size` is a ValueError, not an AssertionError.",
    ),
    Row("modeling.image_encoder.window_partition", SAME),
    Row("modeling.image_encoder.window_unpartition", SAME),
    Row("modeling.image_encoder.get_rel_pos", SAME),
    Row("modeling.image_encoder.add_decomposed_rel_pos", SAME),
    Row("modeling.image_encoder.PatchEmbed", SAME),
    Row("modeling.mask_decoder.MaskDecoder", SAME, "`image_index`: prompts on several images in one call."),
    Row("modeling.mask_decoder.MLP", SAME, "minisam's name for it is `HypernetworkHead`."),
    Row("modeling.prompt_encoder.PromptEncoder", SAME, "Takes several boxes in one prompt, [B, n, 4], too."),
    Row(
        "modeling.prompt_encoder.PromptEncoder._embed_points",
        DIFFERS,
        "The same for labels 1, 0 and -1. Labels 2 and 3 are the corners of a box, as in the original's ONNX model "
        "and in SAM 2; the original gives such points no meaning.",
    ),
    Row("modeling.prompt_encoder.PromptEncoder._embed_boxes", SAME),
    Row("modeling.prompt_encoder.PromptEncoder._embed_masks", SAME),
    Row("modeling.prompt_encoder.PromptEncoder._get_batch_size", SAME),
    Row("modeling.prompt_encoder.PromptEncoder._get_device", SAME),
    Row(
        "modeling.prompt_encoder.PositionEmbeddingRandom",
        SAME,
        "minisam's name for it is `FourierEncoding`, and `encode` that of `_pe_encoding`.",
    ),
    Row("modeling.sam.Sam", SAME),
    Row("modeling.transformer.TwoWayTransformer", SAME),
    Row("modeling.transformer.TwoWayAttentionBlock", SAME),
    Row("modeling.transformer.Attention", SAME),
    Row("predictor.SamPredictor", SAME),
    Row(
        "predictor.SamPredictor.set_image",
        DIFFERS,
        "The same for uint8 [H, W, 3]. Anything else is an ImageError that says what to do; the original fails "
        "later, or takes it for something else.",
    ),
    Row(
        "predictor.SamPredictor.predict",
        DIFFERS,
        "The same for prompts on the image. Lists, torch tensors, several boxes [N, 4] and 2-D masks are taken too; a "
        "bool mask becomes logits of -10 and 10, as its 0 and 1 would mean a doubtful mask. What cannot be meant "
        "(points without labels, unknown labels, a point far outside the image, a box without an area) is a "
        "PromptError; the original computes something.",
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
        "The same, but crops without a pixel, of an image smaller than their number, are left out: the original's "
        "generator fails on them.",
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
        "The same for [4] and [B, 4]. More axes stay, [B, n, 4] -> [B, n, 4], for several boxes in one prompt; the "
        "original makes [B · n, 4] of them.",
    ),
    Row(
        "utils.transforms.ResizeLongestSide.get_preprocess_shape",
        DIFFERS,
        "The same, but no side gets shorter than a pixel: 1 x 2000 becomes 1 x 1024, where the original's 0 x 1024 "
        "is an image that nothing can be done with.",
    ),
)

# What, how it is here, and why; for what no single name stands.
BESIDES = (
    (
        "`sam_model_registry`",
        "has `tiny` and `nano` besides; its values can be pickled, as the original's",
        "networks that fit a laptop",
    ),
    (
        "a point or box a little outside the image",
        "less than a pixel or a hundredth of the longest side counts as on the edge; farther out is a PromptError",
        "detectors give the former; the latter is mostly (y, x) for (x, y), or another image's prompt",
    ),
    (
        "a box without an area, or with swapped corners",
        "PromptError; the original computes",
        "SAM has never met one, and its masks would not show that (x, y, width, height) was given",
    ),
    (
        "coordinates that are not finite, labels other than -1 to 3, an image with NaN",
        "refused, in `predict_torch` and `Sam.forward` as well; the original computes masks of them",
        "no prompt means that; the masks would only look like an answer",
    ),
    (
        "an image larger than the network's input, in `Sam.preprocess`",
        "refused; the original cuts it without a word",
        "what was cut is missing from the masks",
    ),
    (
        "records of `Sam.forward` with `box` where `boxes` is meant, `apply_boxes` of eight numbers in a row",
        "refused; the original leaves the prompt out, or makes two boxes of them",
        "a prompt that is lost gives the masks of another",
    ),
    (
        "networks in bfloat16 or float16",
        "`predict` returns float32; the original fails",
        "NumPy has no bfloat16",
    ),
    (
        "wrong arguments",
        "ValueError, TypeError or one of `minisam.errors`; the original has AssertionErrors",
        "assertions go away under `python -O`, and say nothing",
    ),
    (
        "another module in the place of a layer, or of a block's attention",
        "works as in the original; the faster ways, which read a layer's weights, step aside, and an attention "
        "gets windows",
        "LoRA and its relatives",
    ),
    (
        "gradients of mask tokens that are not asked for",
        "None, where the original has zeros: masks outside of `multimask_output`'s choice are not computed",
        "time; DistributedDataParallel wants `find_unused_parameters=True`",
    ),
    (
        "a function assigned to a module of `segment_anything`, such as `image_encoder.window_partition = mine`",
        "has no effect; assign a module or a method instead",
        "`minisam.segment_anything` hands names on and defines nothing",
    ),
)
