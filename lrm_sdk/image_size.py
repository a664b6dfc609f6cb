"""What a picture's header says, read before anything is decoded; and whether the file is whole.

OpenCV decodes 20000 x 20000 pixels without a word, and gives a grey lower half for a cut JPEG.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from lrm_sdk.errors import ImageError

# 8192^2: twice the pixels of the largest phone cameras in use here. Decoded, alpha included, it
# takes 256 MiB at 8 bits; the network sees at most a few hundred pixels a side.
MAX_PIXELS = 8192 * 8192
# Fewer pixels a side show no subject.
MIN_SIDE = 16


@dataclass(frozen=True)
class Header:
    """width and height as stored; orientation (1 to 8 as in EXIF) if the header itself gives one."""

    width: int
    height: int
    orientation: int = 1


def check_size(name: str, width: int, height: int) -> None:
    """Raises ImageError for a picture that is too large or too small."""
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS} are taken (8192 x 8192); "
            "scale it down first"
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{name}: {width} x {height} pixels, at least {MIN_SIDE} a side are needed; give a larger picture"
        )


def read_header(name: str, data: bytes) -> Header:
    """Raises ImageError if `data` is not the start of a picture in a format we know, or is cut short."""
    import imagesize

    header = _isobmff_header(data) or _other_header(data)
    if header is None:
        try:
            info = imagesize.get_info(io.BytesIO(data), exif_rotation=False, dpi=False, colors=False)
        except Exception as error:  # a parser of hostile bytes may fail in any way
            raise ImageError(f"{name}: its header is damaged ({error}); give a whole picture file") from error
        # Whole numbers only: an SVG's are not, and it is no picture of pixels.
        if isinstance(info.width, int) and isinstance(info.height, int) and min(info.width, info.height) > 0:
            header = Header(info.width, info.height)
    if header is None:
        raise ImageError(f"{name}: not a picture in a known format; give a PNG, JPEG, WebP, TIFF, BMP, ...")
    if not _is_whole(data):
        raise ImageError(f"{name}: the file is cut short; copy or download it again")
    return header


# AVIF and HEIF: sizes of the image and its parts, and a turn in quarter circles against the clock.
_ISPE = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
_IROT = re.compile(rb"irot(.)", re.DOTALL)
_EXIF_FROM_QUARTERS = {0: 1, 1: 8, 2: 3, 3: 6}


def _isobmff_header(data: bytes) -> Header | None:
    if data[4:8] != b"ftyp":
        return None
    head = data[: 1 << 16]
    sizes = [tuple(int.from_bytes(side, "big") for side in match) for match in _ISPE.findall(head)]
    if not sizes:
        return None
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    turn = _IROT.search(head)
    return Header(width, height, _EXIF_FROM_QUARTERS[turn[1][0] & 3] if turn else 1)


# Formats that OpenCV reads and imagesize does not: Radiance HDR, PFM, PAM.
_HDR = re.compile(rb"\A#\?(?:RADIANCE|RGBE)\n(?:[^\n]*\n){1,64}?[-+]Y (\d{1,6}) [-+]X (\d{1,6})\n")
_PFM = re.compile(rb"\AP[Ff]\s+(\d{1,6})\s+(\d{1,6})\s")
_PAM = re.compile(rb"\AP7\n(?:[^\n]*\n){0,16}?WIDTH (\d{1,6})\nHEIGHT (\d{1,6})\n")
_SUN_MAGIC = b"\x59\xa6\x6a\x95"


def _other_header(data: bytes) -> Header | None:
    head = data[:4096]
    if match := _HDR.match(head):
        return Header(width=int(match[2]), height=int(match[1]))
    if match := _PFM.match(head) or _PAM.match(head):
        return Header(width=int(match[1]), height=int(match[2]))
    if head[:4] == _SUN_MAGIC and len(head) >= 12:
        return Header(int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big"))
    return None


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _is_whole(data: bytes) -> bool:
    """False if the format has an end mark and it is not there. What follows the mark does not matter."""
    if data.startswith(b"\xff\xd8"):
        start = _jpeg_scan_start(data)
        return start is not None and b"\xff\xd9" in data[start:]
    if data.startswith(b"\x89PNG"):
        return b"IEND\xae\x42\x60\x82" in data
    if data.startswith(b"RIFF"):
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True  # TIFF, BMP, netpbm, ...: OpenCV's decoders refuse a short file themselves


def _jpeg_scan_start(data: bytes) -> int | None:
    """Where the first scan's data begin: past the segments, one of which may hold a whole thumbnail."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == 0xDA:
            return at
    return None
