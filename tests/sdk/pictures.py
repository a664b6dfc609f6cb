"""Pictures for tests, and file headers that promise more than they hold."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def ball_picture(
    color: tuple[int, int, int] = (200, 40, 40), size: int = 96, radius: float = 0.3
) -> np.ndarray:
    """uint8 [size, size, 4]: a disc with alpha on transparent black."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    picture = np.zeros((size, size, 4), np.uint8)
    picture[x * x + y * y < radius * radius] = (*color, 255)
    return picture


def gradient(height: int = 40, width: int = 56) -> np.ndarray:
    """uint8 [height, width, 3], smooth, and unlike any of its mirror images."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack(
        [255 * x / (width - 1), 255 * y / (height - 1), 60 + 60 * np.sin(x / 9) * (y > 20)], axis=-1
    )
    return np.rint(rgb).astype(np.uint8)


def alpha_ramp(height: int = 40, width: int = 56) -> np.ndarray:
    """uint8 [height, width], from 0 to 255 downwards."""
    return np.broadcast_to(
        np.linspace(0, 255, height).round().astype(np.uint8)[:, None], (height, width)
    ).copy()


def encode(pixels: Any, kind: str, **options: Any) -> bytes:
    """A file as Pillow writes it. pixels: an array or a PIL image."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG from its parts: rows are unfiltered scan lines, each after its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra
        + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    )  # fmt: skip


def _tiff(width: int, height: int) -> bytes:
    tags = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, 1),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def _jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    scan = struct.pack(">HB", 8, 1) + b"\x01\x00\x00\x3f\x00"
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xda" + scan + bytes(64) + b"\xff\xd9"


def _bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + info + bytes(64)


def _webp(width: int, height: int) -> bytes:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4)
    extended += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


def _gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def _pfm(width: int, height: int) -> bytes:
    return f"PF\n{width} {height}\n-1.0\n".encode() + bytes(64)


def _hdr(width: int, height: int) -> bytes:
    return f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode() + bytes(64)


def _pnm(width: int, height: int) -> bytes:
    return f"P6\n{width} {height}\n255\n".encode() + bytes(64)


def _png(width: int, height: int) -> bytes:
    return png(width, height, 8, 2, b"")


# Files of a few bytes whose headers say width x height.
HEADERS = {
    "png": _png, "jpeg": _jpeg, "bmp": _bmp, "webp": _webp, "tiff": _tiff, "gif": _gif, "pfm": _pfm,
    "hdr": _hdr, "pnm": _pnm,
}  # fmt: skip
