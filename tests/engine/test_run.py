"""A killed engine resumes and ends with the same bytes; what it writes trains a network."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import minisam.engine.run as engine_run
from minisam.build import WEIGHTS
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.data.segmentation_folder import open_folder
from minisam.detect.detector import ObjectDetector
from minisam.engine.annotator import Rules
from minisam.engine.records import read_work
from minisam.engine.report import report_rows, table
from minisam.engine.run import EngineRun, prompted
from minisam.engine.scenes import UnlabelledPicture
from minisam.engine.settings import AUTOMATIC, ENGINES, LABELLED, MANUAL, SEMI, EngineSettings
from minisam.engine.work import Work
from minisam.errors import CheckpointError, MinisamError
from minisam.train.interactive import Rounds
from minisam.train.pictures import open_split
from minisam.train.presets import Phase, Recipe
from minisam.train.run import TrainingRun

SHORT = Recipe(steps=2, phases=(Phase(0.0, 64, 2, 2, Rounds(1, 0), min_area=1 / 64),), warmup=1)
SETTINGS = replace(
    ENGINES["nano"],
    first=SHORT,
    later=SHORT,
    labelled=2,
    manual=4,
    manual_rounds=2,
    semi=2,
    automatic=2,
    held_out=2,
    knobs={"object_scale": 2.0, "levels": 1, "richness": 0.0},
    rules=Rules(most_clicks=2, most_seconds=1000, patience=3),
    detector=replace(ENGINES["nano"].detector, steps=3, batch_size=2, min_score=0.0, most_boxes=5),
    confidence=replace(ENGINES["nano"].confidence, predicted_iou=-1.0, right=0.01),
    generator={"points_per_side": 2, "pred_iou_thresh": -9.0, "stability_score_thresh": 0.0},
)


class Killed(BaseException):
    """Like kill -9 for what runs: nothing of ours catches it."""


def engine(folder, **changes):
    return EngineRun(folder, replace(SETTINGS, **changes), progress_bar=False)


def files(folder):
    """Content by name, but for what holds wall-clock times or is there to resume from."""
    timed = ("metrics.csv", "progress.png", "state.pt")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in timed
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    return folder, engine(folder).run()


def killed_at(number, function):
    """`function`, but its call of that number never returns."""
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        return function(*args, **kwargs)

    return counted


POINTS = {
    "labelled pictures": (engine_run, "write_work", 2),
    "the second manual round": (engine_run, "write_work", 6),
    "semi-automatic pictures": (engine_run, "write_work", 8),
    "automatic pictures": (engine_run, "write_work", 10),
    "the first training": (TrainingRun, "train_step", 2),
    "the last training": (TrainingRun, "train_step", 10),
    "between record and training": (engine_run, "trained_on", 3),
    "measuring": (engine_run, "held_out_metrics", 4),
    "the detector's file": (ObjectDetector, "save", 1),
    "the report": (engine_run, "write_report", 2),
}


OFTEN_TRIED = ("semi-automatic pictures", "the first training")
"""At every commit; CI tries the others too."""


@pytest.mark.parametrize(
    "point",
    [pytest.param(point, marks=[] if point in OFTEN_TRIED else [pytest.mark.ci]) for point in POINTS],
)
def test_a_killed_engine_goes_on_byte_for_byte(point, whole, tmp_path, monkeypatch):
    place, name, number = POINTS[point]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, killed_at(number, getattr(place, name)))
        with pytest.raises(Killed):
            engine(tmp_path).run()
    assert len(files(tmp_path)) < len(files(whole[0]))
    results = engine(tmp_path).run()
    assert results == whole[1]
    assert files(tmp_path) == files(whole[0])


def test_a_picture_without_its_record_is_made_again(whole, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(whole[0], copy)
    for record in copy.glob("data/2-semi/*.json"):
        record.unlink()
    engine(copy).run()
    assert files(copy) == files(whole[0])


def test_every_stage_has_its_pictures_and_its_kind_of_mask(whole):
    folder, results = whole
    assert [one.round.stage for one in results] == [LABELLED, MANUAL, MANUAL, SEMI, AUTOMATIC]
    numbers = [number for one in results for number in one.round.pictures]
    assert numbers == list(range(10))
    pictures = open_folder(folder / "data")
    assert len(pictures.names) == 8
    manual, semi, automatic = results[1].tally, results[3].tally, results[4].tally
    assert manual.by_hand == manual.masks > 0 and manual.clicks >= manual.masks
    assert semi.masks > semi.by_hand > 0
    assert automatic.by_hand == automatic.clicks == automatic.seconds == 0 < automatic.masks
    assert results[0].tally.over_90 == results[0].tally.masks > 0 == results[0].tally.clicks
    sources = {
        name: {mask["source"] for record in read_work(folder / name) for mask in record["annotations"]}
        for name in ("labelled", "data/1-manual-1", "data/2-semi", "data/3-automatic")
    }
    assert sources["labelled"] == {"labelled"} and sources["data/3-automatic"] == {"automatic"}
    assert sources["data/1-manual-1"] <= {"model", "brush"} and "given" in sources["data/2-semi"]


@pytest.mark.parametrize(
    ("victim", "content", "message"),
    [
        ("models/*/held_out.json", "{", "held_out.json: damaged"),
        ("data/1-manual-1/sa_*.json", None, "not written by the engine"),
    ],
)
def test_a_damaged_file_of_a_finished_engine_is_named(victim, content, message, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    path = min((tmp_path / "copy").glob(victim))
    path.write_text(path.read_text().replace('"engine"', '"other"') if content is None else content)
    with pytest.raises(MinisamError, match=message):
        engine(tmp_path / "copy").run()


def test_another_seed_is_another_engine(whole, tmp_path):
    other = engine(tmp_path, seed=1, automatic=1, semi=1)
    other.claim_folder()
    other.collect(other.settings.rounds()[0], None)
    assert files(tmp_path)["labelled/sa_00000.png"] != files(whole[0])["labelled/sa_00000.png"]


def test_other_settings_are_refused_in_the_same_folder(whole):
    with pytest.raises(MinisamError, match="other settings"):
        engine(whole[0], seed=5).run()


def test_the_table_has_a_line_a_round(whole):
    folder, results = whole
    text = table(report_rows(results))
    assert (folder / "table.txt").read_text() == text
    lines = text.splitlines()
    assert len(lines) == 6 and lines[0].split()[0] == "round"
    assert lines[-1].split()[:2] == ["3-automatic", "2"]
    assert f"{results[-1].metrics['top1'][0]:.3f}" in lines[-1]
    assert (folder / "figure.png").stat().st_size > 10_000


def test_training_starts_from_the_model_before_and_on_what_is_collected(tmp_path, monkeypatch):
    seen = []

    def record(data, folder, preset, recipe, seed, start_from, *rest):
        names = sorted(path.name for path in data.iterdir())
        seen.append((data.name, names, start_from and start_from.parent.name, seed))
        raise Killed

    monkeypatch.setattr(engine_run, "trained_on", record)
    with pytest.raises(Killed):
        engine(tmp_path).run()
    assert seen[0][0] == "labelled" and seen[0][2] is None
    rounds = SETTINGS.rounds()
    assert [one.trains_on for one in rounds] == ["labelled", "data", "data", "data", "data"]
    assert {one.collects_in for one in rounds[1:]} == {
        "data/1-manual-1", "data/1-manual-2", "data/2-semi", "data/3-automatic",
    }  # fmt: skip


def test_only_the_last_training_draws_annotated_pictures_more_often(whole, tmp_path, monkeypatch):
    shutil.copytree(whole[0], tmp_path / "engine")
    seen, starts, trained_on = [], [], engine_run.trained_on

    def record(*arguments):
        seen.append(arguments[-1])
        starts.append(arguments[5] and arguments[5].parent.name)
        return trained_on(*arguments)

    monkeypatch.setattr(engine_run, "trained_on", record)
    engine(tmp_path / "engine").run()
    assert starts == [None, "0-labelled", "1-manual-1", "1-manual-2", "2-semi"]
    often = SETTINGS.oversampling
    assert seen[:4] == [()] * 4
    assert seen[4] == (("1-manual-1", often), ("1-manual-2", often), ("2-semi", often))
    folder, training, _ = open_split(tmp_path / "engine" / "data", 0.0, seen[4])
    from_last = [number for number in training if folder.names[number].startswith("3-automatic")]
    assert len(from_last) == SETTINGS.automatic and len(training) == 6 * often + SETTINGS.automatic


def test_in_stage_two_the_annotator_goes_for_what_was_not_given(tmp_path, monkeypatch):
    """Three objects; the second is given. The judge's threshold is that of what is right."""
    things = torch.eye(3, dtype=torch.bool)[:, None].expand(-1, 3, 3)
    picture = UnlabelledPicture(0, np.zeros((64, 64, 3), np.uint8), things)
    run, judged, asked = engine(tmp_path, min_area=0.0), [], []

    def look_through(masks, predicted, of, costs, right):
        judged.append((of.tolist(), right))
        return Work(seconds=2.0), torch.tensor([False, True, False])

    def annotate(prompted, others):
        asked.append((prompted.image_index.tolist(), others.tolist()))
        return Work(seconds=3.0)

    monkeypatch.setattr(engine_run, "confident_masks", lambda *_: (things, torch.ones(3)))
    monkeypatch.setattr(engine_run, "look_through", look_through)
    run.annotator = SimpleNamespace(annotate=annotate)
    work = run.complete(build_from_config(CONFIGS["nano"]), None, picture)
    assert work.seconds == 5
    assert judged == [(things.tolist(), SETTINGS.confidence.right)]
    assert asked == [([0, 0], things[[0, 2]].tolist())]


def test_the_detector_learns_from_what_was_collected_by_the_engines_seed(tmp_path, monkeypatch):
    seen = []

    def train_detector(sam, folder, recipe, seed, progress_bar):
        seen.append((folder, recipe, seed))
        raise Killed

    monkeypatch.setattr(engine_run, "train_detector", train_detector)
    with pytest.raises(Killed):
        engine(tmp_path, seed=3).detector(None)
    assert seen == [(tmp_path / "data", SETTINGS.detector, 3)]


def test_a_picture_is_encoded_as_the_network_wants_it():
    sam = build_from_config(CONFIGS["nano"])
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ready = prompted(sam, UnlabelledPicture(0, image, torch.zeros(0, 64, 64)), 2)
    pixels = torch.from_numpy(image).permute(2, 0, 1).float()
    normal = (pixels - torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)) / torch.tensor(
        [58.395, 57.12, 57.375]
    ).view(3, 1, 1)
    torch.testing.assert_close(ready.embeddings, sam.image_encoder(normal[None]))
    assert ready.image_index.tolist() == [0, 0]


def test_a_later_stage_trains_more_slowly():
    settings = replace(SETTINGS, slowing=0.5)
    later = settings.later
    assert later.muon_lr is not None
    assert [settings.recipe(number) for number in range(5)] == [
        settings.first, later, later,
        replace(later, lr=later.lr / 2, muon_lr=later.muon_lr / 2),
        replace(later, lr=later.lr / 4, muon_lr=later.muon_lr / 4),
    ]  # fmt: skip
    assert replace(settings, later=replace(later, muon_lr=None)).recipe(2).muon_lr is None


def test_an_engine_may_start_from_weights(tmp_path, monkeypatch):
    starts = []

    def record(data, folder, preset, recipe, seed, start_from, *rest):
        starts.append(start_from)
        raise Killed

    monkeypatch.setattr(engine_run, "trained_on", record)
    weights = WEIGHTS / "nano.safetensors"
    with pytest.raises(Killed):
        engine(tmp_path / "engine", start_from=str(weights)).run()
    assert starts == [weights]
    with pytest.raises(CheckpointError, match="holds tiny weights"):
        engine(tmp_path / "other", start_from=str(WEIGHTS / "tiny.safetensors")).run()
    assert not (tmp_path / "other").exists()


def test_an_annotator_who_gets_nothing_done_stops_the_engine(tmp_path):
    with pytest.raises(MinisamError, match=r"1-manual-1 .* collected no mask"):
        engine(tmp_path, rules=Rules(most_clicks=1, most_seconds=0.1)).run()


def test_what_it_writes_trains_a_network(whole, tmp_path, capsys):
    arguments = ["train", "--data", str(whole[0] / "data"), "--steps", "1", "--validation", "0"]
    assert main([*arguments, "--threads", "1", "-o", str(tmp_path)]) == 0
    assert (tmp_path / "model.safetensors").exists()
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelled": 0}, "every stage needs an image"),
        ({"manual_rounds": 5}, "4 images cannot be annotated in 5 rounds"),
        ({"seed": 2000}, "0 to 1999"),
        ({"held_out": 0}, "every stage"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(MinisamError, match=message):
        replace(SETTINGS, **changes)


def test_the_folder_knows_its_settings_by_value(tmp_path):
    assert isinstance(SETTINGS, EngineSettings)
    engine(tmp_path).claim_folder()
    engine(tmp_path).claim_folder()
    with pytest.raises(MinisamError, match="other settings"):
        engine(tmp_path, later=replace(SHORT, steps=3)).claim_folder()
