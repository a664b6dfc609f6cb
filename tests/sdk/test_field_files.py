"""A scene as plain files for C programs holds the same field."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest

from lrm_sdk.native import Field, FieldOptions
from lrm_sdk.native.options import ACTIVATIONS, DENSITY_ACTIVATIONS, OUTSIDE, REDUCTIONS
from tests.sdk.shapes import ball_scene


def read_array(data: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def test_planes_file(scene, tmp_path):
    data = scene.save_planes(tmp_path / "planes.npy").read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00" and b"'<f4'" in data[:128]
    assert np.array_equal(read_array(data), scene.planes)


def test_field_from_its_files_is_the_scenes(tmp_path):
    scene = ball_scene(
        tmp_path / "e.lrm", (0.1, 0.05, 0.07),
        field={"density_bias": 0.1, "color_widen": 0.001, "outside": "empty"},
        frame={"native_to_sdk": [0, 2, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 1]},
    )  # fmt: skip
    folder = scene.save_field(tmp_path / "field")
    assert folder == tmp_path / "field"
    lines = (line.split() for line in (folder / "field.txt").read_text().splitlines())
    values = {words[0]: [float(v) for v in words[1:]] for words in lines}
    count = int(values["layer_count"][0])
    arrays = {p.stem: read_array(p.read_bytes()) for p in folder.glob("*.npy")}
    assert sorted(arrays) == ["layers", "planes"]
    assert arrays["planes"].shape == (
        3,
        *(int(values[f"plane_{n}"][0]) for n in ("channels", "height", "width")),
    )
    axes = np.array(values["axes"], int).reshape(3, 2)
    options = FieldOptions(
        axes=tuple("xyz"[a] + "xyz"[b] for a, b in axes),  # type: ignore[arg-type]
        radius=values["radius"][0],
        align_corners=bool(values["align_corners"][0]),
        reduction=REDUCTIONS[int(values["reduction"][0])],
        activation=ACTIVATIONS[int(values["activation"][0])],
        density_activation=DENSITY_ACTIVATIONS[int(values["density_activation"][0])],
        density_bias=values["density_bias"][0],
        color_widen=values["color_widen"][0],
        outside=OUTSIDE[int(values["outside"][0])],
        native_to_sdk=np.reshape(values["native_to_sdk"], (4, 4)),
    )
    weights, biases, left = [], [], arrays["layers"]
    widths = [int(w) for w in values["layer_widths"]]
    for inputs, outputs in itertools.pairwise(widths):
        weight, bias, left = np.split(left, [inputs * outputs, (inputs + 1) * outputs])
        weights.append(weight.reshape(outputs, inputs))
        biases.append(bias)
    assert len(widths) == count + 1 and len(left) == 0
    field = Field(options, arrays["planes"], weights, biases)
    points = np.random.default_rng(0).uniform(-2, 2, (500, 3))
    for got, expected in zip(field.query(points), scene.query(points), strict=True):
        assert np.array_equal(got, expected)
    assert values["layer_widths"] == [12, 8, 4]
    assert values["mesh_resolution"] == [32] and values["mesh_threshold"] == pytest.approx([5])
