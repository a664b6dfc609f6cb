"""The field's decoder in device memory: what all scenes of an engine share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrm_sdk.cuda.device import Device
from lrm_sdk.cuda.fragments import layer_words
from lrm_sdk.cuda.specialization import Specialization, layer_floats, padded_bias, plane_columns
from lrm_sdk.native.options import FieldOptions


class DeviceLayers:
    """Uploaded once.

    device    with the kernels for `spec` loaded.
    weights, biases   as lrm_sdk.native.Field takes them, float32.

    layers       all but the first, in the order that field.cuh gives
    sampled      the same as Sampler of sampler.cuh takes them: `layers`, or in half precision
    columns, bias   the first, as fold_planes.cu takes it
    to_native    float64 [3, 4]: SDK frame -> native frame
    """

    def __init__(
        self,
        device: Device,
        spec: Specialization,
        options: FieldOptions,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray | None],
    ) -> None:
        self.device, self.spec, self.options = device, spec, options
        self.layers = device.upload(layer_floats(weights, biases, spec))
        self.sampled = device.upload(layer_words(weights, biases, spec)) if spec.rounded else self.layers
        self.columns = device.upload(plane_columns(weights[0], spec, options.reduction))
        self.bias = device.upload(padded_bias(biases[0], spec.hidden))
        self.to_native = device.upload(np.linalg.inv(np.float64(options.native_to_sdk))[:3])

    @property
    def nbytes(self) -> int:
        """Of device memory."""
        arrays = {id(a): a for a in (self.layers, self.sampled, self.columns, self.bias)}
        return sum(math.prod(a.shape) * a.dtype.itemsize for a in arrays.values())
