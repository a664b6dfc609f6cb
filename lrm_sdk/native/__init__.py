"""liblrm in Python: two classes, one function and four options structs over runtime/include/lrm.h.

Arguments are checked here (type, shape, dtype, contiguity) before the native call, which checks
values. Every call releases the GIL. Frames and colours are those of lrm.h.
"""

from lrm_sdk.native.field import Field, MeshArrays, grid_mesh
from lrm_sdk.native.library import instruction_set, library_path, version
from lrm_sdk.native.network import PlanNetwork
from lrm_sdk.native.options import CameraParameters, FieldOptions, MeshOptions, RenderOptions

__all__ = [
    "CameraParameters",
    "Field",
    "FieldOptions",
    "MeshArrays",
    "MeshOptions",
    "PlanNetwork",
    "RenderOptions",
    "grid_mesh",
    "instruction_set",
    "library_path",
    "version",
]
