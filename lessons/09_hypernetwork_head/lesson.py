# %% [markdown]
# # Lesson 9 · Mask heads and IoU token: from tokens to masks
#
# Builds on: 8. Runs on a CPU, without a network.
#
# Tokens and image have attended to each other. You will turn a mask token into a classifier of pixels, increase the
# resolution of the image tokens, choose among four masks by the IoU that the network predicts, and find a bug that
# shows only with a prompt.
#
# After this lesson you can
#
# - write the hypernetwork head that turns a mask token into a mask;
# - write one step of upscaling with a transposed convolution;
# - choose among four masks by the predicted IoU.

# %%
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## A mask is a classification of every pixel
#
# The mask is computed by a *linear classifier*: every pixel has a vector of features f, and the pixel belongs to the
# object if w · f is positive. Such a number, positive for yes and negative for no, is a *logit*. In a network for a
# fixed set of classes, w is a learned matrix with a row for each class.
#
# SAM has no classes: it has to segment any object that is clicked, so w has to be computed. After the two-way
# transformer of lesson 8, a mask token contains information about the clicked object. A small multilayer perceptron
# (MLP) turns it into w:
#
# $$w_m = \text{MLP}_m(\text{token}_m), \qquad \text{mask}_m[y, x] = \sum_c w_{m,c}\; f_c[y, x]$$
#
# A network whose output is the weights of another one is called a *hypernetwork*. This one is small and cheap: one mask
# of SAM needs 32 multiplications per pixel.

# %%
pixels, channels = 256 * 256, 32
assert pixels * channels == 2_097_152
print(f"{pixels * channels / 1e6:.1f} million multiplications for one mask, whatever was asked")

# %% [markdown]
# ## Your turn: the mask heads
#
# In NumPy. Each of the M mask tokens has its own MLP: three layers, a ReLU after the first and after the second, none
# after the third. The weights of all M are stacked: a layer of token m is `w[m] @ x + b[m]`.


# %%
def mask_heads(
    tokens: np.ndarray,
    features: np.ndarray,
    w_1: np.ndarray,
    b_1: np.ndarray,
    w_2: np.ndarray,
    b_2: np.ndarray,
    w_3: np.ndarray,
    b_3: np.ndarray,
) -> np.ndarray:
    """tokens [B, M, D], features [B, C, h, w] -> mask logits [B, M, h, w].

    w_1 and w_2 [M, D, D], w_3 [M, C, D], b_1 and b_2 [M, D], b_3 [M, C].
    """
    raise NotImplementedError


check(9, mask_heads)

# %% [markdown]
# ## Upscaling: from 64 to 256
#
# The image tokens are a grid of 64 × 64. A mask of 64 × 64 would have steps of 16 pixels. So the resolution is doubled
# twice, each time by a *transposed convolution* with kernel size 2 and stride 2: every token becomes a square of 2 × 2
# vectors, with one matrix for each of the four positions. It is the opposite of lesson 1's patch embedding, and the
# squares do not overlap:
#
# $$\text{out}_d[2y + i,\; 2x + j] = b_d + \sum_c W_{c,d,i,j}\; \text{in}_c[y, x], \qquad i, j \in \{0, 1\}$$
#
# The number of channels decreases: 256, then 64, then 32. Between the two steps every pixel is normalised (the norm of
# lesson 7), and a GELU follows each step.
#
# ## Your turn: one step of upscaling
#
# In torch, without a convolution: one sum over c (`torch.einsum` or `@`), then bring the axes into order. A row of the
# output is the pair (y, i), in which i counts fastest, and a column is (x, j).


# %%
def finer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [B, C, h, w], weight [C, D, 2, 2], bias [D] -> [B, D, 2h, 2w]."""
    raise NotImplementedError


check(9, finer)

# %% [markdown]
# ## The library's
#
# [HypernetworkHead](../../minisam/model/hypernetwork_head.py) is the MLP, and
# [MaskDecoder](../../minisam/model/mask_decoder.py) puts everything together. Below is `tiny` on a drawn scene with one
# click. Its features have 12 channels. Each is shown *times its weight*, in one colour scale: red counts for the
# object, blue against it. Their sum is the mask.

# %%
from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam_kernels.reference.hypernetwork_head import hypernetwork_head, hypernetwork_masks

scene = render_scenes(seed=5, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()
tiny, kept, click = build_sam("tiny"), {}, (205.0, 60.0)
decoder = tiny.mask_decoder
hooks = [
    decoder.output_upscaling.register_forward_hook(
        lambda module, given, out: kept.update(features=out.numpy())
    ),
    decoder.transformer.register_forward_hook(lambda module, given, out: kept.update(tokens=out[0].numpy())),
]
with torch.no_grad():
    embedding = tiny.image_encoder(tiny.preprocess(torch.tensor(scene).permute(2, 0, 1).float())[None])
    sparse, dense = tiny.prompt_encoder((torch.tensor([[click]]), torch.tensor([[1]])), None, None)
    masks, iou = decoder.predict_masks(embedding, tiny.prompt_encoder.get_dense_pe(), sparse, dense)
    mask_tokens = torch.tensor(kept["tokens"][:, 1:5])
    hyper = torch.stack(
        [mlp(mask_tokens[:, m]) for m, mlp in enumerate(decoder.output_hypernetworks_mlps)], 1
    )
for hook in hooks:
    hook.remove()
weights = {name: value.numpy() for name, value in decoder.output_hypernetworks_mlps.state_dict().items()}
defined = hypernetwork_head(mask_tokens.numpy(), kept["features"], weights)
assert masks.shape == (1, 4, 64, 64) and kept["features"].shape == (1, 12, 64, 64) and iou.shape == (1, 4)
assert abs(masks.numpy() - defined).max() < 1e-3 * abs(defined).max()
assert abs(hypernetwork_masks(hyper.numpy(), kept["features"]) - defined).max() < 1e-3 * abs(defined).max()

best = 1 + int(iou[0, 1:].argmax())
parts = hyper[0, best].numpy()[:, None, None] * kept["features"][0]
scale = np.quantile(abs(parts), 0.99)
fig = plt.figure(figsize=(11, 3.5), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=[1, 1.25])
for axes, part in zip(left.subplots(3, 4).flat, parts, strict=True):
    axes.imshow(part, cmap="RdBu_r", vmin=-scale, vmax=scale)
    axes.set_axis_off()
logits_axes, mask_axes = right.subplots(1, 2)
logits = parts.sum(axis=0)
logits_axes.imshow(logits, cmap="RdBu_r", vmin=-abs(logits).max(), vmax=abs(logits).max())
logits_axes.set_title("… their sum: logits")
mask_axes.imshow(scene)
larger = np.kron(logits > 0, np.ones((4, 4)))
mask_axes.imshow(np.dstack([0.12 + 0 * larger, 0.56 + 0 * larger, 1 + 0 * larger, 0.6 * larger]))
mask_axes.plot(*click, "*", color="lime", markersize=14, markeredgecolor="black")
mask_axes.set_title("logits > 0")
for axes in (logits_axes, mask_axes):
    axes.set_axis_off()
left.suptitle("12 channels, each times its weight …", fontsize=12)

# %% [markdown]
# ## Four masks and a number for each
#
# A click on a shirt may mean the shirt or the person. A network that has to give one answer gives a compromise that is
# neither. SAM gives three, from mask tokens 1, 2 and 3. Which token is for the whole and which for a part is not
# specified: in training, only the mask with the smallest loss is trained, and so the tokens specialise (lesson 11).
#
# With a second click the prompt is hardly ambiguous, and three answers would be nearly equal. For this case there is
# mask token 0, with a single mask. It is trained only on prompts that consist of several points or boxes.
#
# Which of the three should be shown first? An MLP turns the *IoU token* into four numbers, one for each mask: the
# predicted IoU of the mask with the object that was meant. IoU is the area that two masks share, divided by the area
# that at least one of them covers: 1 for equal masks, 0 for masks that share nothing.

# %% tags=["hide-input"]
from minisam.show import show_image, show_mask

fig, panels = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
for number, axes in enumerate(panels):
    show_image(axes, scene, f"mask {number}" + (", the clear prompt's" if number == 0 else ""))
    show_mask(axes, np.kron(masks[0, number].numpy() > 0, np.ones((4, 4))).astype(bool))
    axes.plot(*click, "*", color="lime", markersize=14, markeredgecolor="black")
    axes.text(
        0.5, -0.08, f"predicted IoU {iou[0, number]:.2f}", ha="center", transform=axes.transAxes, fontsize=10
    )

# %% [markdown]
# ## Your turn: choose
#
# In NumPy. A prompt that is one click or one box is ambiguous: choose, of masks 1 to 3, the one with the highest
# predicted IoU. For a prompt of several clicks or boxes, choose mask 0. Padding points do not count.


# %%
def choose(masks: np.ndarray, iou: np.ndarray, parts: int) -> np.ndarray:
    """masks [B, 4, h, w], predicted IoU [B, 4], how many parts the prompts have -> one mask each, [B, h, w]."""
    raise NotImplementedError


check(9, choose)

# %% [markdown]
# > **What the paper says, what the code does.** The paper shows one mask "when more than one prompt is given", so a box
# > alone is one prompt and gets three. SAM's code lets the caller decide, `multimask_output=True` or `False`. SAM 2
# > counts a box as two points and gives one mask. Some libraries built on SAM have stated the rule the wrong way round.
# > The predicted IoU of SAM can exceed 1; SAM 2 applies a sigmoid to it.
#
# ## Find the bug
#
# A box is two prompt tokens; a click is one, followed by a padding token. In the transformer they come after the
# decoder's own tokens: first the IoU token, then the mask tokens, then the prompt. The output has the same order. This
# head was tested on tokens without a prompt, and its masks were right. Fix it.


# %%
def masks_of(tokens: np.ndarray, features: np.ndarray, masks: int) -> np.ndarray:
    """Tokens from the transformer [B, T, C], features [B, C, h, w] -> logits of the masks [B, masks, h, w].

    The mask tokens are already those that their perceptrons have made. There is a bug in it.
    """
    chosen = tokens[:, -masks:]
    return np.einsum("btc,bchw->bthw", chosen, features)


check(9, masks_of)

# %% [markdown]
# ## What was left out
#
# The norm and the GELUs of the upscaling, which the library has. The step from 256 × 256 to the image's pixels is a
# bilinear interpolation: lesson 10. Lesson 11 explains how the three tokens specialise, and what the IoU token is
# trained on. A predicted IoU is only an estimate. How good it is depends on the training; lesson 13 relies on it.
