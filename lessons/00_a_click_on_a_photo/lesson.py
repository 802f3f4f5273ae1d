# %% [markdown]
# # Lesson 0 · A click on a photo: the whole of SAM, used and opened
#
# Builds on: nothing. Runs on a CPU, without a network.
#
# You need to have seen Python. You will click on a photo and get masks, learn why there are three, then follow the
# click through every part of the network: what goes in, what comes out, how large it is and what it costs. Each part
# has its own lesson later. In this one you write the two steps around the network, and the measure of a mask.
#
# After this lesson you can
#
# - turn a click on a photo into masks with `SamPredictor`, and read its three results;
# - name the six steps between a click and its masks, with the shape after each;
# - say why one click gets three masks, and compute the IoU of two masks;
# - bring points to the network's pixels and logits back to the photo.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Try it
#
# SAM, *Segment Anything*, takes an image and a *prompt*: a point, a box, a rough mask. It gives back *masks*: for every
# pixel, whether it belongs to the object that was meant. In a notebook, move the mouse over the photo, and click. On a
# page like this one you see a figure instead; `minisam click` opens the same page in the browser. `page.value` has the
# prompt and the masks, at any time.

# %%
from pathlib import Path

import matplotlib

from minisam import show
from minisam.data.images import load_image

photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
page = show.click(photo, points=[[130, 500]])  # x = 130, y = 500
page

# %% [markdown]
# ## One click
#
# The page does no more than this: it loads the network once, calls `set_image` once for the photo, and `predict` for
# each click. `tiny` is a smaller version of SAM's network, with weights that are included in minisam.

# %%
from minisam.build import build_sam
from minisam.config import CONFIGS, build_from_config
from minisam.predict import SamPredictor
from minisam.show import show_image, show_mask

click, label = np.array([[130, 500]]), np.array([1])  # x = 130, y = 500; 1 means: this belongs to it

predictor = SamPredictor(build_sam("tiny"))
predictor.set_image(photo)
masks, predicted_iou, low_res = predictor.predict(click, label)

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 4, figsize=(11, 3.6), layout="constrained")
show_image(panels[0], photo, "a click on the name tag")
star = {"marker": "*", "markersize": 17, "color": "white", "markeredgecolor": "black"}
panels[0].plot(*click[0], **star)
for axes, mask, score in zip(panels[1:], masks, predicted_iou, strict=True):
    show_image(axes, photo, f"predicted IoU {score:.2f}")
    show_mask(axes, mask)
assert photo.shape == (600, 512, 3) and masks.shape == (3, 600, 512) and predicted_iou.shape == (3,)
assert 100 < masks.sum(axis=(1, 2)).max() < 0.9 * 600 * 512
tag, jacket = photo[488:512, 118:146].mean(), photo[520:540, 118:146].mean()

# %%
assert tag > 120 > 40 > jacket and photo[500, 130].mean() > 120  # on the bright tag
assert masks[:, 500, 130].all()

# %% [markdown]
# ## Why three masks
#
# A click on a name tag can mean the tag, the jacket, or the officer. Nothing in the click says which. A network that
# has to give one answer learns an average of all possible answers, which is none of them. So SAM gives three masks, and
# for each of them an estimate of how good it is.
#
# The quality of a mask is measured by *intersection over union* (IoU): the number of pixels that the mask and the
# ground truth share, divided by the number of pixels that at least one of them has. It is 1 for equal masks and 0 for
# masks that share no pixel.
#
# $$\text{IoU}(A, B) = \frac{|A \cap B|}{|A \cup B|}$$
#
# For a photo the ground truth is not known. For a drawn scene it is, because a program drew it. `tiny` was trained only
# on such scenes, on an ordinary processor; SAM was trained on 11 million photos, on 256 GPUs. So do not expect too much
# of `tiny`'s masks of a photo. Here is a scene that it was never trained on:

# %%
from minisam.data.partworld import render_scenes

scenes = render_scenes(seed=2**31 + 504, batch_size=5, object_scale=1.3)
scene, labels = scenes.images[4].permute(1, 2, 0).numpy(), scenes.labels[4].numpy()
x, y = 205, 63
truths = np.stack([labels[level] == labels[level, y, x] for level in range(3)])  # whole, part, subpart
names = [scenes.captions[4][labels[level, y, x]] for level in range(3)]

predictor.set_image(scene)
scene_masks, scene_iou, _ = predictor.predict(np.array([[x, y]]), label)
either = (scene_masks[:, None] | truths).sum(axis=(2, 3))
iou = (scene_masks[:, None] & truths).sum(axis=(2, 3)) / np.maximum(either, 1)  # [mask, truth]

# %% tags=["hide-input"]

fig, (upper, lower) = plt.subplots(2, 4, figsize=(11, 5), layout="constrained")
show_image(upper[0], scene, "a click on the hair")
upper[0].plot(x, y, **star)
lower[0].text(0.5, 0.5, "what was drawn there:", ha="center", fontsize=12, transform=lower[0].transAxes)
lower[0].set_axis_off()
for m, axes in enumerate(upper[1:]):
    show_image(axes, scene, f"predicted IoU {scene_iou[m]:.2f}, true {iou[m].max():.2f}")
    show_mask(axes, scene_masks[m])
for axes, truth, name in zip(lower[1:], truths, names, strict=True):
    show_image(axes, scene, name)
    show_mask(axes, truth, color=(1.0, 0.6, 0.0))
print("what the click may mean:", "; ".join(names))
areas = truths.sum(axis=(1, 2))

# %%
assert areas[0] > 1.6 * areas[1] > 2.5 * areas[2] and not (truths[1] & ~truths[0]).any()
assert iou.max() > 0.3

# %% [markdown]
# *Above, three masks for one click; in orange, the three objects that were drawn there: a whole, a part of it, and a
# subpart, which is a part of the part. All three are right answers.*
#
# ## Inside the network
#
# What happened between the click and the masks? Six steps, of which the third needs nearly all the computing time.
#
# 1. **Resize.** The longer side becomes 1024 pixels, 256 for `tiny`; the click's position is scaled in the same way.
# 2. **Normalise and pad.** From red, green and blue a fixed mean is subtracted, and each is divided by a fixed standard
#    deviation: those of ImageNet's photos, the same for every image. Then the image is padded with zeros to a square.
# 3. **Image encoder.** A vision transformer turns the square into the *image embedding*: a grid of 64 × 64 vectors.
# 4. **Prompt encoder.** The click becomes a vector for its position, plus one for its kind. A padding point, a token
#    that stands for no click, follows it.
# 5. **Mask decoder.** The tokens of the click and of the image attend to each other. The results are three masks, each
#    side a quarter of the input's, as *logits*: numbers that are positive where a pixel belongs to the object. There
#    are also three predicted IoUs.
# 6. **Back to the photo.** Interpolate to the input's size, remove the padding, interpolate to the photo's pixels. The
#    mask is where the result is above 0.
#
# Here is each step in one or two lines of code. ViT-B, the smallest network that was published with SAM, goes through
# the same steps on torch's device `meta`, which computes only shapes and needs no memory.

# %%
from minisam.model import Sam
from minisam.predict.resize_longest_side import ResizeLongestSide


def walk(sam: Sam, image: np.ndarray, click: np.ndarray) -> dict[str, torch.Tensor]:
    """A click on an image, step by step; every intermediate by name."""
    transform = ResizeLongestSide(sam.image_encoder.img_size)
    resized = torch.tensor(transform.apply_image(image)).permute(2, 0, 1).float().to(sam.device)
    point = torch.tensor(transform.apply_coords(click.astype(np.float32), image.shape[:2])).to(sam.device)
    padded = sam.preprocess(resized)[None]
    embedding = sam.image_encoder(padded)
    one = torch.ones(1, 1, dtype=torch.int, device=sam.device)
    sparse, dense = sam.prompt_encoder((point[None], one), None, None)
    grid = sam.prompt_encoder.get_dense_pe()
    low_res, scores = sam.mask_decoder(embedding, grid, sparse, dense, multimask_output=True)
    logits = sam.postprocess_masks(low_res, resized.shape[1:], image.shape[:2])
    return {
        "1 resized image": resized[None],
        "2 normalised, padded": padded,
        "3 image embedding": embedding,
        "4 sparse embeddings": sparse,
        "4 dense embeddings": dense,
        "5 low-res masks": low_res,
        "5 predicted IoU": scores,
        "6 masks, as logits": logits,
    }


tiny = predictor.model
with torch.device("meta"):
    vit_b = build_from_config(CONFIGS["vit_b"])
with torch.no_grad():
    steps, shapes = walk(tiny, photo, click), walk(vit_b, photo, click)
print(f"{'':22}{'tiny':>18}{'ViT-B':>18}")
for name, tensor in steps.items():
    print(f"{name:22}{list(tensor.shape[1:])!s:>18}{list(shapes[name].shape[1:])!s:>18}")
assert abs(steps["5 low-res masks"][0].numpy() - low_res).max() < 1e-4 * abs(low_res).max()
assert ((steps["6 masks, as logits"][0].numpy() > 0) == masks).mean() > 0.999
assert shapes["3 image embedding"].shape == (1, 256, 64, 64)

# %% [markdown]
# The figure shows the result of each step for the click on the name tag. The image embedding has 96 numbers at each of
# its 16 × 16 positions; the three directions in which they differ most are shown as red, green and blue. The click's
# position becomes 96 sines and cosines (lesson 6); the third image shows how well they agree with those of every
# position of the grid. The last three images show the mask with the highest predicted IoU.

# %%
tokens = steps["3 image embedding"][0].permute(1, 2, 0).reshape(256, -1).numpy()
tokens = tokens - tokens.mean(axis=0)
directions = np.linalg.svd(tokens, full_matrices=False)[2][:3]
shown = tokens @ (directions * np.sign(directions.sum(axis=1, keepdims=True))).T
low, high = np.percentile(shown, [2, 98], axis=0)
colors = np.clip((shown - low) / (high - low), 0, 1).reshape(16, 16, 3)

scale = ResizeLongestSide(256).coordinate_scale((600, 512))
place = torch.tensor(click * np.array(scale) + 0.5).float()
with torch.no_grad():
    code = tiny.prompt_encoder.pe_layer.forward_with_coords(place[None], (256, 256))[0, 0]
    fit = torch.einsum("c,cij->ij", code, tiny.prompt_encoder.get_dense_pe()[0]).numpy()
assert divmod(int(fit.argmax()), 16) == (int(500 * scale[1] // 16), int(130 * scale[0] // 16)) == (13, 3)

best = int(predicted_iou.argmax())
padded = (steps["2 normalised, padded"][0] * tiny.pixel_std + tiny.pixel_mean).permute(1, 2, 0).numpy() / 255

# %% tags=["hide-input"]
fig, panels = plt.subplots(1, 6, figsize=(13, 3.1), layout="constrained")
panels[0].imshow(padded.clip(0, 1))
panels[1].imshow(colors)
panels[2].imshow(fit, cmap="magma")
for axes, values in zip(
    panels[3:5], (low_res[best], steps["6 masks, as logits"][0, best].numpy()), strict=True
):
    axes.imshow(values, cmap="coolwarm", vmin=-12, vmax=12)
show_image(panels[5], photo)
show_mask(panels[5], masks[best])
for axes, title in zip(
    panels,
    (
        "2 · padded",
        "3 · image embedding",
        "4 · the click's place",
        "5 · low-res mask",
        "6 · to the photo",
        "> 0",
    ),
    strict=True,
):
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()

# %% [markdown]
# ## What it costs
#
# Steps 1 to 3 need only the image: `set_image` does them once. Steps 4 to 6 are `predict`, once per click. That split
# is SAM's design: everything that takes long is done before the first click. ViT-B needs 471 billion multiplications
# for an image and 1.8 billion for a click, so 260 clicks cost as much as the image. In the paper the image is encoded
# on a GPU, and then each click is answered in a web browser, on a CPU, in 50 ms.

# %%
from torch.utils.flop_counter import FlopCounterMode

with FlopCounterMode(display=False) as counter:
    walk(vit_b, photo, click)
boxes = {"image encoder": "ImageEncoderViT", "prompt encoder": "PromptEncoder", "mask decoder": "MaskDecoder"}
counts = counter.get_flop_counts()
# An addition comes with each multiplication, and both are counted.
work = {name: sum(counts[module].values()) / 2 for name, module in boxes.items()}
per_click = work["prompt encoder"] + work["mask decoder"]
assert 470e9 < work["image encoder"] < 472e9 and 1.7e9 < per_click < 1.9e9
assert 255 < work["image encoder"] / per_click < 265
print(f"ViT-B: {work['image encoder'] / 1e9:.0f} billion for the image, {per_click / 1e9:.1f} for a click")

# %% [markdown]
# And measured, step by step, for `tiny`:

# %%
import time


def fastest(function, *inputs) -> float:
    """Milliseconds, the best of seven."""
    took = []
    for _ in range(7):
        start = time.perf_counter()
        function(*inputs)
        took.append(1e3 * (time.perf_counter() - start))
    return min(took)


transform = ResizeLongestSide(256)
resized, padded_input = steps["1 resized image"][0], steps["2 normalised, padded"]
points = (place[None] - 0.5, torch.ones(1, 1, dtype=torch.int))
with torch.no_grad():
    sparse, dense = tiny.prompt_encoder(points, None, None)
    given = (steps["3 image embedding"], tiny.prompt_encoder.get_dense_pe(), sparse, dense, True)
    milliseconds = {
        "1 resize": fastest(transform.apply_image, photo),
        "2 normalise, pad": fastest(tiny.preprocess, resized),
        "3 image encoder": fastest(tiny.image_encoder, padded_input),
        "4 prompt encoder": fastest(tiny.prompt_encoder, points, None, None),
        "5 mask decoder": fastest(tiny.mask_decoder, *given),
        "6 back to the photo": fastest(
            tiny.postprocess_masks, steps["5 low-res masks"], resized.shape[1:], (600, 512)
        ),
    }
assert max(milliseconds, key=milliseconds.get) == "3 image encoder"

# %% tags=["hide-input"]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 2.7), layout="constrained")
panels = (
    (left, milliseconds, "milliseconds", "tiny, on the machine that drew this"),
    (
        right,
        {name: count / 1e9 for name, count in work.items()},
        "billion multiplications",
        "ViT-B, counted",
    ),
)
for axes, amounts, unit, title in panels:
    rows = range(len(amounts))
    per_image = [name for name in amounts if name[0] in "123i"]
    colors = ["#1e90ff" if name in per_image else "#d2691e" for name in amounts]
    axes.hlines(rows, 1e-9, list(amounts.values()), colors=colors, linewidth=1.2)
    axes.scatter(list(amounts.values()), rows, c=colors, zorder=3)
    axes.set_xscale("log")
    axes.set_yticks(list(rows), list(amounts))
    axes.set(ylim=(len(amounts) - 0.5, -0.5), xlabel=unit, title=title)
left.set_xlim(0.02, 2000)
right.set_xlim(1e-7, 1e4)

# %% [markdown]
# *Blue: once per image. Orange: for every click. Both scales are logarithmic; the milliseconds depend on the machine.*
#
# ## Your turn: scale the click
#
# Step 1, for points, in NumPy. The longer side becomes `size`, and both sides are whole pixels, `int(side * scale +
# 0.5)`. So the two sides have slightly different factors: a photo of 600 × 512 becomes 256 × 218, and x is multiplied
# by 218 / 512, y by 256 / 600. Note the order: points are (x, y), images are [row, column].

# %%
assert ResizeLongestSide(256).get_preprocess_shape(600, 512, 256) == (256, 218)


def to_network_pixels(points: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """Points [n, 2] as (x, y) on an image of height × width -> the same on the image the network sees."""
    raise NotImplementedError


check(0, to_network_pixels)

# %% [markdown]
# ## Your turn: back to the photo
#
# Step 6, in torch, without the threshold. The low-resolution masks cover the padded square. Interpolate them to size ×
# size pixels, remove the padding at the bottom and at the right, and interpolate the rest to the photo's pixels, both
# times bilinearly. The order matters: in the low-resolution masks, the photo's edge lies somewhere within a pixel.

# %%
import torch.nn.functional as F
from torch import Tensor


def logits_to_image(logits: Tensor, height: int, width: int, size: int) -> Tensor:
    """logits [C, h, w] for the padded square of size × size pixels -> [C, height, width] for the image."""
    raise NotImplementedError


check(0, logits_to_image)

# %% [markdown]
# ## The library's
#
# [predictor.py](../../minisam/predict/predictor.py) has these six steps, with checks of its arguments;
# [sam.py](../../minisam/model/sam.py) has the two functions around the network. Its methods have the names of
# segment-anything's, so code that was written for one runs with the other. In a terminal: `minisam segment photo.jpg
# --point 130,500`.
#
# > **What the paper says, what the code does.** In the paper an unambiguous prompt, for example several points, gets a
# > single mask, from a fourth output that is trained for this purpose. The code lets the caller decide:
# > `multimask_output=True` gives the three, `False` the fourth, for any prompt. It does not sort the three masks: the
# > first one need not be the best; take the one with the highest predicted IoU.
#
# ## Find the bug
#
# A published training of SAM from scratch measured its IoU with the threshold of this function. The numbers look
# sensible. They are slightly wrong, and more so early in training, while the logits are small. Fix it.


# %%
def mask_iou(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """logits [M, H, W], truth [M, H, W] of 0 and 1 -> the IoU of each mask, [M]. There is a bug in it."""
    mask, true = logits > 0.5, truth == 1
    intersection = (mask & true).sum(axis=(1, 2))
    union = (mask | true).sum(axis=(1, 2))
    return (intersection / np.maximum(union, 1)).astype(logits.dtype)


check(0, mask_iou)

# %% [markdown]
# ## What was left out
#
# The three parts of the network. The image encoder is explained in lessons 1 to 5, the prompt encoder in 6 and 7, the
# mask decoder in 8 and 9; lesson 10 puts them together. Lesson 12 explains boxes, rough masks and several clicks as
# prompts, and how a network learns to answer them. Lesson 13 explains how all objects of an image are found without any
# click.
