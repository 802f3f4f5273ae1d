# %% [markdown]
# # Lesson 11 · Losses and ambiguity: why a click has three answers
#
# Builds on: 9. Runs on a CPU, without a network.
#
# You know how the decoder computes masks. You will write its two losses, compute how good a single mask can be when a
# click fits several objects, see which of them each loss prefers, and why SAM outputs three masks and trains only the
# best one.
#
# After this lesson you can
#
# - write focal and Dice loss, and say what each does with small objects;
# - compute the best IoU that a single mask can have for an ambiguous click;
# - train three masks by the best one alone, and say what the IoU prediction learns.

# %%
from minisam.data.partworld import render_scenes
from minisam.lesson.page import check, np, plt, torch
from minisam.show import show_image, show_mask, show_points

# %% [markdown]
# ## A click fits several objects
#
# A user clicks on a wheel. Is the hub, the wheel or the car meant? All three contain the click. For photos the answer
# is not known; in PartWorld, the world that minisam trains on, every scene is drawn from a *part tree*, so the answers
# are known exactly: a subpart lies in a part, a part in a whole.
#
# The prompt does not say which one is meant, so no network can know it. What can it do?

# %%
scenes = render_scenes(seed=2**31 + 7, batch_size=33, image_size=256)
image, labels = scenes.images[32].permute(1, 2, 0).numpy(), scenes.labels[32].numpy()
click = np.array([[74, 155]])  # x, y
under = labels[:, 155, 74]  # the whole, the part and the subpart at the click
levels = np.stack([labels[level] == under[level] for level in (2, 1, 0)])  # [3, H, W], smallest first
areas = levels.sum(axis=(1, 2))
assert (under >= 0).all() and (levels[0] <= levels[1]).all() and (levels[1] <= levels[2]).all()
assert 0.2 < areas[0] / areas[1] < 0.4 and 0.3 < areas[1] / areas[2] < 0.45

# %% tags=["hide-input"]

fig, panels = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
show_image(panels[0], image, "one click …")
names = ["subpart", "part", "whole"]
for axes, mask, name in zip(panels[1:], levels, names, strict=True):
    show_image(axes, image, f"… the {name}?")
    show_mask(axes, mask)
for axes in panels:
    show_points(axes, click, np.array([1]), size=110)

# %% [markdown]
# ## The first loss: focal
#
# A mask is a decision at every pixel, so the natural loss is the binary cross-entropy (BCE) of the pixels, averaged:
# $\text{BCE}(p, t) = -t \log p - (1 - t) \log (1 - p)$, with the target t and p the sigmoid of the logit. But most
# pixels lie far from any object and are easy. Each adds little, but together they outweigh the few pixels near the
# outline. The focal loss reduces the weight of pixels that are nearly right:
#
# $$\text{focal} = \text{mean over pixels of}\quad \alpha_t\,|t-p|^\gamma\;\text{BCE}(p,t),
# \qquad \alpha_t = \alpha\,t + (1-\alpha)(1-t)$$
#
# With γ = 2, a pixel that is right up to 0.1 counts a hundredth of its cross-entropy. α, the weight of the foreground,
# is 0.25 (that of the background is 0.75); below you will see that it has a large effect.
#
# t is not only 0 or 1. SAM draws its masks at 256 × 256 for an image of 1024 × 1024: one mask pixel stands
# for 4 × 4 image pixels, and its target is the *share* of them that are covered.

# %%
logit = np.log(0.9 / 0.1)  # p = 0.9, and the target is 1
fades = (1 - 0.9) ** 2
assert 0.0099 < fades < 0.0101

from minisam.train.targets import low_resolution_targets

fine = torch.from_numpy(levels[1])[None]
coarse = low_resolution_targets(fine, (64, 64))[0]
partly = ((coarse > 0) & (coarse < 1)).float().mean().item() / (coarse > 0).float().mean().item()
assert 0.05 < partly < 0.4
print(f"at a quarter of the size, {partly:.0%} of the part's pixels are covered in part only")

# %% [markdown]
# ## Your turn: focal, in NumPy
#
# Two traps. Logits of ±200 are in the cases: p is then 0 or 1 in float32, and its logarithm is −∞. Compute BCE from
# the logit x: $\max(x, 0) - x\,t + \log(1 + e^{-|x|})$. And |t − p| is often written $1 - p_t$ with
# $p_t = p\,t + (1-p)(1-t)$, which is the same for t = 0 and t = 1 only.


# %%
def focal_loss(logits: np.ndarray, targets: np.ndarray, alpha: float, gamma: float) -> np.ndarray:
    """logits and targets [P, h, w], targets in 0 … 1 -> [P], the mean over the pixels of each mask."""
    raise NotImplementedError


check(11, focal_loss)

# %% [markdown]
# ## The second loss: dice
#
# In a mean over pixels a small object counts little. Take an object that covers 1 % of the image, and a network that
# predicts background with a probability of 99 % everywhere: it is right at 99 of 100 pixels, and its focal loss is
# small. But its mask is empty. Dice loss compares areas, so that objects of all sizes count the same:
#
# $$\text{dice} = 1 - \frac{2 \sum p\,t + 1}{\sum p + \sum t + 1}$$
#
# Twice the overlap over the sum of both areas. The ones keep 0 / 0 away when both are empty. SAM trains by **20 focal +
# 1 dice**. The code below computes both for the empty mask.

# %%
from minisam.train.losses import dice_loss as library_dice
from minisam.train.losses import focal_loss as library_focal

target = torch.zeros(100, 100)
target[40:50, 40:50] = 1
unsure = torch.full((100, 100), float(-np.log(99)))  # p = 0.01 everywhere
focal, dice = library_focal(unsure, target).item(), library_dice(unsure, target).item()
assert 0.01 < focal < 0.0125 and 0.97 < dice < 0.99
print(f"an empty mask: focal {focal:.3f}, times 20 {20 * focal:.2f}, dice {dice:.2f}")

# %% [markdown]
# ## Your turn: dice, in torch


# %%
from torch import Tensor


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """logits and targets [P, h, w], targets in 0 … 1 -> [P]."""
    raise NotImplementedError


check(11, dice_loss)

# %% [markdown]
# ## The best possible single mask
#
# Back to the click. Assume that subpart, part and whole are meant equally often. A network that outputs a single mask m
# gets, on average,
#
# $$E(m) = \tfrac13\,\text{IoU}(m, \text{subpart}) + \tfrac13\,\text{IoU}(m, \text{part}) +
# \tfrac13\,\text{IoU}(m, \text{whole})$$
#
# and the best m gives the upper bound, the ceiling, for *any* network, because the prompt is ambiguous. For an image of
# n pixels there are 2ⁿ possible masks; which of them have to be tried?
#
# The three masks divide the image into four rings: the subpart, the rest of the part, the rest of the whole, the
# outside. Only the number of pixels that m has of each ring matters. Let m have x pixels of a ring: for a target that
# contains the ring, the IoU is (c + x) / d, a straight line in x; for another target it is c / (d + x), a convex curve.
# A sum of such functions is convex, so it is largest at an end: m has the whole ring or nothing of it. Pixels outside
# of all targets only reduce the IoU. That leaves 2³ = 8 masks, and they can be tried.

# %%
rings = np.stack([levels[0], levels[1] & ~levels[0], levels[2] & ~levels[1]])
found = {}
for chosen in range(1, 8):
    mask = np.any([ring for n, ring in enumerate(rings) if chosen >> n & 1], axis=0)
    iou = [(mask & level).sum() / (mask | level).sum() for level in levels]
    found["".join(str(chosen >> n & 1) for n in range(3))] = np.mean(iou)
for name, expected in sorted(found.items(), key=lambda item: -item[1]):
    print(f"rings {name}: expected IoU {expected:.2f}")
assert max(found, key=lambda name: found[name]) == "110" and 0.5 < found["110"] < 0.6

# %% [markdown]
# The best mask is one of the three targets, the part. That is always so. *A target:* if a pixel of an outer ring is
# replaced by one of an inner ring, no IoU decreases, because every target that contains the outer ring also contains
# the inner one. *The part:* with areas a < b < c the three candidates get
#
# $$\text{subpart}\;\; \tfrac13\left(1 + \tfrac ab + \tfrac ac\right), \qquad
# \text{part}\;\; \tfrac13\left(\tfrac ab + 1 + \tfrac bc\right), \qquad
# \text{whole}\;\; \tfrac13\left(\tfrac ac + \tfrac bc + 1\right)$$
#
# and a/c is the smallest of the three ratios. The subpart and the whole have it in their sum, the part does not, so the
# part is best. If each level has a third of the area of the next, the ceiling is (1/3 + 1 + 1/3) / 3 = 0.556. Two
# masks, the part and the whole, reach 0.778 if the better one counts, and three reach 1.

# %%
ratio = np.array([1.0, 3.0, 9.0])
table = np.minimum(ratio[:, None] / ratio, ratio / ratio[:, None])  # IoU of level k with level l
one = table.mean(axis=1)
two = max(np.maximum(table[k], table[m]).mean() for k in range(3) for m in range(k))
assert one.argmax() == 1 and abs(one[1] - 5 / 9) < 1e-12 and abs(two - 7 / 9) < 1e-12
print(f"one mask {one.max():.3f}, two {two:.3f}, three {table.max(axis=0).mean():.0f}")

# %% [markdown]
# ## Your turn: the ceiling
#
# For many part trees at once, with any number of levels and any probabilities (their sum is one). The check tries every
# union of rings; you need not.


# %%
def one_mask_ceiling(masks: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Nested masks [T, L, h, w] of 0 and 1, and how likely each is, [T, L] -> the best expected IoU, [T]."""
    raise NotImplementedError


check(11, one_mask_ceiling)

# %% [markdown]
# Now for all part trees of 64 scenes, with the areas of their masks:

# %%
many = render_scenes(seed=2**31 + 7, batch_size=64, image_size=64)
chains = []
for image_number, (of_level, parent) in enumerate(zip(many.level, many.parent, strict=True)):
    for node in (of_level == 2).nonzero().flatten().tolist():
        part = int(parent[node])
        nodes = {2: node, 1: part, 0: int(parent[part])}
        sizes = [int((many.labels[image_number, level] == n).sum()) for level, n in nodes.items()]
        if sizes[0] >= 16 and sizes[0] < sizes[1] < sizes[2]:
            chains.append(sizes)
areas_of = np.array(chains, float)  # [trees, 3], smallest first
tables = np.minimum(areas_of[:, :, None] / areas_of[:, None], areas_of[:, None] / areas_of[:, :, None])
ceilings = tables.mean(axis=2)
assert len(chains) > 100 and (ceilings.argmax(axis=1) == 1).all()
assert 0.6 < ceilings.max(axis=1).mean() < 0.72
print(f"{len(chains)} trees: the part is best in all, mean ceiling {ceilings.max(axis=1).mean():.2f}")

# %% [markdown]
# Note that the same ceiling holds for a network that has three masks but *shows* only one of them. Three masks help
# because the user can choose one or click again, and because any level that contains the click is a right answer.
#
# ## Which level does a loss choose?
#
# A network is not trained by IoU but by these losses. Let a pixel be foreground in a fraction q of all cases. In the
# subpart q = 1, in the part around it 2/3, in the rest of the whole 1/3. BCE is smallest at p = q, so the mask p > 1/2
# is the *part*. The focal loss weighs foreground by α and background by 1 − α, and at p = 1/2 its other factors are the
# same for both. So its minimum lies above 1/2 exactly if
#
# $$\alpha\,q > (1-\alpha)(1-q) \iff q > 1-\alpha.$$
#
# With α = 0.25, pixels have to be foreground in more than 3 of 4 cases. Only the subpart's pixels are. With α = 0.5 the
# mask is the part, with 0.75 the whole: the weight of the foreground selects the level. Dice loss compares areas: alone
# it prefers the part, like IoU, and in SAM's sum with α = 0.25 the result is the part too. Below, one logit for each
# ring is trained on the three targets until it converges.

# %%
counts = torch.tensor([9, 18, 54, 319])  # pixels of the rings, in an image of 400
ring_of = torch.repeat_interleave(torch.arange(4), counts)  # [400]
nested = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])[:, ring_of]  # [3 targets, 400]


def settle(loss, masks: int = 1, start: float = 0.0, runs: int = 1, over=torch.mean) -> Tensor:
    """Train the rings' logits from a random start [runs, masks, 4]; their sigmoid at the end.

    `loss` is [runs, targets, masks]; `over` is what becomes of a target's masks: their mean, or their least.
    """
    noise = torch.randn(runs, masks, 4, generator=torch.Generator().manual_seed(0))
    noise[..., 3] = -3.0  # every mask knows the outside already
    logits = (start * noise).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(250):
        drawn = logits[:, :, ring_of][:, None, :, None].expand(-1, 3, -1, -1, -1)  # [runs, 3, masks, 1, 400]
        optimizer.zero_grad()
        each = loss(drawn, nested[None, :, None, None].expand_as(drawn))
        over(each, dim=2).mean(dim=1).sum().backward()
        optimizer.step()
    return logits.detach().sigmoid()


def focal_of(alpha: float):
    return lambda logits, targets: library_focal(logits, targets, alpha)


def both(logits: Tensor, targets: Tensor) -> Tensor:
    return 20 * library_focal(logits, targets) + library_dice(logits, targets)


tried = {
    "focal, α = 0.25": settle(focal_of(0.25))[0, 0],
    "focal, α = 0.5": settle(focal_of(0.5))[0, 0],
    "focal, α = 0.75": settle(focal_of(0.75))[0, 0],
    "dice": settle(library_dice)[0, 0],
    "20 focal + dice,\nα = 0.25": settle(both)[0, 0],
}
chosen = [int((p[:3] > 0.5).sum()) for p in tried.values()]
assert chosen == [1, 2, 3, 2, 2]

q = np.linspace(0.001, 0.999, 400)
p = np.linspace(0.001, 0.999, 1999)

# %% tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.7), width_ratios=[1, 1.35], layout="constrained")
for alpha in (0.25, 0.5, 0.75):
    foreground = alpha * (1 - p) ** 2 * -np.log(p)
    background = (1 - alpha) * p**2 * -np.log(1 - p)
    best = p[(q[:, None] * foreground + (1 - q[:, None]) * background).argmin(axis=1)]
    assert abs(q[(best > 0.5).argmax()] - (1 - alpha)) < 0.01
    left.plot(q, best, label=f"α = {alpha}")
left.axhline(0.5, color="black", linewidth=0.8)
for share, name in ((1 / 3, "whole"), (2 / 3, "part"), (0.995, "subpart")):
    left.axvline(share, color="grey", linestyle=":")
    left.text(share - 0.01, 0.03, name, rotation=90, ha="right", fontsize=9, color="grey")
left.set(xlabel="q: how often the pixel is foreground", ylabel="best p", title="what focal loss asks for")
left.legend(loc="upper left")
bars = np.arange(5)
for ring, (name, color) in enumerate(
    zip(["subpart", "rest of the part", "rest of the whole"], ["#08519c", "#4292c6", "#9ecae1"], strict=True)
):
    right.bar(
        bars + 0.26 * (ring - 1), [p[ring].item() for p in tried.values()], 0.24, color=color, label=name
    )
right.axhline(0.5, color="black", linewidth=0.8)
right.set_xticks(bars, tried, fontsize=9)
right.set_yticks([0, 0.5, 1])
right.set(ylabel="p of a ring", ylim=(0, 1.38), title="one mask for three targets: above 1/2 is in the mask")
right.legend(loc="upper center", ncols=3, fontsize=9)
for place, count in enumerate(chosen):
    right.text(place, 1.03, f"the {names[count - 1]}", ha="center", fontweight="bold")

# %% [markdown]
# ## Three masks, and the smallest of three losses
#
# So a single mask has a ceiling and becomes a compromise. SAM outputs three masks and compares each with the target;
# only the one with the smallest loss is trained:
#
# $$L = \min_{m} \left(20\,\text{focal}_m + \text{dice}_m\right)$$
#
# The mask with the smallest loss for a target is trained on it, so it will have the smallest loss for similar targets
# again, and specialises. With the *mean* over the masks instead, all three are trained on all targets, and become the
# same compromise.

# %%
starts = 100
average = settle(both, masks=3, start=1.0, runs=starts, over=torch.mean)
least = settle(both, masks=3, start=1.0, runs=starts, over=torch.amin)
area = counts.float()
inside = (least > 0.5).float()  # [runs, masks, 4]
wanted = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
overlap = torch.einsum("rmc,tc,c->rmt", inside, wanted, area)
united = (inside @ area)[:, :, None] + (wanted @ area) - overlap
reached = (overlap / united.clamp(min=1)).amax(dim=1)  # [runs, targets], best of three
all_three, best_of_three = (reached > 0.99).all(dim=1).float().mean().item(), reached.mean().item()
same = (average[..., :3] - average[:, :1, :3]).abs().amax().item()
assert same < 0.1 and best_of_three > 0.75 and 0.25 < all_three < 0.55
alive = (reached > 0.99).sum(dim=1)  # targets that some mask fits
assert (alive >= 2).float().mean() > 0.95
lucky = int((reached > 0.99).all(dim=1).float().argmax())

grid = torch.full((20, 20), 3)
for ring, half in ((2, 5), (1, 3), (0, 2)):
    grid[10 - half : 10 + half, 10 - half : 10 + half] = ring

# %% tags=["hide-input"]
fig, panels = plt.subplots(1, 7, figsize=(11, 2), layout="constrained")
shown = [*average[lucky], *least[lucky][(least[lucky][:, :3] > 0.5).sum(1).argsort()]]
for axes, mask in zip([*panels[:3], *panels[4:]], shown, strict=True):
    axes.imshow(mask[grid].numpy(), cmap="viridis", vmin=0, vmax=1)
panels[1].set_title("trained by the mean of three")
panels[5].set_title("trained by the least of three")
for axes in panels:
    axes.set_axis_off()

# %% [markdown]
# The figure shows one of a hundred random starts. In about four of ten, every target gets a separate mask. In the
# others only two masks are trained: a mask that is far from all targets at the start never has the smallest loss, is
# never trained, and never becomes better. Such masks are called *dead*. In a network the three masks share nearly all
# weights, so training one also changes the others; if a mask stays dead nevertheless, training all masks with a small
# part of the loss helps.
#
# ## Your turn: the best of M masks, in torch
#
# For one prompt the target may be the part, for the next the whole: the best mask is chosen separately for every
# prompt. Take both losses from `minisam.train.losses`; they average over the last two axes and broadcast over the
# others.


# %%
def best_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """logits [P, M, h, w], targets [P, h, w] -> [P]: 20 focal + dice of the best of the M masks of each prompt."""
    raise NotImplementedError


check(11, best_mask_loss)

# %% [markdown]
# ## The third loss: which of the three to show
#
# Finally, one of the masks has to be chosen. The decoder's IoU token predicts each mask's IoU with the target; it is
# trained by the squared error. [losses.py](../../minisam/train/losses.py) contains all of this: focal loss, Dice loss,
# the minimum, the IoU.

# %%
from minisam.train.losses import segmentation_loss

generator = torch.Generator().manual_seed(0)
logits = torch.randn(4, 3, 16, 16, generator=generator)
targets = (torch.rand(4, 16, 16, generator=generator) > 0.5).float()
predicted = torch.rand(4, 3, generator=generator)
loss = segmentation_loss(logits, predicted, targets)
each = 20 * library_focal(logits, targets[:, None]) + library_dice(logits, targets[:, None])
error = ((predicted - loss.true_iou) ** 2).mean()
assert (loss.total - (each.amin(dim=1).mean() + error)).abs() < 1e-5
print("the library's loss: the least of 20 focal + dice, plus the squared error of the predicted IoU")

# %% [markdown]
# > **What the paper says, what the code does.** The paper gives the weights 20 : 1 : 1 and no α or γ; 0.25 and 2 are
# > those of the work that it cites, and of SAM 2's code. It does not say whether the IoU loss is for all three masks or
# > only for the one with the smallest loss. SAM 2's first training code uses that one only, 2.1 uses all. minisam uses
# > all: otherwise the prediction is never trained on bad masks, though its purpose is to distinguish bad masks from
# > good ones. In experiment E2 its rank correlation with the true IoU is then lower by 0.14.
#
# ## Find the bug
#
# A programmer computes both losses in one function, this time with plain cross-entropy. It runs, and the loss
# decreases. But it never comes near zero, not even for a mask that is right with high probability. Fix it.


# %%
def mask_loss(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """logits [P, h, w], targets [P, h, w] -> cross-entropy + dice of each mask, [P]. There is a bug in it."""
    inside = 1 / (1 + np.exp(-logits))
    shared = (inside * targets).sum(axis=(-2, -1))
    areas = inside.sum(axis=(-2, -1)) + targets.sum(axis=(-2, -1))
    dice = 1 - (2 * shared + 1) / (areas + 1)
    cross_entropy = np.logaddexp(0, inside) - inside * targets
    return cross_entropy.mean(axis=(-2, -1)) + dice


check(11, mask_loss)

# %% [markdown]
# ## What was left out
#
# Three masks are for a first prompt. After a second click the prompt is hardly ambiguous, and SAM trains a fourth mask
# for this case, number 0, without a minimum: lesson 12. In real images the levels are not equally likely, nor are there
# always three; the minimum over the masks does not need to know this. Losses for outlines, or for a few sampled pixels
# as in later work, are not part of SAM. And how a network learns to get from a click to these masks: that is the next
# lesson.
