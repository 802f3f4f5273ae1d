"""The results of a benchmark for readers: a table of times and ratios, and a figure of the ratios."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from matplotlib.figure import Figure

from minisam_kernels.lab.results import OURS, EncoderResult, KernelResult, Results


def report(results: Results) -> Iterator[str]:
    """A block of lines for every shape: median times, their ratios to ours, and what failed."""
    yield f"{results.device}, commit {results.commit[:10]}, {results.started}"
    yield ", ".join(f"{name} {version}" for name, version in results.versions.items())
    for item in results.kernels:
        yield ""
        yield title(item) + floor_note(item)
        for name, milliseconds in sorted(item.milliseconds.items(), key=lambda pair: pair[1]):
            ratio = f"{item.ratios[name]:6.2f} ×" if name in item.ratios else " " * 8
            error = item.relative_error.get(name)
            shown = "" if error is None else f"   error {error:.1e}"
            yield f"  {name:44} {milliseconds * 1e3:10.1f} µs {ratio}{shown}"
        yield from failures(item.failed)
    for item in results.encoder:
        yield ""
        yield f"image encoder, {item.model}, batch {item.batch}, {item.dtype}"
        for name, speed in sorted(item.images_per_second.items(), key=lambda pair: -pair[1]):
            ratio = f"{item.ratios[name]:6.2f} ×" if name in item.ratios else ""
            yield f"  {name:44} {speed:10.1f} images/s {ratio}".rstrip()
        yield from failures(item.failed)


def failures(failed: dict[str, str]) -> Iterator[str]:
    for name, reason in failed.items():
        yield f"  {name:44} failed: {reason}"


def title(item: KernelResult) -> str:
    return f"{item.kernel} {item.direction}, {item.model}, batch {item.batch}, {item.dtype}"


def floor_note(item: KernelResult) -> str:
    if item.fraction_of_floor is None or item.floor_milliseconds is None:
        return ""
    return f": floor {item.floor_milliseconds * 1e3:.1f} µs, ours reaches {item.fraction_of_floor:.2f} of it"


def save_bench_figure(file: BinaryIO, results: Results) -> None:
    """Draw a PNG: for every shape the contestants' times as multiples of ours, and for encoders images per second."""
    shown = [item for item in results.kernels if item.ratios]
    encoders = [item for item in results.encoder if item.images_per_second]
    panels = [*shown, *encoders]
    if not panels:
        raise ValueError("there is nothing to draw: no kernel was timed beside a peer")
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(16, 2.5 * rows + 0.6), layout="constrained")
    figure.suptitle(f"{results.device}: median times as multiples of ours (dashed); green: the floor")
    for axes, item in zip(figure.subplots(rows, 3, squeeze=False).flat, panels, strict=False):
        bars = dict(item.images_per_second) if isinstance(item, EncoderResult) else {OURS: 1.0, **item.ratios}
        names = sorted(bars, key=lambda name: bars[name], reverse=True)
        colours = ["C3" if name == OURS else "C0" for name in names]
        axes.barh(names, [bars[name] for name in names], color=colours)
        for place, name in enumerate(names):
            axes.text(bars[name], place, f" {bars[name]:.3g}", va="center", fontsize=7)
        if isinstance(item, KernelResult):
            axes.axvline(1.0, color="black", linestyle="--", linewidth=0.8)
            axes.set_title(title(item), fontsize=8)
            if item.fraction_of_floor is not None:
                axes.axvline(item.fraction_of_floor, color="C2", linewidth=1.2)
        else:
            axes.set_title(f"image encoder, {item.model}, batch {item.batch}: images/s", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in figure.axes[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(file, format="png", dpi=110)
