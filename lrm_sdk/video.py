"""Turntables: mp4 (H.264), animated gif and webp, or a folder of png."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.errors import BackendError, InvalidArgumentError, SaveError
from lrm_sdk.files import as_path, check_writable, staged_folder, write_atomically
from lrm_sdk.native.checks import integer, number
from lrm_sdk.progress import ProgressReporter

if TYPE_CHECKING:
    from lrm_sdk.scene import Scene

# Constant rate factor of x264: 18 is visually lossless to most eyes.
H264_QUALITY = "18"
WEBP_QUALITY = 85
# OpenCV's finest: measured on a smooth picture, a quarter of the error of its default.
GIF_DITHER = 3


def save_turntable(
    scene: Scene,
    path: str | os.PathLike[str],
    *,
    views: int,
    size: tuple[int, int],
    elevation: float,
    fps: float,
    progress: ProgressReporter,
) -> Path:
    """See Scene.save_turntable."""
    integer("views", views, 1, 10000)
    if not 0.1 <= number("fps", fps) <= 240:
        raise InvalidArgumentError(f"fps: expected 0.1 to 240, got {fps}")
    path = as_path(path)
    suffix = path.suffix.lower()
    frames = _frames(scene, views, size, elevation, progress)
    if suffix == "":
        return _save_folder(path, frames)
    if suffix not in _ENCODERS:
        raise SaveError(f"{path}: expected .mp4, .gif, .webp or a folder name, got {suffix!r}")
    path = check_writable(path)
    encode, check = _ENCODERS[suffix]
    check(path, size)
    return write_atomically(path, encode(frames, suffix, fps, size))


def png_bytes(rgb: np.ndarray) -> bytes:
    """uint8 [H, W, 3] -> a PNG file."""
    return _encoded(".png", rgb)


def save_png(rgb: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """uint8 [H, W, 3] as .png. Raises SaveError."""
    path = check_writable(path)
    if path.suffix.lower() != ".png":
        raise SaveError(f"{path}: expected .png, got {path.suffix or 'no suffix'!r}")
    return write_atomically(path, png_bytes(rgb))


def _frames(
    scene: Scene, views: int, size: tuple[int, int], elevation: float, progress: ProgressReporter
) -> Iterator[np.ndarray]:
    for i in range(views):
        camera = Camera.orbit(azimuth=360 * i / views, elevation=elevation)
        part = progress.part(i / views, (i + 1) / views)
        yield scene.render(camera, size=size, progress=part).to_uint8()
    progress(1.0)


def _save_folder(path: Path, frames: Iterator[np.ndarray]) -> Path:
    with staged_folder(path) as stage:
        for i, frame in enumerate(frames):
            (stage / f"view_{i:04d}.png").write_bytes(png_bytes(frame))
    return path


def _check_mp4(path: Path, size: tuple[int, int]) -> None:
    _import_av()
    if size[0] % 2 or size[1] % 2:
        raise InvalidArgumentError(f"size: mp4 takes even sides (yuv420p), got {size}")


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise BackendError(
            f"mp4 needs the package av ({error}); pip install 'lrm-sdk[video]', or save .webp or .gif"
        ) from error
    return av


def _encode_mp4(frames: Iterator[np.ndarray], suffix: str, fps: float, size: tuple[int, int]) -> bytes:
    from fractions import Fraction

    av = _import_av()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"  # what every player decodes
        stream.options = {"crf": H264_QUALITY, "preset": "medium"}
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _encode_animation(frames: Iterator[np.ndarray], suffix: str, fps: float, size: tuple[int, int]) -> bytes:
    import cv2

    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(f[..., ::-1]) for f in frames]
    animation.durations = [max(1, round(1000 / fps))] * len(animation.frames)
    animation.loop_count = 0  # for ever
    if suffix == ".webp":
        parameters = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
    else:
        parameters = [cv2.IMWRITE_GIF_DITHER, GIF_DITHER]
    done, data = cv2.imencodeanimation(suffix, animation, parameters)
    if not done:
        raise SaveError(f"OpenCV {cv2.__version__} cannot encode {suffix}; save .mp4 or a folder of png")
    return data.tobytes()


def _encoded(suffix: str, rgb: np.ndarray) -> bytes:
    import cv2

    done, data = cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]))
    if not done:
        raise SaveError(f"OpenCV {cv2.__version__} cannot encode {suffix}")
    return data.tobytes()


def _no_check(path: Path, size: tuple[int, int]) -> None:
    """gif and webp take any size."""


_ENCODERS: dict[str, tuple[Any, Any]] = {
    ".mp4": (_encode_mp4, _check_mp4),
    ".gif": (_encode_animation, _no_check),
    ".webp": (_encode_animation, _no_check),
}
