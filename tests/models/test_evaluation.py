"""The evaluator says "perfect" of the truth, and finds what is wrong with the rest."""

import itertools
import json
import sys

import numpy as np
import pytest
import torch
import trimesh

from models import checkpoint, evaluate, families
from models.data.blender_layout import write_object
from models.data.gltf import read_glb
from models.data.viewpoints import viewpoints
from models.evaluation import judging
from models.evaluation.measures import Picture, picture_measures, surface_measures
from models.evaluation.methods import CardMethod, MeanMethod, camera_rays
from models.evaluation.objects import rendered_objects, with_targets
from tests.models.scenes import write_spheres
from tests.models.test_training import NETWORK


@pytest.fixture(scope="module")
def spheres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "heldout"
    write_spheres(folder, size=64)
    return folder


class Truth:
    """A sphere drawn analytically in the sample's frame."""

    def __init__(self, center: np.ndarray, radius: float) -> None:
        self.center, self.radius = center, radius

    def __call__(self, picture):
        return self

    def draw(self, camera_to_world, focal, side):
        origins, directions = camera_rays(camera_to_world, focal, side)
        offset = origins - self.center
        b = (offset * directions).sum(-1)
        root = b**2 - (np.square(offset).sum(-1) - self.radius**2)
        t = -b - np.sqrt(np.maximum(root, 0))
        hit = (root > 0).astype(float)
        normal = (offset + t[..., None] * directions) / self.radius
        rgb = hit[..., None] * (normal + 1) / 2 + 1 - hit[..., None]
        return Picture(rgb, hit, hit * t * (directions @ -camera_to_world[:3, 2]))

    def surface(self):
        directions = np.random.default_rng(0).normal(size=(4096, 3))
        return self.center + self.radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_the_truth_is_nearly_perfect_and_baselines_are_not(spheres):
    obj = next(rendered_objects(spheres))
    frame = judging.frame_of_input(obj, 0.85)
    center = frame.points(torch.zeros(1, 3))[0].numpy()
    methods = {"truth": Truth(center, 0.4 * float(frame.scale)), "card": CardMethod(32, 0.85)}
    methods["mean"] = MeanMethod(spheres, 0.85)
    measures, row = judging.evaluate_object(obj, methods, [1, 2, 3], 0.85)
    assert measures["truth"]["iou"] > 0.95 and measures["truth"]["depth_error"] < 0.05
    # No view sees the underside, so the surface to compare with lacks it.
    assert measures["truth"]["f_score"] > 0.85 and measures["truth"]["chamfer"] < 0.04
    assert measures["card"]["iou"] < 0.8
    assert measures["mean"]["iou"] > 0.8  # the mean of spheres is a sphere
    assert len(row) == 3 + 3 * judging.SHEET_VIEWS and all(p.shape == (128, 128, 3) for p in row)


def test_measures_of_known_differences():
    white = Picture(np.ones((32, 32, 3)), np.zeros((32, 32)), np.zeros((32, 32)))
    half = np.zeros((32, 32))
    half[:, :16] = 1
    object_ = Picture(np.ones((32, 32, 3)) - 0.1 * half[..., None], half, half * 2)
    measures = picture_measures(white, object_)
    assert measures["iou"] == 0 and np.isnan(measures["depth_error"])
    assert measures["psnr_union"] == pytest.approx(20) and measures["psnr"] == pytest.approx(23.01, abs=0.01)
    assert picture_measures(object_, object_)["ssim"] == pytest.approx(1)


def test_surfaces_are_compared_after_shift_and_scale():
    points = np.random.default_rng(0).normal(size=(2000, 3))
    exact = surface_measures(3 * points + 1, points)
    assert exact["chamfer"] < 1e-6 and exact["f_score"] == pytest.approx(1)
    flat = surface_measures(points * [1, 1, 0.01], points)
    assert flat["f_score"] < 0.5


def test_command_judges_a_checkpoint(spheres, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    checkpoint.save(families.build(NETWORK), tmp_path / "net")
    out = tmp_path / "report.json"
    words = ["--checkpoint", str(tmp_path / "net"), "--rendered", str(spheres), "--training", str(spheres)]
    monkeypatch.setattr(sys, "argv", ["evaluate", *words, "--out", str(out), "--views", "2"])
    evaluate.main()
    report = json.loads(out.read_text())
    assert list(report["objects"]) == ["sphere0", "sphere1", "sphere2"]
    assert set(report["summary"]) == {"engine", "card", "mean"}
    assert 0 <= report["summary"]["engine"]["iou"]["mean"] <= 1
    assert out.with_suffix(".png").is_file() and "psnr" in capsys.readouterr().out


def test_other_targets_follow_the_input_picture(spheres, tmp_path):
    """The first view stays, every other is of the second folder."""
    obj = next(rendered_objects(spheres))
    cameras = viewpoints(4, 0.4, np.random.default_rng(1))
    write_object(tmp_path / obj.name, obj.views.rgba[:4, ::-1], obj.views.depth[:4, ::-1], cameras)
    views = next(with_targets([obj], tmp_path)).views
    assert np.array_equal(views.rgba, np.concatenate([obj.views.rgba[:1], obj.views.rgba[:4, ::-1]]))
    expected = [obj.views.camera_to_world[0], *(c.camera_to_world for c in cameras)]
    np.testing.assert_allclose(views.camera_to_world, expected, atol=1e-6)
    write_object(tmp_path / "sphere1", obj.views.rgba[:4, :32, :32], obj.views.depth[:4, :32, :32], cameras)
    objects = with_targets(itertools.islice(rendered_objects(spheres), 1, None), tmp_path)
    with pytest.raises(ValueError, match=r"sphere1: expected 64 pixels, as the input, got 32"):
        next(objects)
    with pytest.raises(ValueError, match=r"sphere2: expected transforms\.json; see models\.data"):
        list(with_targets(list(rendered_objects(spheres))[2:], tmp_path))


def test_targets_without_pictures_to_start_from(monkeypatch, capsys):
    words = ["--engine", "e.lrm", "--meshes", "m", "--targets", "t", "--out", "o.json"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *words])
    with pytest.raises(SystemExit):
        evaluate.main()
    assert "--targets: needs --rendered" in capsys.readouterr().err


def test_a_folder_without_objects_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected images\.npy or"):
        next(rendered_objects(tmp_path))


def test_glb_parts_keep_place_material_and_colours(tmp_path):
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile(np.uint8([51, 102, 153, 255]), (8, 1))
    scene = trimesh.Scene()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([0, 5, 0]))
    scene.export(tmp_path / "box.glb")
    (part,) = read_glb(tmp_path / "box.glb")
    assert part.positions[..., 1].min() == pytest.approx(4.5)
    assert np.allclose(part.colors, [0.2, 0.4, 0.6])
    (tmp_path / "bad.glb").write_bytes(b"no")
    with pytest.raises(ValueError, match="expected a GLB file"):
        read_glb(tmp_path / "bad.glb")
