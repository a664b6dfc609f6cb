"""lrm-tiny as it ships: every example picture through engine, mesh and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from export.build_engine import build_engine
from lrm_sdk import Camera, Reconstructor

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "lrm-tiny"
PICTURES = sorted(p for p in (ROOT / "examples").iterdir() if p.suffix == ".png")


@pytest.fixture(scope="module")
def reconstructor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped") / "lrm-tiny.lrm"
    manifest = build_engine(folder, onnx=MODEL / "onnx" / "network.onnx")
    assert manifest["verification"]["passed"]
    with Reconstructor(folder) as made:
        yield made


def test_there_are_four_pictures():
    assert len(PICTURES) == 4


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.stem)
def test_an_example_becomes_a_solid_object_of_its_own_colour(reconstructor, picture, tmp_path):
    scene = reconstructor.run(picture)
    mesh = scene.mesh(resolution=64)
    saved = trimesh.load_mesh(mesh.save(tmp_path / "object.glb"))
    assert saved.is_watertight and saved.volume > 0
    assert np.ptp(mesh.vertices, axis=0).max() > 0.8  # it fills most of the box
    # The front view is the input picture's own view, but for the distance: like colours, like outline.
    frame = scene.render(Camera.orbit(), size=(64, 64))
    seen = frame.rgb[frame.alpha > 0.9].mean(axis=0)
    subject = scene.picture[(scene.picture < 250).any(axis=-1)].mean(axis=0) / 255
    assert np.abs(seen - subject).max() < 0.2


def test_the_reconstruction_depends_on_the_picture(reconstructor):
    planes = [reconstructor.run(p).planes for p in PICTURES]
    for i, a in enumerate(planes):
        for b in planes[:i]:
            assert np.abs(a - b).mean() > 0.05 * np.abs(a).mean()


def test_a_rectangle_becomes_wide_or_tall(reconstructor):
    """Upright: a tall thing in the picture is tall in +Y, a wide one in X."""
    sizes = []
    for height, width in ((100, 30), (30, 100)):
        picture = np.full((128, 128, 4), (120, 60, 40, 0), np.uint8)
        picture[64 - height // 2 : 64 + height // 2, 64 - width // 2 : 64 + width // 2, 3] = 255
        sizes.append(np.ptp(reconstructor.run(picture).mesh(resolution=64).vertices, axis=0))
    tall, wide = sizes
    assert tall[1] > 1.3 * tall[0] and wide[0] > 1.3 * wide[1]


def test_what_ships_is_small():
    total = sum(p.stat().st_size for p in MODEL.rglob("*") if p.is_file())
    assert total < 40e6
