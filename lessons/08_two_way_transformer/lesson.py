# %% [markdown]
# # Lesson 8 · Two-way cross-attention: prompt and image attend to each other
#
# Builds on: 2, 7. Runs on a CPU, without a network.
#
# You know prompt tokens and image tokens. In SAM's decoder they attend to each other. You will write attention with
# several heads between two sets of tokens, then the four steps of a block of the decoder, and learn about one residual
# connection that the first block does not have.
#
# After this lesson you can
#
# - write attention with several heads between two sets of tokens;
# - write the four steps of a two-way block;
# - say which tokens attend to which in each step, and where the positions are added.

# %%
import torch.nn.functional as F
from torch import Tensor

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Two sets of tokens
#
# The first set is small. A click gives two tokens (lesson 7: the click and the padding point). Five *output tokens*
# come before them: the IoU token for the quality (lesson 9), and four mask tokens, numbers 0 to 3. They are learned
# vectors, the same for every image, and the decoder will write the result into them. That makes 7 tokens. The second
# set are the 64 × 64 = 4096 tokens of the image.
#
# The tokens need information from the image: what is under the click, and what else looks like it? The image tokens
# need information from the prompt: does this position belong to the object? Otherwise the image tokens would be the
# same for every click.
#
# Both are attention (lesson 2), with queries from one set and keys and values from the other: *cross-attention*. A
# single attention over all 4103 tokens would do both, but at a much higher cost:

# %%
T, S = 7, 64 * 64
joint = (T + S) ** 2
two_way = T * T + T * S + S * T  # tokens among themselves, tokens to image, image to tokens
assert joint == 16_834_609 and two_way == 57_393 and 293 < joint / two_way < 294
print(
    f"scores of one head: {joint:,} for all with all, {two_way:,} in two ways, {joint / two_way:.0f} times fewer"
)

# %% [markdown]
# The image tokens have already attended to each other in the image encoder, once for all prompts. That need not be
# repeated for each click.
#
# ## The block
#
# x are the tokens, y are the image tokens. p has the positions of the tokens: it is a copy of the tokens at the start,
# and that of a click contains the code of its position (lesson 7). e has the positions of the image tokens: it is the
# Fourier code of the grid (lesson 6). `attend(queries, keys, values)` is attention. A block has four steps:
#
# $$\begin{aligned}
# 1\quad x &\leftarrow \text{norm}\left(x + \text{attend}(x + p,\; x + p,\; x)\right) \\
# 2\quad x &\leftarrow \text{norm}\left(x + \text{attend}(x + p,\; y + e,\; y)\right) \\
# 3\quad x &\leftarrow \text{norm}\left(x + W_2\, \text{relu}(W_1 x)\right) \\
# 4\quad y &\leftarrow \text{norm}\left(y + \text{attend}(y + e,\; x + p,\; x)\right)
# \end{aligned}$$
#
# Note the third argument. Positions are added to queries and keys, never to values: they influence the weights, but are
# not part of the values that are averaged. p and e are added again in each step, because little of them would be left
# after a norm and several sums.
#
# SAM has two such blocks, and after them the tokens attend to the image once more.

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(11, 3.9), layout="constrained")
tokens_y, image_y = 2.6, 0.4
colors = ["tab:olive", *4 * ["tab:purple"], "tab:green", "grey"]
for n, (color, name) in enumerate(
    zip(colors, ["quality", "", "4 masks", "", "", "click", "padding"], strict=True)
):
    axes.add_patch(plt.Rectangle((-0.6 + 0.17 * n, tokens_y - 0.12), 0.14, 0.24, color=color))
    axes.text(
        -0.55 + 0.17 * n, tokens_y - 0.2, name, fontsize=7, rotation=55, ha="right", va="top", color=color
    )
axes.text(-0.6, tokens_y + 0.26, "7 tokens x", fontsize=11)
shades = np.random.default_rng(0).uniform(0.25, 0.8, (8, 8))
axes.imshow(
    shades, cmap="Blues", vmin=0, vmax=1, extent=(-0.55, 0.35, image_y - 0.42, image_y + 0.48), aspect="auto"
)
axes.text(-0.6, image_y - 0.74, "4096 image tokens y", fontsize=11)
arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
for y, name in ((tokens_y, "x"), (image_y, "y")):
    axes.annotate("", (9.3, y), (0.75, y), arrowprops=arrow)
    axes.text(9.35, y, name, fontsize=12, va="center")
steps = [
    (1.2, tokens_y, "1  self-attention", "among 7"),
    (3.2, tokens_y, "2  tokens ask the image", "7 × 4096"),
    (5.2, tokens_y, "3  perceptron", "each token alone"),
    (7.2, image_y, "4  image asks the tokens", "4096 × 7"),
]
for left, y, name, size in steps:
    box = {"facecolor": "moccasin" if y == tokens_y else "lightblue", "edgecolor": "black", "zorder": 3}
    axes.add_patch(plt.Rectangle((left, y - 0.33), 1.75, 0.66, **box))
    axes.text(left + 0.87, y + 0.1, name, ha="center", va="center", fontsize=9, zorder=4)
    axes.text(left + 0.87, y - 0.15, size, ha="center", va="center", fontsize=8, color="dimgrey", zorder=4)
cross = {**arrow, "color": "tab:red", "linewidth": 1.8}
axes.annotate("", (4.07, tokens_y - 0.33), (4.07, image_y), arrowprops=cross)
axes.text(4.15, 1.4, "keys y + e\nvalues y", color="tab:red", fontsize=9)
axes.annotate("", (8.07, image_y + 0.33), (8.07, tokens_y), arrowprops=cross)
axes.text(8.15, 1.4, "keys x + p\nvalues x", color="tab:red", fontsize=9)
axes.set(xlim=(-0.9, 9.7), ylim=(-0.5, 3.2))
axes.set_axis_off()

# %% [markdown]
# ## Heads
#
# One softmax gives one set of weights. A click may need several: one for the edge, one for the colour, one for the
# other half of the object. So each attention is divided into N *heads*. The queries, keys and values have I channels
# after their matrices; each head gets I/N consecutive channels, and attends separately. The results are concatenated,
# which gives I channels again, and a last matrix mixes them.
#
# In SAM, I is 256 in step 1, and only 128 in steps 2 and 4, where one side is long: 8 heads of 16 channels.
#
# ## Your turn: attention with heads
#
# In NumPy. The matrices have the layout of a Linear layer, so a projection, which is the product of tokens and a
# matrix, is `x @ w.T`; biases are left out. `softmax` is available; the scale is one over the square root of a head's
# width.

# %%


def multi_head(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    w_q: np.ndarray,
    w_k: np.ndarray,
    w_v: np.ndarray,
    w_out: np.ndarray,
    num_heads: int,
) -> np.ndarray:
    """q [B, L, C], k and v [B, S, C], w_q, w_k, w_v [I, C], w_out [C, I] -> [B, L, C]."""
    raise NotImplementedError


check(8, multi_head)

# %% [markdown]
# > **What the paper says, what the code does.** In the paper every self-attention, cross-attention and MLP has a
# > residual connection. In the released code the self-attention of the *first* block has none, and no p either: there x
# > still equals p, and x = norm(attend(x, x, x)). The released weights work only this way. The paper has a dropout of
# > 0.1 in the decoder; the released code has none. The norms here divide by the root of variance + 10⁻⁵; the image
# > encoder and the mask prompts have 10⁻⁶, and so has transformers' port in both.
#
# ## Your turn: the block
#
# In torch, with `attend` and `norm` given. Each attention has one tensor [4, C, C]: the matrices of queries, keys,
# values and output. `first` is 1 in the first block, 0 later. Return both results in one tensor: x, then y below it.


# %%
def attend(q: Tensor, k: Tensor, v: Tensor, w: Tensor, num_heads: int) -> Tensor:
    """Attention with heads: q [B, L, C], k and v [B, S, C], w [4, C, C] -> [B, L, C]."""
    heads = [
        (x @ matrix.T).unflatten(2, (num_heads, -1)).transpose(1, 2)
        for x, matrix in zip((q, k, v), w[:3], strict=True)
    ]
    return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2) @ w[3].T


def norm(x: Tensor) -> Tensor:
    """Layer norm over the channels, without scale and shift."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-5)


def two_way_block(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    e: Tensor,
    among_tokens: Tensor,
    tokens_to_image: Tensor,
    w_1: Tensor,
    w_2: Tensor,
    image_to_tokens: Tensor,
    num_heads: int,
    first: int,
) -> Tensor:
    """x, p [B, T, C], y, e [B, S, C], attentions [4, C, C], w_1 [M, C], w_2 [C, M] -> [B, T + S, C]: x, then y."""
    raise NotImplementedError


check(8, two_way_block)

# %% [markdown]
# ## The library's
#
# [TwoWayTransformer](../../minisam/model/two_way_transformer.py) has two blocks and the last attention. It agrees with
# the definition in NumPy ([two_way_transformer.py](../../kernels/minisam_kernels/reference/two_way_transformer.py)).

# %%
from minisam.model import TwoWayTransformer
from minisam_kernels.reference.two_way_transformer import two_way_transformer

torch.manual_seed(0)
module = TwoWayTransformer(depth=2, embedding_dim=64, num_heads=8, mlp_dim=128)
image, image_pe, prompt = torch.randn(1, 64, 8, 8), torch.randn(1, 64, 8, 8), torch.randn(1, 7, 64)
with torch.no_grad():
    ours = module(image, image_pe, prompt)
weights = {name: value.numpy() for name, value in module.state_dict().items()}
defined = two_way_transformer(image.numpy(), image_pe.numpy(), prompt.numpy(), weights, num_heads=8, depth=2)
assert [list(part.shape) for part in ours] == [[1, 7, 64], [1, 64, 64]]
assert all(abs(a.numpy() - b).max() < 1e-4 for a, b in zip(ours, defined, strict=True))
sizes = [
    attention.internal_dim for attention in (module.layers[0].self_attn, module.final_attn_token_to_image)
]
assert sizes == [64, 32]
print("module and definition agree")

# %% [markdown]
# What do the tokens attend to? Below is `tiny` on a drawn scene with one click. Each image shows the weights of one
# token for the 16 × 16 image tokens, averaged over the heads: in the first block, in the second, and in the last
# attention. (The square root is drawn, so that small weights can be seen.)

# %%
from minisam.build import build_sam
from minisam.data.partworld import render_scenes

scene = render_scenes(seed=5, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()
tiny, kept, click = build_sam("tiny"), [], (205.0, 60.0)
transformer = tiny.mask_decoder.transformer
asking = [layer.cross_attn_token_to_image for layer in transformer.layers]


def keep(module, arguments, named):
    q, k = module.separate_heads(module.q_proj(named["q"])), module.separate_heads(module.k_proj(named["k"]))
    kept.append(torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, dim=-1)[0].mean(dim=0).numpy())  # [T, S]


hooks = [
    module.register_forward_pre_hook(keep, with_kwargs=True)
    for module in (*asking, transformer.final_attn_token_to_image)
]
with torch.no_grad():
    embedding = tiny.image_encoder(tiny.preprocess(torch.tensor(scene).permute(2, 0, 1).float())[None])
    sparse, dense = tiny.prompt_encoder((torch.tensor([[click]]), torch.tensor([[1]])), None, None)
    tiny.mask_decoder(embedding, tiny.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True)
for hook in hooks:
    hook.remove()
assert len(kept) == 3 and all(weights.shape == (7, 256) for weights in kept)
assert all(abs(weights.sum(axis=1) - 1).max() < 1e-4 for weights in kept)

# %% tags=["hide-input"]

fig, panels = plt.subplots(2, 4, figsize=(11, 5.3), layout="constrained")
for row, (token, name) in zip(panels, ((5, "the click's token"), (2, "mask token 1")), strict=True):
    row[0].imshow(scene)
    row[0].set_title(name)
    for axes, weights, when in zip(row[1:], kept, ("block 1", "block 2", "last question"), strict=True):
        strength = np.sqrt(weights[token] / weights[token].max()).reshape(16, 16)
        axes.imshow(scene.mean(axis=-1), cmap="gray", vmin=-120, vmax=255)
        axes.imshow(np.ones((16, 16)), extent=(0, 256, 256, 0), cmap="autumn", alpha=0.9 * strength)
        axes.set_title(when)
    for axes in row:
        axes.plot(*click, "*", color="lime", markersize=13, markeredgecolor="black")
        axes.set_axis_off()

# %% [markdown]
# ## Find the bug
#
# This is step 4 as it was written in a reimplementation of SAM. It runs, and the network learns a little. Fix it.
# (There are 7 tokens. What can an image token still contain after this step?)


# %%
def image_asks(x: Tensor, y: Tensor, p: Tensor, e: Tensor, w: Tensor, num_heads: int) -> Tensor:
    """Step 4: x, p [B, T, C], y, e [B, S, C], w [4, C, C] -> the new image [B, S, C]. There is a bug in it."""
    return attend(y + e, x + p, x, w, num_heads)


check(8, image_asks)

# %% [markdown]
# ## What was left out
#
# The biases of the projections, and the norms' scales and shifts: the library has them. The work that an inner width of
# 128 saves. How to make it fast: there are few queries and many keys, and most attention kernels are not made for that
# (lesson 20). And how x and y are used: the mask tokens become masks, and the IoU token becomes predicted IoUs. That is
# lesson 9.
