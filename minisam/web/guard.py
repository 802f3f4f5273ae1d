"""Which requests are answered at all: those with the token in their address, from a page of this server.

A page of another site can send requests to 127.0.0.1, and can give its own name this address (DNS rebinding). The
first lacks the token; the second has another Host.  The token never leaves the address: no referrer is sent.
"""

from __future__ import annotations

import hmac
from email.message import Message
from http import HTTPStatus

LARGEST_PHOTO = 64 * 2**20
LARGEST_MESSAGE = 2**20

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is answered with a status and a line only."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check_origin(headers: Message, port: int) -> None:
    """Raises Refused unless the request names this server, and no other page sent it."""
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    if headers.get("Host", "").lower() not in hosts:
        raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this address belongs to another host")
    origin = headers.get("Origin")
    if origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}:
        raise Refused(HTTPStatus.FORBIDDEN, "a page of another site sent this")


def path_behind_token(path: str, token: str) -> str:
    """`/TOKEN/photos/1` -> `photos/1`.  Raises Refused for any other path."""
    given, slash, rest = path.removeprefix("/").partition("/")
    if not slash or not hmac.compare_digest(given.encode(), token.encode()):
        raise Refused(HTTPStatus.FORBIDDEN, "open the address that `minisam click` printed, with its token")
    return rest


def length_of_body(headers: Message, largest: int) -> int:
    """Raises Refused if the length is missing or too large."""
    if "Transfer-Encoding" in headers:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the content is missing")
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the content is missing")
    if len(text) > 15 or int(text) > largest:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {largest // 2**20} MB")
    return int(text)
