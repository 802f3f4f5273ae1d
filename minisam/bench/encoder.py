"""The image encoder, side by side with segment-anything's: same weights, same image, one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

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
from minisam.bench.twins import build_original_encoder, randomise
from minisam.config import CONFIGS, build_from_config
from minisam.threads import cpu_threads

TOLERANCE = 1e-5


@dataclass(frozen=True)
class EncoderReport:
    """The results: seconds (one value per round) and bytes; the ratios are None without the original."""

    model: str
    image_size: int
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
        """Whether both returned the same embedding, up to rounding."""
        return self.relative_error is None or self.relative_error <= TOLERANCE

    def to_dict(self) -> dict[str, object]:
        return {"benchmark": "encoder", **asdict(self)}

    def table(self) -> str:
        """A short report as text."""
        lines = [
            f"{self.model}, {self.image_size} pixels per side, {self.threads} threads, {self.processor}",
            *comparison_lines(self.seconds, self.peak_bytes, self.time_ratio, self.memory_ratio),
        ]
        if self.time_ratio is not None:
            lines.append(f"largest difference {self.relative_error:.1e} of the largest value")
        return "\n".join(lines)


def measure_encoder(model: str, size: int, threads: int, repeats: int, compare: bool) -> EncoderReport:
    """Measure our encoder of `model`, built for `size` pixels, and the original's too if `compare`.

    Raises OriginalMissingError if the original is not installed.
    """
    if compare:
        import_original()
    names = [ORIGINAL, OURS] if compare else [OURS]
    peaks = {name: in_own_process(peak_of_one_run, name, model, size, threads) for name in names}

    with cpu_threads(threads):
        image = random_image(size)
        runs = {name: encoder_run(name, model, size, image) for name in names}
        outputs = [run() for run in runs.values()]
        error = ((outputs[0] - outputs[-1]).abs().max() / outputs[0].abs().max()).item()
        seconds = take_turns(runs, repeats)
    return EncoderReport(
        model=model,
        image_size=size,
        threads=threads,
        processor=processor_name(),
        versions=versions("minisam", "segment-anything-py"),
        seconds=seconds,
        peak_bytes=peaks,
        time_ratio=ratio_of_rounds(seconds[OURS], seconds[ORIGINAL]) if compare else None,
        memory_ratio=peaks[OURS] / peaks[ORIGINAL] if compare else None,
        relative_error=error if compare else None,
    )


def peak_of_one_run(name: str, model: str, size: int, threads: int) -> int:
    """The peak memory of this process after one image: libraries, weights and activations."""
    torch.set_num_threads(threads)
    encoder_run(name, model, size, random_image(size))()
    return peak_memory()


def encoder_run(name: str, model: str, size: int, image: Tensor) -> Callable[[], Tensor]:
    """A call that encodes the image once, without gradients."""
    encoder = build_encoder(name, model, size)

    def run() -> Tensor:
        with torch.no_grad():
            return encoder(image)

    return run


def build_encoder(name: str, model: str, size: int) -> nn.Module:
    """Our encoder or the original's, with random weights that depend only on the model."""
    config = replace(CONFIGS[model], image_size=size)
    encoder = build_from_config(config).image_encoder if name == OURS else build_original_encoder(config)
    randomise(encoder, seed=0)
    return encoder


def random_image(size: int) -> Tensor:
    return torch.randn((1, 3, size, size), generator=torch.Generator().manual_seed(1))
