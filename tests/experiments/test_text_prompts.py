"""What E8 calls as expected: words far enough above other words, and worth something beside a point."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

import minisam.experiments.e08_text as e08
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import text_sams

KINDS = {
    "image": 0.5, "image + point": 0.6, "short caption": 0.2, "caption uncentred": 0.2, "image zeroed": 0.4,
    "image unmasked": 0.3,
}  # fmt: skip


def stub_experiment(monkeypatch, of_arm):
    """Instead of networks, mIoU that every target reaches, by arm and kind of prompt."""
    models = {
        arm: SimpleNamespace(
            arm=arm,
            sam=SimpleNamespace(image_encoder=SimpleNamespace(img_size=64)),
            clip=SimpleNamespace(encode_texts=lambda texts: F.normalize(torch.ones(len(texts), 4), dim=1)),
            external=lambda embeddings, kind: embeddings,
        )
        for arm in ("", "in words", "longer")
    }
    monkeypatch.setattr(e08, "trained_text_sams", lambda settings: models)
    monkeypatch.setattr(
        e08,
        "Measured",
        lambda sam, targets: SimpleNamespace(
            ious=lambda point: torch.full((len(targets.captions),), 0.4),
            masks=lambda token: targets.masks,
        ),
    )
    monkeypatch.setattr(
        e08, "crop_embeddings", lambda model, targets: torch.eye(4)[[0] * len(targets.captions)]
    )

    def prompts(model, targets):
        count = len(targets.captions)
        of_kind = KINDS | of_arm[model.arm]
        return {kind: lambda _, value=value: torch.full((count,), value) for kind, value in of_kind.items()}

    monkeypatch.setattr(e08, "prompts", prompts)


GOOD = {"caption": 0.3, "random caption": 0.05, "caption + point": 0.5, "point": 0.45}


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"caption": 0.24}, False),
        ({"random caption": 0.12}, False),
        ({"caption + point": 0.45}, False),
        ({"point": 0.55}, False),
    ],
)
def test_the_criterion(changes, passed, monkeypatch, tmp_path):
    better = {"caption": 0.9, "random caption": 0.0, "caption + point": 0.9, "point": 0.1}
    stub_experiment(monkeypatch, {"": GOOD | changes, "in words": better, "longer": better})
    outcome = e08.run(None, Settings(images=3, seeds=(0, 1), work=tmp_path))
    assert outcome.passed is passed
    of_caption = (GOOD | changes)["caption"] - (GOOD | changes)["random caption"]
    assert outcome.values["caption - random caption"] == pytest.approx([of_caption] * 3, abs=1e-4)
    assert outcome.values["in words: caption + point - point"] == pytest.approx([0.8] * 3, abs=1e-4)
    assert outcome.values["crop + point - point"][0] == pytest.approx(
        0.6 - (GOOD | changes)["point"], abs=1e-4
    )


class Pool:
    """In place of processes."""

    def __init__(self, *arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        pass

    def submit(self, function, *arguments):
        result = function(*arguments)
        return SimpleNamespace(result=lambda: result)


def test_both_arms_go_on_from_the_papers_recipe_one_of_them_with_captions(monkeypatch, tmp_path):
    trained = []

    def train(folder, clip_file, recipe, start_from=None, captions=0.0):
        trained.append((folder.name, clip_file.is_file(), recipe, start_from and start_from.name, captions))
        return folder

    monkeypatch.setattr(text_sams, "train", train)
    monkeypatch.setattr(text_sams, "ProcessPoolExecutor", Pool)
    shipped = text_sams.load_text_sam()
    monkeypatch.setattr(text_sams, "load_text_sam", lambda file=None: file.name if file else shipped)
    settings = SimpleNamespace(quick=False, work=tmp_path)
    assert text_sams.trained_text_sams(settings) == {"": "sam", "in words": "in_words", "longer": "longer"}
    recipe, longer = text_sams.TEXT, text_sams.LONGER
    assert trained == [
        ("sam", True, recipe, None, 0.0),
        ("in_words", True, longer, "sam", 0.8),
        ("longer", True, longer, "sam", 0.0),
    ]
