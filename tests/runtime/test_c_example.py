"""examples/mesh_from_planes.c: built as a C user would, run on good and on spoiled files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from lrm_sdk import native
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.field_files import save_field
from tests.runtime.c_examples import assert_refused, build, run
from tests.sdk.make_engine import CHANNELS, SIDE, make_engine

RESOLUTION = 24


def make_planes() -> np.ndarray:
    """A lopsided ball with colours."""
    line = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    planes = np.random.default_rng(0).uniform(-0.2, 1, (3, CHANNELS, SIDE, SIDE))
    planes[:, 0] = -(line[:, None] ** 2 + 1.4 * line[None, :] ** 2)
    return planes.astype(np.float32)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return build("mesh_from_planes", tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    turned = [0, 1, 0, 0.5, 0, 0, 1, 0, 1, 0, 0, -0.25, 0, 0, 0, 1]
    made = make_engine(tmp_path_factory.mktemp("engine") / "made.lrm", frame={"native_to_sdk": turned})
    return load_engine(made)


@pytest.fixture
def folder(engine, tmp_path) -> Path:
    return save_field(engine, make_planes(), tmp_path / "saved")


def test_the_mesh_is_the_one_that_python_gets(program, engine, folder, tmp_path):
    done = run(program, folder, tmp_path / "out.ply", RESOLUTION)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    loaded = trimesh.load_mesh(tmp_path / "out.ply", process=False)
    field = native.Field(engine.field_options(), make_planes(), engine.weights, engine.biases)
    threshold = engine.manifest.mesh.threshold
    mesh = field.mesh(native.MeshOptions(resolution=RESOLUTION, threshold=threshold))
    assert np.array_equal(loaded.vertices.astype(np.float32), mesh.vertices)
    assert np.array_equal(loaded.faces, mesh.faces)
    assert np.abs(loaded.visual.vertex_colors[:, :3] - mesh.colors * 255.0).max() <= 0.501
    assert loaded.is_watertight and loaded.volume > 0


def test_the_resolution_of_the_engine_is_the_default(program, engine, folder, tmp_path):
    for name, arguments in (("default", []), ("given", [engine.manifest.mesh.resolution])):
        assert run(program, folder, tmp_path / f"{name}.ply", *arguments).returncode == 0
    assert (tmp_path / "default.ply").read_bytes() == (tmp_path / "given.ply").read_bytes()


@pytest.mark.parametrize("name", ["field.txt", "planes.npy", "layers.npy"])
def test_missing_and_truncated_files_are_named(program, folder, tmp_path, name):
    out, file = tmp_path / "out.ply", folder / name
    data = file.read_bytes()
    step = max(len(data) // 25, 1)
    # The last character of field.txt is a newline, and the one before a digit that may be missed.
    for length in range(0, len(data) - 2, step):
        file.write_bytes(data[:length])
        assert_refused(run(program, folder, out), name, out)
    file.unlink()
    assert_refused(run(program, folder, out), f"{name}: cannot be opened", out)


@pytest.mark.parametrize("name", ["planes.npy", "layers.npy"])
def test_arrays_of_another_kind_are_refused(program, folder, tmp_path, name):
    out, file = tmp_path / "out.ply", folder / name
    data = file.read_bytes()
    spoiled = {
        "longer than its header says": data + b"\0",
        "of the shape that field.txt says": data.replace(b"'<f4'", b"'<f8'"),
        "the shape": data.replace(b"False", b"True "),
        "expected float32": b"PK\3\4" + data[4:],
        "shape that": data.replace(b"NUMPY\1\0", b"NUMPY\2\0"),
        "numbers of": data[:8] + b"\xff\xff" + data[10:],
    }
    for words, content in spoiled.items():
        assert content != data
        file.write_bytes(content)
        assert_refused(run(program, folder, out), words, out)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("plane_channels 4", "plane_channels 5", "expected float32 numbers of the shape"),
        ("plane_channels 4", "plane_channels 0", "field.txt"),
        ("plane_width 16", "plane_width 999999999", "field.txt"),
        ("plane_width 16", "plane_width 99999999999", "field.txt"),
        ("layer_count 2", "layer_count 33", "field.txt"),
        ("layer_count 2", "layer_count 0", "field.txt"),
        ("layer_widths 12 8", "layer_widths 12 -8", "field.txt"),
        ("axes 0 1", "axes 0 x", "field.txt"),
        ("axes 0 1", "axes 0 7", "axes[0][1]: expected 0..2, got 7"),
        ("radius 1", "radius nan", "radius"),
        ("native_to_sdk 0", "native_to_sdk 7", "native_to_sdk"),
        ("mesh_threshold 5", "mesh_threshold 1e30", "no surface"),
    ],
)
def test_a_wrong_description_is_refused(program, folder, tmp_path, before, after, words):
    text = (folder / "field.txt").read_text()
    assert before in text
    (folder / "field.txt").write_text(text.replace(before, after))
    assert_refused(run(program, folder, tmp_path / "out.ply"), words, tmp_path / "out.ply")


def test_wrong_arguments(program, folder, tmp_path):
    for arguments in ([], [folder], [folder, tmp_path / "out.ply", 8, 9]):
        done = run(program, *arguments)
        assert done.returncode == 2 and done.stderr.startswith("usage: ")
    assert_refused(
        run(program, folder, tmp_path / "out.ply", "x"), "resolution: expected", tmp_path / "out.ply"
    )
    out = tmp_path / "missing" / "out.ply"
    assert_refused(run(program, folder, out, 8), "cannot be opened for writing", out)
    assert_refused(run(program, "d" * 2000, tmp_path / "out.ply"), "cannot be opened", tmp_path / "out.ply")


def test_the_field_comes_back_exactly(engine, folder):
    """field.txt and layers.npy as a second reader sees them."""
    lines = dict(line.split(" ", 1) for line in (folder / "field.txt").read_text().splitlines())
    options = engine.field_options().to_c(engine.manifest.triplane.shape, engine.manifest.field.widths)
    assert np.float32(lines["radius"]) == np.float32(options.radius)
    assert [np.float32(v) for v in lines["native_to_sdk"].split()] == list(options.native_to_sdk)
    layers = [a.ravel() for pair in zip(engine.weights, engine.biases, strict=True) for a in pair]
    # Our own file, of floats: pickles are refused.
    saved = np.load(folder / "layers.npy", allow_pickle=False)  # noqa: TID251
    assert np.array_equal(saved, np.concatenate(layers))
