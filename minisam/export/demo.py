"""The click page with the network in the browser: a folder of files for any web server.

    index.html, click.js, click.css, onnx_model.js   the page (minisam/web/page)
    encoder.onnx, decoder.onnx, network.json         the network
    example.png                                      a drawn scene
    onnxruntime-web/                                 what runs it, from npm
    LICENSES.txt                                     what came from npm: versions, licences, hashes

npm fetches onnxruntime-web when the folder is written; the page itself loads nothing from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from minisam.errors import MinisamError, OutputError
from minisam.export.check import TOLERANCE, largest_difference, run_by_onnxruntime
from minisam.export.parts import part_of
from minisam.export.program import about, to_onnx
from minisam.files import write_atomically
from minisam.model import Sam
from minisam.web.example import SIZE, example_scene
from minisam.web.results import png

RUNTIME, VERSION = "onnxruntime-web", "1.30.0"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PAGE = {name: name for name in ("click.js", "click.css", "onnx_model.js")} | {"demo.html": "index.html"}
MARK = "minisam demo"


def write_demo(sam: Sam, folder: Path) -> Path:
    """Write the folder, and return the path of its index.html.

    Raises OutputError for a folder with other files, MinisamError if npm or a package is missing.
    """
    check_folder(folder)
    content = {name: (files("minisam.web") / "page" / source).read_bytes() for source, name in PAGE.items()}
    for name in ("encoder", "decoder"):
        content[f"{name}.onnx"] = checked_onnx(sam, name)
    content["example.png"] = png(example_scene())
    content["network.json"] = json.dumps(network(sam), indent=1).encode()
    content |= runtime()
    (folder / RUNTIME).mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        write_atomically(folder / name, lambda file, data=data: file.write(data))
    return folder / "index.html"


def check_folder(folder: Path) -> None:
    """Raises OutputError unless the folder is new, empty, or an earlier demo."""
    try:
        if not any(folder.iterdir()):
            return
        mark = json.loads((folder / "network.json").read_bytes())["made_by"]
    except FileNotFoundError:
        if not folder.exists():
            return
        mark = None
    except NotADirectoryError:
        raise OutputError(f"{folder} is a file; give the name of a folder with --demo") from None
    except (ValueError, KeyError, TypeError):
        mark = None
    if mark != MARK:
        raise OutputError(f"{folder} has other files; choose a new folder with --demo")


def checked_onnx(sam: Sam, name: str) -> bytes:
    """Raises MinisamError if the file's results are not the network's."""
    part = part_of(sam, name)
    content = to_onnx(part, sam)
    try:
        difference = largest_difference(run_by_onnxruntime(content, part), part, sam)
    except ImportError:
        raise MinisamError("onnxruntime is missing: pip install 'minisam[export]'") from None
    if not difference <= TOLERANCE:
        raise MinisamError(f"the {name}'s results differ by {difference:.1e} of the largest value")
    return content


def network(sam: Sam) -> dict[str, Any]:
    """What onnx_model.js needs to know, with the photo that it shows at first."""
    values = {
        name: value if name == "image_format" else json.loads(value) for name, value in about(sam).items()
    }
    photo = {
        "id": 0,
        "name": "example.png",
        "width": SIZE,
        "height": SIZE,
        "url": "example.png",
    }
    return {
        "made_by": MARK,
        **values,
        "mask_size": list(sam.prompt_encoder.mask_input_size),
        "example": photo,
    }


def runtime() -> dict[str, bytes]:
    """The files of onnxruntime-web that the page needs, and a text with their origin.

    Raises MinisamError if npm is missing or cannot fetch them.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise MinisamError(
            f"npm is missing, which fetches {RUNTIME}: install Node.js, for example by apt install npm"
        )
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run(
            [npm, "pack", "--ignore-scripts", "--silent", f"{RUNTIME}@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        archives = list(Path(folder).glob("*.tgz"))
        if fetched.returncode or len(archives) != 1:
            reason = (fetched.stderr.strip() or "no archive").splitlines()[0]
            raise MinisamError(f"npm cannot fetch {RUNTIME} {VERSION}: {reason}")
        with tarfile.open(archives[0]) as archive:
            about_it = json.loads(member(archive, "package/package.json"))
            found = {f"{RUNTIME}/{name}": member(archive, f"package/dist/{name}") for name in RUNTIME_FILES}
    return {**found, "LICENSES.txt": origin(about_it, found).encode()}


def member(archive: tarfile.TarFile, name: str) -> bytes:
    """Raises MinisamError if the archive lacks it."""
    try:
        file = archive.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise MinisamError(f"{RUNTIME} {VERSION} has no {name}")
    return file.read()


def origin(about_it: dict[str, Any], found: dict[str, bytes]) -> str:
    """Name, version, licence and address of the package, and the hash of each file."""
    lines = [
        "These files were not written by minisam. npm fetched them when this folder was written.",
        "",
        f"{about_it['name']} {about_it['version']}",
        f"licence: {about_it['license']}",
        f"source: {about_it.get('homepage') or about_it.get('repository', {}).get('url', '')}",
        *(f"{name}: sha256 {hashlib.sha256(data).hexdigest()}" for name, data in found.items()),
    ]
    return "\n".join(lines) + "\n"
