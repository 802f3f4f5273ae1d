"""DICOM and HEIC by their libraries, pages by number, and the one line that says what is missing."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisam.data.images import load_image
from minisam.errors import ImageError

STEPS = np.linspace(0, 4095, 6 * 8).round().reshape(6, 8)
"""A ramp over 12 bits."""


@pytest.fixture
def dicom(tmp_path):
    """dicom(values, **elements): a file as a scanner writes it."""
    pydicom = pytest.importorskip("pydicom", reason="pip install -e '.[test]' brings pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ExplicitVRLittleEndian

    def write(values: np.ndarray, stored_bits: int = 12, **elements: object) -> Path:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = UID(elements.pop("syntax", ExplicitVRLittleEndian))
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.SamplesPerPixel = 3 if values.shape[-1] == 3 else 1
        dataset.Rows, dataset.Columns = values.shape[-3:-1] if values.shape[-1] == 3 else values.shape[-2:]
        dataset.BitsAllocated = 8 * values.dtype.itemsize
        dataset.BitsStored = stored_bits
        dataset.HighBit = stored_bits - 1
        dataset.PixelRepresentation = int(values.dtype.kind == "i")
        dataset.PixelData = values.tobytes()
        for name, value in elements.items():
            setattr(dataset, name, value)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.PixelData = encapsulate([dataset.PixelData])
        dataset.preamble = bytes(128)
        pydicom.dcmwrite(tmp_path / "scan.dcm", dataset, enforce_file_format=False)
        return tmp_path / "scan.dcm"

    return write


def test_twelve_bits_by_their_range(dicom, capsys):
    image = load_image(dicom(STEPS.astype(np.uint16)))
    assert image.shape == (6, 8, 3) and image.dtype == np.uint8
    assert np.array_equal(image[..., 1], (STEPS * 255 / 4095).round())
    assert "0 … 4095 are shown as black … white" in capsys.readouterr().err


def test_the_window_of_the_file_in_rescaled_values(dicom, capsys):
    """A CT: stored value − 1024 is the density, and 401 of them around 40 are shown."""
    path = dicom(
        STEPS.astype(np.uint16), RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40.5, WindowWidth=401
    )
    density = STEPS - 1024
    expected = ((density + 160) * 255 / 400).clip(0, 255).round()
    assert np.array_equal(load_image(path)[..., 0], expected)
    assert "-160 … 240 are shown as black … white, as the file says" in capsys.readouterr().err


def test_the_first_of_several_windows(dicom):
    several = load_image(dicom(STEPS.astype(np.uint16), WindowCenter=[1000, 5], WindowWidth=[500, 5]))
    one = load_image(dicom(STEPS.astype(np.uint16), WindowCenter=1000, WindowWidth=500))
    assert np.array_equal(several, one) and 0 < one.mean() < 255


def test_inverted_grey(dicom):
    values = STEPS.astype(np.uint16)
    upright = load_image(dicom(values))
    assert np.array_equal(load_image(dicom(values, PhotometricInterpretation="MONOCHROME1")), 255 - upright)


def test_colours(dicom):
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path = dicom(colours, 8, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert np.array_equal(load_image(path), colours)


def test_a_frame_by_its_number(dicom, capsys):
    frames = np.stack([STEPS, STEPS[::-1], STEPS * 0.5]).astype(np.uint16)
    path = dicom(frames, NumberOfFrames=3)
    first = load_image(path)
    assert "the first of 3 pages" in capsys.readouterr().err
    assert np.array_equal(load_image(path, page=2), first[::-1])
    assert "pages" not in capsys.readouterr().err
    with pytest.raises(ImageError, match=r"scan\.dcm: there is no page 4; it has 3"):
        load_image(path, page=4)


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"Rows": 40_000, "Columns": 40_000}, "more than 80,000,000 pixels"),
        ({"Rows": 60}, "damaged or truncated"),
        ({"syntax": "1.2.840.10008.1.2.4.80"}, "compressed as JPEG-LS .*pip install pylibjpeg"),
    ],
)
def test_damaged_files(dicom, elements, says):
    with pytest.raises(ImageError, match=says) as caught:
        load_image(dicom(STEPS.astype(np.uint16), **elements))
    assert "\n" not in str(caught.value)


def test_a_report_has_no_image(dicom):
    path = dicom(STEPS.astype(np.uint16))
    from pydicom import dcmread

    report = dcmread(path)
    del report.PixelData
    report.save_as(path, enforce_file_format=False)
    with pytest.raises(ImageError, match="without an image"):
        load_image(path)


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="pip install -e '.[test]' brings pillow-heif")
    ramp = np.zeros((32, 48, 3), np.uint8)
    ramp[..., 0], ramp[..., 2] = np.arange(48) * 5, 200
    heif.from_bytes("RGB", (48, 32), ramp.tobytes()).save(tmp_path / "phone.heic", quality=100)
    for source in (tmp_path / "phone.heic", (tmp_path / "phone.heic").read_bytes()):
        image = load_image(source)
        assert image.shape == (32, 48, 3)
        assert np.abs(image.astype(int) - ramp).max() < 12


STARTS = {"pydicom": bytes(128) + b"DICM" + bytes(40), "pillow_heif": b"\0\0\0\x18ftypheic" + bytes(40)}


@pytest.mark.parametrize("library", STARTS)
def test_a_missing_library_is_named(library, tmp_path, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *rest, **named):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return imported(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    (tmp_path / "image").write_bytes(STARTS[library])
    with pytest.raises(ImageError, match=f"pip install {library.replace('_', '-')}"):
        load_image(tmp_path / "image")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_page_of_a_tiff(depth, tmp_path, capsys):
    scale = np.iinfo(depth).max // 4095 or 1
    pages = [(STEPS % 256 if depth == np.uint8 else STEPS * scale).astype(depth) * part for part in (1, 0)]
    images = [Image.fromarray(page) for page in pages]
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
    assert load_image(tmp_path / "a.tif", page=1).any() and not load_image(tmp_path / "a.tif", page=2).any()
    assert "pages" not in capsys.readouterr().err
    for page in (0, 3, -1):
        with pytest.raises(ImageError, match=rf"a\.tif: there is no page {page}; it has 2"):
            load_image(tmp_path / "a.tif", page=page)


def test_a_frame_of_an_animation_and_a_page_of_a_plain_image(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert load_image(tmp_path / "a.gif", page=2).min() == 255
    frames[0].save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", page=1).max() == 0
    with pytest.raises(ImageError, match="no page 2; it has 1"):
        load_image(tmp_path / "a.png", page=2)
