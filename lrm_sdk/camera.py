"""Cameras in the SDK frame: right-handed, +Y up, the object's front faces +Z."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrm_sdk.errors import InvalidArgumentError
from lrm_sdk.native import CameraParameters
from lrm_sdk.native.checks import all_finite, finite, float32_array

DEFAULT_FOV = 40.0  # degrees


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera; its own frame is OpenGL's (+X right, +Y up, looks along -Z).

    camera_to_world  float [4, 4], rigid.
    fov              vertical field of view, degrees, in (0, 180). Pixels are square.
    intrinsics       (fx, fy, cx, cy) in pixels of the picture that is asked for; overrides fov.
    target           None, or [3] or "center", as `orbit` sets it where the distance is left open: the
                     camera keeps its direction and is moved by the scene so that it sees the whole box.

    Raises InvalidArgumentError for what cannot be a camera, NotFiniteError for NaN and infinity.

    >>> Camera.orbit(azimuth=90, elevation=0, distance=2.0).camera_to_world[:3, 3].round(6).tolist()
    [2.0, 0.0, 0.0]
    """

    camera_to_world: np.ndarray
    fov: float = DEFAULT_FOV
    intrinsics: tuple[float, float, float, float] | None = None
    target: tuple[float, float, float] | str | None = None

    def __post_init__(self) -> None:
        matrix = all_finite("camera_to_world", float32_array("camera_to_world", self.camera_to_world, (4, 4)))
        object.__setattr__(self, "camera_to_world", matrix)
        if not 0 < finite("fov", self.fov) < 180:
            raise InvalidArgumentError(f"fov: expected degrees between 0 and 180, got {self.fov}")
        if self.intrinsics is not None:
            numbers = all_finite("intrinsics", float32_array("intrinsics", self.intrinsics, (4,))).tolist()
            if min(numbers[:2]) <= 0:
                raise InvalidArgumentError(f"intrinsics: expected fx and fy above 0, got {numbers}")
            object.__setattr__(self, "intrinsics", tuple(numbers))
        if isinstance(self.target, str) and self.target != "center":
            raise InvalidArgumentError(f"target: expected None, [3] or 'center', got {self.target!r}")
        if self.target is not None and not isinstance(self.target, str):
            place = all_finite("target", float32_array("target", self.target, (3,)))
            object.__setattr__(self, "target", tuple(place.tolist()))

    @classmethod
    def orbit(
        cls,
        azimuth: float = 0.0,
        elevation: float = 0.0,
        distance: float | None = None,
        fov: float = DEFAULT_FOV,
        look_at: Any = None,
    ) -> Camera:
        """A camera on a sphere around `look_at`; at (0, 0) it is on +Z and looks along -Z.

        azimuth    degrees from +Z towards +X (the camera moves to the object's left-hand side).
        elevation  degrees up, -90 to 90.
        distance   SDK units; None: the ball inside the scene's box just fills the picture's height.
        look_at    [3], SDK frame; None: the middle of the scene's box (the origin, if distance is given).
        """
        a, e = math.radians(finite("azimuth", azimuth)), math.radians(finite("elevation", elevation))
        if not -90 <= elevation <= 90:
            raise InvalidArgumentError(f"elevation: expected -90 to 90 degrees, got {elevation}")
        matrix = np.eye(4)
        # At the poles "up" is where the camera came from, so that nothing jumps there.
        back = np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
        right = np.array([math.cos(a), 0.0, -math.sin(a)])
        matrix[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
        center = (
            np.zeros(3) if look_at is None else all_finite("look_at", float32_array("look_at", look_at, (3,)))
        )
        if distance is None:
            target: Any = "center" if look_at is None else tuple(center.tolist())
            return cls(matrix, fov, target=target)
        if not finite("distance", distance) > 0:
            raise InvalidArgumentError(f"distance: expected a positive number, got {distance}")
        matrix[:3, 3] = center + distance * back
        return cls(matrix, fov)

    def placed(self, center: np.ndarray, radius: float) -> Camera:
        """This camera with its distance settled for a box of half side `radius` around `center` [3]."""
        if self.target is None:
            return self
        look_at = center if isinstance(self.target, str) else np.asarray(self.target)
        matrix = self.camera_to_world.copy()
        matrix[:3, 3] = look_at + radius / math.sin(math.radians(self.fov) / 2) * matrix[:3, 2]
        return replace(self, camera_to_world=matrix, target=None)

    def parameters(self, width: int, height: int) -> CameraParameters:
        """For the native call; sizes in pixels."""
        if self.intrinsics is not None:
            fx, fy, cx, cy = self.intrinsics
        else:
            fx = fy = height / (2 * math.tan(math.radians(self.fov) / 2))
            cx, cy = width / 2, height / 2
        return CameraParameters(width, height, fx, fy, cx, cy, self.camera_to_world)
