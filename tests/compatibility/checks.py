"""For every name that is to be the same: calls of both, with results that must be equal.

A check takes the two sides, functions from a module's name to the module, and returns pairs of results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from compatibility.surface import IMAGE, predictors, sams
from parity.oracle import SMALL, random
from torch import Tensor

Pairs = Iterator[tuple[Any, Any]]
Side = Callable[[str], Any]
CHECKS: dict[str, Callable[[Side, Side], Pairs]] = {}
GRID = SMALL.image_size // SMALL.patch_size
SIZE = SMALL.image_size


def check(*names: str) -> Callable[[Callable[[Side, Side], Pairs]], Callable[[Side, Side], Pairs]]:
    """Enter a check under the names of the rows that it stands for."""

    def enter(function: Callable[[Side, Side], Pairs]) -> Callable[[Side, Side], Pairs]:
        CHECKS.update(dict.fromkeys(names, function))
        return function

    return enter


def pixels(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * SIZE


def masks(seed: int, *shape: int) -> Tensor:
    """Bool masks with blobs, one of them empty and one full."""
    drawn = random(seed, *shape).cumsum(-1).cumsum(-2) > 0
    drawn[0], drawn[-1] = False, True
    return drawn


def raised(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception:
        return True
    return False


@check("modeling.common.MLPBlock", "modeling.common.LayerNorm2d", "modeling.image_encoder.PatchEmbed")
def small_modules(ours: Side, theirs: Side) -> Pairs:
    for module, name, arguments, x in (
        ("modeling.common", "MLPBlock", (12, 20), random(1, 2, 3, 12)),
        ("modeling.common", "MLPBlock", (12, 20, torch.nn.ReLU), random(1, 300, 12)),
        ("modeling.common", "LayerNorm2d", (6, 1e-3), random(1, 2, 6, 3, 5)),
        ("modeling.image_encoder", "PatchEmbed", ((4, 4), (4, 4), (0, 0), 3, 10), random(1, 2, 3, 8, 12)),
        ("modeling.image_encoder", "PatchEmbed", ((7, 7), (4, 4), (3, 3)), random(1, 1, 3, 8, 12)),
    ):
        yield built(ours, theirs, module, name, *arguments, inputs=(x,))


def built(
    ours: Side, theirs: Side, module: str, name: str, *arguments: Any, inputs: Any, **named: Any
) -> Any:
    """The results of two modules with the same random weights."""
    pair = [getattr(side(module), name)(*arguments, **named) for side in (ours, theirs)]
    for number, tensor in enumerate(pair[0].state_dict().values()):
        tensor.copy_(random(number, *tensor.shape, scale=0.3))
    pair[1].load_state_dict(pair[0].state_dict(), strict=True)
    return pair[0](*inputs), pair[1](*inputs)


@check("modeling.mask_decoder.MLP")
def mlp(ours: Side, theirs: Side) -> Pairs:
    for arguments in ((6, 8, 3, 1), (6, 8, 3, 3), (6, 8, 3, 2, True)):
        yield built(ours, theirs, "modeling.mask_decoder", "MLP", *arguments, inputs=(random(1, 4, 6),))


@check("modeling.image_encoder.Attention")
def encoder_attention(ours: Side, theirs: Side) -> Pairs:
    x = random(1, 2, 5, 7, 12)
    for arguments, named in (
        ((12,), {"num_heads": 2}),
        ((12, 3, False), {}),
        ((12, 2, True, True, False, (5, 7)), {}),
        ((12, 2), {"use_rel_pos": True, "input_size": (9, 4)}),
    ):
        yield built(ours, theirs, "modeling.image_encoder", "Attention", *arguments, inputs=(x,), **named)
    call = {"use_rel_pos": True}
    yield tuple(
        raised(lambda side=side: side("modeling.image_encoder").Attention(12, **call))
        for side in (ours, theirs)
    )
    torch.manual_seed(0)
    tables = ours("modeling.image_encoder").Attention(12, 2, True, True, False, (5, 7)).rel_pos_h
    assert tables.abs().max() > 0
    block = ours("modeling.image_encoder").Block(12, 2, use_rel_pos=True, window_size=3)
    assert isinstance(block.attn, ours("modeling.image_encoder").Attention)


@check("modeling.image_encoder.ImageEncoderViT", "modeling.image_encoder.Block.window_size")
def image_encoder(ours: Side, theirs: Side) -> Pairs:
    pair = [sam.image_encoder for sam in sams()]
    yield tuple(encoder(random(1, 1, 3, SIZE, SIZE)) for encoder in pair)
    yield tuple([block.window_size for block in encoder.blocks] for encoder in pair)


@check("modeling.image_encoder.window_partition", "modeling.image_encoder.window_unpartition")
def windows(ours: Side, theirs: Side) -> Pairs:
    for size, window in (((5, 7), 3), ((6, 6), 3), ((2, 3), 4), ((1, 1), 1)):
        x = random(1, 2, *size, 4)
        cut = [side("modeling.image_encoder").window_partition(x, window) for side in (ours, theirs)]
        yield cut[0], cut[1]
        whole = [
            side("modeling.image_encoder").window_unpartition(*part[:1], window, part[1], size)
            for side, part in zip((ours, theirs), cut, strict=True)
        ]
        yield whole[0], whole[1]
        assert torch.equal(whole[0], x)


@check("modeling.image_encoder.get_rel_pos", "modeling.image_encoder.add_decomposed_rel_pos")
def relative_positions(ours: Side, theirs: Side) -> Pairs:
    sizes = (((3, 5), (3, 5)), ((4, 6), (2, 3)), ((2, 3), (4, 6)), ((3, 4), (5, 2)))
    for q_size, k_size in sizes:
        tables = random(1, 9, 4), random(2, 7, 4)
        yield tuple(
            side("modeling.image_encoder").get_rel_pos(q_size[0], k_size[0], tables[0])
            for side in (ours, theirs)
        )
        q = random(3, 2, q_size[0] * q_size[1], 4)
        scores = random(4, 2, q.shape[1], k_size[0] * k_size[1])
        yield tuple(
            side("modeling.image_encoder").add_decomposed_rel_pos(scores, q, *tables, q_size, k_size)
            for side in (ours, theirs)
        )


@check(
    "modeling.prompt_encoder.PromptEncoder",
    "modeling.prompt_encoder.PromptEncoder._embed_points",
    "modeling.prompt_encoder.PromptEncoder._embed_boxes",
    "modeling.prompt_encoder.PromptEncoder._embed_masks",
    "modeling.prompt_encoder.PromptEncoder._get_batch_size",
    "modeling.prompt_encoder.PromptEncoder._get_device",
)
def prompt_encoder(ours: Side, theirs: Side) -> Pairs:
    pair = [sam.prompt_encoder for sam in sams()]
    points, boxes, mask = pixels(1, 3, 2, 2), pixels(2, 3, 4), random(3, 3, 1, 4 * GRID, 4 * GRID)
    labels = torch.tensor([[1, 0], [0, -1], [1, 1]])
    yield tuple(encoder((points, labels), boxes, mask) for encoder in pair)
    yield tuple(encoder.get_dense_pe() for encoder in pair)
    for pad in (True, False):
        yield tuple(encoder._embed_points(points, labels, pad) for encoder in pair)
    yield tuple(encoder._embed_boxes(boxes) for encoder in pair)
    yield tuple(encoder._embed_masks(mask) for encoder in pair)
    for given in (
        ((points, labels), None, None),
        (None, boxes, None),
        (None, None, mask),
        (None, None, None),
    ):
        yield tuple(encoder._get_batch_size(*given) for encoder in pair)
    yield tuple(encoder._get_device() for encoder in pair)


@check("modeling.prompt_encoder.PositionEmbeddingRandom")
def position_encoding(ours: Side, theirs: Side) -> Pairs:
    layers = [sam.prompt_encoder.pe_layer for sam in sams()]
    yield tuple(layer._pe_encoding(random(1, 2, 3, 2)) for layer in layers)
    yield tuple(layer((3, 5)) for layer in layers)
    yield tuple(layer.forward_with_coords(pixels(1, 2, 3, 2), (SIZE, SIZE)) for layer in layers)
    for scale in (None, -1.0, 3.0):
        drawn = []
        for side in (ours, theirs):
            torch.manual_seed(0)
            drawn.append(side("modeling.prompt_encoder").PositionEmbeddingRandom(5, scale)((2, 2)))
        yield drawn[0], drawn[1]


@check("modeling.mask_decoder.MaskDecoder", "modeling.transformer.TwoWayTransformer")
def mask_decoder(ours: Side, theirs: Side) -> Pairs:
    pair = [sam.mask_decoder for sam in sams()]
    E = SMALL.prompt_dim
    inputs = random(1, 1, E, GRID, GRID), random(2, 1, E, GRID, GRID), random(3, 3, 4, E)
    dense = random(4, 3, E, GRID, GRID)
    for multimask in (True, False):
        yield tuple(decoder(*inputs, dense, multimask_output=multimask) for decoder in pair)
    yield tuple(decoder.predict_masks(*inputs, dense) for decoder in pair)
    yield tuple(decoder.transformer(*inputs[:2], inputs[2][:1]) for decoder in pair)


@check("modeling.transformer.TwoWayAttentionBlock", "modeling.transformer.Attention")
def decoder_attention(ours: Side, theirs: Side) -> Pairs:
    blocks = [sam.mask_decoder.transformer.layers[1] for sam in sams()]
    E = SMALL.prompt_dim
    queries, keys = random(1, 2, 5, E), random(2, 2, GRID * GRID, E)
    yield tuple(block(queries, keys, query_pe=queries, key_pe=keys) for block in blocks)
    attentions = [block.cross_attn_token_to_image for block in blocks]
    yield tuple(attention(q=queries, k=keys, v=keys) for attention in attentions)
    apart = [attention._separate_heads(queries, 4) for attention in attentions]
    yield apart[0], apart[1]
    yield tuple(attention._recombine_heads(apart[0]) for attention in attentions)


@check("modeling.sam.Sam")
def sam(ours: Side, theirs: Side) -> Pairs:
    records = [
        {
            "image": pixels(1, 3, 96, SIZE),
            "original_size": (75, 100),
            "boxes": torch.tensor([[3.0, 4, 50, 60]]),
        },
        {
            "image": pixels(2, 3, SIZE, 57),
            "original_size": (300, 133),
            "point_coords": pixels(3, 2, 1, 2),
            "point_labels": torch.tensor([[1], [0]]),
        },
    ]
    for our, their in zip(*(sam(records, True) for sam in sams()), strict=True):
        assert our.keys() == their.keys()
        yield our["low_res_logits"], their["low_res_logits"]
        yield our["iou_predictions"], their["iou_predictions"]
        assert our["masks"].dtype == their["masks"].dtype
        assert (our["masks"] == their["masks"]).float().mean() > 0.999
    yield tuple(sam.preprocess(records[0]["image"]) for sam in sams())
    low_res = random(4, 1, 3, 4 * GRID, 4 * GRID)
    yield tuple(sam.postprocess_masks(low_res, (96, SIZE), (75, 100)) for sam in sams())


@check("predictor.SamPredictor", "predictor.SamPredictor.set_image", "predictor.SamPredictor.predict")
def predictor(ours: Side, theirs: Side) -> Pairs:
    fresh = [side("predictor").SamPredictor(sam) for side, sam in zip((ours, theirs), sams(), strict=True)]
    for name in ("orig_h", "orig_w", "input_h", "input_w", "is_image_set", "features"):
        yield tuple(getattr(one, name) for one in fresh)
    for name in ("original_size", "input_size"):
        yield tuple(hasattr(one, name) for one in fresh)
    for one in fresh:
        one.set_image(IMAGE[..., ::-1].copy(), image_format="BGR")
    yield tuple(one.get_image_embedding() for one in fresh)
    yield tuple((one.original_size, one.input_size, one.is_image_set) for one in fresh)
    for one in fresh:
        one.reset_image()
    yield tuple((one.original_size, one.input_size, one.is_image_set, one.features) for one in fresh)

    point = {"point_coords": np.array([[30.0, 20.0]]), "point_labels": np.array([1])}
    low_res = predictors()[1].predict(**point, return_logits=True)[2]
    for prompt in (
        point,
        {"box": np.array([5, 6, 60, 40])},
        {**point, "box": np.array([5.0, 6.0, 60.0, 40.0])},
        {**point, "mask_input": low_res[:1]},
    ):
        for multimask in (True, False):
            yield tuple(
                one.predict(**prompt, multimask_output=multimask, return_logits=True) for one in predictors()
            )
        assert predictors()[0].predict(**prompt)[0].dtype == bool


@check("predictor.SamPredictor.predict_torch")
def predict_torch(ours: Side, theirs: Side) -> Pairs:
    boxes = torch.tensor([[3.0, 4.0, 50.0, 60.0], [10.0, 10.0, 20.0, 70.0]])
    for one in ((None, None, boxes), (pixels(1, 3, 2, 2) / 2, torch.tensor([[1, 0]] * 3))):
        yield tuple(predictor.predict_torch(*one, return_logits=True) for predictor in predictors())


@check("utils.transforms.ResizeLongestSide", "utils.transforms.ResizeLongestSide.apply_boxes_torch")
def resize_longest_side(ours: Side, theirs: Side) -> Pairs:
    pair = [side("utils.transforms").ResizeLongestSide(96) for side in (ours, theirs)]
    size = (48, 72)
    yield tuple(one.apply_image(IMAGE) for one in pair)
    for coords in (np.array([[30.0, 7.0], [1.5, 2.5]]), np.array([[30, 7]]), np.float32([[30.5, 7]])):
        yield tuple(one.apply_coords(coords, size) for one in pair)
        yield tuple(one.apply_coords_torch(torch.from_numpy(coords), size) for one in pair)
    for boxes in (np.array([3, 4, 50, 40]), np.array([[3.0, 4.0, 50.0, 40.0], [0.0, 0.0, 1.0, 2.0]])):
        yield tuple(one.apply_boxes(boxes, size) for one in pair)
        yield tuple(one.apply_boxes_torch(torch.from_numpy(boxes), size) for one in pair)
    tensor = torch.from_numpy(IMAGE.copy()).permute(2, 0, 1)[None].float()
    yield tuple(one.apply_image_torch(tensor) for one in pair)
    yield tuple([one.get_preprocess_shape(*sides, 1024) for sides in ((48, 72), (999, 37))] for one in pair)
