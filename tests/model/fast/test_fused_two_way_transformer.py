"""The transformer on kernels gives what the plain one gives, and copies no image that prompts share."""

from __future__ import annotations

import copy

import pytest
import torch
from strategies import normal
from torch.utils._python_dispatch import TorchDispatchMode

import minisam
from minisam.bench.twins import randomise
from minisam.model import MaskDecoder, PromptEncoder, TwoWayTransformer
from minisam.model.fast.fused_two_way_transformer import fused_two_way_transformer, fusing_is_open
from minisam_kernels.lab.error_rule import FACTOR, GRADIENT_FACTOR, compare
from minisam_kernels.launch import INTERPRETED

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]
DEVICE = "cpu" if INTERPRETED else "cuda"
WIDTH, GRID, PROMPTS, TOKENS = 32, (3, 5), 3, 4


def build_transformer(depth: int = 2) -> TwoWayTransformer:
    plain = TwoWayTransformer(depth, WIDTH, 2, mlp_dim=10)
    randomise(plain, seed=0)
    return plain.to(DEVICE).eval()


def draw(shared: bool) -> list[torch.Tensor]:
    """An image for all prompts or one each, its positions, and the prompts' tokens."""
    shapes = (1 if shared else PROMPTS, WIDTH, *GRID), (1, WIDTH, *GRID), (PROMPTS, TOKENS, WIDTH)
    return [
        torch.tensor(normal(i, *shape), dtype=torch.float32, device=DEVICE) for i, shape in enumerate(shapes)
    ]


def by_plain(transformer, image, pe, tokens):
    """What defines the result: with a copy of the image for every prompt."""
    return transformer(image.expand(PROMPTS, -1, -1, -1), pe.expand(PROMPTS, -1, -1, -1), tokens)


def gradients(run, transformer, inputs) -> list[torch.Tensor]:
    """Outputs, and the gradients of a sum of theirs by every input and parameter."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    outputs = run(transformer, *leaves)
    weights = [torch.tensor(normal(9 + i, *out.shape)).to(out) for i, out in enumerate(outputs)]
    totals = [(out * weight).sum() for out, weight in zip(outputs, weights, strict=True)]
    sources = [*leaves, *transformer.parameters()]
    return [*outputs, *torch.autograd.grad(totals, sources, materialize_grads=True)]


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_values_and_gradients(shared, depth):
    plain, inputs = build_transformer(depth), draw(shared)
    same_precision = gradients(by_plain, plain, inputs)
    exact = gradients(by_plain, copy.deepcopy(plain).double(), [x.double() for x in inputs])
    with minisam.use_backend("triton"):
        found = gradients(fused_two_way_transformer, plain, inputs)
    largest = max(x.abs().max().item() for x in exact[2:])
    for place, (ours, wanted, theirs) in enumerate(zip(found, exact, same_precision, strict=True)):
        factor, magnitude = (FACTOR, 0.0) if place < 2 else (GRADIENT_FACTOR, largest)
        reference = wanted.detach().cpu().numpy()
        verdict = compare(f"number {place}", ours.detach(), reference, theirs.detach(), factor, magnitude)
        assert verdict.ok, verdict.explain()


class Watch(TorchDispatchMode):
    """How many numbers the largest new tensor has at most, until an image takes something up."""

    def __init__(self) -> None:
        super().__init__()
        self.largest, self.images = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.name()
        if name.startswith(("minisam::token_to_image", "minisam::image_to_token")):
            image = args[1] if "token_to_image" in name else args[0]
            self.images.append((name.split("::")[1], len(image)))
        elif isinstance(out, torch.Tensor) and "image_to_token" not in [name for name, _ in self.images]:
            self.largest = max(self.largest, out.untyped_storage().nbytes() // out.element_size())
        return out


@pytest.fixture(scope="module")
def decoder():
    transformer = TwoWayTransformer(2, WIDTH, 2, mlp_dim=10)
    decoder = MaskDecoder(transformer_dim=WIDTH, transformer=transformer, iou_head_hidden_dim=16)
    randomise(decoder, seed=1)
    return decoder.to(DEVICE).eval()


def prompts(count: int, grid: tuple[int, int], mask_prompts: bool) -> dict[str, torch.Tensor]:
    """The decoder's arguments for so many clicks on one image."""
    encoder = PromptEncoder(WIDTH, grid, (4 * grid[0], 4 * grid[1]), 16)
    randomise(encoder, seed=2)
    generator = torch.Generator().manual_seed(3)
    masks = torch.randn(count, 1, *encoder.mask_input_size, generator=generator) if mask_prompts else None
    with torch.no_grad():
        points = torch.rand(count, 1, 2, generator=generator) * grid[0], torch.ones(count, 1)
        sparse, dense = encoder(points, None, masks)
        pe = encoder.get_dense_pe()
    embedding = torch.randn(1, WIDTH, *grid, generator=generator)
    arguments = {"image_embeddings": embedding, "image_pe": pe, "sparse_prompt_embeddings": sparse}
    return {name: x.to(DEVICE) for name, x in (arguments | {"dense_prompt_embeddings": dense}).items()}


@pytest.mark.parametrize("index", [None, [0, 0, 0]])
@pytest.mark.parametrize("mask_prompts", [False, True])
def test_masks_with_and_without_mask_prompts(decoder, mask_prompts, index):
    arguments = prompts(PROMPTS, GRID, mask_prompts)
    index = None if index is None else torch.tensor(index, device=DEVICE)
    with torch.no_grad():
        expected = decoder(**arguments, multimask_output=True, image_index=index)
        with minisam.use_backend("triton"), Watch() as seen:
            found = decoder(**arguments, multimask_output=True, image_index=index)
    for ours, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)
    first = PROMPTS if mask_prompts else 1
    asked = [("token_to_image", first), ("image_to_token", first)]
    assert seen.images == [*asked, *[(name, PROMPTS) for name, _ in asked], ("token_to_image", PROMPTS)]


def test_no_image_for_every_prompt_before_images_differ(decoder):
    """Parameters and rows of tokens are small here beside an image."""
    count, grid = 5, (16, 16)
    arguments = prompts(count, grid, mask_prompts=False)
    image = arguments["image_embeddings"].numel()
    rows = count * 6 * 2 * WIDTH  # tokens of two heads
    with torch.no_grad(), minisam.use_backend("triton"), Watch() as seen:
        decoder(**arguments, multimask_output=True)
    assert image <= seen.largest <= max(image, 2 * rows)


@pytest.mark.parametrize("mask_prompts", [False, True])
@pytest.mark.parametrize("index", [[1, 0, 1], [0, 1, 2]])
def test_prompts_on_several_images(decoder, mask_prompts, index):
    """An index is right too where it is not the order, and where there are as many images as prompts."""
    arguments = prompts(PROMPTS, GRID, mask_prompts)
    embeddings = torch.tensor(normal(5, max(index) + 1, WIDTH, *GRID), dtype=torch.float32, device=DEVICE)
    arguments |= {"image_embeddings": embeddings.flip(0)}
    chosen = {"multimask_output": True, "image_index": torch.tensor(index, device=DEVICE)}
    with torch.no_grad():
        expected = decoder(**arguments, **chosen)
        with minisam.use_backend("triton"):
            found = decoder(**arguments, **chosen)
    for ours, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


class LargeCopies(TorchDispatchMode):
    """The operations that make a tensor of at least so many numbers before the first image takes something up."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers, self.names, self.known, self.over = numbers, [], set(), False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.over = self.over or "image_to_token" in func.name()
        if isinstance(out, torch.Tensor) and not self.over and out.numel() >= self.numbers:
            memory = out.untyped_storage()
            if memory.nbytes() >= self.numbers * out.element_size() and memory.data_ptr() not in self.known:
                self.known.add(memory.data_ptr())
                self.names.append(func.name())
        return out


def test_images_are_copied_to_their_prompts_once(decoder):
    """Once for every prompt; what else is done to images is done to the two that there are."""
    count, grid = 6, (8, 8)
    arguments = prompts(count, grid, mask_prompts=False)
    arguments["image_embeddings"] = arguments["image_embeddings"].repeat(2, 1, 1, 1)
    index = torch.tensor([0, 1, 1, 0, 1, 0], device=DEVICE)
    watch = LargeCopies(3 * arguments["image_embeddings"].numel())
    with torch.no_grad(), minisam.use_backend("triton"), watch as seen:
        decoder(**arguments, multimask_output=True, image_index=index)
    assert seen.over and seen.names == ["aten::index.Tensor"]


def test_not_chosen_without_prompts():
    plain, (_, pe, tokens) = build_transformer(), draw(shared=True)
    with torch.no_grad(), minisam.use_backend("triton"):
        assert fusing_is_open(plain, tokens, pe)
        assert not fusing_is_open(plain, tokens[:0], pe)
