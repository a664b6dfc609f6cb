"""What is no picture, or no picture for us, is an ImageError that says so, at once."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lrm_sdk import ImageError
from lrm_sdk.image_size import MAX_PIXELS, MIN_SIDE
from lrm_sdk.images import load_image
from tests.sdk.pictures import HEADERS, encode, gradient

ROOT = Path(__file__).resolve().parents[2]


def refused(source: object, match: str) -> str:
    with pytest.raises(ImageError, match=match) as caught:
        load_image(source)
    return str(caught.value)


def test_missing_file(tmp_path):
    assert "missing.png" in refused(tmp_path / "missing.png", "no such file")


def test_directory(tmp_path):
    refused(tmp_path, "expected a picture file, got a directory")


def test_unreadable_names():
    refused("a\0b.png", "cannot be read")
    refused("x" * 5000, "cannot be read")
    refused("", "a directory")


def test_special_files_do_not_hang(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    refused(pipe, "a special file")
    refused("/dev/zero", "a special file")


@pytest.mark.parametrize("size", [0, 1, 7, 100, 5000])
def test_bytes_that_are_no_picture(tmp_path, size):
    data = np.random.default_rng(size).bytes(size)
    path = tmp_path / "noise.png"
    path.write_bytes(data)
    message = "is empty" if size == 0 else "not a picture"
    refused(data, message)
    assert "noise.png" in refused(path, message)


@pytest.mark.parametrize("data", [b"<svg width='10' height='10'></svg>", b"%PDF-1.4", b"hello\n" * 50])
def test_other_files(data):
    refused(data, "not a picture|cannot be decoded")


def noisy() -> np.ndarray:
    """Compresses badly, so that a cut at any part of the file loses pixels."""
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def opencv(kind: str) -> bytes:
    pixels = noisy().astype(np.float32) / 255 if kind in (".hdr", ".pfm") else noisy()
    done, data = cv2.imencode(kind, pixels)
    assert done
    return data.tobytes()


WHOLE = {
    "png": lambda: encode(noisy(), "png"),
    "png16": lambda: cv2.imencode(".png", noisy().astype(np.uint16) * 257)[1].tobytes(),
    "jpeg": lambda: encode(noisy(), "jpeg"),
    "jpeg progressive": lambda: encode(noisy(), "jpeg", progressive=True),
    "webp": lambda: encode(noisy(), "webp"),
    "webp lossless": lambda: encode(noisy(), "webp", lossless=True),
    "bmp": lambda: encode(noisy(), "bmp"),
    "tiff": lambda: encode(noisy(), "tiff"),
    "tiff lzw": lambda: encode(noisy(), "tiff", compression="tiff_lzw"),
    "gif": lambda: encode(Image.fromarray(noisy()).quantize(64), "gif"),
    "ppm": lambda: encode(noisy(), "ppm"),
    "hdr": lambda: opencv(".hdr"),
    "pfm": lambda: opencv(".pfm"),
    "jp2": lambda: opencv(".jp2"),
    "avif": lambda: opencv(".avif"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_truncated_files(name, capfd):
    data = WHOLE[name]()
    assert load_image(data).shape == (48, 64, 4)
    for part in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        with pytest.raises(ImageError):
            load_image(data[: int(part * len(data))])


@pytest.mark.parametrize("name", ["png", "png16", "jpeg", "jpeg progressive", "webp", "webp lossless"])
def test_cut_files_are_called_so_whatever_the_decoder_does(name):
    """OpenCV 4 gives a grey lower half and no error; formats with an end mark do not get that far."""
    data = WHOLE[name]()
    refused(data[: len(data) * 9 // 10], "the file is cut short; copy or download it again")
    assert load_image(data + b"trailing bytes").shape == (48, 64, 4)


def test_thumbnail_inside_a_jpeg_is_not_its_end():
    """A whole small JPEG in an application segment must not make a cut file look whole."""
    thumbnail = encode(gradient(16, 16), "jpeg")
    data = encode(noisy(), "jpeg")
    segment = b"\xff\xe5" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = data[:2] + segment + segment + data[2:]
    assert load_image(data).shape == (48, 64, 4)
    refused(data[: len(data) // 2], "the file is cut short")


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "bmp", "tiff", "gif"])
def test_mutated_files_never_crash(name):
    """Any outcome but a picture or an ImageError fails."""
    data = bytearray(WHOLE[name]())
    rng = np.random.default_rng(5)
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(0, min(len(data), 400), 3):
            changed[at] = rng.integers(256)
        with contextlib.suppress(ImageError):
            assert load_image(bytes(changed)).shape[2] == 4


@pytest.mark.parametrize("kind", HEADERS)
def test_huge_pictures_are_refused_from_the_header(kind):
    start = time.perf_counter()
    message = refused(HEADERS[kind](20000, 20000), "20000 x 20000 pixels, at most")
    assert time.perf_counter() - start < 0.5
    assert "scale it down" in message


@pytest.mark.parametrize("kind", HEADERS)
def test_single_pixels_are_refused(kind):
    refused(HEADERS[kind](1, 1), f"1 x 1 pixels, at least {MIN_SIDE}")


def test_huge_picture_takes_no_memory():
    """A real 20000 x 20000 PNG: 1.2 GB when decoded, under a limit that leaves no room for that."""
    code = (
        "import resource\n"
        "from lrm_sdk.images import load_image\n"
        "from lrm_sdk import ImageError\n"
        "import cv2\n"
        "from tests.sdk.pictures import png\n"
        "data = png(20000, 20000, 1, 0, bytes(2501) * 20000)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)\n"
        "try:\n"
        "    load_image(data)\n"
        "except ImageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "20000 x 20000" in done.stdout


def test_huge_file_is_not_read(tmp_path):
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(11 * MAX_PIXELS)
    refused(path, "bytes, more than any picture")


def test_sizes_of_arrays_and_pil_images():
    refused(np.broadcast_to(np.uint8(0), (20000, 20000, 3)), "20000 x 20000")
    refused(np.zeros((1, 1, 3), np.uint8), "1 x 1")
    refused(np.zeros((0, 5, 3), np.uint8), "at least")
    refused(Image.new("RGB", (1, 1)), "1 x 1")
    with Image.open(io.BytesIO(HEADERS["bmp"](8000, 9000))) as lazy:
        refused(lazy, "8000 x 9000")


@pytest.mark.parametrize("shape", [(20,), (20, 20, 2), (20, 20, 5), (1, 20, 20, 3), (3, 20, 20), ()], ids=str)
def test_array_shapes(shape):
    assert str(list(shape)) in refused(np.zeros(shape, np.uint8), "expected shape")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int8, bool, complex, object], ids=str)
def test_array_dtypes(dtype):
    refused(np.zeros((20, 20, 3), dtype), "expected uint8")


@pytest.mark.parametrize("source", [None, 3, [1, 2], object()], ids=repr)
def test_other_types(source):
    refused(source, f"expected a path, bytes, .* got {type(source).__name__}")


def test_truncated_pil_image():
    data = encode(gradient(), "png")
    with Image.open(io.BytesIO(data[: len(data) // 2])) as lazy:
        refused(lazy, "PIL cannot decode")


def test_a_run_with_a_bad_picture_is_an_image_error(rec, tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        rec.run(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="one colour all over"):
        rec.run(np.full((64, 64, 3), 99, np.uint8))
    with pytest.raises(ImageError, match="no subject"):
        rec.run(np.zeros((64, 64, 4), np.uint8))
