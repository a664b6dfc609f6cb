"""Any picture a caller may hold -> uint8 RGBA, upright, checked."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.errors import ImageError, OutOfMemoryError
from lrm_sdk.exif import orientation, upright, webp_exif
from lrm_sdk.image_size import MAX_PIXELS, check_size, is_tiff, read_header

# No picture of at most MAX_PIXELS needs more bytes than this (16-bit RGBA, uncompressed, and room).
MAX_FILE_BYTES = 10 * MAX_PIXELS

ImageSource = Any  # str | PathLike | bytes | numpy array | PIL image


def load_image(source: ImageSource) -> np.ndarray:
    """uint8 [H, W, 4], sRGB with straight alpha, EXIF orientation applied.

    source: a path; bytes of an image file; a uint8 or uint16 array [H, W] or [H, W, 1, 3 or 4]
    (RGB order); or a PIL image. Grey becomes RGB, 16 bits become 8, no alpha becomes 255.
    Raises ImageError for what is missing, empty, cut short, no picture, too large or too small;
    OutOfMemoryError.

    >>> load_image(np.zeros((20, 30, 3), np.uint8)).shape
    (20, 30, 4)
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        return _decode(str(name), _read(Path(name)))
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode("image bytes", bytes(source))
    if isinstance(source, np.ndarray):
        return _from_array("image array", source)
    if hasattr(source, "getexif") and hasattr(source, "convert"):
        return _from_pil(source)
    raise ImageError(
        f"image: expected a path, bytes, a NumPy array or a PIL image, got {type(source).__name__}"
    )


def source_name(source: ImageSource) -> str:
    """How to call the picture in messages and file names."""
    return Path(os.fspath(source)).stem if isinstance(source, str | os.PathLike) else "image"


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "a special file"
            raise ImageError(f"{path}: expected a picture file, got {what}")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"{path}: {status.st_size} bytes, more than any picture that is taken needs; "
                "scale it down first"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be read: {why}; check the path and its permissions") from error


def _decode(name: str, data: bytes) -> np.ndarray:
    import cv2

    if not data:
        raise ImageError(f"{name}: is empty; give a picture file")
    header = read_header(name, data)
    check_size(name, header.width, header.height)
    try:
        # UNCHANGED keeps alpha and 16 bits, and leaves the orientation to us.
        pixels, kinds, blocks = cv2.imdecodeWithMetadata(
            np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED
        )
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise OutOfMemoryError(
                f"{name}: no memory for {header.width} x {header.height} pixels; scale it down first"
            ) from error
        raise ImageError(f"{name}: cannot be decoded ({error.err}); the file is damaged") from error
    if pixels is None or pixels.size == 0:
        raise ImageError(f"{name}: cannot be decoded; the file is damaged or of an unknown format")
    check_size(name, pixels.shape[1], pixels.shape[0])  # a header may lie
    rgba = _to_rgba(name, pixels, blue_first=True)
    if is_tiff(data):
        # libtiff has turned it upright, and multiplied 8-bit colours with alpha.
        return _straight_alpha(rgba) if pixels.dtype == np.uint8 else rgba
    exif = next((bytes(b) for k, b in zip(kinds, blocks, strict=True) if k == cv2.IMAGE_METADATA_EXIF), None)
    exif = webp_exif(data) if exif is None else exif
    turn = header.orientation if exif is None else orientation(exif)
    return np.ascontiguousarray(upright(rgba, turn))


def _straight_alpha(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.float32)
    color = np.minimum(rgba[..., :3] * (255 / np.maximum(alpha, 1)), 255)
    return np.concatenate([np.rint(color).astype(np.uint8), rgba[..., 3:]], axis=2)


def _from_array(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"{name}: expected shape [H, W] or [H, W, 1, 3 or 4], got {list(array.shape)}")
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: expected uint8 (or uint16), got {array.dtype}; scale to 0..255 and convert"
        )
    check_size(name, array.shape[1], array.shape[0])
    return _to_rgba(name, array, blue_first=False)


def _from_pil(image: Any) -> np.ndarray:
    check_size("image", *image.size)
    try:
        image.load()  # which turns a TIFF upright and then takes the tag away
        turn = image.getexif().get(274, 1)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            array = np.asarray(image).astype(np.float64)
            pixels = np.clip(array, 0, 65535).astype(np.uint16)
        else:
            pixels = np.asarray(image.convert("RGBA"))
    except Exception as error:  # PIL decodes late, and raises what the format's plugin raises
        raise ImageError(f"image: PIL cannot decode it ({error})") from error
    rgba = _to_rgba("image", pixels, blue_first=False)
    return np.ascontiguousarray(upright(rgba, turn))


def _to_rgba(name: str, pixels: np.ndarray, *, blue_first: bool) -> np.ndarray:
    """[H, W], [H, W, 1..4] of any depth -> uint8 [H, W, 4]."""
    pixels = _to_uint8(name, pixels.reshape(*pixels.shape[:2], -1))
    channels = pixels.shape[2]
    result = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    if channels <= 2:  # grey, or grey and alpha
        result[..., :3] = pixels[..., :1]
    else:
        result[..., :3] = pixels[..., 2::-1] if blue_first else pixels[..., :3]
    if channels in (2, 4):
        result[..., 3] = pixels[..., -1]
    return result


def _to_uint8(name: str, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype.kind == "f":  # HDR formats hold linear light
        light = np.nan_to_num(np.clip(pixels, 0, 1))
        return np.rint(255 * srgb_from_linear(light)).astype(np.uint8)
    raise ImageError(f"{name}: pixels of type {pixels.dtype} are not taken; convert it to 8 or 16 bits")


def srgb_from_linear(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, for values in [0, 1]."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def linear_from_srgb(encoded: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, for values in [0, 1]."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
