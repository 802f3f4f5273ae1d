# %% [markdown]
# # Lesson 1 · Patch embedding: an image becomes tokens
#
# Builds on: nothing. Runs on a CPU, without a network.
#
# You need NumPy, and an idea of what a matrix product is. You will cut an image into patches, turn each into a vector
# with one matrix, write that twice yourself, and look at the matrix of a trained network.
#
# After this lesson you can
#
# - say why a transformer gets patches and not pixels;
# - write patch embedding in NumPy, and as one matrix product in torch;
# - compute the shape of the tokens for any image and patch size;
# - find an image prepared in the wrong order of channels or sizes.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Why tokens
#
# A transformer compares every element of its input with every other: with N of them, that is N² comparisons. An image
# of 1024 × 1024 pixels has a million elements and would need 10¹² comparisons in each layer. So the image is first cut
# into squares of P × P pixels, and each square, a *patch*, becomes one vector, a *token*. With P = 16 there are 64 × 64
# = 4096 tokens, and 256² = 65,536 times fewer comparisons.

# %%
side, P = 1024, 16
tokens = (side // P) ** 2
fewer = (side**2 / tokens) ** 2
assert tokens == 4096 and fewer == 65536
print(f"{tokens} tokens, {fewer:,.0f} times fewer comparisons than between pixels")

# %% [markdown]
# ## The equation
#
# A patch is P × P pixels of C colours: C·P² numbers. Written in a row they are a vector, and one matrix W with a bias b
# turns it into D numbers:
#
# $$\text{token}_{ij} = W\,\text{patch}_{ij} + b, \qquad
# \text{token}_{ijd} = b_d + \sum_{c,y,x} W_{dcyx}\; \text{image}_{c,\; iP+y,\; jP+x}$$
#
# Every patch is multiplied by the same W, so a pattern gives the same token anywhere in the image. i counts patches
# downwards and j to the right, so the tokens form a grid. SAM keeps this grid, [B, H/P, W/P, D], because its windows
# and relative positions need to know which tokens are neighbours.

# %%
from pathlib import Path

import matplotlib

from minisam.build import build_sam
from minisam.data.images import load_image

photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")[40:296, 130:386]
patches = photo.reshape(16, P, 16, P, 3).swapaxes(1, 2)  # [row, column, y, x, colour]

# %% tags=["hide-input"]

fig, (left, middle, right) = plt.subplots(
    1, 3, figsize=(10, 3.9), width_ratios=[1, 1, 0.5], layout="constrained"
)
left.imshow(photo)
left.set_title("256 × 256 pixels …")
gap = np.full((16, P + 2, 16, P + 2, 3), 255, np.uint8)
gap[:, 1:-1, :, 1:-1] = patches.swapaxes(1, 2)
middle.imshow(gap.reshape(16 * 18, 16 * 18, 3))
middle.set_title("… are 16 × 16 patches …")
right.imshow(patches[5, 6])
right.set_title("… of 768 numbers:\npatch (5, 6)")
middle.add_patch(plt.Rectangle((6 * 18 - 1, 5 * 18 - 1), 18, 18, fill=False, color="red", linewidth=2))
for axes in (left, middle, right):
    axes.set_axis_off()

# %% [markdown]
# ## Your turn: NumPy
#
# Write it as you would describe it: for every row i and column j of patches, cut the patch out, multiply, sum, add the
# bias. Pixels at the right and the bottom that do not fill a whole patch are left out. If you are stuck: `minisam
# lesson hint 1`.


# %%
def patch_embed(image: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """image [B, C, H, W], weight [D, C, P, P], bias [D] -> tokens [B, H // P, W // P, D]."""
    raise NotImplementedError


check(1, patch_embed)

# %% [markdown]
# ## Your turn: one matrix product
#
# The loop is slow. All patches are multiplied by the same matrix, so one product is enough: write the patches as rows
# of a matrix [rows · columns, C·P²] and multiply by Wᵀ. The difficulty is the order of the axes. A *reshape* leaves the
# numbers in memory where they are and only changes the shape. But the numbers of a patch are not consecutive in memory
# (its second row lies a whole image row further on), so a *permute* has to come before the reshape.

# %%
from torch import Tensor


def patch_embed_torch(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same shapes; no loop over patches and no convolution."""
    raise NotImplementedError


check(1, patch_embed_torch)

# %% [markdown]
# ## The library's
#
# [PatchEmbed](../../minisam/model/patch_embed.py) is a convolution whose kernel size and stride are both P: its window
# moves by its own width, so it covers each patch once. It is the same sum, and the code below tests that the numbers
# agree.

# %%
from minisam.model.patch_embed import PatchEmbed
from minisam_kernels.reference.patch_embed import patch_embed as reference

torch.manual_seed(0)
module = PatchEmbed(embed_dim=32)
image = torch.rand(1, 3, 64, 48)
ours = module(image).detach().numpy()
defined = reference(image.numpy(), module.proj.weight.detach().numpy(), module.proj.bias.detach().numpy())
assert ours.shape == (1, 4, 3, 32)
assert abs(ours - defined).max() < 1e-5
print("convolution and definition agree, tokens", list(ours.shape))

# %% [markdown]
# > **What the paper says, what the code does.** ViT writes a linear map of flattened patches and puts a class token in
# > front. SAM's encoder (ViTDet's) uses a convolution, which is that linear map, and has no class token: it needs only
# > the grid. ViT-H's weights were made for patches of 14 pixels and had to be resized to 16.
#
# ## What a trained matrix responds to
#
# Each of the D rows of W is itself a small image of P × P × C numbers: a token's number d is large where the patch
# resembles row d. Below are the rows with the largest weights in `tiny`, a trained network that is included in minisam.
# On the right is the similarity of each token of the photo to the token of the marked patch (the cosine of the angle
# between the two vectors). One matrix responds to colour and brightness, hardly to shape; the later layers do that.

# %%
tiny = build_sam("tiny")
embed = tiny.image_encoder.patch_embed
filters = embed.proj.weight.detach().numpy()  # [D, 3, P, P]
strongest = np.argsort(-np.abs(filters).sum(axis=(1, 2, 3)))[:32]
pixels = tiny.preprocess(torch.tensor(photo).permute(2, 0, 1).float())
with torch.no_grad():
    grid = embed(pixels[None])[0].numpy()
unit = grid / np.linalg.norm(grid, axis=-1, keepdims=True)
similarity = unit @ unit[5, 6]
assert grid.shape == (16, 16, len(filters)) and abs(similarity[5, 6] - 1) < 1e-5

# %% tags=["hide-input"]

fig, (left, middle, right) = plt.subplots(
    1, 3, figsize=(10, 3.7), width_ratios=[1.9, 1, 1], layout="constrained"
)
tiles = np.ones((4 * 18, 8 * 18, 3))
for n, d in enumerate(strongest):
    picture = filters[d].transpose(1, 2, 0)
    y, x = divmod(n, 8)
    tiles[18 * y + 1 : 18 * y + 17, 18 * x + 1 : 18 * x + 17] = 0.5 + picture / (2 * abs(picture).max())
left.imshow(tiles)
left.set_title(f"32 of the {len(filters)} rows of W, as pictures")
middle.imshow(photo)
middle.add_patch(plt.Rectangle((6 * P, 5 * P), P, P, fill=False, color="red", linewidth=2))
middle.set_title("this patch …")
shown = right.imshow(similarity, cmap="viridis", vmin=-1, vmax=1)
right.set_title("… and tokens like its own")
fig.colorbar(shown, ax=right, shrink=0.7, label="cosine")
for axes in (left, middle, right):
    axes.set_axis_off()

# %% [markdown]
# ## Find the bug
#
# Before the patches are cut, an image is prepared: normalised by the mean and standard deviation of each colour, and
# padded to a square, because the network's input is square. This function returns the right shape and nearly the right
# numbers, so its bug is easy to overlook. Fix it. (Which colour does the network see in the padding?)


# %%
def prepare(image: np.ndarray, mean: np.ndarray, std: np.ndarray, size: int) -> np.ndarray:
    """image [3, H, W] in 0 … 255 -> [3, size, size], ready for the network. There is a bug in it."""
    below, right = size - image.shape[1], size - image.shape[2]
    padded = np.pad(image, ((0, 0), (0, below), (0, right)))
    return (padded - mean[:, None, None]) / std[:, None, None]


check(1, prepare)

# %% [markdown]
# ## What was left out
#
# The position of a patch: W and b are the same for all i and j, so a token says nothing about where its patch is. SAM
# adds a learned vector for every position of the grid, and, in its attention, relative positions (lesson 4). Details
# within a patch that D numbers cannot hold are lost; the mask decoder has to reconstruct outlines. Next: lesson 2, how
# tokens attend to each other.
