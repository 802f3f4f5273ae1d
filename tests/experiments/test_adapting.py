"""E13b, E13c, E17, E19 and E20: their criteria, from measurements that are given by hand, and their pieces.

No network is trained for the criteria; every target has the same IoU, and intervals have no width.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from minisam.adapt.hq_token import add_hq_token
from minisam.build import build_sam
from minisam.config import CONFIGS
from minisam.experiments import e13b_rank, e13c_images, e17_distillation, e19_hq_token, e20_rounds
from minisam.experiments.e13_adapt import BOX, CLICK
from minisam.experiments.experiment import Settings
from minisam.masks.boxes import tight_boxes

IMAGE = torch.tensor([0, 0, 1, 1, 2])
SETTINGS = Settings(images=3, seeds=(4, 5))


def every(value: float) -> torch.Tensor:
    return torch.full((len(IMAGE),), value)


def arms_by_name(monkeypatch, module):
    """Stands for the training of `module`'s arms: networks with a name; returns what was to be trained."""
    asked = []

    def train(settings, experiment, name, adapted, images, how):
        assert settings is SETTINGS
        asked.append((experiment, name, adapted, images, how))
        return SimpleNamespace(name=name)

    monkeypatch.setattr(
        module, "drawn_images", lambda sam, settings, worlds, seed: f"{'+'.join(worlds)}, {seed}"
    )
    monkeypatch.setattr(module, "prepared", lambda sam, method, seed: (method, seed))
    monkeypatch.setattr(module, "trained_copy", train)
    return asked


# --- E20 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "nine", "passed"),
    [(-0.019, 0.01, True), (-0.021, 0.01, False), (0.0, 0.0, False), (0.0, -0.01, False)],
)
def test_five_rounds_have_to_gain_at_nine_clicks_and_to_keep_one(one, nine, passed, monkeypatch):
    asked = arms_by_name(monkeypatch, e20_rounds)
    clicks = {
        "before": [0.4, *[0.5] * 7, 0.6], "1 round": [0.5, *[0.5] * 7, 0.55],
        "5 rounds": [0.5 + one, *[0.5] * 7, 0.55 + nine],
    }  # fmt: skip

    def measure(net, world, images, seeds, clicks):
        assert (images, seeds, clicks) == (3, (4, 5), 9)
        curve = torch.tensor(of_arm[net.name]) - (0.1 if world == "train" else 0)
        return SimpleNamespace(image_index=IMAGE, centre_shown=curve.expand(len(IMAGE), 9))

    of_arm = clicks
    monkeypatch.setattr(e20_rounds, "measure_world", measure)
    outcome = e20_rounds.run(SimpleNamespace(name="before"), SETTINGS)
    assert outcome.passed is passed
    assert [(name, seed, images) for _, name, (_, seed), images, _ in asked] == [
        (name, seed, f"xray, {seed}") for seed in (4, 5) for name in ("1 round", "5 rounds")
    ]
    for experiment, name, (method, seed), _, how in asked:
        rounds = 1 + len(how.later.schedule())
        assert (experiment, method.name, how.seed) == ("e20", "decoder", seed)
        assert (rounds, how.single_round_share) == (5 if name == "5 rounds" else 1, 0.0)
    assert (
        f"five rounds are {nine:+.3f} mIoU from" in outcome.finding
        and f"and {one:+.3f} after one" in outcome.finding
    )
    lowest = "9 clicks" if nine < min(one, 0) else "1 click"
    assert f"lowest after {lowest}, {min(one, nine, 0):+.3f}. Against" in outcome.finding
    assert (
        "one round changes mIoU by +0.100 after one click" in outcome.finding
        and "and -0.050 after nine" in outcome.finding
    )
    assert outcome.values["train, 5 rounds − 1 round"]["9"][0] == pytest.approx(nine, abs=1e-4)


# --- E13c -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spared", "more", "passed"),
    [(0.01, 0.02, True), (0.0, 0.02, False), (-0.01, 0.02, False), (0.01, 0.0, False)],
)
def test_with_few_images_lora_has_to_forget_less_and_with_many_to_gain_more(
    spared, more, passed, monkeypatch
):
    asked = arms_by_name(monkeypatch, e13c_images)
    drawn, measured = [], []

    def draw(sam, settings, worlds, seed, count):
        drawn.append(count)
        return f"{'+'.join(worlds)}, {seed}"

    def measure(net, world, images, seeds, clicks):
        assert (images, seeds, clicks) == (3, (4, 5), 1)
        measured.append((net.name, world))
        return SimpleNamespace(image_index=IMAGE, net=net.name, world=world)

    forgets = {"full": {5: -0.1, 50: -0.05, 500: -0.02}, "LoRA": {5: -0.1 + spared, 50: -0.04, 500: -0.03}}

    def scores(one):
        box = {"xray": 0.5, "train": 0.8, "thin": 0.3}[one.world]
        if one.net != "before":
            name, trained, count = one.net.rsplit(" ", 2)
            if one.world == "train":
                box += forgets.get(name, {}).get(int(count), -0.01)
            if one.world == "xray" and name == "LoRA + decoder":
                box += {5: 0.03, 50: 0.04, 500: 0.03 + more}[int(count)]
            if one.world == "thin":
                assert (name, trained, count) == ("LoRA + decoder", "thin", "500")
                box -= 0.007
        return {BOX: every(box), CLICK: every(box / 2)}

    monkeypatch.setattr(e13c_images, "drawn_images", draw)
    monkeypatch.setattr(e13c_images, "measure_world", measure)
    monkeypatch.setattr(e13c_images, "scores", scores)
    outcome = e13c_images.run(SimpleNamespace(name="before"), SETTINGS)
    assert outcome.passed is passed
    methods = {"decoder": "decoder", "LoRA": "lora", "LoRA + decoder": "lora", "full": "full"}
    arms = [(f"{name} xray {n}", n) for n in (5, 50, 500) for name in methods]
    arms.append(("LoRA + decoder thin 500", 500))
    assert [name for _, name, *_ in asked] == 2 * [name for name, _ in arms]
    assert drawn == 2 * [count for _, count in arms]
    assert {images for _, name, _, images, _ in asked if "thin" in name} == {"thin, 4", "thin, 5"}
    for experiment, name, (method, seed), images, how in asked:
        assert experiment == "e13c" and images.endswith(f", {seed}")
        assert (method.name, method.decoder) == (methods[name.rsplit(" ", 2)[0]], "LoRA x" not in name)
        assert (how.seed, how.full_size, how.single_round_share) == (seed, True, 1.0)
        assert how.settings.added_lr == (1e-3 if method.name == "lora" else 1e-4)
    trained_on = {name: name.split()[-2] for name, _ in arms}
    expected = [(name, world) for name, _ in arms for world in (trained_on[name], "train")]
    assert measured == 2 * [*expected, *(("before", world) for world in ("xray", "train", "thin"))]
    values = outcome.values
    assert values["LoRA - full on train"]["5"][0] == pytest.approx(spared, abs=1e-4)
    assert values["LoRA - full on train"]["500"][0] == pytest.approx(-0.01, abs=1e-4)
    assert values["500 - 5 images"][0] == pytest.approx(more, abs=1e-4)
    assert values["change"]["xray"]["LoRA + decoder"]["50"][0] == pytest.approx(0.04, abs=1e-4)
    assert values["change"]["train"]["full"]["50"][0] == pytest.approx(-0.05, abs=1e-4)
    assert values["thin"]["box"][0] == pytest.approx(-0.007, abs=1e-4)
    assert values["thin"]["click"][0] == pytest.approx(-0.0035, abs=1e-4)
    assert (
        f"training everything changes it by -0.100 and LoRA alone by {spared - 0.1:+.3f}" in outcome.finding
    )


# --- E13b -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "click", "seconds", "passed"),
    [
        (-0.029, -0.029, 0.7, True),
        (-0.031, 0.0, 0.7, False),
        (0.0, -0.031, 0.7, False),
        (0.0, 0.0, 0.71, False),
    ],
)
def test_late_lora_has_to_be_near_and_cheaper(box, click, seconds, passed, monkeypatch):
    asked = arms_by_name(monkeypatch, e13b_rank)
    monkeypatch.setattr(e13b_rank, "trained_numbers", lambda net: len(net.name))
    monkeypatch.setattr(e13b_rank, "measure_world", lambda net, world, *given, **named: SimpleNamespace(
        image_index=IMAGE, net=net.name, world=world))  # fmt: skip
    late = {BOX: box, CLICK: click}

    def scores(one):
        common = 0.5 + (one.net != "before") * 0.1 - (one.world == "train") * 0.2
        return {prompt: every(common + (one.net == "late") * late[prompt]) for prompt in (BOX, CLICK)}

    monkeypatch.setattr(e13b_rank, "scores", scores)
    timed = []

    def measure_time(sam, methods, images, steps):
        timed.append((list(methods), images, steps))
        return {name: 2.0 * (seconds if name == "late" else 1) for name in methods}

    monkeypatch.setattr(e13b_rank, "seconds_of_a_step", measure_time)
    given = SimpleNamespace(name="before", image_encoder=SimpleNamespace(blocks=range(5)))
    outcome = e13b_rank.run(given, SETTINGS)
    assert outcome.passed is passed
    names = ["rank 1", "rank 4", "rank 16", "rank 4 + MLP", "early", "late"]
    assert timed == [(names, "xray, 4", e13b_rank.TIMED)]
    assert [(name, seed) for _, name, (_, seed), *_ in asked] == [
        (name, seed) for seed in (4, 5) for name in names
    ]
    methods = {name: method for _, name, (method, _), *_ in asked}
    assert [methods[name].rank for name in names] == [1, 4, 16, 4, 4, 4]
    assert [methods[name].blocks for name in names] == [None] * 4 + [(0, 1), (2, 3, 4)]
    assert all((one.name, one.decoder) == ("lora", False) for one in methods.values())
    assert methods["rank 4 + MLP"].on == ("q", "v", "mlp") and methods["late"].on == ("q", "v")
    assert outcome.values["change"][f"train, {BOX}"]["rank 1"][0] == pytest.approx(0.1, abs=1e-4)
    assert outcome.values["late - all"][CLICK][0] == pytest.approx(click, abs=1e-4)
    assert f"takes {seconds:.2f} of" in outcome.finding


def test_the_time_of_a_step_is_a_median_of_those_after_the_first(monkeypatch):
    clock = iter([0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 8, 0, 6])
    monkeypatch.setattr(e13b_rank.time, "process_time", lambda: next(clock))
    steps = []

    class Task:
        def __init__(self, adapted, images, training, how):
            self.name, self.optimizers = adapted, [SimpleNamespace(step=lambda: steps.append(self.name))]
            assert (images.folder.names, list(training), how.prompts_per_image) == ("abc", [0, 1, 2], 4)

        def loss(self, step, generator):
            return torch.zeros((), requires_grad=True), {}

    monkeypatch.setattr(e13b_rank, "AdaptTask", Task)
    monkeypatch.setattr(e13b_rank, "prepared", lambda sam, method, seed: method)
    images = SimpleNamespace(folder=SimpleNamespace(names="abc"))
    found = e13b_rank.seconds_of_a_step(None, {"a": "A", "b": "B"}, images, 3)
    assert found == {"a": 3, "b": 4} and steps == ["A", "B"] * 4


# --- E19 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({("HQ", "wiry"): 0.519}, False),
        ({("output tokens", "wiry"): 0.531}, False),
        ({("decoder", "train"): 0.6}, False),
        ({"left out": 1e-7}, False),
    ],
)
def test_hq_has_to_gain_on_wires_and_to_forget_less(changes, passed, monkeypatch):
    edge = {(name, world): 0.5 for name in ("before", *e19_hq_token.ARMS) for world in e19_hq_token.WORLDS}
    edge |= {("HQ", "wiry"): 0.53, ("decoder", "train"): 0.45, ("HQ's mask alone", "wiry"): 0.4} | changes
    seeds = []

    def train(sam, settings, seed):
        seeds.append(seed)
        return {name: name for name in e19_hq_token.ARMS}

    def measure(nets, settings, world):
        assert nets["before"] == "SAM" and nets["HQ's mask alone"] == ("HQ", "only")
        values = {name: every(edge.get((name, world), 0.5)) for name in nets}
        return {name: {e19_hq_token.EDGE: one, e19_hq_token.IOU: one} for name, one in values.items()}, IMAGE

    monkeypatch.setattr(e19_hq_token, "trained_arms", train)
    monkeypatch.setattr(e19_hq_token, "measure_boxes", measure)
    monkeypatch.setattr(e19_hq_token, "with_mode", lambda net, mode: (net, mode))
    monkeypatch.setattr(
        e19_hq_token,
        "logits_differ",
        lambda a, b: changes.get("left out", 0.0) if b == ("HQ", "off") else 9.0,
    )
    outcome = e19_hq_token.run("SAM", SETTINGS)
    assert outcome.passed is passed and seeds == [4, 5]
    gain = edge["HQ", "wiry"] - 0.5
    assert f"from 0.500 by {gain:+.3f}; that is" in outcome.finding
    assert outcome.values["HQ - output tokens"][0] == pytest.approx(
        gain + 0.5 - edge["output tokens", "wiry"], abs=1e-4
    )
    assert outcome.values["train, HQ - decoder"][0] == pytest.approx(0.5 - edge["decoder", "train"], abs=1e-4)
    assert outcome.values["change"][f"wiry, {e19_hq_token.EDGE}"]["HQ's mask alone"][0] == pytest.approx(
        -0.1, abs=1e-4
    )


def test_arms_of_e19_keep_embeddings_of_their_own_encoder(monkeypatch):
    kept, seen = [], []
    images = SimpleNamespace(embeddings="of the first arms")
    monkeypatch.setattr(e19_hq_token, "drawn_images", lambda sam, settings, worlds, seed: images)
    monkeypatch.setattr(e19_hq_token, "Kept", lambda: kept.append(len(seen)) or "with early features")

    def train(settings, experiment, name, adapted, images, how):
        seen.append((name, adapted.method.name, images.embeddings))
        assert how.full_size and how.single_round_share == 1.0 and how.seed == 7
        if name.startswith("HQ"):
            early = adapted.sam.mask_decoder.compress_vit_feat[3]
            assert bool(early.weight.any()) == (name == "HQ") == early.weight.requires_grad
            with torch.no_grad():
                features = adapted.sam.mask_decoder.compress_vit_feat(torch.randn(1, 96, 8, 8))
            assert bool(features.any()) == (name == "HQ")
        return name

    monkeypatch.setattr(e19_hq_token, "trained_copy", train)
    nets = e19_hq_token.trained_arms(build_sam("nano"), SETTINGS, 7)
    assert list(nets) == ["decoder", "output tokens", "HQ without early", "HQ"] and kept == [2]
    assert [one[1:] for one in seen] == [
        ("decoder", "of the first arms"),
        ("token", "of the first arms"),
        ("hq", "with early features"),
        ("hq", "with early features"),
    ]


def test_boxes_are_measured_on_one_embedding_for_all_networks(monkeypatch):
    plain, hq = build_sam("nano"), build_sam("nano")
    torch.manual_seed(0)
    add_hq_token(hq)
    off, alone = e19_hq_token.with_mode(hq, "off"), e19_hq_token.with_mode(hq, "only")
    assert (hq.mask_decoder.mode, alone.mask_decoder.mode) == ("add", "only")
    nets = {"before": plain, "HQ": hq.eval(), "off": off.eval(), "alone": alone.eval()}
    found, image = e19_hq_token.measure_boxes(nets, Settings.short(None), "train")
    for what in (e19_hq_token.IOU, e19_hq_token.EDGE):
        assert found["off"][what].equal(found["before"][what]) and len(image) == len(found["HQ"][what]) > 4
        assert not found["HQ"][what].equal(found["before"][what])
        assert not found["alone"][what].equal(found["HQ"][what])
    (targets,) = e19_hq_token.prompted_targets(plain, Settings.short(None), "train")
    with torch.no_grad():
        logits, predicted = targets.prompted.predict_all(tight_boxes(targets.masks))
    best = logits[torch.arange(len(logits)), 1 + predicted[:, 1:].argmax(1)]
    masks = F.interpolate(best[:, None], targets.masks.shape[-2:], mode="bilinear")[:, 0] > 0
    both, either = (masks & targets.masks).sum((1, 2)), (masks | targets.masks).sum((1, 2))
    torch.testing.assert_close(found["before"][e19_hq_token.IOU], both / either)


def test_the_band_of_a_square_is_two_pixels_wide():
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 3:13, 3:13] = True
    inside = mask.clone()
    inside[0, 5:11, 5:11] = False
    assert e19_hq_token.band(mask).equal(inside)


# --- E17 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({("decoupled", BOX): 0.84}, False),
        ({("coupled", BOX): 0.835}, False),
        ({("decoupled", CLICK): 0.44}, False),
    ],
)
def test_a_student_of_embeddings_has_to_keep_most_and_to_beat_the_coupled_one(changes, passed, monkeypatch):
    iou = {
        ("teacher", BOX): 1.0, ("teacher", CLICK): 0.5, ("decoupled", BOX): 0.85, ("decoupled", CLICK): 0.4,
        ("semi-coupled", BOX): 0.7, ("semi-coupled", CLICK): 0.3, ("coupled", BOX): 0.82, ("coupled", CLICK): 0.3,
    } | changes  # fmt: skip
    share = {"train": 1.0, "xray": 0.5, "thin": 0.25}
    monkeypatch.setattr(e17_distillation, "drawn_lessons", lambda sam, settings, seed: f"lessons {seed}")
    monkeypatch.setattr(
        e17_distillation,
        "trained_student",
        lambda sam, settings, lessons, arm, seed: (
            SimpleNamespace(name=arm) if lessons == f"lessons {seed}" else None
        ),
    )
    monkeypatch.setattr(
        e17_distillation, "explained_variance", lambda net, sam, images: len(images) * len(net.name) / 100
    )
    monkeypatch.setattr(e17_distillation, "measure_world", lambda net, world, images, seeds, clicks: SimpleNamespace(
        image_index=IMAGE, values={prompt: every(iou[net.name, prompt] * share[world]) for prompt in (BOX, CLICK)}
    ))  # fmt: skip
    monkeypatch.setattr(e17_distillation, "scores", lambda one: one.values)
    teacher = SimpleNamespace(name="teacher", image_encoder=SimpleNamespace(img_size=64), device="cpu")
    outcome = e17_distillation.run(teacher, SETTINGS)
    assert outcome.passed is passed
    box, click = iou["decoupled", BOX], iou["decoupled", CLICK] / 0.5
    assert f"keeps {box:.2f} of the teacher's with a box and {click:.2f} with a click" in outcome.finding
    assert outcome.values["share of the teacher's"][f"thin, {BOX}"]["decoupled"] == pytest.approx(
        box, abs=1e-5
    )
    assert outcome.values["explained"]["coupled"] == pytest.approx(8 * 7 / 100)
    assert outcome.values["train, box: decoupled minus"]["coupled"][0] == pytest.approx(
        box - iou["coupled", BOX], abs=1e-4
    )


def lesson_of(teacher):
    return e17_distillation.drawn_lessons(teacher, Settings.short(None), 3)


def test_a_lesson_is_what_the_teacher_answers():
    teacher = build_sam("nano")
    (lesson,) = lesson_of(teacher)
    assert lesson.images.shape == (8, 3, 64, 64) and lesson.masks.shape[1:] == (3, 32, 32)
    assert len(lesson.masks) == len(lesson.ious) == len(lesson.image_index) == len(lesson.prompts[0]) > 16
    with torch.no_grad():
        embeddings = teacher.image_encoder(lesson.images)
        logits, ious = e17_distillation.answers(teacher, embeddings, lesson.prompts, lesson.image_index)
    torch.testing.assert_close(embeddings, lesson.embeddings)
    torch.testing.assert_close(ious, lesson.ious)
    assert (logits > 0).equal(lesson.masks)


@pytest.mark.parametrize("arm", list(e17_distillation.STEPS))
def test_an_arm_of_e17_trains_its_parts_by_its_loss(arm):
    teacher = build_sam("nano")
    lessons = lesson_of(teacher)
    student = e17_distillation.student_of(teacher, CONFIGS["nano"])
    task = e17_distillation.LessonTask(student, lessons, arm, 10, 0)
    loss, metrics = task.loss(0, torch.Generator())
    loss.backward()
    trained = {
        name.split(".")[0] for name, p in student.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert trained == {"image_encoder"} | ({"mask_decoder"} if arm == "coupled" else set())
    assert metrics["loss"] is loss and task.steps == 10
    perfect = student.image_encoder
    perfect.load_state_dict(teacher.image_encoder.state_dict())
    again = task.loss(1, torch.Generator())[0]  # the same lesson: there is one
    if arm == "decoupled":
        assert again < 1e-9 < loss
    else:
        assert again < 0.5 * loss
