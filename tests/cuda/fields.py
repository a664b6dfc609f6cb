"""A test field twice: on the CPU stage, and through the kernels on the host device."""

from __future__ import annotations

import numpy as np

from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.layers import DeviceLayers
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.native import Field, FieldOptions
from tests.cuda.host_device import HostDevice
from tests.runtime.fields import Parameters


def options_of(field: Parameters, **overrides) -> FieldOptions:
    spec = field.spec
    names = ("axes", "radius", "align_corners", "reduction", "activation", "density_activation")
    names += ("density_bias", "color_widen", "outside")
    return FieldOptions(**{name: getattr(spec, name) for name in names} | overrides)


def both(field: Parameters, precision: str = "float32", **overrides) -> tuple[CudaField, Field]:
    options = options_of(field, **overrides)
    spec = Specialization.of(options, field.planes.shape[1:], field.spec.widths, precision)
    device = HostDevice(spec)
    planes = device.upload(field.planes)
    cuda = CudaField(DeviceLayers(device, spec, options, field.weights, field.biases), planes)
    planes.view(np.uint8)[:] = 0xFF  # the field keeps nothing of the caller's
    return cuda, Field(options, field.planes, field.weights, field.biases)
