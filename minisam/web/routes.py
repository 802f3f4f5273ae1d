"""What each request does, without HTTP: a path behind the token, and a body, to an answer.

    GET   (nothing), click.js …      the files of page/, by name
    GET   photos                     the list          POST  photos?name=…     a dropped file
    GET   photos/3                   its image         POST  photos/3/encode   make its embedding
    POST  photos/3/decode  {prompt}  masks, IoUs       POST  photos/3/save     {prompt, index, kind}
    POST  tabs/ID, tabs/ID/close     a page has opened, has closed

Masks are COCO's runs, {"size": [H, W], "counts": [ … ]}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from minisam.errors import PromptError
from minisam.masks.rle import encode_rle
from minisam.web.guard import Refused
from minisam.web.photos import Photo
from minisam.web.prompt import read_prompt
from minisam.web.results import save_result
from minisam.web.session import Session
from minisam.web.tabs import Tabs

PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "click.js": ("click.js", "text/javascript; charset=utf-8"),
    "server_model.js": ("server_model.js", "text/javascript; charset=utf-8"),
    "click.css": ("click.css", "text/css; charset=utf-8"),
}


@dataclass(frozen=True)
class Answer:
    content: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK


def as_json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(json.dumps(content).encode(), status=status)


@dataclass(frozen=True)
class Routes:
    """Results of dropped photos are written into `folder`."""

    session: Session
    tabs: Tabs
    folder: Path

    def get(self, path: str) -> Answer:
        """Raises Refused for an unknown path."""
        if path in PAGE:
            name, kind = PAGE[path]
            return Answer((files("minisam.web") / "page" / name).read_bytes(), kind)
        match path.split("/"):
            case ["photos"]:
                return as_json([photo.describe() for photo in self.session.photos.all])
            case ["photos", number]:
                return Answer(self.photo(number).as_shown(), "image/jpeg")
        raise unknown()

    def post(self, path: str, name: str, body: bytes, is_wanted: Callable[[], bool]) -> Answer:
        """`name` is that of a dropped file; `is_wanted` says whether the page still waits for the answer.

        Raises Refused for an unknown path, MinisamError for bad content.
        """
        match path.split("/"):
            case ["photos"]:
                return as_json(self.session.photos.drop(name, body, self.folder).describe())
            case ["photos", number, "encode"]:
                self.session.encode(self.photo(number), is_wanted)
                return as_json({})
            case ["photos", number, "decode"]:
                return self.decode(self.photo(number), read_message(body), is_wanted)
            case ["photos", number, "save"]:
                return self.save(self.photo(number), read_message(body))
            case ["tabs", tab]:
                self.tabs.report(tab)
                return as_json({})
            case ["tabs", tab, "close"]:
                self.tabs.close(tab)
                return as_json({})
        raise unknown()

    def photo(self, number: str) -> Photo:
        photos = self.session.photos.all
        if not (number.isascii() and number.isdigit() and len(number) < 9 and int(number) < len(photos)):
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such photo")
        return photos[int(number)]

    def decode(self, photo: Photo, message: dict[str, Any], is_wanted: Callable[[], bool]) -> Answer:
        prompt, only_best = read_prompt(message), message.get("best") is True
        predicted = self.session.decode(photo, prompt, only_best, is_wanted=is_wanted)
        if predicted is None:
            return Answer(b"", status=HTTPStatus.NO_CONTENT)
        masks, iou = predicted
        return as_json(
            {"masks": [encode_rle(mask) for mask in masks], "iou": [float(value) for value in iou]}
        )

    def save(self, photo: Photo, message: dict[str, Any]) -> Answer:
        prompt, index, kind = read_prompt(message), message.get("index"), message.get("kind")
        predicted = self.session.decode(photo, prompt, size=photo.size)
        assert predicted is not None
        masks, iou = predicted
        if type(index) is not int or not 0 <= index < len(masks):
            raise PromptError(f"index must be a mask's number, 0 … {len(masks) - 1}")
        path = save_result(str(kind), photo, masks[index], float(iou[index]))
        return as_json({"saved": path.name, "folder": str(path.parent)})


def read_message(body: bytes) -> dict[str, Any]:
    """Raises PromptError if this is not a JSON object."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise PromptError("the content must be a JSON object")
    return content


def unknown() -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "there is nothing at this address")
