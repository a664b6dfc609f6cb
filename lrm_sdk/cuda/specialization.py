"""A field as runtime/cuda/field.cuh takes it: its shape as macros, its numbers in their layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrm_sdk.native.options import (
    ACTIVATIONS,
    DENSITY_ACTIVATIONS,
    FIELD_PRECISIONS,
    OUTSIDE,
    FieldOptions,
)

PANEL_ROWS = 8  # panel_rows of field.cuh
FRAGMENT_DEPTH = 32  # inputs that decoder_tensor.cuh reads at once


@dataclass(frozen=True)
class Specialization:
    """What the kernels are compiled for.

    plane_shape   (C, H, W).
    widths        features in, ..., 4, as in engine.json.
    precision     of what is decoded many points at a time: points, grids, pictures, blocks of a surface.
                  float32 always where there is one layer only.
    """

    plane_shape: tuple[int, int, int]
    widths: tuple[int, ...]
    axes: tuple[str, str, str]
    radius: float
    align_corners: bool
    activation: str
    density_activation: str
    density_bias: float
    color_widen: float
    outside: str
    precision: str = "float32"

    @classmethod
    def of(
        cls,
        options: FieldOptions,
        plane_shape: tuple[int, int, int],
        widths: Sequence[int],
        precision: str = "float32",
    ) -> Specialization:
        """Of options that liblrm has accepted, and one of FIELD_PRECISIONS."""
        return cls(
            plane_shape,
            tuple(widths),
            options.axes,
            options.radius,
            options.align_corners,
            options.activation,
            options.density_activation,
            options.density_bias,
            options.color_widen,
            options.outside,
            "float32" if len(widths) == 2 else precision,
        )

    @property
    def linear(self) -> bool:
        """One layer only, which the planes hold."""
        return len(self.widths) == 2

    @property
    def hidden(self) -> int:
        """LRM_HIDDEN of field.cuh: floats per texel of the folded planes, and width of every layer."""
        step = FRAGMENT_DEPTH if self.rounded else PANEL_ROWS
        return 4 if self.linear else -(-max(self.widths[1:-1]) // step) * step

    @property
    def rounded(self) -> bool:
        """Planes and layers are also kept in half precision."""
        return self.precision != "float32"

    @property
    def folded_shape(self) -> tuple[int, int, int, int]:
        _, height, width = self.plane_shape
        return (3, height + 2, width + 2, self.hidden)

    def macros(self) -> dict[str, str]:
        """Name -> value of the LRM_... macros of field.cuh."""
        channels, height, width = self.plane_shape
        return {
            "LRM_CHANNELS": str(channels),
            "LRM_PLANE_HEIGHT": str(height),
            "LRM_PLANE_WIDTH": str(width),
            "LRM_AXES": ", ".join(str("xyz".index(letter)) for pair in self.axes for letter in pair),
            "LRM_RADIUS": _float(self.radius),
            "LRM_ALIGN_CORNERS": str(int(self.align_corners)),
            "LRM_HIDDEN": str(self.hidden),
            "LRM_HIDDEN_LAYERS": str(max(len(self.widths) - 3, 0)),
            "LRM_LINEAR": str(int(self.linear)),
            "LRM_ACTIVATION": str(ACTIVATIONS.index(self.activation)),
            "LRM_DENSITY_ACTIVATION": str(DENSITY_ACTIVATIONS.index(self.density_activation)),
            "LRM_DENSITY_BIAS": _float(self.density_bias),
            "LRM_COLOR_WIDEN": _float(self.color_widen),
            "LRM_OUTSIDE": str(OUTSIDE.index(self.outside)),
            "LRM_PRECISION": str(FIELD_PRECISIONS.index(self.precision)),
        }

    def header(self) -> str:
        """The macros as the lines that come before field.cuh."""
        return "".join(f"#define {name} {value}\n" for name, value in self.macros().items())


def plane_columns(weight: np.ndarray, spec: Specialization, reduction: str) -> np.ndarray:
    """The first layer's columns that meet each plane's channels, float32 [3, C, hidden].

    weight   [widths[1], widths[0]], as torch.nn.Linear.
    """
    channels, outputs = spec.plane_shape[0], weight.shape[0]
    parts = np.split(weight, 3, axis=1) if reduction == "concat" else [weight] * 3
    columns = np.zeros((3, channels, spec.hidden), np.float32)
    for plane, part in enumerate(parts):
        columns[plane, :, :outputs] = part.T
    return columns * np.float32(1 / 3) if reduction == "mean" else columns


def layer_floats(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray | None], spec: Specialization
) -> np.ndarray:
    """The layers after the first, float32, in the order that field.cuh gives; nothing if there are none."""
    hidden = spec.hidden
    parts: list[np.ndarray] = []
    for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
        square = np.zeros((hidden, hidden), np.float32)
        square[: weight.shape[0], : weight.shape[1]] = weight
        parts += [_panels(square), _panels(square.T), padded_bias(bias, hidden)]
    if not spec.linear:
        last = np.zeros((hidden, 4), np.float32)
        last[: weights[-1].shape[1]] = weights[-1].T
        parts += [last, padded_bias(biases[-1], 4)]
    return np.concatenate([np.zeros(0, np.float32), *(part.ravel() for part in parts)])


def _panels(square: np.ndarray) -> np.ndarray:
    """[rows, inputs] -> [rows / 8, inputs, 8]."""
    rows, inputs = square.shape
    return square.reshape(rows // PANEL_ROWS, PANEL_ROWS, inputs).transpose(0, 2, 1)


def padded_bias(bias: np.ndarray | None, width: int) -> np.ndarray:
    padded = np.zeros(width, np.float32)
    if bias is not None:
        padded[: len(bias)] = bias
    return padded


def _float(value: float) -> str:
    """A C literal of the float32 nearest to `value`."""
    return f"{float(np.float32(value))!r}f"
