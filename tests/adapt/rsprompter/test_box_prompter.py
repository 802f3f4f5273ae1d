"""RSPrompter-anchor and the baselines with its detector: what is trained, what is not, and what comes out."""

from __future__ import annotations

import pytest
import torch
from small_prompters import CLASSES, DrawnImages, small_prompter

from minisam.adapt.rsprompter import prompted_masks
from minisam.adapt.rsprompter.examples import input_batch, prepare_example
from minisam.adapt.rsprompter.instances import Instances, Sizes
from minisam.adapt.rsprompter.prompted_masks import decode_prompts, mask_loss
from minisam.data.skipped import Skipped
from minisam.detect.two_stage import Targets
from minisam.train.losses import dice_loss, focal_loss

VARIANTS = ["anchor", "seg", "det"]


def batch(prompter, *objects):
    images = DrawnImages(objects)
    labels = {7: 0, 9: 1}
    examples = [prepare_example(one, labels, prompter.image_size, Skipped()) for one in images.pictures]
    generators = [torch.Generator().manual_seed(n) for n in range(len(examples))]
    return (
        input_batch(prompter.sam, [one.image for one in examples]),
        [one.targets for one in examples],
        generators,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_losses_train_the_new_layers_and_only_what_should_learn(variant):
    prompter = small_prompter(variant).train()
    losses = prompter.loss(*batch(prompter, 2, 0))
    assert tuple(losses) == prompter.loss_names
    torch.stack(list(losses.values())).sum().backward()
    trained = {name for name, p in prompter.named_parameters() if p.grad is not None}
    wanted = {name for name, p in prompter.named_parameters() if p.requires_grad}
    unused = {name for name in wanted - trained if "iou" not in name and "hypernetworks_mlps" not in name}
    assert not unused  # of the decoder: the IoU head and the masks for ambiguous prompts
    of_sam = {name.split(".")[1] for name in wanted if name.startswith("sam.")}
    assert of_sam == ({"mask_decoder"} if variant == "anchor" else set())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_frozen_parts_do_not_change_in_three_steps(variant, norm):
    prompter = small_prompter(variant, norm=norm).train()
    frozen = {name: p.detach().clone() for name, p in prompter.named_parameters() if not p.requires_grad}
    assert any("image_encoder" in name for name in frozen) and not prompter.sam.image_encoder.training
    optimizer = torch.optim.AdamW([p for p in prompter.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        torch.stack(list(prompter.loss(*batch(prompter, 2, 1)).values())).sum().backward()
        optimizer.step()
    for name, p in prompter.named_parameters():
        assert name not in frozen or p.equal(frozen[name]), name


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("objects", [(0, 0), (0, 1)])
def test_images_without_objects_train(variant, objects):
    prompter = small_prompter(variant).train()
    losses = prompter.loss(*batch(prompter, *objects))
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total.isfinite()
    if objects == (0, 0) and variant != "det":
        assert losses["mask"] == 0 and losses["box"] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_it_finds_is_in_pixels_of_the_image(variant):
    prompter = small_prompter(variant).eval()
    inputs, *_ = batch(prompter, 2)
    sizes = Sizes((64, 32), (300, 150))
    (found,) = prompter.detect(inputs, [sizes])
    assert isinstance(found, Instances) and 0 < len(found.boxes) <= 100
    assert found.masks.shape == (len(found.boxes), 300, 150) and found.masks.dtype == torch.bool
    assert found.boxes.min() >= 0 and found.boxes[:, 2].max() <= 150 and found.boxes[:, 3].max() <= 300
    assert set(found.labels.tolist()) <= set(range(len(CLASSES)))
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_nothing_found_is_an_empty_result():
    prompter = small_prompter("anchor").eval()
    with torch.no_grad():
        prompter.detector.box_head.logits.bias[-1] = 100.0
    (found,) = prompter.detect(batch(prompter, 1)[0], [Sizes((64, 64), (64, 64))])
    assert [len(one) for one in found] == [0] * 4 and found.masks.shape == (0, 64, 64)


def test_the_frozen_decoder_and_the_trained_encoder_are_arms():
    frozen = small_prompter("anchor", train_decoder=False)
    assert not any(p.requires_grad for p in frozen.sam.parameters())
    whole = small_prompter("anchor", train_encoder=True).train()
    torch.stack(list(whole.loss(*batch(whole, 2)).values())).sum().backward()
    assert whole.sam.image_encoder.blocks[0].mlp.lin1.weight.grad is not None


def test_prompts_are_tokens_alone_with_the_embedding_for_no_mask(monkeypatch):
    prompter = small_prompter("anchor").eval()
    seen = {}

    def decoder(embedding, image_pe, tokens, dense, multimask_output, image_index):
        seen.update(tokens=tokens, dense=dense, multimask=multimask_output)
        return torch.zeros(len(tokens), 1, 8, 8), None

    monkeypatch.setattr(prompter.sam, "mask_decoder", torch.nn.Identity())
    monkeypatch.setattr(prompter.sam.mask_decoder, "forward", decoder)
    tokens = torch.randn(3, 5, 96)
    decode_prompts(prompter.sam, torch.zeros(1, 96, 8, 8), tokens, torch.zeros(3, dtype=torch.int64))
    assert seen["tokens"] is tokens and seen["multimask"] is False
    no_mask = prompter.sam.prompt_encoder.no_mask_embed.weight.reshape(1, 96, 1, 1).expand(3, 96, 8, 8)
    assert seen["dense"].equal(no_mask)


def test_the_mask_losses_by_hand():
    logits, masks = torch.randn(2, 4, 4), torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[0, :6] = masks[1, 4:, 3:] = True
    full = prompted_masks.at_input_size(logits, 16)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(full, masks.float())
    torch.testing.assert_close(mask_loss(logits, masks, "bce"), bce)
    shares = masks.float().reshape(2, 4, 4, 4, 4).mean(dim=(2, 4))
    ours = (20 * focal_loss(logits, shares) + dice_loss(logits, shares)).mean()
    torch.testing.assert_close(mask_loss(logits, masks, "focal"), ours)
    assert mask_loss(logits[:0], masks[:0], "bce") == 0


def test_a_half_precision_network_becomes_float32():
    import minisam.adapt.rsprompter.prompter as home
    from minisam.adapt.rsprompter.config import small_config
    from minisam.config import CONFIGS, build_from_config

    sam = build_from_config(CONFIGS["nano"]).half()
    prompter = home.build_prompter(sam, small_config(sam, "anchor", CLASSES)).train()
    assert {p.dtype for p in prompter.parameters()} == {torch.float32}
    assert torch.stack(list(prompter.loss(*batch(prompter, 1)).values())).sum().isfinite()


def test_targets_have_the_masks_boxes():
    prompter = small_prompter("anchor")
    _, (targets,), _ = batch(prompter, 2)
    assert isinstance(targets, Targets) and targets.labels.tolist() == [0, 1]
    for box, mask in zip(targets.boxes.int().tolist(), targets.masks, strict=True):
        assert mask[box[1] : box[3], box[0] : box[2]].sum() == mask.sum() > 100
