"""The part of `minisam amg` that makes the records, and the figures, of the images one by one."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minisam.checkpoint.digest import weights_digest
from minisam.cli.amg_options import OPTIONS
from minisam.cli.network import load_network
from minisam.cli.outputs import check_output, make_output_folder
from minisam.cli.segment import load_mask
from minisam.data.figure_mark import MARK
from minisam.data.images import BLACK, load_image, save_image
from minisam.data.sa1b import read_record
from minisam.distributed import is_first
from minisam.errors import GeneratorError, ImageError
from minisam.files import sha256_of
from minisam.json_files import write_json
from minisam.predict import PRESETS, SamAutomaticMaskGenerator
from minisam.predict.everything.record_files import (
    check_replaceable,
    figure_path,
    is_valid,
    make_record,
    provenance,
)
from minisam.show.everything_figure import everything_figure
from minisam.show.figure_file import check_replaceable_figure


def settings_of(generator: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """All arguments that affect the masks: the options, and the defaults of the others."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(generator).parameters.items()
        if name not in ("model", "point_grids", "output_mode", "progress")
    }
    return {**defaults, **options}


def newer(figure: Path, record: Path) -> bool:
    """Whether the figure exists and is newer than the record."""
    return figure.exists() and figure.stat().st_mtime_ns >= record.stat().st_mtime_ns


class Worker:
    """Makes the records of the images one by one."""

    def __init__(self, args: argparse.Namespace, top: Path, device: str) -> None:
        self.args, self.top = args, top
        given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
        preset = args.preset or ("default" if args.checkpoint else "young")
        options = {**PRESETS[preset], **given, "multimask_output": not args.single}
        sam = load_network(args, args.adapter)
        self.generator = SamAutomaticMaskGenerator(sam.to(device), output_mode="coco_rle", **options)
        self.weights = weights_digest(sam)
        self.settings = settings_of(SamAutomaticMaskGenerator, options)
        self.told, self.masks = not is_first(), 0
        self.region_of_settings = self.region_settings()

    def work(self, image_path: Path, record_path: Path) -> str:
        """Make one record unless it exists.

        Raises ImageError if the image cannot be read, GeneratorError or OutputError if a file that minisam did not
        write has the name of the record or of the figure, OSError if nothing can be written.
        """
        name = image_path.relative_to(self.top).as_posix()
        made_of = provenance(
            self.weights, self.content(image_path, name), {**self.settings, **self.region_of_settings}
        )
        figure = figure_path(record_path)
        if self.args.figure:
            self.check_figure(figure)
        outcome, image = "valid", None
        if not is_valid(record_path, name, made_of):
            image = load_image(image_path)
            check_replaceable(record_path, name, self.top)
            make_output_folder(record_path.parent)
            self.tell_memory(image.shape[:2])
            masks = self.generator.generate(image, self.region(image.shape[:2]))
            write_json(record_path, make_record(name, image.shape[:2], masks, made_of))
            self.masks += len(masks)
            outcome = "written"
        if self.args.figure and not newer(figure, record_path):
            image = load_image(image_path, tell=lambda message: None) if image is None else image
            save_image(figure, everything_figure(image, read_record(record_path)["annotations"]), MARK)
        return outcome

    def content(self, path: Path, name: str) -> bytes:
        """The bytes of an image file.  Raises ImageError if it, or its name in a record, is unusable."""
        if not path.is_file():
            raise ImageError(f"{path}: no such image file")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ImageError(
                f"{path}: its name is not UTF-8 and cannot be stored in a record; rename it"
            ) from None
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror})") from None

    def check_figure(self, figure: Path) -> None:
        """Raises OutputError if the figure would replace a file that minisam did not write."""
        if figure.parent.is_dir():  # otherwise it is made, for the record
            check_replaceable_figure(figure)
            check_output(figure, (self.args.roi_mask, self.args.checkpoint, self.args.adapter))

    def region_settings(self) -> dict[str, Any]:
        """The region in the form that a record has: the box, or the hash of the mask file."""
        if self.args.roi_mask is not None:
            load_image(self.args.roi_mask, behind=BLACK, tell=lambda message: None)  # fails if unreadable
            return {"region": sha256_of(self.args.roi_mask)}
        return {} if self.args.roi is None else {"region": self.args.roi}

    def region(self, size: tuple[int, ...]) -> np.ndarray | None:
        """The region to click in, [H, W], or None for all.  Raises GeneratorError for a box outside the image."""
        if self.args.roi_mask is not None:
            return load_mask(self.args.roi_mask, size)
        if self.args.roi is None:
            return None
        region = np.zeros(size, bool)
        x0, y0, x1, y1 = (max(0, round(value)) for value in self.args.roi)
        region[y0:y1, x0:x1] = True
        if not region.any():
            raise GeneratorError(
                f"--roi {x0},{y0},{x1},{y1} has no pixel of the image of {size[1]} x {size[0]}"
            )
        return region

    def tell_memory(self, size: tuple[int, int]) -> None:
        """Print once how much memory the first image will take."""
        if self.told:
            return
        self.told = True
        megabytes = self.generator.estimate_memory(size).total / 1e6
        print(
            f"minisam: this takes about {megabytes:,.0f} MB of memory, not counting the libraries",
            file=sys.stderr,
        )
