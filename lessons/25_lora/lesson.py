# %% [markdown]
# # Lesson 25 · LoRA by hand: adapting a trained network with a few numbers
#
# Builds on: 3, 12. Runs on a CPU, without a network.
#
# You have a trained SAM, and images unlike those it was trained on. You will adapt it by a low-rank update of its
# attention: write the layer, merge it into the weights, derive its two gradients, and find a bug that appears only with
# some image sizes. Then `tiny` is adapted to two X-ray images, and you see what it gains and what it forgets.
#
# After this lesson you can
#
# - write a LoRA layer, and merge it into the weights;
# - derive the gradients of both thin matrices;
# - say what an adapted network gains and what it forgets.

# %%
from collections.abc import Sequence

import torch.nn.functional as F
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## Your own images
#
# Many people try Segment Anything on photos first, and then on their own images: X-rays, cells under a microscope,
# satellite images. The masks of these are worse. The usual remedy is *fine-tuning*: training continues from the trained
# weights on a few labelled images of the new kind.
#
# The simplest way is to train all weights. It has three costs:
#
# - **Files.** Every kind of image needs a complete checkpoint. For ViT-B, 93.7 million numbers of 4 bytes are 375 MB.
# - **Memory.** Adam keeps two more numbers for each trained weight, and training keeps its gradient: 1.5 GB in all.
# - **Forgetting.** A few images say little about 93.7 million numbers. Nothing keeps the weights close to those that
#   were good for all other images.
#
# Hu et al. (2021) freeze the weights and train a small *update* beside some of them. It is called *low-rank
# adaptation*, LoRA. (These terms are in the [glossary](../../docs/glossary.md#training).)
#
# ## A matrix of low rank
#
# A linear layer computes W x + b, with a matrix W of D rows and C columns. Fine-tuning changes W into W + ΔW, and ΔW
# has D · C numbers. LoRA allows only those ΔW that are a product of two thin matrices:
#
# $$y = W x + b + s\, B\,(A\, x), \qquad A \in \mathbb{R}^{r \times C}, \quad B \in \mathbb{R}^{D \times r}$$
#
# A reduces x to r numbers, and B turns these into D numbers. The *rank* of a matrix is the number of independent
# directions in its output; that of B A is r at most. r is small, usually 1 to 16. s is a fixed *scale*. W and b are
# *frozen*: they get no gradient.
#
# SAM's encoder computes queries, keys and values by one matrix W of 3 D rows: first the rows of q, then those of k and
# v. LoRA usually updates q and v. Each of them has its own A and B, added to its rows only. Here is that for `tiny`,
# where C = D = 192, with r = 4:

# %%
from minisam.adapt.lora import add_lora
from minisam.config import CONFIGS, build_from_config

D, RANK = 192, 4

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(9, 5.2), layout="constrained")
GREY, BLUE, ORANGE = "#e6e6e6", "#1e90ff", "#d2691e"
for part, name in enumerate("qkv"):
    bottom = (2 - part) * D
    axes.add_patch(Rectangle((0, bottom), D, D, facecolor=GREY, edgecolor="black"))
    axes.text(D / 2, bottom + D / 2, f"W, rows of {name}\n192 × 192, frozen", ha="center", va="center")
    if name != "k":
        axes.text(D + 30, bottom + D / 2, "+ s ·", ha="center", va="center", fontsize=12)
        axes.add_patch(Rectangle((D + 62, bottom), RANK, D, facecolor=ORANGE, edgecolor=ORANGE))
        axes.text(D + 76, bottom + D / 2, f"B of {name}\n192 × 4", va="center")
        axes.add_patch(Rectangle((D + 150, bottom + (D - RANK) / 2), D, RANK, facecolor=BLUE, edgecolor=BLUE))
        axes.text(D + 150 + D / 2, bottom + D / 2 + 14, f"A of {name}: 4 × 192", ha="center", va="center")
axes.set(xlim=(-8, 2 * D + 158), ylim=(-8, 3 * D + 8), aspect="equal")
axes.set_title("the fused projection of tiny with updates of rank 4, drawn to scale")
axes.axis("off")

# %% [markdown]
# A and B have 2 · 4 · 192 = 1536 numbers, and the 192 × 192 matrix beside them has 36,864. In all six blocks of `tiny`,
# that makes 18,432 numbers; ViT-B, with twelve blocks and 768 channels, gets 147,456. The library counts the same:

# %%
added, whole = {}, {}
for name in ("tiny", "vit_b"):
    with torch.device("meta"):  # shapes without values
        sam = build_from_config(CONFIGS[name])
        whole[name] = sum(parameter.numel() for parameter in sam.parameters())
        add_lora(sam, rank=RANK)
    added[name] = sum(parameter.numel() for parameter in sam.parameters() if parameter.requires_grad)
    print(f"{name:6}{added[name]:>8,} of {whole[name]:>11,} numbers, {added[name] / whole[name]:.2%}")
assert 2 * RANK * D == 1536 and D * D == 36_864
assert added == {"tiny": 6 * 2 * 1536, "vit_b": 12 * 2 * (2 * RANK * 768)}
assert added == {"tiny": 18_432, "vit_b": 147_456}
assert round(whole["tiny"] / 1e6, 1) == 3.4 and round(whole["vit_b"] / 1e6, 1) == 93.7
assert round(4 * whole["vit_b"] / 1e6) == 375 and round(16 * whole["vit_b"] / 1e9, 1) == 1.5
assert round(4 * added["vit_b"] / 1e6, 1) == 0.6

# %% [markdown]
# The file for one kind of image is now 0.6 MB in place of 375.
#
# **Start.** A is random, and B is zero. Then B A = 0, and the adapted network gives exactly the output of the trained
# one before the first step. Training continues from there.
#
# ## Your turn: the layer
#
# In NumPy, for N tokens as rows of x. `parts` names the updated parts of the layer's output, and `parts=(0, 2)` is q
# and v. Compute A x first and multiply by B afterwards: the D × C matrix B A is not needed here.


# %%
def lora_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    scale: float,
    parts: Sequence[int],
) -> np.ndarray:
    """x [N, C], weight [P·D, C], bias [P·D], a [n, r, C], b [n, D, r] -> [N, P·D].

    Update number i, with a[i] and b[i], belongs to part parts[i]: channels D·parts[i] to D·(parts[i] + 1).
    """
    raise NotImplementedError


check(25, lora_forward)

# %% [markdown]
# ## Merge
#
# Both terms are linear in x, and the brackets may be moved:
#
# $$W x + s\, B\,(A\, x) = (W + s\, B A)\, x$$
#
# After training, s B A is added to the rows of W: the update is *merged*. The network is then an ordinary SAM, with the
# same layers, the same speed and the same checkpoint format. An adapter with an activation function between A and B
# could not be merged.
#
# ## Your turn: merge
#
# In NumPy. Return a new weight, and leave the old one as it is.


# %%
def lora_merge(
    weight: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float, parts: Sequence[int]
) -> np.ndarray:
    """weight [P·D, C], a [n, r, C], b [n, D, r] -> a new weight [P·D, C]; `weight` stays as it is."""
    raise NotImplementedError


check(25, lora_merge)

# %% [markdown]
# **Unmerge.** A service may keep one network and exchange the updates of several users. To remove an update again, one
# could subtract what was added. But W + ΔW is rounded to float32, and the rounding error stays in W. Here is what
# happens to one weight matrix of `tiny` after merging and subtracting, once and a hundred times:

# %%
from minisam.build import build_sam

tiny = build_sam("tiny")
old = tiny.image_encoder.blocks[0].attn.qkv.weight.detach()[:D].numpy()
rng = np.random.default_rng(0)
weight, changed, drift = old.copy(), {}, {}
for times in range(1, 101):
    a, b = (rng.standard_normal(size).astype(np.float32) for size in ((RANK, D), (D, RANK)))
    update = 0.05 * b @ a
    weight = weight + update
    weight = weight - update
    changed[times], drift[times] = (weight != old).mean(), abs(weight - old).max()
assert 0.07 < changed[1] < 0.14 and 0.6 < changed[100] < 0.74 and 0 < drift[1] < drift[100] < 1e-6
print(f"share of weights that have changed: {changed[1]:.1f} after once, {changed[100]:.1f} after 100 times")

# %% [markdown]
# A tenth of the weights after once, two thirds after a hundred times. The differences are below 10⁻⁶ here, but they
# grow, and the network is no longer the one in the published file. float16 rounds a lot more coarsely. Therefore
# minisam keeps the old weight, and unmerging puts it back, equal to the bit. Your `lora_merge` leaves the old weight
# untouched for the same reason.
#
# ## The gradients
#
# Let G be the gradient of the loss with respect to y, dL/dy, for one token. The rule for a matrix product y = M h is
# dL/dM = G hᵀ and dL/dh = Mᵀ G; lesson 18 derives it. With h = A x:
#
# $$\frac{\partial L}{\partial B} = s\; G\, h^{\mathsf T}, \qquad
# \frac{\partial L}{\partial h} = s\; B^{\mathsf T} G, \qquad
# \frac{\partial L}{\partial A} = \frac{\partial L}{\partial h}\; x^{\mathsf T}$$
#
# At the first step B = 0. Then dL/dA = 0: only B learns in this step. From the second step on, B is not zero, and A
# learns as well. If both started at zero, both gradients would be zero, and they would stay at zero forever. torch
# confirms all of this:


# %%
def norms_of_gradients(zero: Sequence[str], steps: int = 3) -> list[tuple[float, float]]:
    """|dL/dA| and |dL/dB| at each step of a small regression, for A and B random or zero."""
    generator = torch.Generator().manual_seed(0)
    x, wanted = (torch.randn(50, 8, generator=generator) for _ in range(2))
    a, b = (torch.randn(*size, generator=generator) for size in ((2, 8), (8, 2)))
    a, b = (value * (name not in zero) for name, value in (("A", a), ("B", b)))
    a, b, found = a.requires_grad_(), b.requires_grad_(), []
    for _ in range(steps):
        grad_a, grad_b = torch.autograd.grad(F.mse_loss(x @ a.T @ b.T, wanted), (a, b))
        found.append((grad_a.norm().item(), grad_b.norm().item()))
        with torch.no_grad():
            a -= 0.5 * grad_a
            b -= 0.5 * grad_b
    return found


b_zero, both_zero = norms_of_gradients("B"), norms_of_gradients("AB")
assert b_zero[0][0] == 0 and b_zero[0][1] > 0.1 and b_zero[1][0] > 0.05
assert all(pair == (0, 0) for pair in both_zero)
for name, pairs in (("B = 0", b_zero), ("A = B = 0", both_zero)):
    print(f"{name:10}", "   ".join(f"|dL/dA| {one:.1f}  |dL/dB| {other:.1f}" for one, other in pairs))

# %% [markdown]
# ## Your turn: both gradients
#
# In NumPy, for one adapted part. There are N tokens, and all of them use the same A and B. To return one array, put
# dL/dA and the transposed dL/dB side by side: row i belongs to direction i of the r.


# %%
def lora_gradients(
    x: np.ndarray, grad_y: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float
) -> np.ndarray:
    """x [N, C], grad_y [N, D] = dL/dy, a [r, C], b [D, r] -> [r, C + D]: dL/dA, and beside it dL/dB transposed."""
    raise NotImplementedError


check(25, lora_gradients)

# %% [markdown]
# Only A and B get gradients. But G must still be carried back through all blocks, down to the first one with an update.
# LoRA saves memory and disk space, but little time.
#
# ## Two X-ray images
#
# `tiny` was trained on drawn scenes. The world `xray` was not among them: its objects absorb light and do not hide each
# other. Two labelled images of it stand for your own images. Three networks are trained on them, with the same steps
# and boxes as prompts: one with LoRA of rank 4, and two with all weights, at a high and at a low learning rate. A step
# is round 0 of lesson 12.

# %%
from minisam.data.partworld import SceneBatch, render_scenes
from minisam.evaluate.bootstrap import estimate, image_weights
from minisam.evaluate.statistics import weighted_mean
from minisam.evaluate.targets import choose_targets
from minisam.masks.boxes import tight_boxes
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.show import show_box, show_image, show_mask
from minisam.train.interactive import interactive_rounds
from minisam.train.prompts import first_prompts

STEPS = 16
OWN, SAME_KIND, OLD = "the two X-rays", "8 other X-rays", "8 scenes of the old kind"
images = {
    OWN: render_scenes(seed=7, batch_size=2, image_size=256, world="xray"),
    SAME_KIND: render_scenes(seed=2**31, batch_size=8, image_size=256, world="xray"),
    OLD: render_scenes(seed=2**31, batch_size=8, image_size=256),
}


def targets(scenes: SceneBatch) -> tuple[Tensor, Tensor]:
    """Up to six objects of each image: the number of the image [P], and the mask [P, 256, 256]."""
    index, nodes = choose_targets(scenes, 6, torch.Generator().manual_seed(0), min_area=1 / 128)
    return index, scenes.labels[index, scenes.level[index, nodes].long()] == nodes[:, None, None]


@torch.no_grad()
def answers(sam: Sam, scenes: SceneBatch) -> tuple[Tensor, Tensor]:
    """The mask for the box of each target, [P, 256, 256], and its IoU, [P]."""
    index, wanted = targets(scenes)
    seen = torch.cat([sam.image_encoder(sam.preprocess(image[None])) for image in scenes.images])
    sparse, dense = sam.prompt_encoder(None, tight_boxes(wanted).float(), None)
    image_pe = sam.prompt_encoder.get_dense_pe()
    logits, _ = sam.mask_decoder(seen[index], image_pe, sparse, dense, multimask_output=False)
    drawn = F.interpolate(logits, wanted.shape[-2:], mode="bilinear")[:, 0] > 0
    return drawn, mask_iou(drawn, wanted)


def train(sam: Sam, rate: float) -> Sam:
    """Train what is not frozen, on noisy boxes around the objects of the user's images."""
    trained = [parameter for parameter in sam.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=0.0)
    (index, wanted), generator = targets(images[OWN]), torch.Generator().manual_seed(0)
    for step in range(STEPS):
        boxes = first_prompts(wanted, box_probability=1.0, generator=generator)
        seen = sam.image_encoder(sam.preprocess(images[OWN].images))
        loss = interactive_rounds(sam, seen, index, wanted, [], generator, boxes, clear_prompts=True)[0].total
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 4) * (1 - step / STEPS)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    return sam


torch.manual_seed(0)
with_lora = build_sam("tiny")
add_lora(with_lora, rank=RANK)
networks = {
    "before": tiny,
    "LoRA": train(with_lora, rate=1e-2),
    "all, rate 3e-4": train(build_sam("tiny").requires_grad_(True), rate=3e-4),
    "all, rate 1e-3": train(build_sam("tiny").requires_grad_(True), rate=1e-3),
}
shown = {name: {kind: answers(sam, images[kind]) for kind in images} for name, sam in networks.items()}
iou = {name: {kind: found[1].mean().item() for kind, found in row.items()} for name, row in shown.items()}


def difference(one: str, other: str, kind: str):
    """Mean IoU of network `one` minus that of `other` on the same objects, with its 95 % interval."""
    by_object = (shown[one][kind][1] - shown[other][kind][1]).double()
    return estimate(lambda w: weighted_mean(by_object, w), image_weights(targets(images[kind])[0]))


# %% [markdown]
# The mean IoU of the masks for exact boxes, on the images that were trained on, on others of the same kind, and on
# scenes of the kind that `tiny` was trained on:

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
for place, (name, color) in enumerate(zip(iou, ("#999999", BLUE, "#f0b27a", ORANGE), strict=True)):
    x = np.arange(3) + 0.21 * (place - 1.5)
    axes.bar(x, list(iou[name].values()), 0.2, color=color, label=name)
    for at, value in zip(x, iou[name].values(), strict=True):
        axes.text(at, value + 0.008, f"{value:.2f}", ha="center", fontsize=8)
axes.set_xticks(range(3), list(images))
axes.set(ylabel="mean IoU", ylim=(0.5, 1.0), title=f"{STEPS} steps on two images")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)

# %%
trainings = list(networks)[1:]
change = {kind: {name: difference(name, "before", kind) for name in trainings} for kind in images}
assert all(found.low > 0 for found in change[OWN].values()) and 0.03 < change[OWN]["LoRA"].value < 0.08
assert min(change[OWN][name].value for name in trainings[1:]) > 0.15
assert all(found.low < 0 for found in change[SAME_KIND].values())
forgotten = {name: -found.value for name, found in change[OLD].items()}
high = forgotten.pop("all, rate 1e-3")
assert 0.02 < high < 0.07 and max(forgotten.values()) < min(0.03, high)
assert difference("LoRA", "all, rate 1e-3", OLD).low < 0

EXAMPLES = (7, 31, 46)  # of each set, an object whose mask changes

# %% tags=["hide-input"]
fig, panels = plt.subplots(3, 5, figsize=(10.5, 6.8), layout="constrained")
for kind, target, line in zip(images, EXAMPLES, panels, strict=True):
    index, wanted = targets(images[kind])
    image = images[kind].images[index[target]].permute(1, 2, 0).numpy()
    show_image(line[0], image, "box and target")
    show_box(line[0], tight_boxes(wanted[target : target + 1])[0].numpy())
    line[0].contour(wanted[target], levels=[0.5], colors="black", linewidths=1.2)
    line[0].text(-0.06, 0.5, kind, rotation=90, ha="right", va="center", transform=line[0].transAxes)
    for axes, (name, row) in zip(line[1:], shown.items(), strict=True):
        drawn, found = row[kind]
        show_image(axes, image, f"{name}: {found[target]:.2f}")
        show_mask(axes, drawn[target].numpy())

# %% [markdown]
# *Above, an object with each network's mask and its IoU; these three objects were chosen because their masks change.*
#
# - **On the two X-rays**, all trainings help. LoRA gains 0.03 to 0.08; all weights gain more than 0.15.
# - **On other X-rays**, none of them gains: each interval reaches below 0. Two images can be memorised.
# - **On the old kind**, all weights at the high rate lose the most, between 0.02 and 0.07. The others lose less than
#   0.03.
#
# The networks that changed less also forgot less. LoRA changes little because its form allows little; with all weights,
# a low learning rate has the same effect. The intervals are wide here (lesson 24): eight scenes cannot tell with
# confidence that LoRA forgets less than the high rate. For language models, Biderman et al. (2024) compare both in long
# trainings: "LoRA learns less and forgets less" is their title. The smaller file does not depend on such a measurement.
# %% [markdown]
# ## Does an update need more directions?
#
# LoRA allows a low rank only. Training all weights has no such limit. How many directions does its ΔW use? Every matrix
# is a sum of outer products of unit vectors, with weights σ₁ ≥ σ₂ ≥ …, its *singular values*. The first r of them are
# its best approximation of rank r, and
#
# $$\text{share}(r) = \sum_{i \le r} \sigma_i^2 \Big/ \sum_i \sigma_i^2$$
#
# of its squared numbers is in them. Here are the changes of q and v in all six blocks, at the low learning rate:

# %%
shares = []
for old_block, new_block in zip(
    tiny.image_encoder.blocks, networks["all, rate 3e-4"].image_encoder.blocks, strict=True
):
    delta = (new_block.attn.qkv.weight - old_block.attn.qkv.weight).detach()
    for part in (0, 2):
        squares = torch.linalg.svdvals(delta[D * part : D * (part + 1)]).square()
        shares.append((squares.cumsum(0) / squares.sum()).numpy())
shares = np.array(shares)  # [12, 192]
mean = shares.mean(axis=0)

# %% tags=["hide-input"]
fig, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
ranks = np.arange(1, D + 1)
axes.plot(ranks, shares.T, color="#bbbbbb", linewidth=0.8)
axes.plot(ranks, mean, color=ORANGE, linewidth=2.2, label="mean of 12 updates")
axes.plot(ranks, ranks / D, "k:", linewidth=1, label="all directions equal")
axes.axvline(RANK, color=BLUE, linewidth=1.2)
axes.text(RANK * 1.06, 0.05, "rank 4", color=BLUE)
axes.set(xscale="log", xlabel="rank r", ylabel="share of ΔW", ylim=(0, 1.02), xlim=(1, D))
axes.set_xticks([1, 2, 4, 8, 16, 32, 64, 192], ["1", "2", "4", "8", "16", "32", "64", "192"])
axes.minorticks_off()
axes.set_title("all weights trained: how much of the update a rank r contains")
axes.legend(frameon=False, loc="lower right")
axes.spines[["top", "right"]].set_visible(False)

# %%

assert 0.7 < mean[3] < 0.8 and shares[:, 3].min() > 0.55 and mean[15] > 0.88

# %% [markdown]
# Four of 192 directions contain about three quarters of the change on average, and 16 directions more than 85 %. This
# is what makes LoRA possible. It is a short training on two images, though: more images and more steps may need more
# directions.
#
# ## The library's
#
# [lora.py](../../minisam/adapt/lora.py) has the layer (`LoraLinear`), `add_lora`, `merge_lora` and `unmerge_lora`. It
# puts updates on q, k, v, the output projection and the MLP of all or some blocks, and on the mask decoder. Here is the
# adapted `tiny` before and after merging, and after unmerging:

# %%
from minisam.adapt.lora import merge_lora, unmerge_lora

image = with_lora.preprocess(images[OWN].images[:1])
kept = {name: value.clone() for name, value in with_lora.state_dict().items()}
with torch.no_grad():
    apart = with_lora.image_encoder(image)
    updates = merge_lora(with_lora)
    merged = with_lora.image_encoder(image)
    names = list(with_lora.state_dict())
    unmerge_lora(with_lora, updates)
assert (apart - merged).abs().max() < 1e-4 * apart.abs().max()
assert names == list(tiny.state_dict())
assert all(torch.equal(value, kept[name]) for name, value in with_lora.state_dict().items())
print(
    "merged: the same embedding to 1e-4, and the names of a plain checkpoint; unmerged: the same to the bit"
)

# %% [markdown]
# On the command line, `minisam adapt DIR --method lora` does all of this for a folder of your own images and their
# masks. It measures the IoU before and after, on images that are held out of the training, and how much was forgotten.
#
# > **What the paper says, what people do.** Hu et al. (2021) update the attention weights of language models and find
# > that q and v together are better than one of them with a higher rank. Their scale is α / r. For SAM, SAMed (Zhang
# > and Liu 2023) uses rank 4 on q and v of all blocks, with s = 1, and also trains the mask decoder and the prompt
# > encoder. The library peft knows only whole layers: since SAM computes q, k and v with one layer, it updates all
# > three together.
#
# ## Find the bug
#
# A colleague writes LoRA for a SAM with windowed attention (lesson 3). `Adapted` takes the place of the projection to
# q, k and v; the attention is one that was already there, and with the frozen projection its output is right. For
# `tiny`, with 16 × 16 tokens and windows of 8, all results agree with the merged network. Then the code is used with 64
# × 64 tokens and windows of 14, as in ViT-B.
#
# One test needs no merged network and no training: **with B = 0, an adapted layer must not change anything.**


# %%
def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


class Adapted(nn.Linear):
    """A frozen projection to q, k and v with updates of q and v: a [2, r, C], b [2, C, r]."""

    def __init__(self, frozen: nn.Linear, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__(frozen.in_features, frozen.out_features, bias=False)
        self.weight = frozen.weight
        self.frozen, self.a, self.b, self.scale = frozen, a, b, scale

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.frozen(x).chunk(3, dim=-1)
        q = q + self.scale * (x @ self.a[0].T @ self.b[0].T)
        v = v + self.scale * (x @ self.a[1].T @ self.b[1].T)
        return torch.cat([q, k, v], dim=-1)


def attend_in_windows(x: Tensor, qkv: nn.Linear, window_size: int) -> Tensor:
    """x [B, H, W, C], attention in windows, one head -> [B, H, W, C]. Only real tokens are projected (lesson 3)."""
    B, H, W, _ = x.shape
    S = window_size
    padding = qkv.bias if qkv.bias is not None else x.new_zeros(qkv.out_features)
    grid = padding.expand(B, H + -H % S, W + -W % S, -1).clone()
    grid[:, :H, :W] = qkv(x)
    windows = grid.unflatten(2, (-1, S)).unflatten(1, (-1, S)).transpose(2, 3)  # [B, down, across, S, S, 3·C]
    q, k, v = windows.flatten(3, 4).chunk(3, dim=-1)
    attended = F.scaled_dot_product_attention(q, k, v).unflatten(3, (S, S))
    return attended.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :H, :W]


def adapted_attention(
    x: Tensor, weight: Tensor, bias: Tensor, a: Tensor, b: Tensor, scale: float, window_size: int
) -> Tensor:
    """x [B, H, W, C], weight [3·C, C], bias [3·C], a [2, r, C], b [2, C, r] -> [B, H, W, C].

    There is a bug in it, or in what it calls.
    """
    return attend_in_windows(x, Adapted(linear(weight, bias), a, b, scale), window_size)


# %%
projection = tiny.image_encoder.blocks[0].attn.qkv
a, b = torch.randn(2, RANK, D, generator=torch.Generator().manual_seed(0)), torch.zeros(2, D, RANK)
change = {}
for size, window in ((16, 8), (64, 14)):
    tokens = torch.randn(1, size, size, D, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        frozen = attend_in_windows(tokens, projection, window)
        adapted = adapted_attention(tokens, projection.weight, projection.bias, a, b, 1.0, window)
    change[size] = ((adapted - frozen).abs().max() / frozen.abs().max()).item()
    print(f"{size} × {size} tokens, windows of {window:2}, B = 0: ", end="")
    print("no change" if change[size] == 0 else "a change of more than 5%")
assert change[16] == 0 and change[64] > 0.05

# %% [markdown]
# Nothing was trained, and the output has changed. Fix the code; the check calls `adapted_attention`. Before you change
# anything, find out *which* of the 64 × 64 tokens differ: `(adapted - frozen).abs().amax(dim=-1)[0] > 0` is an image
# that `plt.imshow` can show.

# %%
check(25, adapted_attention)

# %% [markdown]
# ## What was left out
#
# The other ways to adapt: adapters, which add small layers between the frozen ones, and cannot be merged; an additional
# token for fine masks; training only the mask decoder, which needs each image encoded only once. For fewer than 20
# images `minisam adapt` chooses the updates of this lesson, without the decoder, which few images can spoil. How to
# choose rank, scale and learning rate: a scale of 2 with half the B is the same function, but not the same training.
# Updates of convolutions. Other seeds and more images: the intervals above are wide.
