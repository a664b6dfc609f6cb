"""Mesh files, read back by trimesh and by parsers of our own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from lrm_sdk import InvalidArgumentError, Mesh, SaveError
from lrm_sdk.images import linear_from_srgb
from tests.sdk import glb
from tests.sdk.shapes import ball_scene, tetrahedron

TOOLS = Path(__file__).resolve().parents[1] / "tools"
# native x front, y left, z up (TripoSR's) -> SDK z front, x right as seen from the front, y up
Z_UP = [0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def saved(mesh: Mesh, path: Path) -> Path:
    assert mesh.save(path) == path
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing else is left
    return path


def read_glb(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    tree, binary = glb.split(path.read_bytes())
    part = glb.primitive(tree)
    arrays = {k: glb.accessor(tree, binary, v) for k, v in part["attributes"].items()}
    arrays["faces"] = glb.accessor(tree, binary, part["indices"]).reshape(-1, 3)
    return tree, arrays


def test_glb_holds_the_mesh_as_it_is(tmp_path):
    mesh = tetrahedron()
    tree, arrays = read_glb(saved(mesh, tmp_path / "a.glb"))
    assert np.array_equal(arrays["POSITION"], mesh.vertices)
    assert np.array_equal(arrays["faces"], mesh.faces)
    assert mesh.normals is not None
    assert np.abs(arrays["NORMAL"] - mesh.normals).max() < 1e-6
    assert glb.primitive(tree).get("mode", 4) == 4  # triangles
    for node in tree["nodes"]:  # no transform turns it
        matrix = np.reshape(node.get("matrix", np.eye(4).ravel()), (4, 4))
        assert np.array_equal(matrix, np.eye(4)) and not {"rotation", "scale", "translation"} & set(node)


def test_glb_colours_are_linear(tmp_path):
    """glTF 2.0, 3.7.2.1: COLOR_0 is a linear multiplier of the base colour."""
    mesh = tetrahedron()
    tree, arrays = read_glb(saved(mesh, tmp_path / "a.glb"))
    index = glb.primitive(tree)["attributes"]["COLOR_0"]
    entry = tree["accessors"][index]
    assert entry["normalized"] is True and entry["type"] == "VEC4" and entry["componentType"] == 5123
    color = arrays["COLOR_0"] / 65535
    assert (color[:, 3] == 1).all()
    assert mesh.colors is not None
    assert np.abs(color[:, :3] - linear_from_srgb(mesh.colors)).max() < 1e-5
    assert color[0, 0] == pytest.approx(0.21404, abs=1e-4)  # sRGB 0.5


def test_glb_material_shows_colours_as_they_are(tmp_path):
    tree, _ = read_glb(saved(tetrahedron(), tmp_path / "a.glb"))
    material = tree["materials"][glb.primitive(tree)["material"]]
    pbr = material["pbrMetallicRoughness"]
    assert pbr["metallicFactor"] == 0
    assert pbr["roughnessFactor"] >= 0.8
    assert pbr.get("baseColorFactor", [1, 1, 1, 1]) == [1, 1, 1, 1]
    assert material.get("alphaMode", "OPAQUE") == "OPAQUE"
    assert not material.get("doubleSided", False)  # closed and wound outwards


def test_glb_stands_upright_and_faces_the_viewer(tmp_path):
    """A ball towards the native frame's front, right and up, in a box twice as large."""
    scale = [2 * v for v in Z_UP[:12]] + Z_UP[12:]
    scene = ball_scene(tmp_path / "e.lrm", (0.05, -0.03, 0.07), frame={"native_to_sdk": scale})
    (tmp_path / "out").mkdir()
    _, arrays = read_glb(saved(scene.mesh(resolution=48), tmp_path / "out" / "ball.glb"))
    center = (arrays["POSITION"].min(axis=0) + arrays["POSITION"].max(axis=0)) / 2
    assert np.allclose(center, [-0.06, 0.14, 0.1], atol=0.02)


def test_glb_normals_and_winding_point_outwards(scene, tmp_path):
    _, arrays = read_glb(saved(scene.mesh(), tmp_path / "ball.glb"))
    position, normal = arrays["POSITION"].astype(float), arrays["NORMAL"]
    assert np.abs(np.linalg.norm(normal, axis=1) - 1).max() < 1e-4
    outward = position / np.linalg.norm(position, axis=1, keepdims=True)
    assert (normal * outward).sum(axis=1).min() > 0.95
    a, b, c = (position[arrays["faces"][:, i]] for i in range(3))
    assert (np.cross(b - a, c - a) * (a + b + c)).sum(axis=1).min() >= -1e-12


def test_glb_without_colours_or_normals(tmp_path):
    mesh = tetrahedron()
    _, arrays = read_glb(saved(Mesh(mesh.vertices, mesh.faces), tmp_path / "a.glb"))
    assert sorted(arrays) == ["POSITION", "faces"]


def test_glb_in_trimesh(tmp_path):
    mesh = tetrahedron()
    got = trimesh.load_mesh(saved(mesh, tmp_path / "a.glb"), process=False)
    assert np.allclose(got.vertices, mesh.vertices)
    assert np.array_equal(got.faces, mesh.faces)
    assert got.is_watertight and got.volume == pytest.approx(1.0)
    assert got.visual.material.metallicFactor == 0


def validate(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(TOOLS / "validate.mjs"), str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


needs_validator = pytest.mark.skipif(
    shutil.which("node") is None or not (TOOLS / "node_modules" / "gltf-validator").is_dir(),
    reason="the Khronos validator needs node and `npm ci --prefix tests/tools`",
)


@needs_validator
@pytest.mark.parametrize("parts", ["all", "no colours", "no normals", "tetrahedron"])
def test_khronos_validator_has_nothing_to_say(scene, tmp_path, parts):
    if parts == "tetrahedron":
        mesh = tetrahedron()
    else:
        mesh = scene.mesh(colors=parts != "no colours", normals=parts != "no normals")
    report = validate(saved(mesh, tmp_path / "a.glb"))
    issues = report["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
    assert report["info"]["totalVertexCount"] == len(mesh.vertices)
    assert report["info"]["totalTriangleCount"] == len(mesh.faces)


@needs_validator
def test_the_validator_does_find_errors(tmp_path):
    path = saved(tetrahedron(), tmp_path / "a.glb")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"POSITION"', b'"POSITIOM"'))
    assert validate(path)["issues"]["numErrors"] > 0


def rounded(colors: np.ndarray) -> np.ndarray:
    return np.rint(255 * colors).astype(np.uint8)


def read_ply_vertices(path: Path) -> np.ndarray:
    """The vertices of a binary PLY by its own header."""
    header, data = path.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    at = next(i for i, line in enumerate(lines) if line.startswith("element vertex"))
    names = {"float": "<f4", "uchar": "u1"}
    kinds = []
    for line in lines[at + 1 :]:
        if not line.startswith("property"):
            break
        _, kind, name = line.split()
        kinds.append((name, names[kind]))
    return np.frombuffer(data, np.dtype(kinds), int(lines[at].split()[2]))


def test_ply_round_trip(tmp_path):
    mesh = tetrahedron()
    assert mesh.colors is not None and mesh.normals is not None
    path = saved(mesh, tmp_path / "a.ply")
    got = trimesh.load_mesh(path, process=False)
    assert np.array_equal(got.vertices, mesh.vertices)
    assert np.array_equal(got.faces, mesh.faces)
    assert np.array_equal(got.visual.vertex_colors[:, :3], rounded(mesh.colors))  # sRGB
    raw = read_ply_vertices(path)
    assert np.array_equal(np.stack([raw[k] for k in ("nx", "ny", "nz")], axis=1), mesh.normals)
    assert np.array_equal(np.stack([raw[k] for k in ("red", "green", "blue")], axis=1), rounded(mesh.colors))


def read_obj(path: Path) -> dict[str, np.ndarray]:
    """v (with colours), vn, f as arrays; faces counted from 0."""
    lines = [line.split() for line in path.read_text().splitlines()]
    faces = [[int(corner.split("/")[0]) - 1 for corner in words[1:]] for words in lines if words[:1] == ["f"]]
    result = {k: np.array([[float(v) for v in w[1:]] for w in lines if w[:1] == [k]]) for k in ("v", "vn")}
    return result | {"f": np.array(faces)}


def test_obj_round_trip(tmp_path):
    mesh = tetrahedron()
    assert mesh.colors is not None and mesh.normals is not None
    path = saved(mesh, tmp_path / "a.obj")
    raw = read_obj(path)
    assert np.allclose(raw["v"][:, :3], mesh.vertices, atol=1e-6)
    assert np.abs(raw["v"][:, 3:6] - mesh.colors).max() < 0.51 / 255  # sRGB in [0, 1]
    assert np.allclose(raw["vn"], mesh.normals, atol=1e-6)
    assert np.array_equal(raw["f"], mesh.faces)
    assert "mtllib" not in path.read_text()  # one file, complete
    got = trimesh.load_mesh(path, process=False, maintain_order=True)
    assert np.allclose(got.vertices, mesh.vertices, atol=1e-6)
    assert np.array_equal(got.visual.vertex_colors[:, :3], rounded(mesh.colors))


def test_stl_round_trip(tmp_path):
    mesh = tetrahedron()
    path = saved(mesh, tmp_path / "a.stl")
    assert path.stat().st_size == 84 + 50 * len(mesh.faces)  # binary
    got = trimesh.load_mesh(path)
    assert got.is_watertight and got.volume == pytest.approx(1.0)
    assert np.allclose(got.bounds, mesh.bounds)


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "glb"])
def test_meshes_without_extras(tmp_path, suffix):
    mesh = tetrahedron()
    path = saved(Mesh(mesh.vertices, mesh.faces), tmp_path / f"a.{suffix}")
    assert trimesh.load_mesh(path).volume == pytest.approx(1.0)
    if suffix == "ply":
        assert b"red" not in path.read_bytes() and b"nx" not in path.read_bytes()
    if suffix == "obj":
        assert read_obj(path)["v"].shape == (4, 3) and len(read_obj(path)["vn"]) == 0


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "glb"])
def test_vertices_are_not_merged_nor_faces_dropped(tmp_path, suffix):
    """Equal vertices may differ in colour; a face of no area is the caller's business."""
    vertices = np.repeat(tetrahedron().vertices, 2, axis=0)
    faces = np.concatenate([2 * tetrahedron().faces, [[0, 1, 2]]])
    path = saved(Mesh(vertices, faces), tmp_path / f"a.{suffix}")
    if suffix == "glb":
        _, arrays = read_glb(path)
        assert (len(arrays["POSITION"]), len(arrays["faces"])) == (8, 5)
    elif suffix == "ply":
        assert len(read_ply_vertices(path)) == 8
    elif suffix == "obj":
        assert (len(read_obj(path)["v"]), len(read_obj(path)["f"])) == (8, 5)
    else:
        assert path.stat().st_size == 84 + 50 * 5


def test_suffix_in_capitals(tmp_path):
    assert saved(tetrahedron(), tmp_path / "A.GLB").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize("name", ["a", "a.fbx", ".glb", "a.glb.txt"])
def test_other_suffixes(tmp_path, name):
    with pytest.raises(SaveError, match=r"expected one of \.glb, \.obj, \.ply, \.stl"):
        tetrahedron().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_same_mesh_same_bytes(tmp_path):
    for suffix in ("glb", "obj", "ply", "stl"):
        first = tetrahedron().save(tmp_path / f"a.{suffix}").read_bytes()
        assert tetrahedron().save(tmp_path / f"b.{suffix}").read_bytes() == first


def test_colours_beyond_the_range_are_clamped(tmp_path):
    mesh = tetrahedron()
    wide = Mesh(mesh.vertices, mesh.faces, mesh.normals, np.full((4, 3), (1.2, -0.3, 0.5), np.float32))
    _, arrays = read_glb(saved(wide, tmp_path / "a.glb"))
    assert (arrays["COLOR_0"][:, 0] == 65535).all() and (arrays["COLOR_0"][:, 1] == 0).all()


V, F = tetrahedron().vertices, tetrahedron().faces


@pytest.mark.parametrize(
    "arguments,match",
    [
        ((V[:, :2], F), r"vertices: expected shape \[V, 3\], got \[4, 2\]"),
        ((V, F[:, :2]), r"faces: expected shape \[F, 3\], got \[4, 2\]"),
        ((V, F.astype(np.float32)), "faces: expected integers"),
        ((V, F + 1), "faces: expected indices from 0 to 3, got 1 to 4"),
        ((V, F.astype(np.int64) - 1), "faces: expected indices from 0 to 3, got -1 to 2"),
        ((V, F, V[:2]), r"normals: expected shape \[4, 3\], got \[2, 3\]"),
        ((V, F, None, V[:2]), r"colors: expected shape \[4, 3\], got \[2, 3\]"),
        ((V, [[0, 1, 2], [0, 1]]), r"faces: expected integers of shape \[F, 3\], got list"),
        (("abc", F), "vertices: expected real numbers"),
        ((np.where(V > 2, np.nan, V), F), "vertices: .* NaN or infinity"),
        ((np.where(V > 2, np.inf, V), F), "vertices: .* NaN or infinity"),
        ((V, F, np.where(V > 2, np.nan, V)), "normals: .* NaN or infinity"),
        ((V, F, None, np.where(V > 2, np.nan, V)), "colors: .* NaN or infinity"),
    ],
    ids=range(13),
)
def test_meshes_that_cannot_be(arguments, match):
    with pytest.raises(InvalidArgumentError, match=match):
        Mesh(*arguments)


def test_mesh_takes_lists_and_other_dtypes():
    mesh = Mesh(V.astype(float).tolist(), F.astype(np.int64).tolist())
    assert mesh.vertices.dtype == np.float32 and mesh.faces.dtype == np.uint32


def test_empty_mesh_is_not_written(tmp_path):
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.uint32))
    with pytest.raises(InvalidArgumentError, match="the mesh has no vertices"):
        _ = empty.bounds
    with pytest.raises(SaveError, match="the mesh is empty"):
        empty.save(tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())
