"""An engine directory that is wrong in any way is an EngineError that says where, when it is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lrm_sdk import EngineError, LrmError, Reconstructor
from lrm_sdk.engine import load_engine
from lrm_sdk.engine_schema import read_manifest
from tests.sdk.make_engine import CHANNELS, make_field, make_network, write_manifest


@pytest.fixture
def folder(engine_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(engine_folder, tmp_path / "broken.lrm"))


def refused(folder: Path, match: str) -> str:
    with pytest.raises(EngineError, match=match) as caught:
        Reconstructor(folder)
    return str(caught.value)


def manifest_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "engine.json").read_text())
    return document


def write(folder: Path, document: Any) -> None:
    (folder / "engine.json").write_text(json.dumps(document))


def rewrite(folder: Path) -> None:
    """The same engine.json with the sizes and hashes that the files now have."""
    document = manifest_of(folder)
    del document["files"]
    write_manifest(folder, document)


def test_the_unbroken_copy_loads(folder):
    assert load_engine(folder).manifest.model.name == "synthetic"


def test_no_directory(tmp_path):
    refused(tmp_path / "none.lrm", r"none\.lrm: expected an engine directory, found nothing; make one")
    (tmp_path / "file.lrm").write_text("")
    refused(tmp_path / "file.lrm", "expected an engine directory, found a file")
    refused(tmp_path, "no engine.json in it; make one with")


@pytest.mark.parametrize("engine", [None, 3, b"bytes", ["a"]], ids=repr)
def test_engine_must_be_a_path(engine):
    with pytest.raises(LrmError, match="engine: expected a path"):
        Reconstructor(engine)


def test_names_that_no_file_can_have():
    refused(Path("x" * 5000), "expected an engine directory|cannot be read")
    with pytest.raises(EngineError):
        Reconstructor("a\0b")


@pytest.mark.parametrize("name", ["network.onnx", "field.safetensors", "verification.safetensors"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, f"{name}: missing; copy or build the engine again")


@pytest.mark.parametrize("name", ["network.onnx", "field.safetensors"])
def test_changed_files(folder, name):
    data = bytearray((folder / name).read_bytes())
    (folder / name).write_bytes(data[:-1])
    refused(folder, f"{name}: expected {len(data)} bytes, got {len(data) - 1}")
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    refused(folder, f"{name}: expected sha256 .* got")


def test_hashes_can_be_left_out_but_sizes_are_checked(folder):
    path = folder / "verification.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    load_engine(folder, check_hashes=False)
    path.write_bytes(data + b"\0")
    with pytest.raises(EngineError, match="bytes"):
        load_engine(folder, check_hashes=False)


def test_directory_in_place_of_a_file(folder):
    (folder / "network.onnx").unlink()
    (folder / "network.onnx").mkdir()
    refused(folder, "network.onnx: expected a file")


def test_pipe_in_place_of_a_file_does_not_hang(folder):
    (folder / "network.onnx").unlink()
    os.mkfifo(folder / "network.onnx")
    refused(folder, "network.onnx: expected a file")


def test_pipe_or_directory_in_place_of_engine_json(folder):
    (folder / "engine.json").unlink()
    os.mkfifo(folder / "engine.json")
    refused(folder, "engine.json: expected a file")
    (folder / "engine.json").unlink()
    (folder / "engine.json").mkdir()
    refused(folder, "engine.json: expected a file")


@pytest.mark.parametrize(
    "name",
    [
        "../network.onnx",
        "/etc/passwd",
        "a/../../x",
        "..",
        ".",
        "",
        "C:\\x",
        "a\\..\\b",
        "c:x",
        "a\0b",
        "\ud800",
        "x" * 300,
    ],
    ids=ascii,
)
@pytest.mark.parametrize("where", ["networks", "files"])
def test_names_that_lead_out(folder, name, where):
    document = manifest_of(folder)
    if where == "networks":
        document["networks"][0]["file"] = name
        document["files"][name] = document["files"]["network.onnx"]
    else:
        document["files"][name] = {"size": 1, "sha256": "0" * 64}
    write(folder, document)
    refused(folder, "relative name|no name for a file|expected a file|expected a text|cannot be read|missing")


def test_links_out_of_the_directory(folder, tmp_path):
    outside = tmp_path / "outside.onnx"
    (folder / "network.onnx").rename(outside)
    (folder / "network.onnx").symlink_to(outside)
    refused(folder, "network.onnx: is a link out of the engine directory; copy the file into it")


def test_folder_link_out_of_the_directory(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(folder / "network.onnx", tmp_path / "elsewhere")
    (folder / "nets").symlink_to(tmp_path / "elsewhere")
    document = manifest_of(folder)
    document["networks"][0]["file"] = "nets/network.onnx"
    document["files"]["nets/network.onnx"] = document["files"]["network.onnx"]
    write(folder, document)
    refused(folder, "is a link out of the engine directory")


def test_link_that_turns_in_circles(folder):
    (folder / "network.onnx").unlink()
    (folder / "network.onnx").symlink_to("network.onnx")
    refused(folder, "network.onnx: (cannot be read|missing)")


def test_links_inside_and_a_linked_engine_are_fine(folder, tmp_path):
    (folder / "network.onnx").rename(folder / "real.onnx")
    (folder / "network.onnx").symlink_to("real.onnx")
    (tmp_path / "link.lrm").symlink_to(folder)
    load_engine(tmp_path / "link.lrm")


def test_network_that_is_not_listed_under_files(folder):
    document = manifest_of(folder)
    del document["files"]["network.onnx"]
    write(folder, document)
    refused(folder, "files: 'network.onnx' is not listed")


@pytest.mark.parametrize(
    "text,match",
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\0\1\2", "not JSON"),
        ("[" * 100000, "not JSON"),
        ("null", "expected an object, got None"),
        ("[]", "expected an object"),
        ('"lrm"', "expected an object"),
        ("{}", "format: missing"),
        ('{"format": 1' + "0" * 5000 + "}", "not JSON"),
        ('{"format": "lrm-engine", "format": "lrm-engine"}', "'format'.*twice"),
        ('{"format": NaN}', "NaN"),
        ('{"format": "lrm-engine", "format_version": Infinity}', "Infinity"),
    ],
    ids=lambda text: text[:20],
)
def test_engine_json_that_is_no_manifest(folder, text, match):
    (folder / "engine.json").write_text(text)
    refused(folder, match)


def test_engine_json_with_other_bytes(folder):
    (folder / "engine.json").write_bytes(b"\xff\xfe\x00{")
    refused(folder, "not JSON")
    with (folder / "engine.json").open("wb") as file:
        file.truncate(5 << 20)
    refused(folder, "expected at most")


def test_duplicate_key_deep_inside(folder):
    text = (folder / "engine.json").read_text()
    (folder / "engine.json").write_text(text.replace('"radius": 1.0,', '"radius": 1.0, "radius": 2.0,'))
    refused(folder, "'radius'.*twice")


@pytest.mark.parametrize("version", [0, 2, 99, -1])
def test_other_format_versions(folder, version):
    write(folder, {"format": "lrm-engine", "format_version": version, "something": "new"})
    message = refused(folder, f"format_version: expected 1, got {version}")
    assert "install the lrm-sdk that made it" in message


@pytest.mark.parametrize("version", ["1", 1.0, None, True, [1]], ids=repr)
def test_format_version_of_a_wrong_type(folder, version):
    write(folder, manifest_of(folder) | {"format_version": version})
    refused(folder, "format_version: expected an integer")


def put(document: dict[str, Any], place: str, value: Any) -> None:
    *parents, last = place.split(".")
    for name in parents:
        document = document[name]
    document[last] = value


WRONG = [
    ("format", "zip", "one of lrm-engine"),
    ("model", None, "model: expected an object"),
    ("model.name", 5, r"model\.name: expected a text"),
    ("input.size", "32", r"input\.size: expected an integer from 8 to 8192, got '32'"),
    ("input.size", 32.0, r"input\.size: expected an integer"),
    ("input.size", True, r"input\.size: expected an integer"),
    ("input.size", 10**9, r"input\.size: expected an integer"),
    ("input.mean", [0.5, 0.5], r"input\.mean: expected a list of 3"),
    ("input.mean", "abc", r"input\.mean: expected a list of 3"),
    ("input.std", [0.5, 0, 0.5], r"input\.std\[1\]: expected a number above 0"),
    ("input.background", [0, 0, 2], r"input\.background\[2\]: expected a number from 0 to 1"),
    ("input.foreground_ratio", 1.5, r"foreground_ratio: expected a number above 0.0 and at most 1.0"),
    ("input.framing", "square", r"input\.framing: expected one of subject, triposr, got 'square'"),
    ("input.resize", "nearest", "input.resize: expected one of area"),
    ("input.resize", ["area"], "input.resize: expected one of area"),
    ("input.camera", [1, 2], "input.camera: expected a list of 16"),
    ("triplane.channels", 0, "triplane.channels"),
    ("triplane.dtype", "float64", "triplane.dtype"),
    ("field.radius", 0, "field.radius: expected a number above 0"),
    ("field.radius", 10**400, "field.radius: expected a number"),
    ("field.radius", 1e300, "radius"),
    ("field.axes", ["xy", "xz"], "field.axes: expected a list of 3"),
    ("field.axes", ["xy", "xz", "yw"], r"field\.axes\[2\]: expected one of xx"),
    ("field.reduction", "max", "field.reduction"),
    ("field.reduction", "sum", r"field\.widths\[0\]: expected 4 \(sum of three planes.*, got 12"),
    ("field.widths", [12, 8, 3], "field.widths: expected 4"),
    ("field.widths", [16, 8, 4], r"field\.widths\[0\]: expected 12"),
    ("field.widths", [12, 16, 4], r"layers\.0\.weight: expected shape \[16, 12\].*got \[8, 12\]"),
    ("field.widths", [12, 8, 8, 4], r"layers\.1\.weight: expected shape \[8, 8\]"),
    ("field.widths", [12, 4], r"field\.safetensors: unknown tensor 'layers\.1"),
    ("field.align_corners", 0, "field.align_corners: expected true or false"),
    ("field.density_bias", "1", "field.density_bias: expected a number"),
    ("field.color_widen", -1, "field.color_widen"),
    ("render.samples", 0, "render.samples"),
    ("render.ray_range", "near_far", "near < far"),
    ("render.background", [1, 1], "render.background"),
    ("mesh.resolution", 1, "mesh.resolution"),
    ("mesh.resolution", 4096, "mesh.resolution: expected an integer from 2 to 2048, got 4096"),
    ("mesh.threshold", 0, "mesh.threshold: expected a number above 0"),
    ("frame.native_to_sdk", [1, 0, 0], "frame.native_to_sdk: expected a list of 16"),
    ("frame.native_to_sdk", [0] * 16, "native_to_sdk"),
    ("frame.native_to_sdk", [1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "native_to_sdk"),
    ("frame.native_to_sdk", [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "native_to_sdk"),
    ("networks", [], "networks: expected a list of 1 to 64"),
    ("networks", {}, "networks: expected a list"),
    ("networks", [3], r"networks\[0\]: expected an object"),
    ("networks", [{"backend": "onnxruntime", "file": "network.onnx"}], r"networks\[0\]\.precision: missing"),
    ("files", [], "files: expected an object"),
    ("files", {"network.onnx": 3}, r"files\['network.onnx'\]: expected an object"),
    ("verification", [], "verification: expected an object"),
    ("speed", "fast", "speed: unknown key; expected format, format_version"),
    ("field.speed", "fast", r"field\.speed: unknown key; expected radius, axes"),
]  # fmt: skip


@pytest.mark.parametrize("place,value,match", WRONG, ids=lambda v: ascii(v)[:40])
def test_wrong_values(folder, place, value, match):
    document = manifest_of(folder)
    put(document, place, value)
    write(folder, document)
    message = refused(folder, match)
    assert len(message) < 1000


@pytest.mark.parametrize(
    "changes,match",
    [
        ({"ray_range": "near_far", "near": 3, "far": 2}, "near < far"),
        ({"ray_range": "near_far", "near": 1, "far": 2, "step": "unit"}, "step"),
        ({"ray_range": "near_far", "near": 1, "far": 2, "samples": 1}, "samples"),
    ],
    ids=["order", "step", "samples"],
)
def test_render_settings_that_contradict_each_other(folder, changes, match):
    document = manifest_of(folder)
    document["render"] |= changes
    write(folder, document)
    refused(folder, match)


SECTIONS = (
    "model",
    "input",
    "triplane",
    "field",
    "render",
    "mesh",
    "frame",
    "networks",
    "verification",
    "files",
)


@pytest.mark.parametrize("name", SECTIONS)
def test_missing_sections(folder, name):
    document = manifest_of(folder)
    del document[name]
    write(folder, document)
    refused(folder, f"engine.json: {name}: missing")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_in_any_place(engine_folder, data):
    """read_manifest takes it or raises EngineError: nothing else."""
    document = manifest_of(engine_folder)
    top = data.draw(st.sampled_from(sorted(document)))
    target, name = document, top
    if isinstance(document[top], dict) and document[top] and data.draw(st.booleans()):
        target, name = document[top], data.draw(st.sampled_from(sorted(document[top])))
    target[name] = data.draw(json_values)
    try:
        read_manifest(document)
    except EngineError as error:
        assert str(error).startswith("engine.json: ")


# Networks and fields whose hashes are right: they were built wrong.


def truncate(path: Path, part: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])


@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_truncated_network(folder, part):
    truncate(folder / "network.onnx", part)
    rewrite(folder)
    assert "network.onnx" in refused(folder, "ONNX Runtime cannot load it|expected input and output")


@pytest.mark.parametrize("part", [0, 0.001, 0.3, 0.6, 0.99])
def test_truncated_field(folder, part):
    truncate(folder / "field.safetensors", part)
    rewrite(folder)
    refused(folder, r"field\.safetensors: not a safetensors file")


def save_field(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    field = make_field()
    change(field)
    save_file(field, folder / "field.safetensors")
    rewrite(folder)


def test_field_tensors(folder):
    save_field(folder, lambda f: f.pop("layers.1.bias"))
    refused(folder, r"tensor 'layers\.1\.bias' is missing")
    save_field(folder, lambda f: f.update(extra=np.zeros(3, np.float32)))
    refused(folder, r"unknown tensor 'extra'")
    save_field(folder, lambda f: f.update({"layers.0.bias": np.zeros(8, np.int32)}))
    refused(folder, r"layers\.0\.bias: expected float16 or float32, got int32")
    for bad in (np.nan, np.inf):
        save_field(folder, lambda f, bad=bad: f["layers.0.weight"].__setitem__((0, 0), bad))
        refused(folder, r"layers\.0\.weight: holds NaN or infinity")


def test_float16_field_is_taken(folder):
    save_field(folder, lambda f: f.update({k: v.astype(np.float16) for k, v in f.items()}))
    assert load_engine(folder).weights[0].dtype == np.float32


def test_network_with_other_names(folder):
    model = onnx.load(folder / "network.onnx")
    model.graph.input[0].name = "picture"
    model.graph.node[0].input[0] = "picture"
    onnx.save(model, folder / "network.onnx")
    rewrite(folder)
    refused(folder, r"expected input and output .*'image'.* got .*'picture'")


def test_network_of_another_input_size(folder):
    document = manifest_of(folder)
    document["input"]["size"] = 64
    write(folder, document)
    refused(folder, r"network\.onnx: expected image \[B, 3, 64, 64\], got .*32")


def test_network_with_other_planes(folder):
    make_network(folder / "network.onnx", channels=CHANNELS, side=8)
    rewrite(folder)
    refused(folder, r"network\.onnx: expected planes \[B, 3, 4, 16, 16\], got .*8, 8")


def test_network_with_external_data_outside(folder, tmp_path):
    model = onnx.load(folder / "network.onnx")
    tensor = model.graph.initializer[0]
    (tmp_path / "secret.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    (folder / "network.onnx").write_bytes(model.SerializeToString())
    rewrite(folder)
    refused(folder, "ONNX Runtime cannot load it")


def test_framing_may_be_left_out(folder):
    document = manifest_of(folder)
    del document["input"]["framing"]
    write(folder, document)
    assert load_engine(folder).manifest.input.framing == "subject"


def test_manifest_goes_to_json_and_back(engine_folder):
    document = manifest_of(engine_folder)
    manifest = read_manifest(document)
    assert read_manifest(manifest.to_json()) == manifest
    assert json.loads(json.dumps(manifest.to_json())) == document


def test_listed_hashes_are_the_files(engine_folder):
    for name, spec in load_engine(engine_folder).manifest.files.items():
        data = (engine_folder / name).read_bytes()
        assert (spec.size, spec.sha256) == (len(data), hashlib.sha256(data).hexdigest())
