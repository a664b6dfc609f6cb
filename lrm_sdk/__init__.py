"""Single picture -> 3D with a Large Reconstruction Model, without PyTorch.

    from lrm_sdk import Reconstructor, Camera

    rec = Reconstructor("lrm-tiny.lrm")
    scene = rec.run("chair.png")
    scene.mesh().save("chair.glb")

The SDK frame is glTF's: right-handed, +Y up, the object's front (as the picture shows it) faces +Z.
Colours are sRGB, alpha is straight.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lrm_sdk.errors import (
    BackendError,
    CancelledError,
    EmptySurfaceError,
    EngineError,
    ImageError,
    InternalError,
    InvalidArgumentError,
    LrmError,
    NotFiniteError,
    OutOfMemoryError,
    SaveError,
)

if TYPE_CHECKING:
    from lrm_sdk.camera import Camera
    from lrm_sdk.mesh import Mesh
    from lrm_sdk.reconstructor import Reconstructor
    from lrm_sdk.scene import Frame, Scene

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Camera",
    "CancelledError",
    "EmptySurfaceError",
    "EngineError",
    "Frame",
    "ImageError",
    "InternalError",
    "InvalidArgumentError",
    "LrmError",
    "Mesh",
    "NotFiniteError",
    "OutOfMemoryError",
    "Reconstructor",
    "SaveError",
    "Scene",
]

# Loaded on first use: importing NumPy alone takes longer than all of this package.
_LAZY = {
    "Camera": "lrm_sdk.camera",
    "Frame": "lrm_sdk.scene",
    "Mesh": "lrm_sdk.mesh",
    "Reconstructor": "lrm_sdk.reconstructor",
    "Scene": "lrm_sdk.scene",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lrm_sdk' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
