# %% [markdown]
# # Lesson 2 · Attention and softmax: tokens attend to each other
#
# Builds on: 1. Runs on a CPU, without a network.
#
# You know what a token is. You will see how one token attends to all others, why softmax is needed for that, and what
# goes wrong when a computer takes an exponential. You will write both in a few lines that are right for scores of any
# size.
#
# After this lesson you can
#
# - write attention from its equation: scores, weights, weighted means;
# - write a softmax that is right for scores of any size, and say why the maximum may be subtracted;
# - say what dividing the scores by √D is for.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## From scores to weights
#
# A token collects information from the others, more from those that are relevant to it. How relevant another token is,
# is a number, its *score*, positive or negative. For a weighted mean we need *weights*: positive numbers whose sum is
# one, larger where the score is larger. The exponential makes every score positive, and the division makes the sum one.
# That is softmax:
#
# $$\text{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}$$
#
# Only differences matter: if two scores differ by 1, their weights differ by a factor of e. So a constant may be added
# to all scores of a row without changing the weights. The next section uses this.
# %%
from minisam_kernels.reference.softmax import softmax as reference

weights = reference(np.array([1.0, 2.0, 3.0]))
shifted = reference(np.array([101.0, 102.0, 103.0]))
assert abs(weights - shifted).max() < 1e-12
assert 2.71 < weights[2] / weights[1] < 2.72
print("weights", weights.round(3), "- the same for scores 100 higher")

# %% [markdown]
# ## Why subtract the maximum
#
# Numbers in a computer have a largest value. In float32, exp(x) is infinity from x = 88.73 on, in float16 from 11.1 on,
# and infinity / infinity is NaN, not a number. The scores of a network can become that large. Subtracting the largest
# score m of the row first,
#
# $$\text{softmax}(x)_i = \frac{e^{x_i-m}}{\sum_j e^{x_j-m}}, \qquad m = \max_j x_j,$$
#
# does not change the result in mathematics (the constant cancels), but it does on a computer: every exponential is at
# most 1, and the largest one *is* 1, so the sum lies between 1 and the number of scores. It can neither overflow nor be
# zero.
#
# Below, a constant c is added to the row (0, 1, 2). Its softmax should not depend on c. What is the error of the plain
# formula, and with the maximum subtracted?

# %%
moves = np.linspace(-130, 130, 521)
exact = reference(np.array([0.0, 1.0, 2.0]))


def plain(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def errors(function, dtype) -> np.ndarray:
    """The largest error of a weight for each move; NaN where the result is not a number."""
    with np.errstate(all="ignore"):
        rows = (np.array([0.0, 1.0, 2.0])[None] + moves[:, None]).astype(dtype)
        return abs(function(rows).astype(float) - exact).max(axis=-1)


# %% tags=["hide-input"]


fig, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
for function, name, style in ((plain, "plain", "-"), (reference, "minus the maximum", "--")):
    for dtype, color in ((np.float16, "tab:orange"), (np.float32, "tab:blue")):
        line = np.maximum(errors(function, dtype), 1e-9)
        axes.semilogy(moves, line, style, color=color, label=f"{name}, {np.dtype(dtype).name}")
broken32 = moves[np.isnan(errors(plain, np.float32))]
broken16 = moves[np.isnan(errors(plain, np.float16))]
for broken, color in ((broken32, "tab:blue"), (broken16, "tab:orange")):
    for side in (broken[broken < 0], broken[broken > 0]):
        axes.axvspan(side.min(), side.max(), color=color, alpha=0.12)
axes.set(xlabel="c: all three scores are moved by it", ylabel="error of the weights", ylim=(5e-10, 2e3))
axes.set_title("shaded: the plain formula gives NaN")
axes.legend(loc="upper center", ncols=2, fontsize=8)

smallest = broken32[broken32 > 0].min()

# %%
assert 86 <= smallest <= 88 and 9 <= broken16[broken16 > 0].min() <= 10
assert not np.isnan(errors(reference, np.float32)).any() and errors(reference, np.float32).max() < 1e-5
assert not np.isnan(errors(reference, np.float16)).any()

# %% [markdown]
# In the shaded ranges the plain formula gives NaN. With the maximum subtracted there is no such range. The plain
# formula also fails on the left, after its error has grown: the exponentials become so small that few bits of them are
# left, then 0, and 0 / 0 is NaN.
#
# ## Your turn: softmax
#
# For every row of x. The cases have scores around +200 and −200, rows of equal scores, and rows with one score far
# above the others.


# %%
def softmax(x: np.ndarray) -> np.ndarray:
    """Scores x [rows, S] -> weights [rows, S], each row positive and of sum one."""
    raise NotImplementedError


check(2, softmax)

# %% [markdown]
# ## Attention
#
# Where do the scores come from? Three matrices turn each token into three vectors: a *query* q (what it looks for), a
# *key* k (what it contains), and a *value* v (what it passes on). The score of a pair is the dot product of one token's
# query and the other's key. The result is the mean of the values, with the softmax of the scores as weights:
#
# $$\text{attention}(q, k, v) = \text{softmax}\!\left(\frac{q\,k^{\mathsf T}}{\sqrt{D}}\right) v$$
#
# Why √D? The dot product of two vectors of D random numbers with variance 1 has a standard deviation of √D. Without the
# division, scores would grow with the width of the network, and before any training softmax would already give nearly
# all weight to one token.

# %%
rng = np.random.default_rng(0)
sizes, largest = np.array([4, 16, 64, 256]), []
for D in sizes:
    q, k = rng.standard_normal((500, D)), rng.standard_normal((64, D))
    largest.append([reference(scale * q @ k.T).max(axis=-1).mean() for scale in (1, D**-0.5)])
for D, (without, divided) in zip(sizes, largest, strict=True):
    print(
        f"D = {D:3}: the largest of 64 weights is {without:.1f} without the division, {divided:.1f} with it"
    )
assert largest[-1][0] > 0.8 and max(divided for _, divided in largest) < 0.2

# %% [markdown]
# Now on a photo: queries and keys of the first layer of `tiny` in which every token attends to the whole image. One
# query token is marked. The weights of one query for all keys, arranged as the image is, are a map of what that token
# attends to. Each *head* has its own part of the channels, and so its own scores. (The layer's relative positions,
# lesson 4, are left out of these scores.)

# %%
from pathlib import Path

import matplotlib

from minisam.build import build_sam
from minisam.data.images import load_image

photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")[40:296, 130:386]
tiny = build_sam("tiny")
encoder, kept = tiny.image_encoder, {}
block = encoder.blocks[1].attn
hook = block.register_forward_pre_hook(lambda module, inputs: kept.update(x=inputs[0]))
with torch.no_grad():
    encoder(tiny.preprocess(torch.tensor(photo).permute(2, 0, 1).float())[None])
    qkv = block.qkv(kept["x"]).reshape(256, 3, block.num_heads, -1)
hook.remove()
q, k, v = qkv.permute(1, 2, 0, 3).numpy()  # each [heads, tokens, D]
row, column = 5, 8
maps = reference(np.einsum("nd,nsd->ns", q[:, row * 16 + column], k) * q.shape[-1] ** -0.5)
assert maps.shape == (block.num_heads, 256) and abs(maps.sum(axis=-1) - 1).max() < 1e-5

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
panels[0].imshow(photo)
panels[0].set_title("the token that asks")
for axes, head in zip(panels[1:], maps[:3], strict=True):
    axes.imshow(photo, alpha=0.35)
    axes.imshow(
        head.reshape(16, 16), extent=(0, 256, 256, 0), cmap="magma", alpha=0.75, interpolation="nearest"
    )
    axes.set_title("attends to")
for axes, name in zip(panels, ["", " · head 0", " · head 1", " · head 2"], strict=True):
    axes.set_title(axes.get_title() + name)
    axes.add_patch(plt.Rectangle((column * 16, row * 16), 16, 16, fill=False, color="lime", linewidth=2))
    axes.set_axis_off()

# %% [markdown]
# ## Your turn: attention
#
# In torch, for a batch of B images and N heads at once; `@` is a matrix product over the last two axes, for all indices
# of the other axes.

# %%
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """q [B, N, L, D], k and v [B, N, S, D] -> [B, N, L, D]."""
    raise NotImplementedError


check(2, attention)

# %% [markdown]
# ## The library's
#
# The reference is these two lines in NumPy ([attention.py](../../kernels/minisam_kernels/reference/attention.py)); the
# network calls torch's fused version, which never stores all L × S scores
# ([attention.py](../../minisam/model/attention.py)). The code below tests that they agree.

# %%
from minisam_kernels.reference.attention import attention as defined

q, k, v = torch.randn(3, 1, 2, 50, 16, generator=torch.Generator().manual_seed(0))
assert 16.7e6 < 4096**2 < 16.8e6
fused = torch.nn.functional.scaled_dot_product_attention(q, k, v).numpy()
assert abs(fused - defined(q.numpy(), k.numpy(), v.numpy(), 0.25)).max() < 1e-5
print("the fused version and the definition agree")

# %% [markdown]
# > **What the paper says, what the code does.** In the paper each self-attention of the decoder (lesson 8) has a
# > residual connection around it. In the released code the first one has none: its output *replaces* the tokens.
# > Weights that were trained this way only work this way, so minisam does the same. The paper also has dropout of 0.1
# > in these attentions; the released code has none.
#
# ## Find the bug
#
# SAM encodes an image once and then answers many prompts. With several images in a batch, every prompt has to attend to
# the tokens of the right image, so those are repeated, once for each prompt. A well-known library once repeated them
# like this. With a single image, or a single prompt, the result is right. Fix it.


# %%
def attend_per_prompt(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    """q [images · prompts, L, D] asks k and v [images, S, D] of its own image. There is a bug in it.

    The prompts of one image stand next to each other in q: first all of image 0, then all of image 1.
    """
    prompts = len(q) // len(k)
    keys, values = np.tile(k, (prompts, 1, 1)), np.tile(v, (prompts, 1, 1))
    scores = scale * q @ keys.swapaxes(1, 2)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values


check(2, attend_per_prompt)

# %% [markdown]
# ## What was left out
#
# The three matrices that compute q, k and v, and a fourth that mixes the results of the heads: they are Linear layers,
# that is, a matrix and a bias, as in lesson 1. Attention does not know where a token is: exchange two keys together
# with their values, and the result is the same. Lesson 4 adds positions. And all L × S scores were stored: for SAM's
# 4096 tokens that is 16.8 million numbers for each head. Lessons 14 and 15 avoid storing them.
