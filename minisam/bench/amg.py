"""The automatic mask generator, side by side with segment-anything's: same weights, same photo, one process.

Predicted IoUs mean nothing with random weights, and are low with little-trained ones.  Both networks therefore get
thresholds at which half of our masks have a high enough predicted IoU and half of those are stable enough, about as
many as pass the default thresholds with SAM's weights.  With random weights, all masks span the image and would count
as duplicates: then no mask is suppressed, and the stability threshold leaves about as many masks as SAM finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minisam.bench.compare_records import RecordComparison, compare_records
from minisam.bench.measure import (
    ORIGINAL,
    OURS,
    comparison_lines,
    in_own_process,
    peak_memory,
    processor_name,
    ratio_of_rounds,
    take_turns,
    versions,
)
from minisam.bench.original import import_original
from minisam.bench.twins import build_original, randomise
from minisam.build import WEIGHTS, build_sam
from minisam.config import CONFIGS, build_from_config
from minisam.model import Sam
from minisam.predict import SamAutomaticMaskGenerator
from minisam.threads import cpu_threads

TRIAL_POINTS_PER_SIDE = 5
# Small logits are unstable everywhere: random masks are scaled by this factor, and random IoUs raised above zero.
RANDOM_MASK_SCALE, RANDOM_IOU_SHIFT = 20, 1
MASKS_OF_A_PHOTO = 200


@dataclass(frozen=True)
class Setting:
    """The setting: the network, the side of the photo in pixels, the grid of clicks, the thresholds, CPU threads."""

    model: str
    image_size: int
    points_per_side: int
    threads: int
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7


@dataclass(frozen=True)
class AmgReport:
    """The results: seconds (one value per round) and bytes; the ratios are None without the original."""

    setting: Setting
    processor: str
    versions: dict[str, str]
    seconds: dict[str, list[float]]
    peak_bytes: dict[str, int]
    records: int
    time_ratio: float | None
    memory_ratio: float | None
    comparison: RecordComparison | None

    @property
    def agrees(self) -> bool:
        """Whether both found the same masks."""
        return self.comparison is None or self.comparison.all_same

    def to_dict(self) -> dict[str, object]:
        return {"benchmark": "amg", **asdict(self)}

    def table(self) -> str:
        """A short report as text."""
        setting = self.setting
        lines = [
            f"{setting.model}, a photo of {setting.image_size} pixels per side, {setting.points_per_side} x "
            f"{setting.points_per_side} clicks, {setting.threads} threads, {self.processor}",
            *comparison_lines(self.seconds, self.peak_bytes, self.time_ratio, self.memory_ratio),
        ]
        if self.comparison is None:
            return "\n".join([*lines, f"{self.records} masks"])
        return "\n".join([*lines, self.comparison.sentence()])


def measure_amg(setting: Setting, repeats: int, compare: bool) -> AmgReport:
    """Measure our generator, and the original's too if `compare`; the thresholds of `setting` are replaced.

    Raises OriginalMissingError if the original is not installed.
    """
    if compare:
        import_original()
    names = [ORIGINAL, OURS] if compare else [OURS]
    with cpu_threads(setting.threads):
        setting = choose_thresholds(setting)
        peaks = {name: in_own_process(peak_of_one_run, name, setting) for name in names}
        runs = {name: generator_run(name, setting) for name in names}
        records: dict[str, list[dict[str, Any]]] = {}
        rounds = {name: (lambda n=name, run=run: records.update({n: run()})) for name, run in runs.items()}
        seconds = take_turns(rounds, repeats)
    return AmgReport(
        setting=setting,
        processor=processor_name(),
        versions=versions("minisam", "segment-anything-py"),
        seconds=seconds,
        peak_bytes=peaks,
        records=len(records[OURS]),
        time_ratio=ratio_of_rounds(seconds[OURS], seconds[ORIGINAL]) if compare else None,
        memory_ratio=peaks[OURS] / peaks[ORIGINAL] if compare else None,
        comparison=compare_records(records[OURS], records[ORIGINAL]) if compare else None,
    )


def peak_of_one_run(name: str, setting: Setting) -> int:
    """The peak memory of this process after one image: libraries, weights, activations, masks."""
    torch.set_num_threads(setting.threads)
    generator_run(name, setting)()
    return peak_memory()


def generator_run(name: str, setting: Setting) -> Callable[[], list[dict[str, Any]]]:
    """A call that finds the masks of the photo once."""
    generator, photo = build_generator(name, setting), square_photo(setting.image_size)
    return lambda: generator.generate(photo)


def build_generator(
    name: str, setting: Setting, device: str = "cpu", output_mode: str = "binary_mask"
) -> SamAutomaticMaskGenerator | Any:
    """Our generator or the original's, with the same network and thresholds."""
    arguments = {
        "points_per_side": setting.points_per_side,
        "pred_iou_thresh": setting.pred_iou_thresh,
        "stability_score_thresh": setting.stability_score_thresh,
        "box_nms_thresh": setting.box_nms_thresh,
        "output_mode": output_mode,
    }
    sam = build_network(setting.model)
    if name == OURS:
        return SamAutomaticMaskGenerator(sam.to(device), **arguments)
    original = build_original(CONFIGS[setting.model])
    original.load_state_dict(sam.state_dict())
    generator = import_original("automatic_mask_generator").SamAutomaticMaskGenerator
    return generator(original.to(device), **arguments)


def build_network(model: str) -> Sam:
    """The included weights, or random ones that depend only on the model's name."""
    if is_trained(model):
        return build_sam(model)
    sam = build_from_config(CONFIGS[model])
    randomise(sam, seed=3)
    for head in sam.mask_decoder.output_hypernetworks_mlps:
        for parameter in head.layers[-1].parameters():  # type: ignore[union-attr]
            parameter.data *= RANDOM_MASK_SCALE
    sam.mask_decoder.iou_prediction_head.layers[-1].bias.data += RANDOM_IOU_SHIFT  # type: ignore[operator]
    return sam


def is_trained(model: str) -> bool:
    """Whether weights of that name are included."""
    return (WEIGHTS / f"{model}.safetensors").exists()


def square_photo(size: int) -> NDArray[np.uint8]:
    """The portrait of Grace Hopper included in matplotlib, its upper square, at `size` pixels per side."""
    import matplotlib
    from PIL import Image

    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(path) as image:
        side = min(image.size)
        return np.array(image.convert("RGB").crop((0, 0, side, side)).resize((size, size)))


def choose_thresholds(setting: Setting, device: str = "cpu") -> Setting:
    """The median of predicted IoU, and a quantile of stability among the masks above it, of a few clicks."""
    photo, sam = square_photo(setting.image_size), build_network(setting.model).to(device)
    everything = SamAutomaticMaskGenerator(
        sam, TRIAL_POINTS_PER_SIDE, pred_iou_thresh=0, stability_score_thresh=0, box_nms_thresh=1
    ).generate(photo)
    iou = float(np.median([record["predicted_iou"] for record in everything]))
    stable = [record["stability_score"] for record in everything if record["predicted_iou"] > iou]
    sure = 3 * setting.points_per_side**2 / 2
    share = 0.5 if is_trained(setting.model) else min(0.5, MASKS_OF_A_PHOTO / sure)
    return replace(
        setting,
        pred_iou_thresh=iou,
        stability_score_thresh=float(np.nanquantile(stable, 1 - share)),
        box_nms_thresh=0.7 if is_trained(setting.model) else 1.0,
    )
