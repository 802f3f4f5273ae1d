import numpy as np
import pytest
import torch
from web.click_servers import photo_file, random_session

from minisam import SamPredictor
from minisam.errors import PromptError
from minisam.web.photos import LONGEST_SHOWN
from minisam.web.prompt import read_prompt


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = random_session()
    folder = tmp_path_factory.mktemp("photos")
    session.photos.open(photo_file(folder / "small.png"))
    session.photos.open(photo_file(folder / "large.png", 60, 2 * LONGEST_SHOWN))
    yield session
    session.close()


@pytest.mark.parametrize(
    ("points", "boxes"),
    [
        ([[10, 10, 1]], []),
        ([[10, 10, 1], [20, 5, 0]], []),
        ([], [[5, 5, 30, 20]]),
        ([[10, 10, 0]], [[5, 5, 30, 20], [1, 2, 20, 10]]),
    ],
)
def test_masks_are_the_predictors(session, points, boxes):
    photo = session.photos.all[0]
    masks, iou = session.decode(photo, read_prompt({"points": points, "boxes": boxes}))
    predictor = SamPredictor(session.sam)
    predictor.set_image(photo.pixels())
    given = np.array(points).reshape(-1, 3)
    wanted, wanted_iou, _ = predictor.predict(
        given[:, :2] if points else None, given[:, 2] if points else None, np.array(boxes) if boxes else None
    )
    assert np.array_equal(masks, wanted)
    np.testing.assert_allclose(iou, wanted_iou, rtol=1e-6)
    best, best_iou = session.decode(photo, read_prompt({"points": points, "boxes": boxes}), only_best=True)
    assert best.shape == (1, 30, 50) and best_iou[0] == iou.max()
    assert np.array_equal(best[0], masks[iou.argmax()])


def test_masks_are_what_is_above_the_networks_own_threshold(session, monkeypatch):
    photo, prompt = session.photos.all[0], read_prompt({"points": [[10, 10, 1]]})
    predictor = SamPredictor(session.sam)
    predictor.set_image(photo.pixels())
    logits, _, _ = predictor.predict(np.array([[10, 10]]), np.array([1]), return_logits=True)
    threshold = float(np.quantile(logits, 0.8))
    monkeypatch.setattr(session.sam, "mask_threshold", threshold)
    masks, _ = session.decode(photo, prompt)
    assert np.array_equal(masks, logits > np.float32(threshold)) and 0.1 < masks.mean() < 0.3


def test_a_prompt_on_the_photo_as_shown_reaches_the_same_place_of_the_file(session):
    photo = session.photos.all[1]
    prompt = read_prompt({"points": [[LONGEST_SHOWN / 4, 10, 1]]})
    masks, _ = session.decode(photo, prompt, size=photo.size)
    predictor = SamPredictor(session.sam)
    predictor.set_image(photo.pixels())
    wanted, _, _ = predictor.predict(np.array([[LONGEST_SHOWN / 2, 20]]), np.array([1]))
    assert np.array_equal(masks, wanted)
    assert session.decode(photo, prompt)[0].shape == (3, *photo.shown)


def test_nothing_is_computed_when_nobody_waits(session):
    photo = session.photos.all[0]
    assert session.decode(photo, read_prompt({"points": [[1, 1, 1]]}), is_wanted=lambda: False) is None


def test_no_embedding_is_made_when_nobody_waits(session):
    session.predictors.clear()
    for waits, made in ((False, []), (True, [1])):
        session.encode(session.photos.all[1], lambda waits=waits: waits)
        assert list(session.predictors) == made


def test_a_point_outside_is_refused(session):
    with pytest.raises(PromptError, match="outside the image"):
        session.decode(session.photos.all[0], read_prompt({"points": [[500, 1, 1]]}))


def test_embeddings_are_limited_and_made_again(session, monkeypatch):
    monkeypatch.setattr("minisam.web.session.MOST_EMBEDDINGS", 1)
    encoded = []
    encoder = session.sam.image_encoder
    monkeypatch.setattr(encoder, "forward", lambda x, run=encoder.forward: encoded.append(1) or run(x))
    session.predictors.clear()
    one, other = session.photos.all
    for photo in (one, one, other, other, one):
        session.encode(photo)
    assert len(encoded) == 3 and list(session.predictors) == [0]


def test_the_number_of_threads_is_what_it_was(session):
    counts = []
    session.worker.submit(lambda: torch.set_num_threads(2)).result()
    session.decode(session.photos.all[0], read_prompt({"points": [[1, 1, 1]]}))
    session.worker.submit(lambda: counts.append(torch.get_num_threads())).result()
    assert counts == [2]


def test_a_preview_has_its_own_size_whatever_is_asked(session):
    photo = session.photos.all[1]
    prompt = read_prompt({"points": [[10, 10, 1]], "boxes": []})
    for size, expected in ((None, photo.shown), ((20, 30), (20, 30))):
        assert session.decode(photo, prompt, size=size)[0].shape == (3, *expected)
        assert session.decode(photo, prompt, only_best=True, size=size)[0].shape == (1, *photo.previewed)
