"""An engine against the numbers that the PyTorch model computed when it was exported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.engine import VERIFICATION_FILE, read_tensors
from lrm_sdk.errors import EngineError
from lrm_sdk.reconstructor import Reconstructor

TENSORS = ("image", "planes", "points", "density", "rgb", "camera_to_world", "intrinsics", "render")


@dataclass(frozen=True)
class Limits:
    """The largest errors, and the smallest PSNR, that a precision may show."""

    planes: float
    density: float
    rgb: float
    render_psnr_db: float


# float32 differs by the order of sums only. The others are judged by their picture and, loosely, by the
# rest: density is an exponential in two families.
LIMITS = {
    "float32": Limits(planes=1e-4, density=1e-3, rgb=1e-3, render_psnr_db=50.0),
    "float16": Limits(planes=1e-2, density=0.1, rgb=3e-2, render_psnr_db=40.0),
    "bfloat16": Limits(planes=5e-2, density=0.5, rgb=0.2, render_psnr_db=38.0),
    "int8": Limits(planes=0.1, density=1.0, rgb=0.3, render_psnr_db=30.0),
    "int8-dynamic": Limits(planes=0.5, density=3.0, rgb=0.5, render_psnr_db=25.0),
    "int8-static": Limits(planes=0.5, density=3.0, rgb=0.5, render_psnr_db=25.0),
    "float8": Limits(planes=0.15, density=1.0, rgb=0.3, render_psnr_db=35.0),
}


def limits_of(precision: str) -> Limits:
    """Raises EngineError for a precision that this version does not know."""
    if precision not in LIMITS:
        known = ", ".join(LIMITS)
        raise EngineError(f"precision: this version can verify {known}, got {precision!r}; build again")
    return LIMITS[precision]


def limits_for(precision: str, field_precision: str) -> Limits:
    """For a network and a field: the planes are the network's, the rest has the errors of both."""
    network, field = limits_of(precision), limits_of(field_precision)
    return Limits(
        planes=network.planes,
        density=max(network.density, field.density),
        rgb=max(network.rgb, field.rgb),
        render_psnr_db=min(network.render_psnr_db, field.render_psnr_db),
    )


@dataclass(frozen=True)
class VerificationReport:
    """Errors of planes and density are relative to the largest reference value, of rgb absolute; each
    is the worst over all reference pictures, end to end from the picture."""

    network: str
    precision: str
    planes_relative_error: float
    density_relative_error: float
    rgb_error: float
    render_psnr_db: float
    field_precision: str = "float32"

    @property
    def passed(self) -> bool:
        limits = limits_for(self.precision, self.field_precision)
        return (
            self.planes_relative_error <= limits.planes
            and self.density_relative_error <= limits.density
            and self.rgb_error <= limits.rgb
            and self.render_psnr_db >= limits.render_psnr_db
        )

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self)) | {"passed": self.passed}

    def __str__(self) -> str:
        limits = limits_for(self.precision, self.field_precision)
        rows = [
            ("planes, relative error", f"{self.planes_relative_error:.2e}", f"<= {limits.planes:g}"),
            ("density, relative error", f"{self.density_relative_error:.2e}", f"<= {limits.density:g}"),
            ("rgb, error", f"{self.rgb_error:.2e}", f"<= {limits.rgb:g}"),
            ("render, PSNR in dB", f"{self.render_psnr_db:.1f}", f">= {limits.render_psnr_db:g}"),
        ]
        lines = [f"{name:24} {value:>10}  ({bound})" for name, value, bound in rows]
        judged = f"network {self.precision}, field {self.field_precision}: limits of the less exact one"
        return "\n".join([self.network, judged, *lines, "passed" if self.passed else "FAILED"])


def verify_engine(
    folder: str | os.PathLike[str],
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str | None = None,
    field_precision: str = "float32",
    threads: int | None = None,
) -> VerificationReport:
    """Runs the engine's reference pictures through network and field and measures the differences.

    Raises EngineError where the engine or its references are damaged, BackendError.
    """
    with Reconstructor(
        folder, backend=backend, device=device, precision=precision, field_precision=field_precision,
        threads=threads,
    ) as rec:  # fmt: skip
        return verify_loaded(rec)


def verify_loaded(rec: Reconstructor) -> VerificationReport:
    """verify_engine for an engine that is open."""
    references = read_references(rec)
    errors = [_compare(rec, references, k) for k in range(len(references["image"]))]
    planes, density, rgb, psnr = zip(*errors, strict=True)
    return VerificationReport(
        rec.backend_report, rec.precision, max(planes), max(density), max(rgb), min(psnr), rec.field_precision
    )


def read_references(rec: Reconstructor) -> dict[str, np.ndarray]:
    """verification.safetensors (docs/ENGINE.md), its shapes checked. Raises EngineError."""
    path = rec.engine.path(VERIFICATION_FILE)
    if not path.is_file():
        raise EngineError(f"{path}: missing, so there is nothing to compare with; build the engine again")
    tensors = read_tensors(path)
    if missing := [name for name in TENSORS if name not in tensors]:
        raise EngineError(f"{path}: tensor {missing[0]!r} is missing; build the engine again")
    size, count = rec.engine.manifest.input.size, len(tensors["image"])
    expected = {
        "image": (count, size, size, 3),
        "planes": (count, *rec.engine.manifest.triplane.shape),
        "density": (count, len(tensors["points"])),
        "rgb": (count, len(tensors["points"]), 3),
    }
    for name, shape in expected.items():
        if count == 0 or tensors[name].shape != shape:
            got = list(tensors[name].shape)
            raise EngineError(
                f"{path}: {name}: expected shape {list(shape)}, got {got}; build the engine again"
            )
    return tensors


def _compare(rec: Reconstructor, references: dict[str, np.ndarray], k: int) -> tuple[float, ...]:
    image = references["image"][k].transpose(2, 0, 1)[None].astype(np.float32) / 255
    return reference_errors(rec, references, k, rec.run_prepared(image)[0])


def reference_errors(
    rec: Reconstructor, references: dict[str, np.ndarray], k: int, planes: np.ndarray
) -> tuple[float, float, float, float]:
    """Errors of planes, density and rgb, and the PSNR of the render, for reference picture k."""
    scene = rec.scene_of(planes)
    density, rgb = scene.query(references["points"])
    height, width = references["render"].shape[1:3]
    fx, fy, cx, cy = references["intrinsics"].tolist()
    camera = Camera(references["camera_to_world"], intrinsics=(fx, fy, cx, cy))
    frame = scene.render(camera, size=(width, height))
    return (
        relative_error(planes, references["planes"][k]),
        relative_error(density, references["density"][k]),
        float(np.abs(rgb - references["rgb"][k]).max()),
        psnr_db(frame.rgb, references["render"][k]),
    )


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference over the largest reference value."""
    scale = max(float(np.abs(reference).max()), np.finfo(np.float32).tiny)
    return float(np.abs(value - reference).max()) / scale


def psnr_db(value: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio of pictures in [0, 1]; 200 for identical ones."""
    mean_square = float(np.square(value.astype(np.float64) - reference).mean())
    return 200.0 if mean_square <= 1e-20 else -10 * float(np.log10(mean_square))
