# %% [markdown]
# # Lesson 7 · The prompt encoder: clicks, boxes and masks become embeddings
#
# Builds on: 6. Runs on a CPU, without a network.
#
# You know the code of a position. You will add a vector for what the position means, pad a prompt as SAM does, reduce a
# mask to the grid of the image tokens, and find out why a mask of zeros and ones is a bad prompt.
#
# After this lesson you can
#
# - turn clicks and boxes into sparse embeddings, with the right label vectors;
# - say when a padding point joins a prompt;
# - turn a mask prompt into dense embeddings;
# - say why a mask prompt consists of logits and not of zeros and ones.

# %%
from torch import Tensor

# %% [markdown]
# ## Two kinds of prompt
#
# A *sparse* prompt consists of a few positions: clicks, and the two corners of a box. Each becomes one vector of 256
# numbers, a token. A *dense* prompt is a mask: one number for every pixel. It becomes an array of the same size as the
# image embedding, 64 × 64 × 256, and is added to it.
#
# All of this is small. The image encoder of ViT-B has 89.7 million parameters, the prompt encoder 6,220. It runs for
# every click.
#
# ## Position plus kind
#
# A token is the sum of a position and a kind. The position is encoded as in lesson 6. The kind is a learned vector, one
# of four:
#
# $$\text{token}(x, y, \ell) = \text{encoding}\!\left(\tfrac{x + 1/2}{W},\, \tfrac{y + 1/2}{H}\right) +
# \text{kind}_\ell$$
#
# | label ℓ | what it is |
# |---|---|
# | 0 | a click on the background: "not this" |
# | 1 | a click on the object: "this" |
# | 2, 3 | top-left and bottom-right corner of a box |
# | −1 | padding: not a point. Its token is a fifth learned vector, *without* a position |
#
# Adding ½ moves a click from a pixel's corner to its centre: pixel 0 extends from 0 to 1. W and H are the sides of the
# network's input, 1024, padding included.
#
# The figure below shows a drawn scene with one prompt of each kind, and their tokens in `tiny`, a trained network that
# is included in minisam. Its tokens have 96 numbers: 48 sines, then 48 cosines.
# %%
from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam.lesson.page import check, np, plt, torch
from minisam_kernels.reference.fourier_encoding import fourier_encoding

scene = render_scenes(seed=5, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()
tiny = build_sam("tiny")
encoder = tiny.prompt_encoder
names = ["click, object", "click, background", "top-left corner", "bottom-right corner", "padding"]
places = np.array([[205.0, 60], [60, 215], [46, 2], [243, 152], [0, 0]])
labels = np.array([1, 0, 2, 3, -1])
with torch.no_grad():
    tokens = encoder.embed_points(torch.tensor(places[None]).float(), torch.tensor(labels)[None], pad=False)
    kinds, not_a_point = encoder.kind_embeddings(), encoder.not_a_point_embed.weight.detach()
gaussian = encoder.pe_layer.positional_encoding_gaussian_matrix.numpy()
where = np.where(labels[:, None] >= 0, fourier_encoding((places + 0.5) / 256, gaussian), 0)
what = torch.cat([kinds, not_a_point])[labels].numpy()
assert tokens.shape == (1, 5, 96) and abs(tokens[0].numpy() - (where + what)).max() < 1e-4

fig = plt.figure(figsize=(11, 3.9), layout="constrained")
picture, table = fig.subfigures(1, 2, width_ratios=[1, 2.3])
axes = picture.subplots()
axes.imshow(scene)
axes.add_patch(plt.Rectangle((46, 2), 197, 150, fill=False, edgecolor="tab:green", linewidth=2.5))
for (x, y), color in zip(places[:2], ("tab:green", "tab:red"), strict=True):
    axes.plot(x, y, "*", color=color, markersize=17, markeredgecolor="white")
axes.set_axis_off()
panels = table.subplots(3, 1, sharex=True)
for panel, name, numbers in zip(
    panels, ("where", "+ what", "= token"), (where, what, where + what), strict=True
):
    panel.imshow(numbers, aspect="auto", cmap="RdBu_r", vmin=-2, vmax=2, interpolation="nearest")
    panel.set_yticks(range(5), names, fontsize=8)
    panel.set_title(name, loc="left", fontsize=11)
    panel.axvline(47.5, color="black", linewidth=1)
    panel.set_xticks([23.5, 71.5], ["48 sines", "48 cosines"])
    panel.tick_params(axis="x", length=0)

# %% [markdown]
# *Every row of the lower table is one token. The padding has no position.*
#
# Now try other prompts. In a notebook, the next cell shows the scene with these two clicks and the box. A click adds a
# foreground point, a right click a background point, and dragging draws a box. Elsewhere it is a figure.

# %%
from minisam import show

page = show.click(scene, tiny, points=places[:2], labels=labels[:2], boxes=[[46, 2, 243, 152]])
page

# %% [markdown]
# ## Your turn: clicks
#
# In NumPy; `fourier_encoding` of lesson 6 is available. The labels are floats, as all inputs are. Note that in Python
# `kinds[-1]` is not an error but the last of the four vectors.


# %%
def embed_points(
    points: np.ndarray,
    labels: np.ndarray,
    gaussian: np.ndarray,
    kinds: np.ndarray,
    not_a_point: np.ndarray,
    height: int,
    width: int,
) -> np.ndarray:
    """points [B, K, 2] as (x, y) in pixels, labels [B, K] of -1 to 3, kinds [4, D], not_a_point [D] -> [B, K, D].

    gaussian [2, D/2] is for fourier_encoding; height and width are those of the network's input.
    """
    raise NotImplementedError


check(7, embed_points)

# %% [markdown]
# ## The padding point
#
# Several prompts are computed together, so they need equal numbers of tokens; a shorter one is filled with points of
# label −1. In addition, a prompt *without a box* always gets one padding point at its end, even if it is a single
# click. The network was trained this way. The padding has an effect: it is a token like the others and takes part in
# every attention, and without it the masks change:

# %%
click = torch.tensor([[[205.0, 60]]]), torch.tensor([[1]])
with torch.no_grad():
    image_embedding = tiny.image_encoder(tiny.preprocess(torch.tensor(scene).permute(2, 0, 1).float())[None])
    sparse, dense = encoder(click, None, None)
    (padded, _), (bare, _) = (
        tiny.mask_decoder(image_embedding, encoder.get_dense_pe(), given, dense, multimask_output=False)
        for given in (sparse, sparse[:, :1])
    )
assert sparse.shape == (1, 2, 96)
assert (padded - bare).abs().max() > 0.01
print("one click is two tokens; without the padding the logits are others")

# %% [markdown]
# ## Your turn: all tokens of a prompt
#
# In torch: first the points, then the padding point if there is no box, then two tokens for each box. There may be no
# points or no boxes: then their axis has length 0. `encode` is lesson 6 in torch. Points and corners are
# encoded in the same way: put them into one list first, or write a helper function.


# %%
def encode(coords: Tensor, gaussian: Tensor) -> Tensor:
    """coords [..., 2] in [0, 1] -> [..., 2 · F]: lesson 6."""
    angles = 2 * torch.pi * ((2 * coords - 1) @ gaussian)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def sparse_tokens(
    points: Tensor,
    labels: Tensor,
    boxes: Tensor,
    gaussian: Tensor,
    kinds: Tensor,
    not_a_point: Tensor,
    size: int,
) -> Tensor:
    """points [B, K, 2], labels [B, K], boxes [B, n, 4] as (x0, y0, x1, y1) -> [B, K + 1, D] or [B, K + 2n, D].

    The other arguments as above; the network's input is size x size pixels. Where n = 0 a padding point comes last.
    """
    raise NotImplementedError


check(7, sparse_tokens)

# %% [markdown]
# > **What the paper says, what the code does.** The paper does not mention the padding point; the released code adds
# > it, and weights depend on it. The paper also prompts with text, through CLIP; the released code has no text. In the
# > released code each box is a separate prompt: several boxes are several prompts with one mask each. minisam's encoder
# > takes several boxes for one mask, too.
#
# ## Masks
#
# A mask prompt is the network's last result, given back to be improved: 256 × 256 *logits*, a quarter of the input's
# side. It has to become 64 × 64 × 256. Twice, a matrix turns every 2 × 2 square into one vector, which is a patch
# embedding with P = 2 (as a convolution: kernel size 2, stride 2). After each of these steps, every pixel's channels
# are normalised, and a GELU follows: x·Φ(x), where Φ is the distribution function of the normal distribution:
#
# | step | out, for SAM | parameters |
# |---|---|---|
# | mask | 256 × 256 × 1 | |
# | shrink | 128 × 128 × 4 | 4·1·4 + 4, norm 2·4 |
# | shrink | 64 × 64 × 16 | 16·4·4 + 16, norm 2·16 |
# | matrix at every pixel | 64 × 64 × 256 | 256·16 + 256 |
#
# Without a mask prompt, one learned vector takes its place at every position: the embedding of "no mask".

# %%
D = 256
learned = 4 * D + D + D  # four kinds, not a point, no mask
shrinking = (4 * 1 * 4 + 4 + 2 * 4) + (16 * 4 * 4 + 16 + 2 * 16) + (D * 16 + D)
assert learned + shrinking == 6220
print(f"{learned} + {shrinking} = {learned + shrinking} parameters")

# %% [markdown]
# ## Your turn: one step of shrinking
#
# In torch; you may use convolution and GELU from `torch.nn.functional`. Write the norm yourself: separately at every
# pixel, with mean and variance over the *channels*, which are axis 1; the variance is the mean of the squared
# deviations, and 10⁻⁶ is added to it under the root.


# %%
def shrink(x: Tensor, weight: Tensor, bias: Tensor, norm_weight: Tensor, norm_bias: Tensor) -> Tensor:
    """x [B, C, 2h, 2w], weight [D, C, 2, 2], bias and the norm's scale and shift [D] -> [B, D, h, w]."""
    raise NotImplementedError


check(7, shrink)

# %% [markdown]
# ## The library's
#
# [PromptEncoder](../../minisam/model/prompt_encoder.py) has both. The next cell compares it with the definitions in
# NumPy ([point_encoding.py](../../kernels/minisam_kernels/reference/point_encoding.py),
# [mask_encoding.py](../../kernels/minisam_kernels/reference/mask_encoding.py)), on the mask of the click above.

# %%
from minisam_kernels.reference.mask_encoding import mask_encoding
from minisam_kernels.reference.point_encoding import point_encoding

weights = {name: value.numpy() for name, value in encoder.mask_downscaling.state_dict().items()}
with torch.no_grad():
    steps = [padded]
    for layer in encoder.mask_downscaling:
        steps.append(layer(steps[-1]))
    ours = encoder(click, None, padded)
defined = point_encoding(
    np.array([[[205.0, 60], [0, 0]]]),
    np.array([[1, -1]]),
    gaussian,
    kinds.numpy(),
    not_a_point[0].numpy(),
    (256, 256),
)
assert abs(ours[0].numpy() - defined).max() < 1e-4
shrunk = mask_encoding(padded.numpy(), weights)
assert abs(ours[1].numpy() - shrunk).max() < 1e-4 * abs(shrunk).max()
print(
    "tokens", list(ours[0].shape), "and dense embedding", list(ours[1].shape), "agree with their definitions"
)


def tiles(pictures: np.ndarray, across: int) -> np.ndarray:
    """Pictures [across², h, w], each scaled to its own range, with a gap around each."""
    low, high = pictures.min(axis=(1, 2), keepdims=True), pictures.max(axis=(1, 2), keepdims=True)
    framed = np.pad((pictures - low) / (high - low + 1e-9), ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    rows = framed.reshape(across, across, *framed.shape[1:]).swapaxes(1, 2)
    return rows.reshape(across * framed.shape[1], -1)


# %% tags=["hide-input"]


fig, panels = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
shown = [
    (steps[0][0], 1, "mask: 64 × 64 logits"),
    (steps[3][0], 2, "4 channels of 32 × 32"),
    (steps[6][0], 4, "16 channels of 16 × 16"),
    (steps[7][0, :36], 6, "36 of the 96 channels"),
]
for axes, (channels, across, title) in zip(panels, shown, strict=True):
    axes.imshow(tiles(channels.numpy(), across), cmap="viridis", interpolation="nearest")
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()

# %% [markdown]
# ## Find the bug
#
# A user has a mask of zeros and ones from another program, and gives it to SAM as a prompt. That this makes the masks
# worse is a frequent question. In training, the network has only seen its own logits: clearly negative outside, clearly
# positive inside, 0 where it is undecided. A mask of zeros and ones says "undecided" everywhere outside. Fix it.


# %%
def mask_to_logits(mask: np.ndarray) -> np.ndarray:
    """A mask [4h, 4w] of zeros and ones in the network's pixels -> a mask prompt [1, h, w]. There is a bug in it.

    -10 where no pixel of a 4 x 4 cell is in the mask, 10 where all are, and evenly between for a part of them.
    """
    height, width = mask.shape
    cells = mask.reshape(height // 4, 4, width // 4, 4)
    share = cells.mean(axis=(1, 3))
    return share[None]


check(7, mask_to_logits)

# %% [markdown]
# ## What was left out
#
# The sum of dense embedding and image embedding, which the decoder computes (lesson 10). How the network learns to use
# its own mask: in training, the last logits are given back after each round of clicks (lesson 12). Text prompts, whose
# token comes from another network (lesson 22). minisam's own function from a mask to logits,
# [mask_prompt.py](../../minisam/predict/mask_prompt.py), also scales the mask to the network's input. Next: lesson 8,
# how tokens and image attend to each other.
