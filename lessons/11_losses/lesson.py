# %% [markdown]
# # Lesson 11 · Losses and ambiguity: why a click has three answers
#
# Builds on: 9. Runs on a CPU, without a network.
#
# You know how the decoder draws masks. You will write the two losses that it learns from, work out how good a single
# mask can be when a click means several things, see which of them each loss would choose, and why SAM draws three
# masks and trains only the best.
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
# ## A click means several things
#
# Somebody clicks on a wheel. Do they want the hub, the wheel or the car? All three contain the click. In photos nobody
# knows the answer; in PartWorld, the world that minisam trains on, every scene is drawn from a *part tree*, so the
# answers are known exactly: a subpart lies in a part, a part in a whole.
#
# The prompt does not say which one is wanted, and no network can know. What can it do?

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
# A mask is a yes or no at every pixel, so the natural loss is the cross-entropy of each, averaged:
# $\text{BCE}(p, t) = -t \log p - (1 - t) \log (1 - p)$, with the target t and p the sigmoid of the logit. But most
# pixels lie far from any object, and are easy. Each adds little, and together they drown the few at the outline. The
# focal loss fades what is nearly right:
#
# $$\text{focal} = \text{mean over pixels of}\quad \alpha_t\,|t-p|^\gamma\;\text{BCE}(p,t),
# \qquad \alpha_t = \alpha\,t + (1-\alpha)(1-t)$$
#
# With γ = 2, a pixel that is right up to 0.1 counts a hundredth of its cross-entropy. α, the foreground's
# weight, is 0.25 (the background's is 0.75); it will matter more than it seems to.
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
# A mean over pixels knows nothing of objects. Take one that covers 1 % of the image, and a network that says
# "background, 99 % sure" everywhere: it is right at 99 of 100 pixels, and its focal loss is small. Its mask is
# empty. Dice compares areas instead, so that an object counts the same whatever its size:
#
# $$\text{dice} = 1 - \frac{2 \sum p\,t + 1}{\sum p + \sum t + 1}$$
#
# Twice the overlap over the sum of both areas. The ones keep 0 / 0 away when both are empty. SAM trains by
# **20 focal + 1 dice**. The code below shows what the two say of the empty mask.

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
# ## The ceiling of one mask
#
# Back to the click. Say that subpart, part and whole are wanted equally often. A network that draws a single mask m
# gets, on average,
#
# $$E(m) = \tfrac13\,\text{IoU}(m, \text{subpart}) + \tfrac13\,\text{IoU}(m, \text{part}) +
# \tfrac13\,\text{IoU}(m, \text{whole})$$
#
# and the best m is the ceiling for *any* network: the uncertainty is in the question. There are 2 to the power of
# the number of pixels possible masks; which ones must be tried?
#
# The three masks cut the image into four rings: the subpart, the rest of the part, the rest of the whole, the
# outside. Pixels of one ring are alike, so only the number taken of each ring matters. Take x pixels of a ring:
# for a wanted mask that has the ring, IoU is (c + x) / d, a straight line in x; for one that does not, it is
# c / (d + x), a curve that bulges downwards. A sum of such curves is largest at an end: a ring is taken whole or not
# at all. Outside pixels only hurt. That leaves 2³ = 8 masks, and they can be tried.

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
# The winner is a level, the part. It always is. *A level:* exchange a pixel of an outer ring for one of an inner
# ring, and no IoU falls, for every level that has the outer ring has the inner one too. *The part:* with areas
# a < b < c the three candidates get
#
# $$\text{subpart}\;\; \tfrac13\left(1 + \tfrac ab + \tfrac ac\right), \qquad
# \text{part}\;\; \tfrac13\left(\tfrac ab + 1 + \tfrac bc\right), \qquad
# \text{whole}\;\; \tfrac13\left(\tfrac ac + \tfrac bc + 1\right)$$
#
# and a/c is the smallest of the three ratios, so whoever has it loses to the part, which does not. With each level a
# third of the next, the ceiling is (1/3 + 1 + 1/3) / 3 = 0.556. Two masks, the part and the whole, already reach
# 0.778 if the better one counts, and three reach 1.

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
# For many trees at once, with any number of levels and any chances (they sum to one). The check tries every union of
# rings; you need not.


# %%
def one_mask_ceiling(masks: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Nested masks [T, L, h, w] of 0 and 1, and how likely each is, [T, L] -> the best expected IoU, [T]."""
    raise NotImplementedError


check(11, one_mask_ceiling)

# %% [markdown]
# Over all the trees of 64 scenes, with the areas that their masks have:

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
# Remember what this says of a network that *shows* one of its masks: it has a ceiling, too, the same one. Three masks
# do not break it. They help because the user may choose, or click again, and because any level that contains the
# click is a fair answer.
#
# ## Which level does a loss choose?
#
# A network is not trained by IoU but by these losses. Let one pixel be foreground in a share q of all cases. In the
# subpart q = 1, in the part around it 2/3, in the rest of the whole 1/3. BCE is least at p = q, so the mask p > 1/2
# is the *part*. The focal loss weighs foreground by α and background by 1 − α, and at p = 1/2 its other factors are
# the same for both. So its minimum lies above 1/2 exactly if
#
# $$\alpha\,q > (1-\alpha)(1-q) \iff q > 1-\alpha.$$
#
# With α = 0.25 a pixel has to be foreground in more than 3 of 4 cases. Only the subpart is. With α = 0.5 it is the
# part, with 0.75 the whole: a constant that looks like a matter of balance chooses the level. Dice knows areas: alone
# it takes the part, like IoU, and in SAM's sum it pulls α = 0.25 up to the part. Below, one logit for each ring is
# trained on the three targets until nothing moves.

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
# ## Three masks, and the least of three losses
#
# So one mask has a ceiling and settles for a compromise. SAM draws three and compares each with the target; only the
# one with the least loss is trained:
#
# $$L = \min_{m} \left(20\,\text{focal}_m + \text{dice}_m\right)$$
#
# Whatever a mask wins it gets better at, so it will win the like of it again. With the *mean* over masks instead, all
# three are pulled to all targets, and end as the same compromise.

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
# In the picture one random start of a hundred. In some four of ten every target finds a mask of its own. In the others
# only two come to life: a mask that was hopeless at the start never wins, is never trained, and never becomes better.
# Winner takes all makes *dead masks*. In a network the three share nearly all their weights, which helps the loser
# along; where a mask stays dead nevertheless, a small share of the loss for the losers wakes it.
#
# ## Your turn: the best of M masks, in torch
#
# One prompt may want the part and the next the whole: every prompt has a winner of its own. Take both losses from
# `minisam.train.losses`; they average over the last two axes and broadcast over the others.


# %%
def best_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """logits [P, M, h, w], targets [P, h, w] -> [P]: 20 focal + dice of the best of the M masks of each prompt."""
    raise NotImplementedError


check(11, best_mask_loss)

# %% [markdown]
# ## The third loss: which of the three to show
#
# At last somebody has to choose. The decoder's IoU token predicts each mask's IoU with the target, trained by the
# squared error against the true one. [losses.py](../../minisam/train/losses.py) is all of it: focal, dice, the
# minimum, the IoU.

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
# > **What the paper says, what the code does.** The paper gives 20 : 1 : 1 and no α or γ; 0.25 and 2 are those of the
# > work that it cites, and of SAM 2's code. Whether the IoU loss is for all three masks or for the winner alone, it
# > does not say. SAM 2's first training code takes the winner, 2.1 takes all. minisam takes all: trained only where
# > a mask has won, the prediction never sees a bad mask, though it is there to tell bad from good. In experiment E2
# > its rank correlation with the true IoU is then lower by 0.14.
#
# ## Find the bug
#
# Somebody computes both losses in one function, this time with plain cross-entropy. It runs, and the loss falls. But
# it never comes near zero, not even for a mask that is right and certain, and so the network is never done. Mend it.


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
# Three masks are for a first prompt. Once there is a second click, little doubt is left, and SAM trains a fourth mask
# of its own, number 0, without a minimum: lesson 12. Levels are not equally likely in real life, nor are there always
# three; the minimum does not need to know. Losses that look at outlines, or at few sampled pixels as in later work,
# are not part of SAM. And nothing here says how a network comes from a click to these masks at all: that is trained
# next.
