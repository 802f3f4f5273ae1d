"""The data engine: collect, train, collect with the better model; a killed engine resumes with identical results.

    DIR/engine.json     the settings
    DIR/labelled        the first images, with their masks of at least one token
    DIR/data            the collected masks, one folder per round: `minisam train --data DIR/data`
    DIR/models          one training per round: metrics, model.safetensors, held_out.json; and detector.safetensors
    DIR/rounds.json, table.txt, figure.png

An existing record shows that its image is done, an existing model file that it is trained.  Everything random depends
only on the seed and the number of the round, and every round needs only the files of earlier ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from minisam.checkpoint import load_state_dict_into
from minisam.config import CONFIGS, build_from_config
from minisam.detect.detector import ObjectDetector
from minisam.detect.detector_task import train_detector
from minisam.distributed import as_the_first_sees, is_first, own_items, wait_for_all
from minisam.engine.annotator import Annotator
from minisam.engine.automatic import segment_everything
from minisam.engine.confident_masks import confident_masks, look_through
from minisam.engine.records import read_work, record_path, write_work
from minisam.engine.report import write_report
from minisam.engine.scenes import UnlabelledPicture, unlabelled_pictures
from minisam.engine.settings import AUTOMATIC, LABELLED, MANUAL, SEMI, EngineSettings, Round
from minisam.engine.tally import RoundResult, Tally
from minisam.engine.training import held_out_metrics, trained_on, training_seed
from minisam.engine.work import CollectedMask, Work
from minisam.errors import CheckpointError, MinisamError
from minisam.json_files import read_json, write_json
from minisam.locks import claimed
from minisam.model import Sam
from minisam.predict import SamAutomaticMaskGenerator
from minisam.predict.prompted import Prompted
from minisam.train.pictures import Repeats

Collector = Callable[[UnlabelledPicture], Work]
GIVEN_BY_OTHERS = "labelled"


@dataclass
class EngineRun:
    """An engine in a folder."""

    folder: Path
    settings: EngineSettings
    draw_ahead: bool = False
    """Read training images in a second process."""
    progress_bar: bool | None = None
    """None shows bars on a terminal only."""

    def __post_init__(self) -> None:
        self.image_size = CONFIGS[self.settings.preset].image_size
        self.annotator = Annotator(self.settings.rules, self.settings.costs)

    def run(self) -> list[RoundResult]:
        """All rounds, and the report; finished work is only read.

        Raises MinisamError if another process is using the folder, CheckpointError if it holds an engine with other
        settings, or if the weights to start from are missing, damaged or of another network.
        """
        sam = build_from_config(CONFIGS[self.settings.preset])
        previous = None if self.settings.start_from is None else Path(self.settings.start_from)
        if previous is not None:
            load_state_dict_into(sam, previous)
        self.folder.mkdir(parents=True, exist_ok=True)
        with claimed(self.folder) if is_first() else nullcontext():
            return self.run_rounds(sam, previous)

    def run_rounds(self, sam: Sam, previous: Path | None) -> list[RoundResult]:
        """Collect with `sam` and train, from the weights `previous`, round after round."""
        self.claim_folder()
        results = []
        for number, one in enumerate(self.settings.rounds()):
            self.collect(one, sam)
            tally = Tally.of(read_work(self.folder / one.collects_in))
            if not tally.masks:
                raise MinisamError(
                    f"round {one.name} of {self.folder} collected no mask; train the model before it for longer"
                )
            home = self.folder / "models" / one.name
            sam = self.train(number, one, previous)
            previous = home / "model.safetensors"
            results.append(RoundResult(one, tally, held_out_metrics(sam, home, self.settings)))
            if is_first():
                write_report(self.folder, results)
        return results

    def claim_folder(self) -> None:
        """Write the settings, or check that the existing ones are equal."""
        path = self.folder / "engine.json"
        settings = json.loads(json.dumps(asdict(self.settings)))
        if not path.exists() and is_first():
            write_json(path, settings)
        wait_for_all()
        if read_json(path) != settings:
            raise CheckpointError(
                f"{self.folder} holds an engine with other settings; choose another --out or delete it"
            )

    def train(self, number: int, one: Round, previous: Path | None) -> Sam:
        """The model after a round, in evaluation mode."""
        return trained_on(
            self.folder / one.trains_on,
            self.folder / "models" / one.name,
            self.settings.preset,
            self.settings.recipe(number),
            training_seed(self.settings, number),
            previous,
            self.draw_ahead,
            self.progress_bar,
            self.repeats(one),
        )

    def repeats(self, one: Round) -> Repeats:
        """Before the last training, the images that are drawn more often than the automatic ones."""
        if one.stage != AUTOMATIC:
            return ()
        annotated = (earlier for earlier in self.settings.rounds() if earlier.stage in (MANUAL, SEMI))
        return tuple((earlier.name, self.settings.oversampling) for earlier in annotated)

    def collect(self, one: Round, sam: Sam) -> None:
        """Process the images of a round that have no record yet; several processes share them."""
        folder = self.folder / one.collects_in
        missing = [number for number in one.pictures if not record_path(folder, number).exists()]
        missing = as_the_first_sees(missing)
        if not missing:
            return
        work_on = self.collector(one, sam)
        pictures = unlabelled_pictures(
            own_items(missing), self.settings.world, self.image_size, self.settings.seed, self.settings.knobs
        )
        hidden = None if self.progress_bar is None else not self.progress_bar
        for picture in tqdm(
            pictures, total=len(own_items(missing)), desc=one.name, disable=hidden, leave=False
        ):
            write_work(folder, picture, work_on(picture), one.stage)
        wait_for_all()

    def collector(self, one: Round, sam: Sam) -> Collector:
        """The function that annotates an image in this stage."""
        if one.stage == LABELLED:
            return self.take_as_given
        if one.stage == MANUAL:
            return lambda picture: self.annotate(sam, picture)
        if one.stage == AUTOMATIC:
            generator = SamAutomaticMaskGenerator(sam, **self.settings.generator, progress=False)
            return lambda picture: segment_everything(generator, picture)
        detector = self.detector(sam)
        return lambda picture: self.complete(sam, detector, picture)

    def take_as_given(self, picture: UnlabelledPicture) -> Work:
        """An image of a public data set, with all its masks."""
        objects = picture.prominent(self.settings.min_area)
        return Work([CollectedMask(mask, GIVEN_BY_OTHERS, 0, 0.0, 1.0, 1.0) for mask in objects])

    @torch.inference_mode()
    def annotate(self, sam: Sam, picture: UnlabelledPicture) -> Work:
        """Stage one: the annotator alone with the model."""
        objects = picture.prominent(self.settings.min_area)
        return self.annotator.annotate(prompted(sam, picture, len(objects)), objects)

    @torch.inference_mode()
    def complete(self, sam: Sam, detector: ObjectDetector, picture: UnlabelledPicture) -> Work:
        """Stage two: check the masks from the detector, then add the other objects."""
        confidence = self.settings.confidence
        objects = picture.prominent(self.settings.min_area)
        ready = prompted(sam, picture, len(objects))
        masks, predicted = confident_masks(ready, detector, confidence)
        given, done = look_through(masks, predicted, objects, self.settings.costs, confidence.right)
        others = objects[~done]
        return given + self.annotator.annotate(replace(ready, image_index=ready.image_index[~done]), others)

    def detector(self, sam: Sam) -> ObjectDetector:
        """The detector, trained on the masks of stage one, or read if that was done."""
        config, recipe = CONFIGS[self.settings.preset], self.settings.detector
        path = self.folder / "models" / "detector.safetensors"
        if as_the_first_sees(path.exists()):
            detector = ObjectDetector(config.prompt_dim, self.image_size, recipe)
            detector.load(path)
            return detector
        manual = self.folder / "data"
        detector = train_detector(sam, manual, recipe, self.settings.seed, self.progress_bar)
        if is_first():
            detector.save(path)
        return detector


def prompted(sam: Sam, picture: UnlabelledPicture, prompts: int) -> Prompted:
    """The encoded image, prepared for that many prompts."""
    image = torch.from_numpy(picture.image).permute(2, 0, 1)
    embedding = sam.image_encoder(sam.preprocess(image)[None])
    return Prompted(sam, embedding, torch.zeros(prompts, dtype=torch.int64))
