# %% [markdown]
# # Lesson 9 · Mask heads and IoU token: from tokens to masks
#
# Builds on: 8. Runs on a CPU, without a network.
#
# The tokens have asked the image, and the image the tokens. You will turn a mask token into a classifier of pixels,
# make the image finer, choose among four masks by a number that the network predicts of itself, and mend a threshold.
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
# ## A mask is a question to every pixel
#
# What segments is a *linear classifier*: at every pixel there is a vector of features f, and the pixel belongs to the
# object if w · f is positive. Such a number, positive for yes and negative for no, is a *logit*. In a network that
# knows cats and dogs, w is a matrix with a row for each class, learned once.
#
# SAM has no classes. What is to be found is whatever was clicked, so w has to be computed. After lesson 8, a mask
# token knows what was clicked. A small perceptron makes w of it:
#
# $$w_m = \text{MLP}_m(\text{token}_m), \qquad \text{mask}_m[y, x] = \sum_c w_{m,c}\; f_c[y, x]$$
#
# A network whose output is the weights of another one is called a *hypernetwork*. This is a small one, and
# a cheap one: one mask of SAM costs 32 multiplications a pixel.

# %%
pixels, channels = 256 * 256, 32
assert pixels * channels == 2_097_152
print(f"{pixels * channels / 1e6:.1f} million multiplications for one mask, whatever was asked")

# %% [markdown]
# ## Your turn: the mask heads
#
# In NumPy. Each of the M mask tokens has a perceptron of its own: three layers, a ReLU after the first and after the
# second, none after the third. The weights of all M are stacked, a layer of token m is `w[m] @ x + b[m]`.


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
# ## Finer: 64 becomes 256
#
# The image tokens are a grid of 64 × 64. A mask of 64 × 64 would have steps of 16 pixels. So the grid is made finer
# twice, by a *transposed convolution* with kernel 2 and stride 2. The name is worse than the thing: every token
# becomes a square of 2 × 2, one matrix for each of its four places. It is lesson 1 backwards, and no square touches
# another:
#
# $$\text{out}_d[2y + i,\; 2x + j] = b_d + \sum_c W_{c,d,i,j}\; \text{in}_c[y, x], \qquad i, j \in \{0, 1\}$$
#
# On the way there are fewer channels: 256, then 64, then 32. Between the two steps every pixel is normalised (lesson
# 7's norm), and a GELU follows each.
#
# ## Your turn: one step finer
#
# In torch, without a convolution: one sum over c (`torch.einsum` or `@`), then the axes in order. A place in the
# output is the pair (y, i), one after the other: y is the slow one, i the fast one.


# %%
def finer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [B, C, h, w], weight [C, D, 2, 2], bias [D] -> [B, D, 2h, 2w]."""
    raise NotImplementedError


check(9, finer)

# %% [markdown]
# ## The library's
#
# [HypernetworkHead](../../minisam/model/hypernetwork_head.py) is the perceptron, and
# [MaskDecoder](../../minisam/model/mask_decoder.py) puts everything together. Below is `tiny`, the network that ships
# here, on a drawn scene with one click. Its features have 12 channels. Each is shown *times its weight*, in one colour
# scale: red speaks for the object, blue against it. Their sum is the mask.

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
# A click on a shirt may mean the shirt or the person. A network that has to give one answer gives something between
# them that is neither. SAM gives three, from mask tokens 1, 2 and 3. Nobody says which is the whole and which the
# part: while it is trained, only the mask that fits best is corrected, and the tokens divide the work among
# themselves (lesson 11).
#
# With a second click the matter is clear, and three answers would be three times the same. So there is mask token 0.
# It is trained on prompts of several parts only, and answers alone.
#
# And which of the three is shown first? The *IoU token* says so. A perceptron makes four numbers of it, one for each
# mask: the IoU that the mask will have with what was meant. IoU is the area that two masks share, divided by the area
# that at least one of them covers: 1 is perfect, 0 is a miss.

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
# In NumPy. A prompt of one part, one click or one box, is ambiguous: of masks 1 to 3, the one with the highest
# predicted IoU. A prompt of more parts: mask 0. Padding is not a part.


# %%
def choose(masks: np.ndarray, iou: np.ndarray, parts: int) -> np.ndarray:
    """masks [B, 4, h, w], predicted IoU [B, 4], how many parts the prompts have -> one mask each, [B, h, w]."""
    raise NotImplementedError


check(9, choose)

# %% [markdown]
# > **What the paper says, what the code does.** The paper shows one mask "when more than one prompt is given", so a
# > box alone is one prompt and gets three. SAM's code leaves it to the caller, `multimask_output=True` or `False`.
# > SAM 2 counts a box as two points and gives one mask. Even libraries built on SAM have stated the rule backwards.
# > And the predicted IoU is a plain number in SAM, nothing keeps it below 1; SAM 2 has a sigmoid there.
#
# ## Find the bug
#
# A box is two prompt tokens, a click is one and a padding token. They go into the transformer behind the decoder's own:
# first the IoU token, then the mask tokens, then the prompt. In this order they come out. This head was tried on tokens
# without a prompt, and its masks were right. Mend it.


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
# The norm and the GELUs of the upscaling, which the library has. From 256 × 256 to the image's own pixels it is only
# a bilinear interpolation: lesson 10. How three tokens come to mean three things, and what the IoU token is trained
# on, is lesson 11. A predicted IoU is an opinion. How good it is depends on the training, and lesson 13 relies on it.
