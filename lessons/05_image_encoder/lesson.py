# %% [markdown]
# # Lesson 5 · The image encoder: blocks and the residual stream
#
# Builds on: 3, 4. Runs on a CPU, without a network.
#
# You know patches, windows and relative positions. You will put them together: see what a block adds to its tokens, how
# windowed and global blocks alternate, write one block in NumPy and then the whole encoder in torch, and run it with
# the weights of a trained network.
#
# After this lesson you can
#
# - say what a block adds to its tokens, and in which order;
# - write a block in NumPy, and the whole image encoder in torch;
# - say which blocks attend globally, and how far a change in one pixel gets.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## The residual stream
#
# A *block* does not replace its tokens, it adds to them. It has two steps:
#
# $$x \leftarrow x + \text{attention}(\text{norm}_1(x)), \qquad x \leftarrow x + \text{mlp}(\text{norm}_2(x))$$
#
# In the first, tokens attend to each other. In the second, each token is computed separately: a *multilayer perceptron*
# (MLP) of two layers takes its 768 numbers to 3072 and back, with a GELU in between, a smooth version of the ReLU. Both
# steps begin with a layer normalisation, the norm, which gives each token mean 0 and variance 1 over its channels, then
# a learned scale and shift:
#
# $$\text{norm}(x)_c = \frac{x_c - \text{mean}(x)}{\sqrt{\text{var}(x) + \varepsilon}}\,w_c + b_c,
# \qquad \varepsilon = 10^{-6}$$
#
# Why is it built this way? The tokens that all blocks add to, the *residual stream*, are never normalised and never
# overwritten. A block can add nearly zero, and what an early block has added is still there at the end. Gradients flow
# back along the same additions without passing through a matrix, which makes networks of many blocks trainable. The
# norm comes *before* each step (pre-norm), so the input of a step has a known size, even if the numbers of the stream
# have become large.
#
# ## Windowed and global blocks
#
# ViT-B has 12 blocks. Those with the numbers 2, 5, 8 and 11 are global, the others attend within 14 × 14 windows. Every
# size of SAM has four global blocks at equal distances, and the last block is one of them. `tiny` has six blocks, and
# three of them are global.

# %%
from minisam.build import build_sam
from minisam.config import CONFIGS, build_from_config

names = "vit_b", "vit_l", "vit_h", "tiny"

# %% tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=[1, 1.25], layout="constrained")
left.plot([0, 10], [0, 0], color="black", linewidth=3, solid_capstyle="butt")
left.annotate("", (10.6, 0), (9.9, 0), arrowprops={"arrowstyle": "-|>", "linewidth": 3, "color": "black"})
for start, name, color in ((0.8, "attention", "#1e90ff"), (5.6, "mlp", "#d2691e")):
    left.plot([start, start, start + 3.4], [0, 2, 2], color=color, linewidth=1.8)
    left.annotate("", (start + 3.4, 0.22), (start + 3.4, 2), arrowprops={"arrowstyle": "-|>", "color": color})
    for x, text in ((start + 0.55, "norm"), (start + 2.2, name)):
        box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": color}
        left.text(x, 2, text, ha="center", va="center", bbox=box, fontsize=10)
    left.text(
        start + 3.4, 0, "+", ha="center", va="center", fontsize=13, bbox={"boxstyle": "circle", "fc": "white"}
    )
left.text(5, -0.75, "the stream: [64, 64, 768], read twice, added to twice", ha="center", fontsize=10)
left.set(xlim=(-0.2, 10.8), ylim=(-1.2, 2.8), title="one block")
left.set_axis_off()
for row, name in enumerate(names):
    config = CONFIGS[name]
    for index in range(config.encoder_depth):
        color = "#d2691e" if index in config.global_attn_indexes else "#9ecbff"
        right.add_patch(plt.Rectangle((index + 0.06, row + 0.2), 0.88, 0.6, color=color))
    right.text(-0.4, row + 0.5, name, ha="right", va="center")
right.set(xlim=(-4, 32.5), ylim=(4.1, -0.1), title="blue: windowed blocks, orange: global ones")
right.set_axis_off()

assert CONFIGS["vit_b"].global_attn_indexes == (2, 5, 8, 11)
for name in names[:3]:
    depth, every = CONFIGS[name].encoder_depth, CONFIGS[name].encoder_depth // 4
    assert CONFIGS[name].global_attn_indexes == tuple(range(every - 1, depth, every))

# %% [markdown]
# Where are the weights? A block has slightly more than 12 · 768² of them: three matrices of 768² for q, k, v, one to
# mix the heads, and eight for the MLP. Twelve such blocks are 95 % of the encoder.

# %%
with torch.device("meta"):  # shapes without memory
    encoder = build_from_config(CONFIGS["vit_b"]).image_encoder


def size(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


parts = {
    "patch_embed": size(encoder.patch_embed),
    "pos_embed": encoder.pos_embed.numel(),
    "12 blocks": size(encoder.blocks),
    "neck": size(encoder.neck),
}
for name, count in parts.items():
    print(f"{name:12} {count:11,}")
total = sum(parts.values())
assert total == size(encoder) == 89_670_912 and 0.94 < parts["12 blocks"] / total < 0.96
assert 1.0 < size(encoder.blocks[0]) / (12 * 768**2) < 1.01

# %% [markdown]
# ## What the stream contains, and how far a change spreads
#
# The upper row shows the tokens of a photo after each of the six blocks of `tiny`: the three directions in which their
# 192 channels differ most, as red, green and blue. For the lower row one patch of the photo was painted over; the
# brightness of a token is the size of its change. Block 0 is windowed: the change reaches its window of 8 × 8 tokens
# and stops at the border. Block 1 is global: now every token has changed.

# %%
from pathlib import Path

import matplotlib

from minisam.data.images import load_image

photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")[40:296, 130:386]
tiny = build_sam("tiny")


def stages(pixels: torch.Tensor) -> dict[str, np.ndarray]:
    """The grid of tokens, [16, 16, channels], before the first block, after each, and after the neck."""
    encoder = tiny.image_encoder
    x = encoder.patch_embed(pixels) + encoder.pos_embed
    found = {"embedded": x}
    for index, block in enumerate(encoder.blocks):
        x = found[f"block {index}"] = block(x)
    found["neck"] = encoder.neck(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return {name: tensor[0].numpy() for name, tensor in found.items()}


def as_colors(tokens: np.ndarray) -> np.ndarray:
    """Three directions of the largest variance, each stretched to 0 … 1."""
    flat = tokens.reshape(-1, tokens.shape[-1])
    flat = flat - flat.mean(axis=0)
    directions = np.linalg.svd(flat, full_matrices=False)[2][:3]
    directions *= np.sign(directions.sum(axis=1, keepdims=True))
    shown = flat @ directions.T
    low, high = np.percentile(shown, [2, 98], axis=0)
    return np.clip((shown - low) / (high - low), 0, 1).reshape(*tokens.shape[:2], 3)


pixels = tiny.preprocess(torch.tensor(photo).permute(2, 0, 1).float())[None]
painted = pixels.clone()
painted[:, :, 80:96, 96:112] = 0  # patch (5, 6) becomes the mean colour
with torch.no_grad():
    before, after = stages(pixels), stages(painted)

# %% tags=["hide-input"]

fig, panels = plt.subplots(2, 8, figsize=(12, 3.5), layout="constrained")
changes = {}
for (name, tokens), upper, lower in zip(before.items(), panels[0], panels[1], strict=True):
    change = np.linalg.norm(after[name] - tokens, axis=-1) / np.linalg.norm(tokens, axis=-1)
    changes[name] = change
    upper.imshow(as_colors(tokens))
    lower.imshow(np.log10(change + 1e-6), cmap="magma", vmin=-4, vmax=0)
    kind = "" if "block" not in name else " · global" if int(name[-1]) % 2 else " · windows"
    upper.set_title(name + kind, fontsize=9)
for axes in panels.flat:
    axes.set(xticks=[], yticks=[])
panels[0, 0].set_ylabel("tokens as colours", fontsize=9)
panels[1, 0].set_ylabel("change", fontsize=9)

# %%

assert np.argwhere(changes["embedded"] > 1e-6).tolist() == [[5, 6]]
assert (changes["block 0"][:8, :8] > 1e-7).all()
assert changes["block 0"][8:].max() < 1e-6 and changes["block 0"][:, 8:].max() < 1e-6
assert (changes["block 1"] > 1e-7).all()

# %% [markdown]
# ## Your turn: a block
#
# In NumPy. `gelu`, `layer_norm(x, weight, bias, eps)` and, from lessons 3 and 4, `window_attention(qkv, qkv_bias,
# rel_pos_h, rel_pos_w, num_heads, window_size)` are there. `weights` is a dict with the names that every checkpoint
# of SAM has:
#
# | name | shape |
# |---|---|
# | norm1.weight, norm1.bias, norm2.weight, norm2.bias | [C] |
# | attn.qkv.weight, attn.qkv.bias | [3·C, C], [3·C] |
# | attn.rel_pos_h, attn.rel_pos_w | [2·S − 1, C / heads] |
# | attn.proj.weight, attn.proj.bias | [C, C], [C] |
# | mlp.lin1.weight, mlp.lin1.bias | [hidden, C], [hidden] |
# | mlp.lin2.weight, mlp.lin2.bias | [C, hidden], [C] |

# %%
from minisam_kernels.reference.gelu import gelu
from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.window_attention import window_attention


def block(x: np.ndarray, weights: dict[str, np.ndarray], num_heads: int, window_size: int) -> np.ndarray:
    """One block on tokens x [B, H, W, C] -> [B, H, W, C]; gelu, layer_norm and window_attention are there."""
    raise NotImplementedError


check(5, block)

# %% [markdown]
# ## The neck
#
# The mask decoder works with 256 channels. After the last block, the *neck* takes each token from 768 to 256 with one
# matrix (a 1 × 1 convolution), normalises, mixes each token with its eight neighbours (a 3 × 3 convolution), and
# normalises again. What comes out is the *image embedding*, [256, 64, 64] for an image of 1024 pixels: everything that
# SAM keeps of an image. It is computed once and used for every click.
#
# ## Your turn: the encoder
#
# In torch, and now the whole encoder: patches, positions, blocks, neck. Two facts make it short. A block is global when
# it has *one window as large as the grid*, so both kinds are one function. And `part(weights, "blocks.3.")` gives block
# 3's weights under the names from above. The other weights are `patch_embed.proj.weight` [C, 3, P, P] and `.bias`,
# `pos_embed` [1, grid, grid, C], `neck.0.weight` [out, C, 1, 1], `neck.1`, `neck.2.weight` [out, out, 3, 3], `neck.3`;
# the neck's convolutions have no bias. Blocks number global_every − 1, 2 · global_every − 1, … are global.
#
# The last case of the check is `nano`, one of the included networks, with its trained weights. When it passes, you have
# written the larger part of SAM.

# %%
import torch.nn.functional as F
from torch import Tensor

from minisam.model.window_attention import window_attention as window_attention_torch


def part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names start with the prefix, without it: part(weights, "blocks.0.")."""
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def norm_2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm over the channels of x [B, C, H, W], at every place on its own."""
    return F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias, 1e-6).permute(0, 3, 1, 2)


def image_encoder(
    image: Tensor,
    weights: dict[str, Tensor],
    depth: int,
    num_heads: int,
    window_size: int,
    global_every: int,
) -> Tensor:
    """image [B, 3, side, side] -> image embedding [B, out_chans, grid, grid]; window_attention_torch is there."""
    raise NotImplementedError


check(5, image_encoder)

# %% [markdown]
# ## The library's
#
# [image_encoder.py](../../minisam/model/image_encoder.py) has the same steps, as modules. It has separate code for
# windowed and global attention, because the global one has to avoid the 805 MB of lesson 4. The next cell shows that
# both give the same result with a window as large as the grid:

# %%
from minisam.model.rel_pos_attention import RelPosAttention

layer = RelPosAttention(24, 2, input_size=(6, 6)).eval()
with torch.no_grad():
    torch.nn.init.normal_(layer.rel_pos_h)
    torch.nn.init.normal_(layer.rel_pos_w)
    x = torch.randn(1, 6, 6, 24)
    one_window = window_attention_torch(layer.qkv(x), layer.qkv.bias, layer.rel_pos_h, layer.rel_pos_w, 2, 6)
    assert (layer(x) - layer.proj(one_window)).abs().max() < 1e-5
print("a global block is a block with one window")

# %% [markdown]
# > **What the paper says, what the code does.** The paper trains with *drop path*: in each step, every residual branch
# > is left out for some images, in later blocks more often, up to 40 % (ViT-H). The released code does not have it, and
# > it is not needed to use the weights; minisam offers it as an argument. A ViT also has a class token and a norm after
# > the last block. SAM's encoder has neither.
#
# ## Find the bug
#
# An encoder that was made for 1024 pixels has 64 × 64 absolute positions. On an image of 512 there are 32 × 32 tokens,
# and the released code stops with an error: 64 does not fit 32. Relative positions are resampled (lesson 4) and windows
# keep their size, so only pos_embed has to be resized, like an image of C channels. ViTDet resizes it with bicubic
# interpolation. This function was tested on 64 → 64, where its output equals its input exactly, and its output has the
# right shape for every size. Fix it.


# %%
def resize_positions(pos_embed: Tensor, height: int, width: int) -> Tensor:
    """Absolute positions [1, H, W, C] -> [1, height, width, C], bicubic. There is a bug in it."""
    _, H, W, C = pos_embed.shape
    as_image = pos_embed.reshape(1, C, H, W)
    resized = F.interpolate(as_image, size=(height, width), mode="bicubic")
    return resized.reshape(1, height, width, C)


check(5, resize_positions)

# %% [markdown]
# ## What was left out
#
# How such an encoder is trained: SAM's starts from masked autoencoding (lesson 21), and is then trained by the loss of
# the masks. Precision: large encoders in float16 can give broken masks; bfloat16 has fewer digits, but the range of
# float32. The prompts (lessons 6 and 7) and the decoder (lessons 8 and 9). And how attention becomes fast: lessons 15
# to 17.
