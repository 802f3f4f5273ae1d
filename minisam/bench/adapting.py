"""What adapting the mask decoder costs: each image is encoded once, and then a step is prompts, decoder and loss.

    encode   the frozen image encoder on one image, whose embedding is kept
    step     prompts on one image, decoder forward and backward, AdamW; in half of the steps two rounds follow

Seconds are those that passed, and those of the processor, of all threads together: on a busy machine more pass.
Weights are random; they make no difference to the time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from minisam.adapt.adapt_task import AdaptTask, Training
from minisam.adapt.choose import SETTINGS
from minisam.adapt.methods import Method, adapt
from minisam.adapt.own_images import OwnImages
from minisam.bench.measure import processor_name, versions
from minisam.config import CONFIGS, build_from_config
from minisam.evaluate.pictures import smallest_target
from minisam.experiments.shared.drawn_folder import DrawnFolder
from minisam.train.run import TrainingRun

METHOD, WORLD = "decoder", "train"


@dataclass(frozen=True)
class Seconds:
    """Medians: those that passed, and those of the processor."""

    passed: float
    processor: float


@dataclass(frozen=True)
class AdaptingReport:
    model: str
    image_size: int
    images: int
    prompts: int
    threads: int
    steps: int
    processor: str
    versions: dict[str, str]
    encode: Seconds
    step: Seconds

    def to_dict(self) -> dict[str, object]:
        return {"benchmark": "adapting", **asdict(self)}

    def table(self) -> str:
        """A row for each part."""
        head = (
            f"{self.model}, {self.images} images of {self.image_size} pixels, {self.prompts} prompts a step, "
            f"{self.threads} threads, {self.processor}"
        )
        rows = (("encode an image", self.encode), ("step", self.step))
        lines = [f"{name:<16} {one.passed:>9.3f} s {one.processor:>9.3f} s" for name, one in rows]
        return "\n".join([head, f"{'':<16} {'passed':>11} {'processor':>11}", *lines])


def measure_adapting(model: str, images: int, prompts: int, threads: int, steps: int) -> AdaptingReport:
    """`steps` steps of `prompts` prompts, after one that does not count, on `images` scenes, each encoded once."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS[model])
    size = sam.image_encoder.img_size
    own = OwnImages(DrawnFolder((WORLD,), images, size, 0), size, smallest_target(sam), "cpu")
    usable = own.usable(range(images))
    adapted = adapt(sam, Method(METHOD))
    encode = median_seconds([lambda index=index: own.embedding(index, sam) for index in usable])
    how = Training(SETTINGS[METHOD], batch_size=1, prompts_per_image=prompts)
    run = TrainingRun(AdaptTask(adapted, own, usable, how))
    run.train_step()
    step = median_seconds([run.train_step] * steps)
    return AdaptingReport(
        model, size, len(usable), prompts, threads, steps, processor_name(), versions(), encode, step
    )


def median_seconds(works: list[Callable[[], object]]) -> Seconds:
    """The medians over `works`, each done once."""
    passed, processor = [], []
    for work in works:
        started, used = time.perf_counter(), time.process_time()
        work()
        passed.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return Seconds(statistics.median(passed), statistics.median(processor))
