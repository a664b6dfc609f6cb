"""What lrm_cuda_field_create refuses before it needs a GPU, for every build of the library."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from tests.cuda import c_library
from tests.cuda.c_library import Refused
from tests.cuda.fields import options_of
from tests.runtime import fields, liblrm

FIELD = fields.random_field(fields.TRIPOSR, (9, 14))  # what the tests build the library for


def with_widths(*hidden: int, reduction: str = "concat") -> fields.Parameters:
    """FIELD's planes with other layers, which the same kernels take."""
    inputs = 24 if reduction == "concat" else 8
    spec = replace(fields.TRIPOSR, widths=(inputs, *hidden, 4), reduction=reduction)
    return fields.random_field(spec, (9, 14), seed=5)


CHANGES = {
    "plane_channels": ("plane_channels: expected 8, .* got 7", {}),
    "plane_height": ("plane_height: expected 9, which this liblrm's kernels are compiled for, got 10", {}),
    "radius": ("radius: expected 0.87", {"radius": 0.5}),
    "axes": ("axes: expected", {"axes": ("xy", "xz", "zy")}),
    "align_corners": ("align_corners: expected 0", {"align_corners": True}),
    "activation": ("activation: expected 1", {"activation": "relu"}),
    "density_activation": ("density_activation: expected 0", {"density_activation": "relu"}),
    "density_bias": ("density_bias: expected -1", {"density_bias": -1.5}),
    "color_widen": ("color_widen: expected 0", {"color_widen": 0.01}),
    "outside": ("outside: expected 0", {"outside": "empty"}),
}


def refusals(library: c_library.Library, planes: int | None) -> None:
    """Everything that create refuses before it needs a GPU."""

    def refused(status: int, words: str, options, weights=FIELD.weights, biases=FIELD.biases, at=planes):
        with pytest.raises(Refused, match=words) as refusal:
            library.create(options, at, weights, biases)
        assert refusal.value.status == status

    for name, (words, overrides) in CHANGES.items():
        options = c_library.options_struct(options_of(FIELD, **overrides), FIELD)
        if name == "plane_height":
            options.plane_height = 10
        if name == "plane_channels":
            widths = (ctypes.c_int32 * 5)(21, 16, 16, 16, 4)
            options.plane_channels, options.layer_widths = 7, widths
        refused(liblrm.INVALID_ARGUMENT, words, options)
    for hidden, words in (
        ((16, 16), "layer_count: expected 4"),
        ((17, 3, 3), "layers of at most 16, .* got 17"),
    ):
        other = with_widths(*hidden)
        options = c_library.options_struct(options_of(other), other)
        refused(liblrm.INVALID_ARGUMENT, words, options, other.weights, other.biases)
    good = c_library.options_struct(options_of(FIELD), FIELD)
    refused(liblrm.INVALID_ARGUMENT, "options: expected a pointer", None)
    refused(liblrm.INVALID_ARGUMENT, "planes: expected a pointer", good, at=None)
    refused(liblrm.INVALID_ARGUMENT, "weights: expected a pointer", good, weights=None)
    refused(
        liblrm.INVALID_ARGUMENT, r"weights\[1\]: expected", good, [FIELD.weights[0], None, *FIELD.weights[2:]]
    )
    nan = [np.full_like(w, np.nan) for w in FIELD.weights]
    refused(liblrm.NOT_FINITE, r"weights\[0\]: expected finite", good, nan)
    good.struct_size = 3
    refused(liblrm.INVALID_ARGUMENT, "struct_size", good)
    mirrored = c_library.options_struct(options_of(FIELD, native_to_sdk=np.diag([1, 1, -1, 1])), FIELD)
    refused(liblrm.INVALID_ARGUMENT, "native_to_sdk", mirrored)
