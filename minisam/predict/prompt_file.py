"""Prompts in a JSON file, for one image or for many; each has the arguments of `SamPredictor.predict`.

    [{"point_coords": [[255, 330]], "point_labels": [1]}, {"box": [135, 20, 380, 260]}]      one image
    {"photo.jpg": [{"box": [135, 20, 380, 260]}], "other/photo.jpg": [...]}                 many

Points without labels are foreground.  Names of images are relative to the file's folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minisam.errors import DatasetError, PromptError, printable
from minisam.json_files import read_json

Prompt = dict[str, NDArray]
KEYS = ("point_coords", "point_labels", "box")


def read_prompts(path: Path, image: Path | None = None) -> dict[Path, list[Prompt]]:
    """The prompts of every image in the file, or of one image.

    Raises DatasetError, with the number of the prompt, if the file has anything else, or nothing for the image.
    """
    content = read_json(path)
    if isinstance(content, dict) and content and content.keys() <= set(KEYS):
        content = [content]
    if isinstance(content, list):
        if image is None:
            raise DatasetError(f"{path}: has prompts without the name of an image; give IMAGE too")
        return {image: prompts_from(content, f"{path}: ")}
    if not isinstance(content, dict) or not content:
        raise DatasetError(f"{path}: neither a list of prompts nor an object with a list for each image")
    by_image = {
        path.parent / name: prompts_from(listed, f"{path}: {printable(name)}, ")
        for name, listed in content.items()
    }
    if len(by_image) < names_in(path):
        raise DatasetError(f"{path}: has two lists for one image; join them")
    if image is None:
        return by_image
    found = next((name for name in by_image if os.path.realpath(name) == os.path.realpath(image)), None)
    if found is None:
        raise DatasetError(f"{path}: has no prompts for {image}")
    return {image: by_image[found]}


def names_in(path: Path) -> int:
    """How many names the object in a JSON file has; of equal names, a dictionary keeps one."""
    return len(json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=list))


def prompts_from(listed: Any, where: str) -> list[Prompt]:
    """The prompts of one image; shapes and labels are checked by the predictor."""
    if not isinstance(listed, list) or not listed:
        raise DatasetError(f"{where}not a list of prompts")
    return [prompt_from(one, f"{where}prompt {number}") for number, one in enumerate(listed, 1)]


def prompt_from(one: Any, where: str) -> Prompt:
    """One prompt; points without labels are foreground.  Raises DatasetError with `where` for anything else."""
    if not isinstance(one, dict) or not one or not one.keys() <= set(KEYS):
        raise DatasetError(f"{where}: not an object with {', '.join(KEYS)}")
    prompt = {key: numbers_from(value, f"{where}: {key}") for key, value in one.items() if value is not None}
    if "point_coords" in prompt:
        points = prompt["point_coords"]
        count = len(np.atleast_2d(points)) if points.size else 0
        prompt.setdefault("point_labels", np.ones(count, dtype=int))
    if not prompt:
        raise DatasetError(f"{where}: nothing in it")
    return prompt


def numbers_from(value: Any, where: str) -> NDArray:
    """Lists of one length as an array.  Raises DatasetError with `where` for anything but numbers."""
    try:
        numbers = np.array(value)
    except ValueError:
        numbers = np.array("")
    if numbers.dtype.kind not in "iuf" or not numbers.ndim:
        raise DatasetError(f"{where} is not a list of numbers")
    return numbers


def named(error: PromptError, path: Path, image: Path, number: int) -> PromptError:
    """The predictor's error with the place of the prompt."""
    return PromptError(f"{path}: {image.name}, prompt {number}: {error}")
