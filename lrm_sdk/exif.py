"""The one EXIF tag that matters here: which way is up (CIPA DC-008, tag 274)."""

from __future__ import annotations

import struct

import numpy as np

_ORIENTATION = 274
_SHORT = 3


def orientation(exif: bytes) -> int:
    """1 to 8 from an EXIF block (a TIFF header and its first directory); 1 if it does not say."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for i in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * i)
            if tag == _ORIENTATION and kind == _SHORT and 1 <= value <= 8:
                return value
    except struct.error:  # cut short: such a block says nothing
        return 1
    return 1


def webp_exif(data: bytes) -> bytes | None:
    """The EXIF block of a WebP file, which OpenCV before 5 does not hand out; None if there is none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2  # chunks begin at even places
    return None


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The picture [H, W, ...] as it should be seen; a view, with sides exchanged for 5 to 8."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
