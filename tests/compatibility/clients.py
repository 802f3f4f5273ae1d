"""Programs written for segment-anything: what each does with it, and the test that makes the same calls."""

from __future__ import annotations

from typing import NamedTuple


class Client(NamedTuple):
    name: str
    calls: str
    test: str


ADAPTERS, ENCODERS, PREDICTING, PROMPTS, EXPORT = (
    f"tests/compatibility/test_client_{name}.py"
    for name in ("adapters", "encoders", "predicting", "prompts", "export")
)
CLIENTS = (
    Client(
        "SAM's scripts/amg.py",
        "generates records as masks and as COCO's RLE",
        f"{PREDICTING}::test_amg_script",
    ),
    Client(
        "SAM's predictor_example.ipynb",
        "points, boxes and masks, then a list of records through `sam(...)`",
        f"{PREDICTING}::test_predictor_notebook",
    ),
    Client(
        "SAM's export_onnx_model.py and onnx_model_example.ipynb",
        "exports `SamOnnxModel`, runs it with boxes and masks scaled by `apply_coords`",
        f"{EXPORT}::test_exported_decoder",
    ),
    Client(
        "label-studio's onnxconverter, samexporter",
        "exports `SamOnnxModel`",
        f"{EXPORT}::test_exported_decoder",
    ),
    Client(
        "MedSAM, training",
        "boxes [B, 1, 4] on as many images, gradients for encoder and decoder",
        f"{PROMPTS}::test_medsam_training",
    ),
    Client(
        "MedSAM, text prompts",
        "a subclass of PromptEncoder that calls five of its private methods",
        f"{PROMPTS}::test_medsam_text_prompt_encoder",
    ),
    Client(
        "lightning-sam",
        "the network's parts one by one, and a data set that scales images and whole-number boxes",
        f"{PROMPTS}::test_lightning_sam",
    ),
    Client("sam-hq", "a subclass of MaskDecoder with one more token", f"{PROMPTS}::test_sam_hq_mask_decoder"),
    Client(
        "sd-webui-segment-anything",
        "a subclass of ImageEncoderViT that collects the output of blocks with `window_size` 0",
        f"{ENCODERS}::test_hq_image_encoder",
    ),
    Client(
        "torch-em",
        "a subclass of ImageEncoderViT that collects the output of its global blocks",
        f"{ENCODERS}::test_vit_with_skips",
    ),
    Client("SAMed", "wraps `qkv` of the encoder in LoRA", f"{ADAPTERS}::test_lora_on_qkv"),
    Client(
        "SAMed", "wraps the decoder's projections in LoRA", f"{ADAPTERS}::test_lora_on_decoder_projections"
    ),
    Client(
        "micro-sam, fine-tuning",
        "LoRA, FacT, SSF, AdaptFormer and unfrozen parts in place of the encoder's modules",
        f"{ADAPTERS}::test_surgery_on_the_encoder",
    ),
    Client(
        "micro-sam, sam_3d_wrapper",
        "its own block around a block's parts, with `window_partition`",
        f"{ENCODERS}::test_block_around_the_parts_of_a_block",
    ),
    Client(
        "micro-sam, instance segmentation",
        "its own mask generator from the functions of `utils.amg`",
        f"{PREDICTING}::test_generator_of_amg_functions",
    ),
    Client("Hugging Face PEFT", "LoRA on `qkv`: training, evaluation, merging", f"{ADAPTERS}::test_peft"),
    Client(
        "Hugging Face PEFT",
        "LoRA on the decoder's projections: the same, one by one",
        f"{ADAPTERS}::test_peft",
    ),
    Client(
        "Grounded-SAM",
        "`build_sam(checkpoint=...)`, a detector's boxes scaled by `apply_boxes_torch`, a box that sticks out",
        f"{PREDICTING}::test_grounded_sam",
    ),
    Client("Track-Anything", "a mask's logits fed back, `reset_image`", f"{PREDICTING}::test_base_segmenter"),
    Client("Inpaint-Anything", "points on an image, all three masks", f"{PREDICTING}::test_base_segmenter"),
    Client(
        "supervision",
        "boxes and masks from the generator's records",
        f"{PREDICTING}::test_detections_from_records",
    ),
    Client(
        "napari-sam",
        "`build_sam_vit_h`, `_l` and `_b` from the package",
        f"{PREDICTING}::test_builders_by_name",
    ),
    Client(
        "napari's annotators, micro-sam",
        "keep each slice's embedding, and give it back to a predictor",
        f"{PREDICTING}::test_embeddings_kept_per_slice",
    ),
    Client(
        "segment-geospatial (samgeo)",
        "a label image of the records, then many boxes and clicks by `predict_torch`",
        f"{PREDICTING}::test_masks_of_a_map",
    ),
    Client(
        "SAM-6D",
        "a subclass of the generator that goes through its private steps",
        f"{PREDICTING}::test_own_generator",
    ),
)
