"""The page's server, by the standard library: on the loopback address only, behind a token.

A connection has a thread, which ends with it; the network has another (session.py).
"""

from __future__ import annotations

import secrets
import select
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from minisam.errors import MinisamError, printable
from minisam.web.guard import (
    HEADERS,
    LARGEST_MESSAGE,
    LARGEST_PHOTO,
    Refused,
    check_origin,
    length_of_body,
    path_behind_token,
)
from minisam.web.routes import Answer, Routes, as_json
from minisam.web.session import Session
from minisam.web.tabs import Tabs

SILENCE = 60
"""Seconds after which a connection without requests is closed."""


class ClickServer(ThreadingHTTPServer):
    """`serve_forever()` returns when the last tab was closed, or `shutdown()` called; `server_close()` comes after it.

    Raises OSError if the port is in use; 0 is any free one.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, session: Session, folder: Path, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        # `shutdown` waits for the loop that checks the tabs.
        self.tabs = Tabs(lambda: threading.Thread(target=self.shutdown, daemon=True).start())
        self.routes = Routes(session, self.tabs, folder)
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def service_actions(self) -> None:
        self.tabs.check()

    def server_close(self) -> None:
        super().server_close()
        self.routes.session.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser may close a connection at any time."""


class Handler(BaseHTTPRequestHandler):
    """The requests of one connection, one after another."""

    server: ClickServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "minisam", ""
    timeout = SILENCE
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self.answer(lambda path: self.server.routes.get(path))

    def do_POST(self) -> None:
        self.answer(self.post)

    def post(self, path: str) -> Answer:
        is_photo = path == "photos"
        length = length_of_body(self.headers, LARGEST_PHOTO if is_photo else LARGEST_MESSAGE)
        body = self.rfile.read(length)
        self.is_read = True
        name = parse_qs(urlsplit(self.path).query).get("name", ["photo"])[0]
        return self.server.routes.post(path, name, body, self.is_connected)

    def answer(self, route: Callable[[str], Answer]) -> None:
        """The answer of a route, or one line that says why there is none."""
        self.is_read = self.command == "GET"
        try:
            check_origin(self.headers, self.server.server_port)
            found = route(path_behind_token(urlsplit(self.path).path, self.server.token))
        except Refused as refusal:
            found = as_json({"error": str(refusal)}, refusal.status)
        except MinisamError as error:
            found = as_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except (OSError, MemoryError, RuntimeError) as error:
            found = as_json({"error": reason_of(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send(found)

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
        if not self.is_read:
            # The next bytes of this connection are the body that was refused.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.content)

    def is_connected(self) -> bool:
        """Whether the browser still waits; a page that needs an answer no more closes its connection."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def log_message(self, format: str, *args: object) -> None:
        """Silent: an access log would show the token."""


def reason_of(error: Exception) -> str:
    """The system's or PyTorch's error in one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{Path(str(error.filename)).name}: {error.strerror.lower()}")
    return printable(str(error).partition("\n")[0] or type(error).__name__)
