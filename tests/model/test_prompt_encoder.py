from __future__ import annotations

import numpy as np
import pytest
import torch
from held_to_reference import assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches, grids, layouts, normal, seeds

from minisam.model.prompt_encoder import PromptEncoder
from minisam_kernels.reference.fourier_encoding import fourier_grid
from minisam_kernels.reference.mask_encoding import mask_encoding
from minisam_kernels.reference.point_encoding import box_encoding, point_encoding

WIDTH, PATCH = 6, 4
GAUSSIAN = "pe_layer.positional_encoding_gaussian_matrix"
kinds_of_prompt = st.fixed_dictionaries({kind: st.booleans() for kind in ("points", "boxes", "masks")})


def draw(seed, batch, count, grid, points=False, boxes=False, masks=False, label_dtype=np.int64):
    """The encoder, its definition in terms of the references, and values for prompts and parameters."""
    image_size = (PATCH * grid[0], PATCH * grid[1])
    module = PromptEncoder(WIDTH, grid, image_size, mask_in_chans=16)
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, (batch, count)).astype(label_dtype)
    arrays = random_state(module, seed)
    if points:
        arrays["points"] = rng.uniform(0, image_size[::-1], (batch, count, 2))
    if boxes:
        arrays["boxes"] = rng.uniform(0, image_size[::-1] * 2, (batch, count, 4))
    if masks:
        arrays["masks"] = normal(seed, batch, 1, 4 * grid[0], 4 * grid[1])

    def function(points=None, boxes=None, masks=None, **state):
        prompt = None if points is None else (points, torch.from_numpy(labels))
        return torch.func.functional_call(module, state, (prompt, boxes, masks))

    def reference(points=None, boxes=None, masks=None, **state):
        kinds = np.concatenate([state[f"point_embeddings.{kind}.weight"] for kind in range(4)])
        tokens = [np.zeros((1 if points is boxes is masks is None else batch, 0, WIDTH))]
        if points is not None:
            padded, kept = points, labels.astype(int)
            if boxes is None:
                padded = np.concatenate([points, np.zeros((batch, 1, 2))], axis=1)
                kept = np.concatenate([kept, np.full((batch, 1), -1)], axis=1)
            not_a_point = state["not_a_point_embed.weight"][0]
            tokens.append(point_encoding(padded, kept, state[GAUSSIAN], kinds, not_a_point, image_size))
        if boxes is not None:
            tokens.append(box_encoding(boxes, state[GAUSSIAN], kinds, image_size))
        sparse = np.concatenate(tokens, axis=1)
        if masks is None:
            no_mask = state["no_mask_embed.weight"].reshape(WIDTH, 1, 1)
            return sparse, np.broadcast_to(no_mask, (len(sparse), WIDTH, *grid))
        prefix = "mask_downscaling."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        return sparse, mask_encoding(masks, weights)

    return function, reference, arrays


@given(seed=seeds, batch=batches, count=batches, grid=grids, kinds=kinds_of_prompt, layout=layouts)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_values(seed, batch, count, grid, kinds, layout):
    assert_same_values(*draw(seed, batch, count, grid, **kinds), layout)


@pytest.mark.parametrize("kinds", [(), ("points",), ("boxes",), ("masks",), ("points", "boxes", "masks")])
def test_values_of_each_kind_of_prompt(kinds):
    assert_same_values(*draw(0, 2, 3, (3, 5), **dict.fromkeys(kinds, True)))


@pytest.mark.parametrize("label_dtype", [np.int32, np.int64, np.float32])
def test_labels_of_any_number_type(label_dtype):
    assert_same_values(*draw(1, 2, 5, (3, 5), points=True, label_dtype=label_dtype))


@pytest.mark.parametrize("label_dtype", ["uint8", "bool", "int8", "int16", "float16", "float64"])
def test_labels_of_types_that_hold_no_minus_one_are_padded_too(label_dtype):
    torch.manual_seed(0)
    encoder = PromptEncoder(WIDTH, (3, 5), (48, 80), mask_in_chans=16)
    points, labels = torch.rand(2, 4, 2) * 48, torch.tensor([[0, 1, 1, 0], [1, 1, 0, 1]])
    expected, _ = encoder((points, labels), None, None)
    found, _ = encoder((points, labels.to(getattr(torch, label_dtype))), None, None)
    assert torch.equal(found, expected)
    assert torch.equal(found[:, -1], encoder.not_a_point_embed.weight.expand(2, -1))


def test_one_box_a_prompt_may_come_without_its_axis():
    function, _, arrays = draw(2, 3, 1, (3, 5), boxes=True)
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    with_axis = function(**tensors)[0]
    without_axis = function(**tensors | {"boxes": tensors["boxes"][:, 0]})[0]
    torch.testing.assert_close(without_axis, with_axis, rtol=0, atol=0)


@pytest.mark.parametrize("grid", [(3, 5), (4, 1)])
def test_dense_positions_are_the_encoded_grid(grid):
    module = PromptEncoder(WIDTH, grid, (PATCH * grid[0], PATCH * grid[1]), mask_in_chans=16)
    expected = fourier_grid(*grid, module.state_dict()[GAUSSIAN].double().numpy())
    np.testing.assert_allclose(module.get_dense_pe()[0], expected, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [("points",), ("boxes",), ("points", "boxes", "masks")])
def test_gradients(seed, kinds):
    assert_same_gradients(*draw(seed, 2, 3, (2, 3), **dict.fromkeys(kinds, True)), seed)


def test_a_mask_prompt_has_four_numbers_a_side_for_each_token():
    assert PromptEncoder(WIDTH, (3, 5), (12, 20), mask_in_chans=16).mask_input_size == (12, 20)


def test_one_mask_serves_all_boxes_and_all_points():
    """The number of prompts is that of the points or boxes; a mask may be one for all of them."""
    torch.manual_seed(0)
    encoder = PromptEncoder(16, (3, 4), (48, 64), 8)
    mask, boxes = torch.randn(1, 1, 12, 16), torch.tensor([[1.0, 2, 20, 30], [4, 4, 9, 9], [0, 1, 2, 3]])
    of_points = torch.zeros(3, 2, 2), torch.ones(3, 2)
    for points, some in ((None, boxes), (of_points, None), (of_points, boxes)):
        sparse, dense = encoder(points, some, mask)
        assert len(sparse) == 3 and dense.shape == (3, 16, 3, 4)
        torch.testing.assert_close(dense, encoder(None, None, mask)[1].expand(3, -1, -1, -1))
        for one in range(3):
            alone = encoder(
                None if points is None else (points[0][[one]], points[1][[one]]),
                None if some is None else some[[one]],
                mask,
            )
            torch.testing.assert_close(sparse[[one]], alone[0])
            torch.testing.assert_close(dense[[one]], alone[1])
