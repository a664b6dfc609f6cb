"""The fields that are checked and timed, on the CPU stage and on a device."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from lrm_sdk.cuda.device import Device
from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.layers import DeviceLayers
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.native import Field, FieldOptions

CHAIR = Path(__file__).parents[1] / "data" / "triposr_size_field.safetensors"  # by `python -m models.fit`
CHAIR_THRESHOLD = 25.0  # TripoSR's

OpenDevice = Callable[[Specialization], Device]

# name: (channels, layer widths after the features, options), at the sizes of the public models.
FAMILIES: dict[str, tuple[int, tuple[int, ...], FieldOptions]] = {
    "triposr": (40, (64,) * 9 + (4,), FieldOptions(radius=0.87, activation="silu", density_bias=-1.0)),
    "openlrm": (
        80,
        (64,) * 9 + (4,),
        FieldOptions(
            axes=("xy", "xz", "zy"), density_activation="softplus", density_bias=-1.0, color_widen=0.001,
            outside="empty",
        ),
    ),
    "lrm": (
        32,
        (64, 64, 4),
        # A ReLU of random numbers without the bias is zero nearly everywhere: nothing to compare.
        FieldOptions(align_corners=True, reduction="sum", density_activation="relu", density_bias=5.0),
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Numbers:
    """As lrm_sdk.native.Field takes them, float32."""

    options: FieldOptions
    planes: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.weights[0].shape[1], *(w.shape[0] for w in self.weights))

    def specialization(self, precision: str = "float32") -> Specialization:
        channels, height, width = self.planes.shape[1:]
        return Specialization.of(self.options, (channels, height, width), self.widths, precision)

    def native(self) -> Field:
        return Field(self.options, self.planes, self.weights, self.biases)

    def on_device(self, open_device: OpenDevice, precision: str = "float32") -> CudaField:
        spec = self.specialization(precision)
        device = open_device(spec)
        layers = DeviceLayers(device, spec, self.options, self.weights, self.biases)
        return CudaField(layers, device.upload(self.planes))


def random_field(name: str, size: tuple[int, int], seed: int = 0) -> Numbers:
    """Of a family; size is (height, width) of the planes."""
    channels, widths, options = FAMILIES[name]
    rng = np.random.default_rng(seed)
    features = channels * (3 if options.reduction == "concat" else 1)
    shapes = list(zip(widths, (features, *widths[:-1]), strict=True))
    planes = rng.standard_normal((3, channels, *size)).astype(np.float32)
    weights = [(rng.standard_normal(s) * 1.5 / np.sqrt(s[1])).astype(np.float32) for s in shapes]
    biases = [(0.1 * rng.standard_normal(s[0])).astype(np.float32) for s in shapes]
    return Numbers(options, planes, weights, biases)


def chair_field() -> Numbers:
    """A chair in a field of TripoSR's size: what is timed, because empty space costs less than a surface."""
    with safe_open(CHAIR, "numpy") as file:
        spec = json.loads(file.metadata()["field"])
        tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    count = len(spec.pop("widths")) - 1
    weights = [tensors[f"layers.{i}.weight"] for i in range(count)]
    biases = [tensors[f"layers.{i}.bias"] for i in range(count)]
    return Numbers(FieldOptions(**spec | {"axes": tuple(spec["axes"])}), tensors["planes"], weights, biases)


class Poisoned:
    """A device whose new memory is all ones (NaN as floats): what a kernel fails to write is seen."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        array = self._device.empty(shape, dtype)
        self._device.fill(array, 0xFF)
        return array
