"""examples/mesh_from_picture.c: picture, network, field and mesh with C and liblrm alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from export.native.file import write
from export.native.plan import Buffer, Code, Operation, Place, Plan, Stored, Weight
from lrm_sdk import native
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.field_files import save_field
from tests.runtime.c_examples import assert_refused, build, run
from tests.runtime.test_c_example import make_planes
from tests.sdk.make_engine import CHANNELS, SIDE, make_engine

RESOLUTION = 24
PIXELS = SIDE * SIDE


def write_network(path: Path, channels: int = CHANNELS) -> Path:
    """planes[p, c] = what make_planes says + channel p of the picture."""
    image, planes = Buffer(3 * PIXELS), Buffer(3 * channels * PIXELS)
    fixed = np.resize(make_planes(), (3, channels, SIDE, SIDE))
    sizes = [3, channels * PIXELS, PIXELS, channels, PIXELS, 0, PIXELS, 1, 1]
    words = [0, 1, Stored(Weight(fixed)), 0, Place(image), Place(planes), 3, *sizes]
    operation = Operation(Code.BINARY, words, planes)
    write(path, Plan([operation], image, (3, SIDE, SIDE), planes, (3, channels, SIDE, SIDE)), "float32")
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return build("mesh_from_picture", tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return load_engine(make_engine(tmp_path_factory.mktemp("engine") / "made.lrm"))


@pytest.fixture
def folder(engine, tmp_path) -> Path:
    return save_field(engine, np.zeros_like(make_planes()), tmp_path / "saved")


@pytest.fixture
def network(tmp_path) -> Path:
    return write_network(tmp_path / "network.float32.lrmnet")


def picture_bytes() -> np.ndarray:
    """uint8 [SIDE, SIDE, 3], another brightness in each channel and row."""
    return np.random.default_rng(1).integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    height, width, _ = pixels.shape
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes())
    return path


def test_the_mesh_is_the_one_that_python_gets(program, engine, folder, network, tmp_path):
    picture = write_picture(tmp_path / "picture.ppm", picture_bytes())
    done = run(program, folder, network, picture, tmp_path / "out.ply", RESOLUTION)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    image = picture_bytes().transpose(2, 0, 1).astype(np.float32) / 255
    planes = make_planes() + image[:, None]
    field = native.Field(engine.field_options(), planes, engine.weights, engine.biases)
    mesh = field.mesh(native.MeshOptions(resolution=RESOLUTION, threshold=engine.manifest.mesh.threshold))
    loaded = trimesh.load_mesh(tmp_path / "out.ply", process=False)
    assert np.allclose(loaded.vertices, mesh.vertices, atol=1e-5)
    assert np.array_equal(loaded.faces, mesh.faces)


@pytest.mark.parametrize("spoilt", ["size", "kind", "short", "missing"])
def test_a_picture_of_another_kind_is_refused(program, folder, network, tmp_path, spoilt):
    picture = write_picture(tmp_path / "picture.ppm", picture_bytes())
    if spoilt == "size":
        write_picture(picture, picture_bytes()[1:])
    elif spoilt == "kind":
        picture.write_bytes(b"P5" + picture.read_bytes()[2:])
    elif spoilt == "short":
        picture.write_bytes(picture.read_bytes()[:-1])
    else:
        picture.unlink()
    expected = f"expected a binary PPM (P6, maximum 255) of {SIDE}"
    words = "cannot be opened" if spoilt == "missing" else expected
    assert_refused(run(program, folder, network, picture, tmp_path / "out.ply"), words, tmp_path / "out.ply")


def test_a_network_of_other_planes_is_refused(program, folder, tmp_path):
    picture = write_picture(tmp_path / "picture.ppm", picture_bytes())
    other = write_network(tmp_path / "other.lrmnet", CHANNELS + 1)
    out = tmp_path / "out.ply"
    assert_refused(run(program, folder, other, picture, out), "expected planes of the size", out)
    assert_refused(run(program, folder, picture, picture, out), "no sound network", out)
