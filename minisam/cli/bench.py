"""`minisam bench`: speed and memory, measured side by side with the original in the same run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from minisam.cli.cutout_options import add_cutout_options, check_cutout_options
from minisam.cli.numbers import MOST_THREADS, number_from
from minisam.cli.outputs import check_output
from minisam.cli.run_options import add_precision_option

if TYPE_CHECKING:
    from minisam.bench.amg import AmgReport
    from minisam.bench.amg_on_device_report import DeviceAmgReport

AGREE, DIFFER = 0, 4


class Report(Protocol):
    def to_dict(self) -> dict[str, object]: ...

    def table(self) -> str: ...


LARGEST_IMAGE = 8192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from minisam.config import CONFIGS

    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True, help="what to measure")
    encoder = subjects.add_parser("encoder", help="the image encoder and segment-anything's")
    encoder.add_argument("--size", type=image_size, help="pixels per side (default: the model's)")
    decoder = subjects.add_parser("decoder", help="the mask decoder and segment-anything's")
    decoder.add_argument(
        "--prompts", type=number_from(1), default=64, help="prompts of one point each (default: 64)"
    )
    decoder.add_argument("--single", action="store_true", help="one mask per prompt instead of three")
    amg = subjects.add_parser("amg", help="the automatic mask generator and segment-anything's")
    amg.add_argument(
        "--size",
        type=number_from(1, LARGEST_IMAGE),
        default=1024,
        help="pixels per side of the photo (default: 1024)",
    )
    amg.add_argument(
        "--points-per-side",
        type=number_from(1),
        default=32,
        help="clicks per side (default: 32; fewer are faster)",
    )
    amg.add_argument("--device", default="cpu", help="cpu or cuda; on cuda the phases are timed by the GPU")
    amg.add_argument(
        "--backend",
        choices=("triton", "torch"),
        help="the backend of minisam on a CUDA device (default: triton)",
    )
    training = subjects.add_parser("train", help="where the time of a training step goes")
    add_precision_option(training, ("fp32", "bf16", "fp16"))
    add_cutout_options(training)
    adapting = subjects.add_parser(
        "adapt", help="encoding images once, and a step of adapting the mask decoder"
    )
    adapting.add_argument("--images", type=number_from(1), default=20, help="images (default: 20)")
    adapting.add_argument(
        "--prompts", type=number_from(1), default=4, help="prompts of a step, on one image (default: 4)"
    )
    for subject in (encoder, decoder, amg, training, adapting):
        model = "tiny" if subject is training else "vit_b"
        subject.add_argument(
            "--model", choices=tuple(CONFIGS), default=model, help=f"the network (default: {model})"
        )
        subject.add_argument(
            "--threads", type=number_from(1, MOST_THREADS), default=2, help="CPU threads (default: 2)"
        )
        subject.add_argument(
            "--repeats",
            type=number_from(1),
            default=3,
            help="rounds; each runs all contestants, or phases, once; steps of adapt (default: 3)",
        )
        subject.add_argument("--json", action="store_true", help="print JSON instead of a table")
        subject.add_argument(
            "-o", "--out", type=Path, metavar="FILE", help="also write the JSON to this file"
        )


def image_size(text: str) -> int:
    """A side in pixels, a multiple of 16 and thus of both patch sizes, 8 and 16."""
    size = number_from(1, LARGEST_IMAGE)(text)
    if size % 16:
        raise argparse.ArgumentTypeError(f"must be a multiple of 16, got {size}")
    return size


def run(args: argparse.Namespace) -> int:
    from minisam.bench.decoder import measure_decoder
    from minisam.bench.encoder import TOLERANCE, measure_encoder
    from minisam.bench.original import INSTALL_COMMAND, is_installed
    from minisam.config import CONFIGS

    if args.out is not None:
        check_output(args.out, suffixes=(".json",))
    if args.subject == "train":
        return run_training(args)
    if args.subject == "adapt":
        from minisam.bench.adapting import measure_adapting

        show(measure_adapting(args.model, args.images, args.prompts, args.threads, args.repeats), args)
        return AGREE
    if args.subject == "amg":
        check_device_and_backend(args.device, args.backend)
    compare = is_installed()
    if not compare:
        print(
            f"minisam: measuring only minisam; to compare with the original: {INSTALL_COMMAND}",
            file=sys.stderr,
        )
    difference = f"the {args.subject}s differ by more than {TOLERANCE:g} of the largest value"
    if args.subject == "amg":
        report, difference = run_amg(args, compare), "the two found different masks"
    elif args.subject == "encoder":
        size = args.size or CONFIGS[args.model].image_size
        report = measure_encoder(args.model, size, args.threads, args.repeats, compare)
    else:
        multimask_output = not args.single
        report = measure_decoder(
            args.model, args.prompts, multimask_output, args.threads, args.repeats, compare
        )
    show(report, args)
    if not report.agrees:
        print(f"minisam: {difference}", file=sys.stderr)
        return DIFFER
    return AGREE


def show(report: Report, args: argparse.Namespace) -> None:
    from minisam.files import write_atomically

    text = json.dumps(report.to_dict(), indent=1)
    print(text if args.json else report.table())
    if args.out is not None:
        write_atomically(args.out, lambda file: file.write(f"{text}\n".encode()))


def run_training(args: argparse.Namespace) -> int:
    from minisam.bench.training import measure_training
    from minisam.errors import PromptError
    from minisam.train.mixed import CutoutsOn
    from minisam.train.presets import RECIPES, RECIPES_ON_CUTOUTS

    check_cutout_options(args)
    recipes = RECIPES_ON_CUTOUTS if args.cutouts else RECIPES
    if args.model not in recipes:
        raise PromptError(f"there is no recipe for {args.model} here; use --model {' or '.join(recipes)}")
    cutouts = [CutoutsOn(args.cutouts, args.backgrounds, tuple(args.leave_out))] if args.cutouts else []
    show(
        measure_training(
            args.model, recipes[args.model], args.repeats, args.threads, args.precision, cutouts=cutouts
        ),
        args,
    )
    return AGREE


def run_amg(args: argparse.Namespace, compare: bool) -> AmgReport | DeviceAmgReport:
    from minisam.bench.amg import Setting, measure_amg

    setting = Setting(args.model, args.size, args.points_per_side, args.threads)
    if args.device == "cpu":
        return measure_amg(setting, args.repeats, compare)
    from minisam.bench.amg_on_device import measure_amg_on_device
    from minisam.bench.device_meter import CudaMeter

    meter = CudaMeter(args.device)
    return measure_amg_on_device(setting, args.backend or "triton", args.repeats, compare, meter)


def check_device_and_backend(device: str, backend: str | None) -> None:
    """Raises CommandError for a device that is missing or has no events, and for a backend without a device."""
    from minisam.device import check_device
    from minisam.errors import CommandError

    if check_device(device) == "cpu":
        if backend is not None:
            raise CommandError("--backend is for a CUDA device: add --device cuda, or omit it")
    elif not device.startswith("cuda"):
        raise CommandError(f"phases cannot be timed on {device!r}; use --device cuda or cpu")
