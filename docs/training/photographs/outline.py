"""Outline objects of photographs by hand: the first stage of the data engine (SAM section 4), with four proposals.

    python docs/training/photographs/outline.py grid PACKAGES PATH OUT.png     the photograph, with coordinates to read
    python docs/training/photographs/outline.py propose PACKAGES OBJECTS FOLDER
    python docs/training/photographs/outline.py choose OBJECTS CHOICES FOLDER OUT.json

OBJECTS is a JSON list.  Each entry has the path of a photograph below PACKAGES (as in training.json) and its objects:
a label, a box, and where they help clicks on the object, clicks beside it and polygons, in pixels of the grid:

    {"source": "uikit-3.25.29/package/tests/images/dark.jpg", "name": "uikit_dark",
     "objects": [{"label": "lighthouse", "box": [300, 80, 380, 420], "positive": [[340, 200]], "negative": []}]}

`propose` writes one sheet per photograph, with four proposals per object:

    A  the network after the box alone, mask 0             C  GrabCut, from the box and the clicks
    B  the network after box and clicks, ranked first      D  the polygons, filled; without, the network after clicks

A person looks at the sheets and writes CHOICES, one line per object, "uikit_dark lighthouse B", or "-" for none.
`choose` makes the records that training.json and outlines.json consist of.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from collect import open_source
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from minisam import SamPredictor, build_sam
from minisam.compatibility.mask_regions import remove_small_regions
from minisam.masks.rle import compress_rle, encode_rle

LONG_SIDE = 720
GRID_STEP = 40
TILE = 300
SPECK = 0.01
LETTERS = "ABCD"
COLOUR = np.array([255, 0, 160])
Mask = NDArray[np.bool_]


def photograph(packages: Path, source: str) -> NDArray[np.uint8]:
    """The photograph at `source`, with at most LONG_SIDE pixels a side: uint8 [H, W, 3]."""
    opened = open_source(packages, source)
    if opened is None:
        sys.exit(f"{source} is not below {packages}")
    photo = ImageOps.exif_transpose(opened).convert("RGB")
    if max(photo.size) > LONG_SIDE:
        photo.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(photo)


def grid(photo: NDArray[np.uint8], enlarged: int = 2) -> Image.Image:
    """The photograph, enlarged, with a line and a number every GRID_STEP of its own pixels."""
    height, width = photo.shape[:2]
    page = Image.fromarray(photo).resize((width * enlarged, height * enlarged))
    draw = ImageDraw.Draw(page, "RGBA")
    for x in range(0, width, GRID_STEP):
        draw.line([(x * enlarged, 0), (x * enlarged, page.height)], (255, 255, 0, 110))
        for y in range(0, height, 3 * GRID_STEP):
            draw.text(
                (x * enlarged + 2, y * enlarged + 2), str(x), "yellow", stroke_width=1, stroke_fill="black"
            )
    for y in range(0, height, GRID_STEP):
        draw.line([(0, y * enlarged), (page.width, y * enlarged)], (0, 255, 255, 110))
        for x in range(0, width, 3 * GRID_STEP):
            draw.text(
                (x * enlarged + 2, y * enlarged - 12), str(y), "cyan", stroke_width=1, stroke_fill="black"
            )
    return page


def proposals(predictor: SamPredictor, photo: NDArray[np.uint8], thing: dict) -> dict[str, Mask]:
    """Four masks, bool [H, W], of one object; `predictor` has the photograph set."""
    box = np.array(thing["box"], dtype=np.float32)
    clicks = np.array([*thing.get("positive", []), *thing.get("negative", [])], dtype=np.float32).reshape(
        -1, 2
    )
    labels = np.array([1] * len(thing.get("positive", [])) + [0] * len(thing.get("negative", [])))
    found = {"A": predictor.predict(box=box, multimask_output=False)[0][0]}
    if not len(clicks):
        centre = np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]])
        masks, scores, _ = predictor.predict(centre, np.ones(1), box=box)
    else:
        masks, scores, _ = predictor.predict(clicks, labels, box=box)
    found["B"] = masks[scores.argmax()]
    found["C"] = grabcut(photo, thing)
    if thing.get("polygons"):
        found["D"] = filled(thing["polygons"], photo.shape[:2])
    elif len(clicks):
        masks, scores, _ = predictor.predict(clicks, labels)
        found["D"] = masks[scores.argmax()]
    else:
        found["D"] = masks[scores.argsort()[-2]]
    return {letter: without_specks(np.asarray(mask) > 0) for letter, mask in found.items()}


def without_specks(mask: Mask) -> Mask:
    """The mask without islands and holes below SPECK of its area."""
    area = SPECK * int(mask.sum())
    for mode in ("holes", "islands"):
        mask, _ = remove_small_regions(mask, area, mode)
    return mask


def grabcut(photo: NDArray[np.uint8], thing: dict, rounds: int = 5) -> Mask:
    """OpenCV's GrabCut (Rother et al. 2004); polygons are its first guess where there are any, else the box."""
    height, width = photo.shape[:2]
    x0, y0, x1, y1 = (round(value) for value in thing["box"])
    state = np.full((height, width), cv2.GC_BGD, np.uint8)
    state[max(y0, 0) : y1, max(x0, 0) : x1] = cv2.GC_PR_FGD
    if thing.get("polygons"):
        inside = filled(thing["polygons"], (height, width)).astype(np.uint8)
        radius = max(3, round(0.04 * max(x1 - x0, y1 - y0)))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        state[:] = np.where(cv2.dilate(inside, kernel) > 0, cv2.GC_PR_BGD, cv2.GC_BGD)
        state[inside > 0] = cv2.GC_PR_FGD
        state[cv2.erode(inside, kernel) > 0] = cv2.GC_FGD
    for points, value in ((thing.get("positive", []), cv2.GC_FGD), (thing.get("negative", []), cv2.GC_BGD)):
        for x, y in points:
            cv2.circle(state, (round(x), round(y)), 5, value, -1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(photo[..., ::-1].copy(), state, (0, 0, 1, 1), *models, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # all of the photograph is object, or none
        return state == cv2.GC_FGD
    return np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD))


def filled(polygons: list, size: tuple[int, ...]) -> Mask:
    """The union of polygons, each a list of (x, y): bool [H, W]."""
    canvas = Image.new("1", (size[1], size[0]))
    for polygon in polygons:
        ImageDraw.Draw(canvas).polygon([(x, y) for x, y in polygon], fill=1)
    return np.asarray(canvas)


def tile(photo: NDArray[np.uint8], mask: Mask, box: list[float], caption: str) -> Image.Image:
    """The object's surroundings with the mask on them, TILE pixels wide and high."""
    x0, y0, x1, y1 = box
    margin = 0.15 * max(x1 - x0, y1 - y0) + 8
    window = (round(x0 - margin), round(y0 - margin), round(x1 + margin), round(y1 + margin))
    edge = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    shown = np.where(mask[..., None], 0.6 * photo + 0.4 * COLOUR, photo)
    shown = np.where(edge[..., None], 255, shown).astype(np.uint8)
    view = ImageOps.pad(Image.fromarray(shown).crop(window), (TILE, TILE))
    ImageDraw.Draw(view).text((4, 4), caption, "white", stroke_width=2, stroke_fill="black")
    return view


def propose(packages: Path, objects: list[dict], folder: Path) -> None:
    """One sheet NAME.png per photograph, one row per object, and the masks, NAME.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    predictor = SamPredictor(build_sam())
    for entry in objects:
        photo = photograph(packages, entry["source"])
        predictor.set_image(photo)
        sheet = Image.new("RGB", (5 * TILE, TILE * len(entry["objects"])))
        masks = {}
        for row, thing in enumerate(entry["objects"]):
            nothing = np.zeros(photo.shape[:2], bool)
            sheet.paste(tile(photo, nothing, thing["box"], thing["label"]), (0, row * TILE))
            for column, (letter, mask) in enumerate(proposals(predictor, photo, thing).items()):
                sheet.paste(tile(photo, mask, thing["box"], letter), ((column + 1) * TILE, row * TILE))
                masks[f"{thing['label']} {letter}"] = mask
        sheet.save(folder / f"{entry['name']}.png")
        np.savez_compressed(folder / f"{entry['name']}.npz", **masks)
        print(folder / f"{entry['name']}.png", flush=True)


def choose(objects: list[dict], choices: list[str], folder: Path) -> list[dict]:
    """The records of the photographs with at least one chosen mask."""
    chosen: dict[str, dict[str, str]] = {}
    for line in choices:
        if line.strip():
            name, label, letter = line.split()
            chosen.setdefault(name, {})[label] = letter
    records = []
    for entry in objects:
        letters = chosen.get(entry["name"], {})
        annotations, size = [], (0, 0)
        with np.load(folder / f"{entry['name']}.npz") as masks:
            for thing in entry["objects"]:
                letter = letters.get(thing["label"], "-")
                if letter not in LETTERS:
                    continue
                mask = masks[f"{thing['label']} {letter}"]
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                if not len(rows):
                    sys.exit(f"{entry['name']} {thing['label']} {letter}: the mask is empty")
                size = mask.shape
                x, y = int(columns[0]), int(rows[0])
                annotations.append(
                    {
                        "id": len(annotations),
                        "label": thing["label"],
                        "area": int(mask.sum()),
                        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
                        "segmentation": compress_rle(encode_rle(mask)),
                    }
                )
        if annotations:
            image = {"file_name": f"{entry['name']}.jpg", "width": size[1], "height": size[0]}
            records.append({"source": entry["source"], "image": image, "annotations": annotations})
    return records


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["grid", packages, source, out]:
            grid(photograph(Path(packages), source)).save(out)
        case ["propose", packages, objects, folder]:
            propose(Path(packages), json.loads(Path(objects).read_text()), Path(folder))
        case ["choose", objects, choices, folder, out]:
            lines = Path(choices).read_text().splitlines()
            Path(out).write_text(
                json.dumps(choose(json.loads(Path(objects).read_text()), lines, Path(folder)))
            )
        case _:
            sys.exit(__doc__)
