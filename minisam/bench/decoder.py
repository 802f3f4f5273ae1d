"""The mask decoder, side by side with segment-anything's: same weights, same prompts, one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from minisam.bench.encoder import TOLERANCE
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
from minisam.bench.twins import build_twins, randomise
from minisam.config import CONFIGS, build_from_config
from minisam.threads import cpu_threads

Prediction = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DecoderReport:
    """The results: seconds (one value per round) and bytes; the ratios are None without the original."""

    model: str
    prompts: int
    multimask_output: bool
    threads: int
    processor: str
    versions: dict[str, str]
    seconds: dict[str, list[float]]
    peak_bytes: dict[str, int]
    time_ratio: float | None
    memory_ratio: float | None
    relative_error: float | None

    @property
    def agrees(self) -> bool:
        """Whether both returned the same masks and predicted IoUs, up to rounding."""
        return self.relative_error is None or self.relative_error <= TOLERANCE

    def to_dict(self) -> dict[str, object]:
        return {"benchmark": "decoder", **asdict(self)}

    def table(self) -> str:
        """A short report as text."""
        masks = "3 masks each" if self.multimask_output else "1 mask each"
        lines = [
            f"{self.model}, {self.prompts} point prompts, {masks}, {self.threads} threads, {self.processor}",
            *comparison_lines(self.seconds, self.peak_bytes, self.time_ratio, self.memory_ratio),
        ]
        if self.time_ratio is not None:
            lines.append(f"largest difference {self.relative_error:.1e} of the largest value")
        return "\n".join(lines)


def measure_decoder(
    model: str, prompts: int, multimask_output: bool, threads: int, repeats: int, compare: bool
) -> DecoderReport:
    """Measure our decoder of `model` on random points, and the original's too if `compare`.

    Raises OriginalMissingError if the original is not installed.
    """
    if compare:
        import_original()
    names = [ORIGINAL, OURS] if compare else [OURS]
    job = model, prompts, multimask_output
    peaks = {name: in_own_process(peak_of_one_run, name, *job, threads) for name in names}

    with cpu_threads(threads):
        runs = {name: decoder_run(name, *job) for name in names}
        outputs = [run() for run in runs.values()]
        seconds = take_turns(runs, repeats)
    return DecoderReport(
        model=model,
        prompts=prompts,
        multimask_output=multimask_output,
        threads=threads,
        processor=processor_name(),
        versions=versions("minisam", "segment-anything-py"),
        seconds=seconds,
        peak_bytes=peaks,
        time_ratio=ratio_of_rounds(seconds[OURS], seconds[ORIGINAL]) if compare else None,
        memory_ratio=peaks[OURS] / peaks[ORIGINAL] if compare else None,
        relative_error=largest_difference(outputs[0], outputs[-1]) if compare else None,
    )


def largest_difference(theirs: Prediction, ours: Prediction) -> float:
    """The difference of masks and of predicted IoUs, each relative to the largest value; the larger of the two."""
    pairs = zip(theirs, ours, strict=True)
    return max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs)


def peak_of_one_run(name: str, model: str, prompts: int, multimask_output: bool, threads: int) -> int:
    """The peak memory of this process after one run: libraries, weights and activations."""
    torch.set_num_threads(threads)
    decoder_run(name, model, prompts, multimask_output)()
    return peak_memory()


def decoder_run(name: str, model: str, prompts: int, multimask_output: bool) -> Callable[[], Prediction]:
    """A call that decodes all prompts once, without gradients."""
    sam = build_decoder(name, model)
    generator = torch.Generator().manual_seed(1)
    grid, size = sam.prompt_encoder.image_embedding_size, CONFIGS[model].image_size
    image_embedding = torch.randn((1, CONFIGS[model].prompt_dim, *grid), generator=generator)
    points = torch.rand((prompts, 1, 2), generator=generator) * size
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder((points, torch.ones(prompts, 1)), None, None)
        image_pe = sam.prompt_encoder.get_dense_pe()

    def run() -> Prediction:
        with torch.no_grad():
            return sam.mask_decoder(image_embedding, image_pe, sparse, dense, multimask_output)

    return run


def build_decoder(name: str, model: str) -> Any:
    """Our Sam or the original's, without its encoder's blocks; its random weights depend only on the model."""
    config = replace(CONFIGS[model], encoder_depth=0, global_attn_indexes=())
    if name == ORIGINAL:
        return build_twins(config)[1]
    sam = build_from_config(config)
    randomise(sam, seed=0)
    return sam
