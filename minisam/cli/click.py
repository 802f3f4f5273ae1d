"""`minisam click`: click on photos in the browser; the page is served on this machine only."""

from __future__ import annotations

import argparse
import threading
import webbrowser
from pathlib import Path

from minisam.cli.device_options import add_device_options, chosen_device
from minisam.cli.network import add_network_options, load_network
from minisam.cli.numbers import number_from
from minisam.errors import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        type=Path,
        nargs="*",
        metavar="IMAGE",
        help="photos to open (default: a drawn scene); more can be dropped on the page",
    )
    add_network_options(parser)
    parser.add_argument(
        "--port", type=number_from(0, 65535), default=0, help="port on 127.0.0.1 (default: a free one)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    add_device_options(parser)


def run(args: argparse.Namespace) -> int:
    from minisam.web.example import example_scene
    from minisam.web.results import png
    from minisam.web.server import ClickServer
    from minisam.web.session import Session

    with chosen_device(args) as device:
        sam = load_network(args)
        session = Session(sam.to(device))
        for path in args.images:
            session.photos.open(path)
        if not args.images:
            session.photos.drop("drawn scene.png", png(example_scene()), Path.cwd())
        try:
            server = ClickServer(session, Path.cwd(), args.port)
        except OSError as error:
            session.close()
            raise CommandError(
                f"port {args.port}: {str(error.strerror).lower()}; choose another with --port"
            ) from None
        print(f"minisam click: {server.address}\nClose the page or press Ctrl-C to end.", flush=True)
        if not args.no_browser:
            # A browser in the terminal returns only when it is closed.
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        try:
            server.serve_forever(poll_interval=0.2)
        finally:
            server.server_close()
    return 0
