"""`minisam export`: a network for other programs, as ONNX or torch.export's file; or a page for any web server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.network import add_network_options, load_network
from minisam.cli.outputs import check_output, check_output_folder
from minisam.cli.unused import refuse_unused

if TYPE_CHECKING:
    from minisam.export.parts import Part
    from minisam.model import Sam

PARTS = ("encoder", "decoder", "both")
SUFFIXES = (".onnx", ".pt2")
SAME, DIFFERENT = 0, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "part",
        nargs="?",
        choices=PARTS,
        help="the image encoder; the prompt encoder with the mask decoder, with segment-anything's inputs and outputs; "
        "or both in one file",
    )
    parser.add_argument("--demo", type=Path, metavar="DIR", help="write the click page for any web server")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="a name that ends in .onnx or .pt2 (default: PART.onnx)",
    )
    add_network_options(parser)
    parser.add_argument(
        "--return-single-mask",
        action="store_true",
        help="the decoder returns the best mask instead of all four",
    )

    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="numbers of an ONNX file; for fp16 and int8 the loss of mIoU on drawn scenes is printed (default: fp32)",
    )


def run(args: argparse.Namespace) -> int:
    from minisam.errors import CommandError

    if (args.part is None) == (args.demo is None):
        raise CommandError(f"give what to export: one of {', '.join(PARTS)}, or --demo DIR")
    if args.part == "encoder" and args.return_single_mask:
        raise CommandError("--return-single-mask is for a decoder; the encoder has no masks")
    if args.demo is not None:
        refuse_unused(
            args, add_arguments, "is for a part, not for --demo", ("out", "return_single_mask", "precision")
        )
    is_other = args.out is not None and args.out.suffix.lower() != ".onnx"
    if args.precision != "fp32" and is_other:
        raise CommandError(f"--precision {args.precision} is for a part as .onnx")
    out = args.out or Path(f"{args.part}.onnx")
    if args.demo is None:
        check_output(out, (args.checkpoint,), SUFFIXES)
    else:
        check_output_folder(args.demo, option="--demo")
    sam = load_network(args)
    if args.demo is not None:
        from minisam.export.demo import write_demo

        print(f"demo: {write_demo(sam, args.demo)}")
        return SAME
    return export(sam, args.part, args.return_single_mask, out, args.precision)


def export(sam: Sam, name: str, return_single_mask: bool, out: Path, precision: str) -> int:
    """Write a part, after it was compared with the network."""
    from minisam.export import check
    from minisam.export.parts import part_of
    from minisam.export.program import to_onnx, to_program
    from minisam.files import write_atomically

    part = part_of(sam, name, return_single_mask)
    is_onnx = out.suffix.lower() == ".onnx"
    content = (to_onnx if is_onnx else to_program)(part, sam)
    try:
        run = (check.run_by_onnxruntime if is_onnx else check.run_by_torch)(content, part)
    except ImportError:
        write_atomically(out, lambda file: file.write(content))
        print(
            f"{out}: not compared with the network, because onnxruntime is missing (pip install onnxruntime)"
        )
        return SAME
    difference = check.largest_difference(run, part, sam)
    if not difference <= check.TOLERANCE:
        print(
            f"minisam: {out} is not written: its results differ by {difference:.1e} of the largest value",
            file=sys.stderr,
        )
        return DIFFERENT
    if precision != "fp32":
        return export_reduced(sam, name, part, content, out, precision)
    write_atomically(out, lambda file: file.write(content))
    print(
        f"{out}: {len(content) / 1e6:.1f} MB, results differ by at most {difference:.1e} of the largest value"
    )
    return SAME


def export_reduced(sam: Sam, name: str, part: Part, content: bytes, out: Path, precision: str) -> int:
    """Write a part with smaller numbers, and print what that costs."""
    from minisam.export.check import run_by_onnxruntime
    from minisam.export.loss import mean_iou, run_by_network
    from minisam.export.precision import reduced
    from minisam.files import write_atomically

    smaller = reduced(content, precision)
    before = mean_iou(name, run_by_network(part), sam)
    after = mean_iou(name, run_by_onnxruntime(smaller, part), sam)
    write_atomically(out, lambda file: file.write(smaller))
    print(f"{out}: {len(smaller) / 1e6:.1f} MB, {len(content) / 1e6:.1f} MB in float32")
    print(
        f"mIoU of a click on drawn scenes: {after:.4f}, of the network {before:.4f}, loss {before - after:.4f}"
    )
    return SAME
