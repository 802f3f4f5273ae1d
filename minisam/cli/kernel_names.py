"""What the tools of the kernel lab work on: a kernel of this project, or the user's FILE.py:function with --like."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minisam.errors import CommandError, KernelFileError

ARGUMENTS = {
    "softmax": "x, scale",
    "attention": "q, k, v, scale",
    "cross_attention": "q, k, v, scale",
    "rel_pos_attention": "q, k, v, rel_h, rel_w, scale",
    "window_attention": "qkv, qkv_bias, rel_pos_h, rel_pos_w, num_heads, window_size",
    "token_to_image": "rows, image, image_pe, scale",
    "image_to_token": "image, image_pe, rows, offsets, values, weight, bias, scale, eps",
    "mask_statistics": "low_res, row_first, row_weights, column_first, column_weights, lower, middle, upper",
    "mask_bits": "low_res, row_first, row_weights, column_first, column_weights, threshold",
}
KERNELS = tuple(ARGUMENTS)


@dataclass(frozen=True)
class Named:
    """An operation, "" for all of them, and the place "FILE.py:function" of a user's function that computes it."""

    operation: str
    place: str | None = None

    @property
    def title(self) -> str:
        return self.place or self.operation

    def check_place(self) -> None:
        """Raises KernelFileError if the user's file does not exist."""
        from minisam_kernels.lab.users_file import LoadError, parts_of

        try:
            if self.place is not None:
                parts_of(self.place)
        except LoadError as error:
            raise KernelFileError(str(error)) from error

    def function(self) -> Callable[..., Any]:
        """Called with the arguments by the names of the operation; the user's function may have other names.

        Runs the user's file in this process. Raises KernelFileError.
        """
        from minisam_kernels.lab.catalog import function_of
        from minisam_kernels.lab.users_file import LoadError, load_function

        if self.place is None:
            return function_of(self.operation)
        try:
            function = load_function(self.place)
        except LoadError as error:
            raise KernelFileError(str(error)) from error
        return lambda **arguments: function(*arguments.values())


def add_kernel_name(parser: argparse.ArgumentParser, without: str = "") -> None:
    """The kernel and --like; `without` says what happens where no kernel is named, if that is allowed."""

    def name(text: str) -> str:
        if ":" not in text and text not in KERNELS:
            raise argparse.ArgumentTypeError(
                f"no kernel {text!r}; choose from {', '.join(KERNELS)}, or FILE.py:function with --like"
            )
        return text

    parser.add_argument(
        "kernel",
        type=name,
        nargs="?" if without else None,
        metavar="KERNEL",
        help=f"{', '.join(KERNELS)}, or FILE.py:function with --like{f'; {without}' if without else ''}",
    )
    parser.add_argument("--like", choices=KERNELS, help="the operation that FILE.py:function computes")


def named(args: argparse.Namespace) -> Named:
    """The named kernel. Raises CommandError if --like is missing or has no meaning."""
    if args.kernel is None or ":" not in args.kernel:
        if args.like is not None:
            raise CommandError("--like is for a function of your own: FILE.py:function --like OPERATION")
        return Named(args.kernel or "")
    if args.like is None:
        raise CommandError(
            f"add --like and the operation that {args.kernel} computes, such as --like softmax"
        )
    return Named(args.like, args.kernel)
