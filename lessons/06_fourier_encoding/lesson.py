# %% [markdown]
# # Lesson 6 · Fourier point encoding: where a click is
#
# Builds on: nothing. Runs on a CPU, without a network.
#
# A click is two numbers. The network works with vectors of 256 numbers. You will see why a matrix alone cannot turn one
# into the other, why sines of random frequencies can, write this encoding twice, and fix a wrong factor that occurs in
# a widely used library.
#
# After this lesson you can
#
# - say what the code of a position must do, and why a matrix alone cannot do it;
# - write the Fourier encoding of points and of a whole grid;
# - say what the width of the random frequencies changes.

# %%
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## What the code of a position has to do
#
# Attention compares vectors by their dot product (lesson 2). A click has to find the image token that lies under it. So
# the click's position and the token's position both become vectors, *codes*, with one requirement: the dot product of
# two codes is large if the positions are close, and small if they are not.
#
# Let positions run from 0 to 1 in x and in y, for images of any size. The first idea is a matrix, 256 × 2, times the
# position. It fails: the dot product of two such codes is a sum of products of coordinates, and it is largest where the
# coordinates are large. Every click would fit best to a corner of the image.
#
# ## The equation
#
# Take a frequency g = (g_x, g_y) and write down two numbers, a sine and a cosine:
#
# $$\left(\sin 2\pi\, g \cdot c,\;\; \cos 2\pi\, g \cdot c\right), \qquad c = 2\,(x, y) - 1$$
#
# For two positions c and c', the dot product of these pairs is
#
# $$\sin a \sin b + \cos a \cos b = \cos(a - b) = \cos\left(2\pi\, g \cdot (c - c')\right)$$
#
# It depends only on the *difference* of the positions, and is 1 where they agree. But a cosine is periodic: one period
# further on, it is 1 again. The remedy is to take many frequencies, each with another period. All cosines are 1 at
# difference 0, and nowhere else. SAM draws F = 128 of them from a normal distribution, once, and keeps them in a matrix
# G [2, F]:
#
# $$\text{encoding}(x, y) = \left[\sin 2\pi\, c\,G,\;\; \cos 2\pi\, c\,G\right]$$
#
# That is a vector of 2F = 256 numbers, as wide as SAM's image embedding.

# %%
rng = np.random.default_rng(0)
F, side = 128, 1024
G = rng.standard_normal((2, F))
ticks = (np.arange(64) + 0.5) / 64
places = np.stack(np.meshgrid(ticks, ticks), axis=-1)  # [64, 64, 2]: the centres of SAM's 64 × 64 tokens
click, right = np.array([0.3, 0.4]), np.array([1, 0])


def alike(gaussian: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The dot product of two codes, divided by F: 1 for the same position."""
    return np.cos(2 * np.pi * (2 * (there - here)) @ gaussian).mean(axis=-1)


matrix = rng.standard_normal((2, 2 * F))
maps = {
    "a matrix": (places @ matrix) @ (click @ matrix),
    "one frequency": alike(G[:, :1], click, places),
    "128 frequencies": alike(G, click, places),
}
found = {name: np.unravel_index(values.argmax(), values.shape) for name, values in maps.items()}
assert found["a matrix"] == (63, 63)
assert np.abs(places[found["128 frequencies"]] - click).max() < 1 / 64

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 4, figsize=(12, 3.3), width_ratios=[1, 1, 1, 1.25], layout="constrained")
for axes, (name, values) in zip(panels, maps.items(), strict=False):
    axes.imshow(values / abs(values).max(), extent=(0, 1, 1, 0), vmin=-1, vmax=1, cmap="RdBu_r")
    axes.plot(*click, "*", color="lime", markersize=14, markeredgecolor="black")
    axes.set(title=name, xticks=[0, 1], yticks=[0, 1])
apart = np.linspace(0, 0.5, 200)
line = alike(G, click, click + apart[:, None] * right)
panels[3].plot(apart * side, line, color="tab:red", label="128 frequencies")
panels[3].plot(apart * side, np.exp(-8 * np.pi**2 * apart**2), "k--", linewidth=1, label="infinitely many")
panels[3].axhline(0, color="grey", linewidth=0.6)
panels[3].set(title="… along a line", xlabel="pixels from the click, of 1024", ylim=(-0.3, 1.05))
panels[3].legend(fontsize=8)

# %% [markdown]
# *The similarity of the code of the click (the star) to the code of every position. Red is similar, blue is opposite.*
#
# ## How far "close" reaches
#
# The average of cos(2π g · d) over a normal distribution of g is exp(−2π² |d|²), a bell. Here d = c − c' is twice the
# difference of the positions, so for two positions at a distance r, as a fraction of the image's side, the similarity
# of the codes is
#
# $$e^{-8\pi^2 r^2}$$
#
# At r = 0.094 that is one half: 96 pixels of 1024, or six tokens. From a quarter of the image on, only noise is left,
# because there are 128 frequencies and not infinitely many. Its size is 1/√(2F) = 0.06.

# %%
half = np.sqrt(np.log(2) / (8 * np.pi**2))
noise = np.std([alike(rng.standard_normal((2, F)), click, click + right * 0.45) for _ in range(300)])
measured = np.mean([alike(rng.standard_normal((2, F)), click, click + right * half) for _ in range(300)])
assert 95.5 < half * side < 96.5 and 5.9 < half * 64 < 6.1
assert 0.48 < measured < 0.52 and 0.05 < noise < 0.075
print(f"alike by one half at {half * side:.0f} pixels, that is {half * 64:.0f} tokens")

# %% [markdown]
# ## Your turn: NumPy
#
# One matrix product and two functions. First all the sines, then all the cosines. If you are stuck: `minisam lesson
# hint 6`.


# %%
def fourier_encoding(coords: np.ndarray, gaussian: np.ndarray) -> np.ndarray:
    """coords [..., 2] as (x, y) in [0, 1], gaussian [2, F] -> [..., 2 · F]."""
    raise NotImplementedError


check(6, fourier_encoding)

# %% [markdown]
# ## Your turn: the image's tokens
#
# The image tokens get the same code, with the same G. Otherwise a click's code would not fit that of its token. A token
# covers a cell of the grid, 16 × 16 pixels of 1024. Its position is the *middle* of the cell: token (i, j) of an H × W
# grid is at x = (j + ½) / W and y = (i + ½) / H. The result has the shape [2F, H, W], channels first, like the image
# embedding.

# %%
from torch import Tensor


def grid_encoding(gaussian: Tensor, height: int, width: int) -> Tensor:
    """gaussian [2, F] -> the encoding of the centres of all cells, [2 · F, height, width]."""
    raise NotImplementedError


check(6, grid_encoding)

# %% [markdown]
# ## The library's
#
# [FourierEncoding](../../minisam/model/fourier_encoding.py) is one module for both. Its G is a *buffer*: it is stored
# with the weights and is never trained. Trained weights only fit the codes of their G; with a newly drawn G they do
# not work.

# %%
from minisam.model.fourier_encoding import FourierEncoding
from minisam_kernels.reference.fourier_encoding import fourier_grid

torch.manual_seed(0)
module = FourierEncoding(128)
stored = module.state_dict()["positional_encoding_gaussian_matrix"].numpy()
dense = module((64, 64)).numpy()
assert dense.shape == (256, 64, 64) and not list(module.parameters())
assert abs(dense - fourier_grid(64, 64, stored)).max() < 1e-4
middle_of_a_token = module.forward_with_coords(torch.tensor([[5 * 16 + 8.0, 2 * 16 + 8.0]]), (1024, 1024))
assert abs(middle_of_a_token[0].numpy() - dense[:, 2, 5]).max() < 1e-4
print("a click in the middle of token (2, 5) has the code of token (2, 5)")

# %% [markdown]
# > **What the paper says, what the code does.** SAM's paper says only that a point's position becomes a positional
# > encoding, and cites Tancik et al. 2020. There the positions lie in [0, 1) and the cosines come first. SAM's code
# > scales positions to [−1, 1], which doubles every frequency, and has the sines first. Trained weights depend on that
# > order.
#
# ## Narrow or wide
#
# If G is multiplied by a number, the *scale*, the bell becomes narrower by that factor. If it is too wide, neighbouring
# positions have nearly equal codes and cannot be distinguished. If it is too narrow, neighbouring positions have
# unrelated codes, and what the network learns about one of them is of no use for the other. SAM's scale is 1: the
# similarity of the codes of neighbouring tokens is 98 %. At scale 1/4 it is more than 99 %, at scale 8 less than one
# half.

# %%
scales = {"scale 1/4": 0.25, "scale 1, SAM's": 1.0, "scale 8": 8.0}

# %% tags=["hide-input"]
fig, panels = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axes, (name, scale) in zip(panels, scales.items(), strict=True):
    values = alike(scale * G, click, places)
    axes.imshow(values, extent=(0, 1, 1, 0), vmin=-1, vmax=1, cmap="RdBu_r")
    axes.plot(*click, "*", color="lime", markersize=14, markeredgecolor="black")
    axes.set(title=name, xticks=[0, 1], yticks=[0, 1])
one_token = right / 64

# %%
assert alike(0.25 * G, click, click + one_token) > 0.99
assert 0.97 < alike(G, click, click + one_token) < 0.99
assert alike(8 * G, click, click + one_token) < 0.5

# %% [markdown]
# ## Find the bug
#
# A well-known library draws its frequencies like this when it makes a network without trained weights, to be trained
# from the start. With a checkpoint loaded, the bug does not show, because G comes from the file. Fix it. (Which
# positions have similar codes if the hidden size is 768?)


# %%
def nearness(a: np.ndarray, b: np.ndarray, noise: np.ndarray, hidden_size: int) -> np.ndarray:
    """How alike the codes of positions a and b [..., 2] are: 1 for one place, one half at 9 % of the image's side.

    noise [2, F] comes from a normal distribution of mean 0 and deviation 1. There is a bug in it.
    """
    gaussian = noise * (hidden_size // 2)
    angle_a, angle_b = (2 * np.pi * (2 * position - 1) @ gaussian for position in (a, b))
    products = np.sin(angle_a) * np.sin(angle_b) + np.cos(angle_a) * np.cos(angle_b)
    return products.mean(axis=-1)


check(6, nearness)

# %% [markdown]
# ## What was left out
#
# What a click *means*: whether its position belongs to the object or not, and whether it is a click or the corner of a
# box. The code contains only the position. Lesson 7 adds a learned vector for each kind. Also left out: other encodings
# of a position, such as a learned vector for each position (the image encoder has those, lesson 5), and relative
# positions inside attention (lesson 4).
