"""The structs and prototypes of lrm.h, field for field."""

from __future__ import annotations

import ctypes as c

FloatPointer = c.POINTER(c.c_float)
Int32Pointer = c.POINTER(c.c_int32)
UInt32Pointer = c.POINTER(c.c_uint32)
Handle = c.c_void_p
ProgressFunction = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_float)


class CFieldOptions(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("plane_channels", c.c_int32),
        ("plane_height", c.c_int32),
        ("plane_width", c.c_int32),
        ("axes", (c.c_int32 * 2) * 3),
        ("radius", c.c_float),
        ("align_corners", c.c_int32),
        ("reduction", c.c_int32),
        ("activation", c.c_int32),
        ("density_activation", c.c_int32),
        ("density_bias", c.c_float),
        ("color_widen", c.c_float),
        ("outside", c.c_int32),
        ("layer_count", c.c_int32),
        ("layer_widths", Int32Pointer),
        ("native_to_sdk", c.c_float * 16),
        ("thread_count", c.c_int32),
    )


class CCamera(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("camera_to_world", c.c_float * 16),
        ("fx", c.c_float),
        ("fy", c.c_float),
        ("cx", c.c_float),
        ("cy", c.c_float),
        ("width", c.c_int32),
        ("height", c.c_int32),
    )


class CRenderOptions(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("ray_range", c.c_int32),
        ("step", c.c_int32),
        ("sample_count", c.c_int32),
        ("box_scale", c.c_float),
        ("near_distance", c.c_float),
        ("far_distance", c.c_float),
        ("last_delta", c.c_float),
        ("background", c.c_float * 3),
        ("exhaustive", c.c_int32),
        ("progress", ProgressFunction),
        ("user_data", c.c_void_p),
    )


class CMeshOptions(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("resolution", c.c_int32),
        ("threshold", c.c_float),
        ("refine_steps", c.c_int32),
        ("close_border", c.c_int32),
        ("exhaustive", c.c_int32),
        ("seed_stride", c.c_int32),
        ("normals", c.c_int32),
        ("colors", c.c_int32),
        ("max_bytes", c.c_uint64),
        ("progress", ProgressFunction),
        ("user_data", c.c_void_p),
    )


class CNetworkOptions(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("thread_count", c.c_int32),
    )


class CNetworkShape(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("image", c.c_int32 * 3),
        ("planes", c.c_int32 * 4),
        ("precision", c.c_int32),
        ("weight_bytes", c.c_int64),
        ("run_bytes", c.c_int64),
    )


_HANDLE_OUT = c.POINTER(Handle)
_FLOAT_POINTERS = c.POINTER(FloatPointer)
_SIZE_OUT = c.POINTER(c.c_size_t)

# name -> (result, arguments)
PROTOTYPES: dict[str, tuple[object, list[object]]] = {
    "lrm_last_error": (c.c_char_p, []),
    "lrm_version": (c.c_int32, []),
    "lrm_instruction_set": (c.c_char_p, []),
    "lrm_field_options_init": (None, [c.POINTER(CFieldOptions)]),
    "lrm_camera_init": (None, [c.POINTER(CCamera)]),
    "lrm_render_options_init": (None, [c.POINTER(CRenderOptions)]),
    "lrm_mesh_options_init": (None, [c.POINTER(CMeshOptions)]),
    "lrm_field_create": (
        c.c_int,
        [c.POINTER(CFieldOptions), FloatPointer, _FLOAT_POINTERS, _FLOAT_POINTERS, _HANDLE_OUT],
    ),
    "lrm_field_destroy": (None, [Handle]),
    "lrm_field_query": (c.c_int, [Handle, FloatPointer, c.c_size_t, FloatPointer, FloatPointer]),
    "lrm_field_density_grid": (
        c.c_int,
        [Handle, c.c_int32, FloatPointer, ProgressFunction, c.c_void_p],
    ),
    "lrm_field_render": (
        c.c_int,
        [Handle, c.POINTER(CCamera), c.POINTER(CRenderOptions)] + [FloatPointer] * 3,
    ),
    "lrm_field_mesh": (c.c_int, [Handle, c.POINTER(CMeshOptions), _HANDLE_OUT]),
    "lrm_mesh_destroy": (None, [Handle]),
    "lrm_mesh_counts": (c.c_int, [Handle, _SIZE_OUT, _SIZE_OUT]),
    "lrm_mesh_copy": (
        c.c_int,
        [Handle, c.c_size_t, c.c_size_t, FloatPointer, FloatPointer, FloatPointer, UInt32Pointer],
    ),
    "lrm_grid_mesh": (
        c.c_int,
        [FloatPointer, c.c_int32, c.c_float, c.c_float, c.c_int32, _HANDLE_OUT],
    ),
    "lrm_network_options_init": (None, [c.POINTER(CNetworkOptions)]),
    "lrm_network_shape_init": (None, [c.POINTER(CNetworkShape)]),
    "lrm_network_open": (c.c_int, [c.c_char_p, c.POINTER(CNetworkOptions), _HANDLE_OUT]),
    "lrm_network_get_shape": (c.c_int, [Handle, c.POINTER(CNetworkShape)]),
    "lrm_network_run": (c.c_int, [Handle, FloatPointer, FloatPointer, ProgressFunction, c.c_void_p]),
    "lrm_network_close": (None, [Handle]),
}
