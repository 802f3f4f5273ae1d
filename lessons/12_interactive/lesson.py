# %% [markdown]
# # Lesson 12 · Training by clicks: a simulated annotator
#
# Builds on: 10, 11. Runs on a CPU, without a network.
#
# You know the network and its loss. You will write the simulated annotator that it is trained with, which clicks,
# compares the mask with the target, and clicks where it is wrong. Then you will train a prompt encoder and a decoder
# from random weights, in about ten seconds, and see how the masks develop.
#
# After this lesson you can
#
# - sample clicks and boxes as SAM's training does;
# - sample the next click from the error of a mask;
# - say why logits are fed back and not masks;
# - train a decoder, and test whether it uses its image.

# %%
from minisam.data.partworld import render_scenes
from minisam.lesson.page import check, np, plt, torch

# %% [markdown]
# ## One mask, eleven rounds
#
# A data set has images and masks, but no clicks. Clicks are sampled during training, each time again, so that a mask
# hardly ever comes with the same prompt twice. For each mask of each image, the paper simulates a session of eleven
# *rounds*:
#
# | round | prompt | mask trained |
# |---|---|---|
# | 0 | a point of the mask, or a rough box, each half of the time | the best of masks 1 to 3 |
# | 1 … 10, eight of them | one more point, where the last mask is wrong | mask 0 |
# | 1 … 10, two of them | nothing new: the last mask alone | mask 0 |
#
# From round 1 on, the last mask is fed back as a mask prompt. One of the two *mask-only* rounds comes at a random
# position, the other one is the last: there the network can only refine its mask. After round 0 there are several
# prompts, which are hardly ambiguous, so the fourth mask, mask 0, is trained, without the minimum of lesson 11.
#
# The image is encoded once for all rounds of all its masks. A round needs only the decoder, which costs less than 1 %
# of ViT-H's encoder, so eleven rounds are cheap.

# %%
from minisam.train.interactive import Rounds

for seed in range(4):
    schedule = Rounds(corrective=8, mask_only=2).schedule(torch.Generator().manual_seed(seed))
    assert len(schedule) == 10 and sum(schedule) == 8 and not schedule[-1]
    print("first", *("click" if new_point else "mask-only" for new_point in schedule))

# %% [markdown]
# ## Your turn: a uniform point of a region
#
# The annotator only has to choose pixels of a region, all with the same probability. Given a number between 0 and 1:
# count the region's n pixels row by row, and take the one with number ⌊draw · n⌋. The region may be a low-resolution
# mask; the network wants (x, y) in pixels of its image. The centre of mask pixel i lies at (i + 0.5) · scale − 0.5,
# since a pixel's coordinate is that of its centre.


# %%
def sample_points(region: np.ndarray, draw: np.ndarray, image_size: int) -> np.ndarray:
    """region [P, h, w] of 0 and 1, draw [P] in 0 … 1 -> [P, 2], a pixel of each region as (x, y) of the image."""
    raise NotImplementedError


check(12, sample_points)

# %% [markdown]
# ## Your turn: a rough box
#
# People do not draw boxes exactly, so the tight box of the mask gets noise: each of its four numbers moves by N(0, 1)
# times 10 % of the box's side (its width for x, its height for y), at most 20 pixels of an image of 1024, and stays in
# the image. A network that is trained with exact boxes relies on each edge, and fails with boxes that people draw.


# %%
def noisy_boxes(masks: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """masks [P, S, S] of 0 and 1, noise [P, 4] from N(0, 1) -> boxes [P, 4] as (x0, y0, x1, y1)."""
    raise NotImplementedError


check(12, noisy_boxes)

# %% [markdown]
# ## Your turn: where the next click may fall
#
# The mask that was shown is compared with the target (lesson 11: logits above 0, shares above 1/2). Pixels of the
# target that are not in the mask are *false negatives*: a click there is a foreground click. Pixels of the mask that
# are not in the target are *false positives*: a click there is a background click. The next point is sampled uniformly
# from both together, so it is more likely in the larger error. If the mask is right everywhere, it is any background
# pixel, which is correct, though it adds little.


# %%
from torch import Tensor


def corrections(logits: Tensor, targets: Tensor) -> Tensor:
    """logits and targets [P, h, w] -> [P, 2, h, w] of 0 and 1: where a foreground, a background click may fall."""
    raise NotImplementedError


check(12, corrections)

# %% [markdown]
# ## What is fed back
#
# The mask prompt of the next round is the mask that a user would see: of the three of round 0, the one with the highest
# *predicted* IoU, even if another one is better. It is fed back as **logits**, at low resolution, without a threshold.
# Does that matter? `nano`, which was trained that way, gets 1 to 9 clicks on new scenes. It gets back its logits, or
# the mask as zeros and ones, or nothing.

# %%
from minisam.build import build_sam
from minisam.config import CONFIGS, build_from_config
from minisam.evaluate.targets import choose_targets
from minisam.masks.iou import mask_iou
from minisam.masks.sampling import sample_pixels
from minisam.train.prompts import corrective_points
from minisam.train.targets import low_resolution_targets

nano = build_sam("nano")
new_scenes = render_scenes(seed=2**31 + 1, batch_size=48, image_size=64)
images, nodes = choose_targets(new_scenes, 4, torch.Generator().manual_seed(0), min_area=1 / 64)
masks = new_scenes.labels[images, new_scenes.level[images, nodes].long()] == nodes[:, None, None]
targets = low_resolution_targets(masks, nano.prompt_encoder.mask_input_size)
with torch.no_grad():
    seen = nano.image_encoder(nano.preprocess(new_scenes.images))[images]


@torch.no_grad()
def session(hand_back, clicks: int = 9) -> list[float]:
    """The mean IoU after each click."""
    generator = torch.Generator().manual_seed(0)
    coords = sample_pixels(masks, generator).float()[:, None]
    labels = torch.ones(len(coords), 1, dtype=torch.long)
    image_pe, mask, reached = nano.prompt_encoder.get_dense_pe(), None, []
    for click in range(clicks):
        sparse, dense = nano.prompt_encoder((coords, labels), None, mask)
        logits, iou = nano.mask_decoder(seen, image_pe, sparse, dense, multimask_output=click == 0)
        shown = logits[torch.arange(len(logits)), iou.argmax(dim=1)]
        reached.append(mask_iou(shown > 0, targets > 0.5).mean().item())
        more_coords, more_labels = corrective_points(shown, targets, 64, generator)
        coords, labels = torch.cat([coords, more_coords], 1), torch.cat([labels, more_labels], 1)
        mask = hand_back(shown[:, None])
    return reached


curves = {
    "logits": session(lambda logits: logits),
    "thresholded": session(lambda logits: (logits > 0).float()),
    "nothing": session(lambda logits: None),
}
last = {name: curve[-1] for name, curve in curves.items()}
assert last["logits"] > last["thresholded"] > last["nothing"] and last["logits"] > last["nothing"] + 0.02
assert last["logits"] > curves["logits"][0] + 0.1

# %% tags=["hide-input"]

fig, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for (name, curve), style in zip(curves.items(), ("o-", "s--", "^:"), strict=True):
    axes.plot(range(1, 10), curve, style, label=f"fed back: {name}")
axes.set(xlabel="clicks", ylabel="IoU with the target", title="nano on scenes that it has never seen")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown]
# Clicks help in all three cases. With nothing fed back, each mask is computed from the points alone. A mask of zeros
# and ones contains the predicted object; the logits also contain how certain the prediction is at every pixel, and so
# where a new click may change it.
#
# > **What the paper says, what the code does.** The paper does not say whether a gradient flows back through the mask
# > that is fed back. SAM 2's training code lets it; minisam stops it (`detach`), which is cheaper, and then every round
# > is trained only by its own loss. The paper sums the losses of all eleven rounds; here they are averaged, and there
# > are fewer: nano's recipe has 2 corrective rounds and 1 mask-only, in its last fifth. In the paper a box is one
# > prompt, with three masks; in SAM 2 it counts as two points, with one mask.
#
# ## Train
#
# Now everything together. The rounds are in [interactive.py](../../minisam/train/interactive.py). The network has the
# size of nano. The prompt encoder and the decoder start from random weights. The image encoder is already trained and
# stays frozen, because training it takes longest. SAM itself also starts from a pre-trained encoder (lesson 21). So
# each scene is encoded once, before the training, and a step computes only the decoder's rounds. The scenes are simple:
# flat colours, wholes and parts without subparts, large targets.

# %%
from minisam.train.initialise import initialise_
from minisam.train.interactive import interactive_rounds
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.targets import node_masks, sample_nodes

PLAIN = {"levels": 2, "object_scale": 1.5, "richness": 0.0, "occlusion": 0.0, "thinness": 0.0}
STEPS, PER_IMAGE, MIN_AREA = 120, 2, 0.04

torch.manual_seed(0)
sam = build_from_config(CONFIGS["nano"])
initialise_(sam)
sam.image_encoder.load_state_dict(nano.image_encoder.state_dict())
sam.image_encoder.requires_grad_(False)
optimizers = build_optimizers(sam, lr=2e-3, weight_decay=0.01, layer_decay=1.0, depth=4, muon_lr=6e-3)

scenes = [render_scenes(seed, batch_size=16, image_size=64, **PLAIN) for seed in range(24)]
held_out = render_scenes(seed=2**31, batch_size=48, image_size=64, **PLAIN)
with torch.no_grad():
    embeddings = [sam.image_encoder(sam.preprocess(batch.images)) for batch in scenes]
    new_embeddings = sam.image_encoder(sam.preprocess(held_out.images))
print(f"{16 * len(scenes)} scenes to train on, {len(held_out.images)} to look at")

# %% [markdown]
# To see the progress, we take two targets of each held-out scene, with a click in their middle, and keep the best of
# the three masks, before the training and at four moments of it. (Predicted IoUs become useful only late in training.)

# %%
from minisam.masks.distance import interior_points

test_image, test_node = choose_targets(held_out, 2, torch.Generator().manual_seed(0), min_area=MIN_AREA)
test_level = held_out.level[test_image, test_node].long()
wanted = held_out.labels[test_image, test_level] == test_node[:, None, None]
clicks = interior_points(wanted)[0].float()


@torch.no_grad()
def answers(at: Tensor) -> tuple[Tensor, Tensor]:
    """The best of three masks, [P, 64, 64], for image embeddings `at`, and their IoU, [P]."""
    labels = torch.ones(len(clicks), 1)
    sparse, dense = sam.prompt_encoder((clicks[:, None], labels), None, None)
    image_pe = sam.prompt_encoder.get_dense_pe()
    logits, _ = sam.mask_decoder(at[test_image], image_pe, sparse, dense, multimask_output=True)
    drawn = torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear") > 0
    iou = mask_iou(drawn, wanted[:, None])
    return drawn[torch.arange(len(clicks)), iou.argmax(dim=1)], iou.amax(dim=1)


# %% [markdown]
# A step takes a batch of scenes and two targets of each, computes the rounds of the session, and makes one step of the
# optimiser. At first there is only the first prompt, later also a correction, and finally a mask-only round after it:
# corrections are useful only when the masks are roughly right.

# %%
moments = {0: answers(new_embeddings)}
for step in range(STEPS):
    batch, at = scenes[step % len(scenes)], embeddings[step % len(scenes)]
    later = [] if step < 45 else [True] if step < 95 else [True, False]
    chosen = node_masks(batch, sample_nodes(batch, PER_IMAGE, min_area=MIN_AREA)).flatten(0, 1)
    index = torch.arange(16).repeat_interleave(PER_IMAGE)
    rounds = interactive_rounds(sam, at, index, chosen, later)
    loss = torch.stack([one.total for one in rounds]).mean()
    set_learning_rate(optimizers, step, STEPS, warmup=10, milestones=(0.7, 0.9))
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    if step + 1 in (15, 35, 70, STEPS):
        moments[step + 1] = answers(new_embeddings)

before, after = moments[0][1].mean(), moments[STEPS][1].mean()
elsewhere = answers(new_embeddings.roll(1, 0))[1].mean()
assert before < 0.2 and after > 0.3 and elsewhere < after - 0.08
print("IoU of the best mask of one click on a new scene: below 0.2 before, above 0.3 after")

# %%
first_of_scene = wanted[::2].flatten(1).sum(1)
shown_targets = (2 * first_of_scene.argsort(descending=True, stable=True)[:6]).tolist()
assert (test_image[::2] == torch.arange(48)).all()

# %% tags=["hide-input"]

fig, panels = plt.subplots(6, 7, figsize=(10.5, 9.3), layout="constrained")
for line, target in zip(panels, shown_targets, strict=True):
    picture = held_out.images[test_image[target]].permute(1, 2, 0).numpy()
    pale = picture.mean(axis=-1) / 2 + 127
    line[0].imshow(picture)
    line[0].scatter(*clicks[target], marker="*", c="white", edgecolors="black", s=120)
    for axes, (shown, _) in zip(line[1:6], moments.values(), strict=True):
        layer = np.zeros((64, 64, 4))
        layer[shown[target]] = (30 / 255, 144 / 255, 1, 0.35)
        axes.imshow(pale, cmap="gray", vmin=0, vmax=255)
        axes.imshow(layer)
        if shown[target].any() and not shown[target].all():
            axes.contour(shown[target], [0.5], colors=["dodgerblue"], linewidths=1.5)
    line[6].imshow(pale, cmap="gray", vmin=0, vmax=255)
    line[6].contour(wanted[target], [0.5], colors="black", linewidths=1.2)
    for axes in line:
        axes.set_axis_off()
heads = [f"{step} steps\nmean IoU {iou.mean():.2f}" for step, (_, iou) in moments.items()]
for axes, name in zip(panels[0], ["click", *heads, "target"], strict=True):
    axes.set_title(name, fontsize=10)

# %% [markdown]
# These are the six largest of the targets; the column heads give the mean of all 96. At first the masks are arbitrary.
# Then most of them become empty, because most pixels are background, and an empty mask already reduces the loss. Then
# they grow into objects. Corners stay coarse: nano's masks have 32 × 32 pixels, and a token of the encoder covers 4 × 4
# of them. On small targets the masks are still wrong: this was about ten seconds on one core, not SAM's 256 GPUs. On
# another processor your masks differ from these in detail, because 120 steps enlarge the differences of rounding.
#
# In a notebook you can click on the network that you have just trained. The scene is enlarged to be easier to hit; the
# network sees it in 64 × 64 pixels.

# %%
from minisam import show

scene = held_out.images[test_image[shown_targets[1]]].permute(1, 2, 0).numpy()
enlarged = scene.repeat(6, axis=0).repeat(6, axis=1)
page = show.click(enlarged, sam, points=6 * clicks[shown_targets[1:2]] + 3)
page

# %% [markdown]
# Does the network use its image, or does it only draw a disc around the click? To test this, the code above also gave
# every click the image embedding of another scene. If the IoU stayed the same, the image would not matter. It falls by
# more than 0.08, which the code asserts. This test is useful for every network that is trained with clicks, because a
# disc of the right size already reduces the loss considerably.
#
# ## Train all of it
#
# ```sh
# minisam train --preset nano
# ```
#
# trains the included nano, with its encoder, on scenes with all their variety: 5000 steps, 80,000 scenes, each used
# once. It took 27 minutes on one core, and writes this figure while it runs:
#
# ![nano's training](../../docs/training/nano/progress.png)
#
# Until step 2000 only the encoder is trained, by a separate loss (which tokens belong to the same object), and there is
# no IoU. Then the masks develop, as in the figure above: the IoU of the best of three exceeds 0.3 within about 500
# steps, and from step 4000 on there are corrections. At the end it is about 0.5, with one prompt. The targets change
# with each phase, and so does the curve.

# %%
import csv

from minisam.lesson.find import FOLDER

with (FOLDER.parent / "docs/training/nano/metrics.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))


def mean_oracle(first: int, end: int) -> float:
    return float(np.mean([float(row["oracle"]) for row in rows[first:end]]))


assert len(rows) == 5000 and float(rows[-1]["images"]) == 80000
assert 20 < float(rows[-1]["seconds"]) / 60 < 40 and rows[1999]["oracle"] == "nan"
assert mean_oracle(2000, 2100) < 0.15 and mean_oracle(2450, 2550) > 0.3 and mean_oracle(-200, 5000) > 0.45
print("the figures above are those of docs/training/nano/metrics.csv")

# %% [markdown]
# ## Find the bug
#
# Many users give a mask of zeros and ones as a mask prompt; questions about this are among the most frequent ones about
# SAM and the tools built on it. The function below does the same. It runs, but the next round loses the information
# that you saw lost in the figure. Fix it.


# %%
def feedback(logits: Tensor, iou_predictions: Tensor) -> Tensor:
    """logits [P, M, h, w], iou_predictions [P, M] -> the next mask prompt, [P, 1, h, w]. There is a bug in it."""
    best = iou_predictions.argmax(dim=1)
    chosen = logits[range(len(best)), best]
    return (chosen > 0).float()[:, None]


check(12, feedback)

# %% [markdown]
# ## What was left out
#
# Why training from random weights is slow, and what minisam does about it: CONTRIBUTING.md, "Training from scratch",
# describes empty masks, discs around the click, and an encoder that gets hardly any gradient. The optimiser (Muon for
# matrices, AdamW for the rest; the paper has AdamW for all, with a rate that falls layer by layer). And a real
# annotator clicks in the middle of the largest error, not at a random pixel: evaluation does that (lesson 24), with the
# first click in the middle of the object. In lesson 13 a grid of clicks covers the whole image.
