# %% [markdown]
# # Lesson 10 · The whole of SAM: from pixels to a mask
#
# Builds on: 5, 9. Runs on a CPU, without a network.
#
# You know every part. You will put them together: scale the click to the network's input, scale the logits back to the
# image, load weights by name, and compare your masks with results of segment-anything's own code.
#
# After this lesson you can
#
# - put the parts together to a SAM that segments what is clicked;
# - bring clicks to the network's pixels and logits back to the image;
# - load weights by name, and say which name does not fit;
# - compare a result with that of segment-anything's own code.

# %%
import torch.nn.functional as F
from torch import Tensor

# %% [markdown]
# ## Five steps
#
# | step | done | in SAM, ViT-B | parameters |
# |---|---|---|---|
# | resize, normalise, pad | once per image | H × W → 1024 × 1024 | |
# | image encoder (lesson 5) | once per image | → 64 × 64 × 256 | 89,670,912 |
# | prompt encoder (lesson 7) | every prompt | → a few tokens, and 64 × 64 × 256 | 6,220 |
# | mask decoder (lessons 8, 9) | every prompt | → 256 × 256 logits, predicted IoU | 4,058,340 |
# | scale the masks back | every prompt | → H × W, logits > 0 | |
#
# The first two steps do not depend on the prompt, and the last three do not use the pixels. This split is SAM's central
# idea: the expensive part runs once, and then every click is answered quickly.
# %%
from minisam.build import build_sam, sam_model_registry
from minisam.lesson.page import check, np, plt, torch

with torch.device("meta"):  # shapes without memory
    vit_b = sam_model_registry["vit_b"]()
counts = [
    sum(parameter.numel() for parameter in part.parameters())
    for part in (vit_b.image_encoder, vit_b.prompt_encoder, vit_b.mask_decoder)
]
assert counts == [89_670_912, 6_220, 4_058_340] and sum(counts) == 93_735_472
assert 0.95 < counts[0] / sum(counts) < 0.96
print(f"{sum(counts):,} parameters, {counts[0] / sum(counts):.1%} of them in the part that runs once")

# %% [markdown]
# Here are the five steps for `tiny` on a drawn scene that is wider than high. The image embedding has 96 channels; the
# three directions in which it differs most are shown as red, green and blue.

# %%
from minisam.data.partworld import render_scenes
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.show import show_mask

scene = render_scenes(seed=5, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()[:170]
tiny, click = build_sam("tiny"), (205.0, 60.0)
with torch.no_grad():
    ready = tiny.preprocess(torch.tensor(scene).permute(2, 0, 1).float())[None]
    embedding = tiny.image_encoder(ready)
    sparse, dense = tiny.prompt_encoder((torch.tensor([[click]]), torch.tensor([[1]])), None, None)
    image_pe = tiny.prompt_encoder.get_dense_pe()
    low_res, iou = tiny.mask_decoder(embedding, image_pe, sparse, dense, multimask_output=True)
    logits = tiny.postprocess_masks(low_res, (170, 256), (170, 256))
best = int(iou[0].argmax())
assert (
    embedding.shape == (1, 96, 16, 16)
    and low_res.shape == (1, 3, 64, 64)
    and logits.shape == (1, 3, 170, 256)
)

vectors = embedding[0].flatten(1).T.numpy()
directions = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2][:3]
directions *= np.sign(directions[np.arange(3), abs(directions).argmax(axis=1)])[:, None]
colors = (vectors - vectors.mean(axis=0)) @ directions.T
colors = np.clip(0.5 + colors / (4 * colors.std(axis=0)), 0, 1).reshape(16, 16, 3)
seen = ready[0].permute(1, 2, 0).numpy() * IMAGENET_STD + IMAGENET_MEAN

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 5, figsize=(12, 3.1), layout="constrained")
panels[0].imshow(scene, extent=(0, 256, 170, 0))
panels[1].imshow(np.clip(seen / 255, 0, 1))
panels[2].imshow(colors)
reach = float(low_res[0, best].abs().max())
panels[3].imshow(low_res[0, best].numpy(), cmap="RdBu_r", vmin=-reach, vmax=reach)
panels[4].imshow(scene)
show_mask(panels[4], logits[0, best].numpy() > 0)
for axes in (panels[0], panels[4]):
    axes.plot(*click, "*", color="lime", markersize=13, markeredgecolor="black")
    axes.set_ylim(256, 0)
titles = ["image", "ready", "embedding", "logits", "mask"]
sizes = ["170 × 256", "256 × 256", "16 × 16 × 96", "64 × 64", "170 × 256"]
for axes, title, size, of_sam in zip(
    panels, titles, sizes, ["H × W", "1024²", "64² × 256", "256²", "H × W"], strict=True
):
    axes.set_title(title)
    axes.set(xticks=[], yticks=[], xlabel=f"{size}\nSAM: {of_sam}")
    for side in axes.spines.values():
        side.set_visible(False)

# %% [markdown]
# ## To the network's scale
#
# The longer side becomes 1024 pixels and the other follows: `int(old * 1024 / longest + 0.5)`. The rest of the square
# is padding, to the right and below (lesson 1). So the click has to be scaled too; it is not shifted.
#
# By what factor? Not by 1024 / longest. The shorter side was rounded to whole pixels, so its factor is a little
# different: new height / old height for y, new width / old width for x.
#
# ## Your turn: scale the clicks
#
# In NumPy.


# %%
def scale_points(points: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """points [K, 2] as (x, y) on an image of height × width -> on the image whose longest side is `size` pixels."""
    raise NotImplementedError


check(10, scale_points)

# %% [markdown]
# ## And back
#
# The decoder's logits are a quarter of the input's side. The way back has three steps. Interpolate them to the whole
# square input. Remove the padding. Scale the rest to the original image. The threshold comes last, because
# interpolation needs logits: between true and false there is no intermediate value.
#
# ## Your turn: the masks' way back
#
# In torch; `F.interpolate(…, mode="bilinear", align_corners=False)` interpolates.


# %%
def postprocess(low_res: Tensor, size: int, h: int, w: int, height: int, width: int) -> Tensor:
    """Logits [B, C, l, l] of a square input of `size` pixels, of which the image fills h × w -> [B, C, height, width].

    height × width is the original image.
    """
    raise NotImplementedError


check(10, postprocess)

# %% [markdown]
# ## Weights have names
#
# A checkpoint is a dictionary from names to tensors. The name says to which layer a tensor belongs:
# `mask_decoder.transformer.layers.0.self_attn.q_proj.weight`. minisam's parts have segment-anything's names, so its
# published files can be loaded. With `strict=True`, the names in the file and in the network must be the same. Without
# it, a name that does not fit is ignored without a message, and a layer keeps its random weights.
#
# The network below is small, 86,316 parameters, and its weights are drawn from a seed, with segment-anything's names.
# `original.py`, in this lesson's folder, draws them, gives them to segment-anything's own code, and stores its answers
# in `original.npz`. So the original need not be installed here.

# %%
from minisam.lesson.find import FOLDER
from minisam.lesson.source import run_file

original = run_file(FOLDER / "10_sam" / "original.py")
answers = np.load(FOLDER / "10_sam" / "original.npz")
small = original.build_small()
assert sum(parameter.numel() for parameter in small.parameters()) == 86_316

weights = original.draw_weights(original.shapes_of(small))
for name in list(weights)[:3]:
    print(f"{name:50} {list(weights[name].shape)}")
misspelt = {name.replace("iou_token", "iou_tokens"): tensor for name, tensor in weights.items()}
try:
    small.load_state_dict(misspelt, strict=True)
except RuntimeError as error:
    assert "iou_token" in str(error)
    print("one name misspelt: refused")

# %% [markdown]
# A checkpoint also determines the size of its network, because it has the shape of each tensor. minisam reads the size
# from these shapes, so `load_checkpoint("sam_vit_b_01ec64.pth")` does not need the name "vit_b". It never executes code
# from a file: a `.pth` is a pickle, and a pickle can contain any program.

# %%
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from minisam.checkpoint import load_checkpoint

with tempfile.TemporaryDirectory() as folder:
    save_file(weights, Path(folder) / "small.safetensors")
    loaded = load_checkpoint(Path(folder) / "small.safetensors")
assert loaded.image_encoder.img_size == 64 and len(loaded.image_encoder.blocks) == 2
assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.state_dict().items())
print("64 pixels, 2 blocks: found in the file")

# %% [markdown]
# ## Your turn: all of SAM
#
# In torch. `sam` has `preprocess` (lesson 1's, with the image's padding), `image_encoder`, `prompt_encoder` and
# `mask_decoder`. The image is already at the network's scale, the points are in pixels of the original. Call your own
# `postprocess`. Return the three masks, sorted by predicted IoU, best first. The check compares them with the results
# of segment-anything's own code, and allows twice the difference that minisam itself has: about a millionth.


# %%
def segment(
    image: Tensor, points: Tensor, labels: Tensor, sam: torch.nn.Module, height: int, width: int
) -> Tensor:
    """image [3, h, w] in 0 … 255, points [K, 2] on the original of height × width, labels [K] -> [3, height, width].

    sam.preprocess(image) -> ready, without the axis of the batch
    sam.image_encoder(ready) -> embedding
    sam.prompt_encoder((points [1, K, 2], labels [1, K]), None, None) -> sparse, dense
    sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True) -> low_res, iou
    """
    raise NotImplementedError


check(10, segment)

# %% [markdown]
# ## The library's
#
# [SamPredictor](../../minisam/predict/predictor.py) keeps the image embedding between prompts, as segment-anything's
# does, and has the same methods. The figure shows the four stored prompts: above the stored logits, below minisam's.
# Masks of random weights have no meaning, but two programs that agree on twelve such masks hardly do so by chance.

# %%
from minisam.predict import SamPredictor

predictor, worst = SamPredictor(small), 0.0

# %% tags=["hide-input"]
fig, panels = plt.subplots(2, 4, figsize=(11, 4.6), layout="constrained")
for number, (name, (_, original_size, labels)) in enumerate(original.PROMPTS.items()):
    prompt = original.draw_prompt(name)
    predictor.set_torch_image(torch.tensor(prompt["image"][None]).float(), original_size)
    ours, predicted_iou, _ = predictor.predict(prompt["points"], np.array(labels), return_logits=True)
    theirs = answers[f"{name}/logits"]
    worst = max(worst, abs(ours - theirs).max() / abs(theirs).max())
    assert abs(predicted_iou - answers[f"{name}/iou"]).max() < 1e-5
    assert abs(predictor.get_image_embedding()[0].numpy() - answers[f"{name}/embedding"]).max() < 1e-4
    assert ((ours > 0) == (theirs > 0)).mean() > 0.999
    panels[0, number].set_title(name, fontsize=9)
    for axes, logits in zip(panels[:, number], (theirs[0], ours[0]), strict=True):
        axes.imshow(logits, cmap="RdBu_r", vmin=-abs(theirs[0]).max(), vmax=abs(theirs[0]).max())
        axes.set(xticks=[], yticks=[])
for axes, whose in zip(panels[:, 0], ("segment-anything", "minisam"), strict=True):
    axes.set_ylabel(whose)

# %%
assert worst < 1e-5
print("four prompts, twelve masks: the same up to a hundred-thousandth of the largest logit")

# %% [markdown]
# > **What the paper says, what the code does.** The paper rescales the image and pads the shorter side. That the
# > padding comes after the normalisation is only in the code. SAM 2, EfficientSAM and MedSAM resize the image to the
# > square, without keeping its proportions. Weights that were trained with one method give masks that are only nearly
# > right with the other. transformers' port has a 10⁻⁶ in its decoder's norms where segment-anything has 10⁻⁵: that
# > moves its logits by less than a ten-thousandth of the largest one.
#
# ## Find the bug
#
# The mask prompt's embedding and the image embedding are combined before the decoder starts. Well-known notes say:
# "multiplied element by element". This function follows them. Without a mask prompt, the dense embedding is the same
# learned vector everywhere, so nothing looks wrong at first. Fix it. (The paper, appendix A: "The mask and image
# embedding are then added element-wise.")


# %%
def decoder_input(embeddings: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """Images' embeddings [I, D, h, w] and prompts' dense embeddings [P, D, h, w] -> [P, D, h, w]. There is a bug in it.

    Each image has P / I prompts, which stand next to each other.
    """
    prompts = len(dense) // len(embeddings)
    own_image = np.repeat(embeddings, prompts, axis=0)
    return own_image * dense


check(10, decoder_input)

# %% [markdown]
# ## What was left out
#
# The scaling of the image itself: Pillow's bilinear filter, which also smooths when it shrinks. Networks that were made
# for 1024 pixels on images of another size. Everything about speed. And how the weights are trained: part II of the
# course begins with lesson 11 on losses and lesson 12 on training by clicks.
