"""A click server in a thread, with a small network of random weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from minisam.config import CONFIGS, build_from_config
from minisam.web.server import ClickServer
from minisam.web.session import Session


def random_session() -> Session:
    torch.manual_seed(0)
    return Session(build_from_config(CONFIGS["nano"]))


def photo_file(path: Path, height: int = 30, width: int = 50) -> Path:
    """Large blocks of random colours."""
    blocks = np.random.default_rng(len(path.name)).integers(0, 256, (3, 5, 3), np.uint8)
    Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(path)
    return path


@contextmanager
def running(session: Session, folder: Path) -> Iterator[ClickServer]:
    server = ClickServer(session, folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
