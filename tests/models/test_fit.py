"""A fitted field is the object, in pictures that it has not seen too, and survives its file."""

import json
import sys

import numpy as np
import pytest
import torch

from lrm_sdk import native
from models import fit
from models.evaluation.fitted import load_field, native_field, save_field
from models.evaluation.judging import evaluate_object, frame_of_input
from models.evaluation.objects import rendered_objects
from models.field import FieldSpec
from models.training.fitting import FitOptions, new_field
from tests.models.scenes import write_spheres

SMALL = FitOptions(
    FieldSpec(radius=0.87, widths=(24, 32, 32, 4), density_bias=-1.0),
    resolution=16,
    steps=120,
    learning_rate=1e-2,
)


def test_a_sphere_is_fitted_and_better_with_more_steps(tmp_path):
    write_spheres(tmp_path / "packed", objects=1, size=64)
    obj = next(rendered_objects(tmp_path / "packed"))
    methods = {
        "short": fit.FitMethod(obj, [0, 2, 4, 6], FitOptions(SMALL.spec, resolution=16, steps=5), None),
        "long": fit.FitMethod(obj, [0, 2, 4, 6], SMALL, tmp_path),
    }
    measures, _ = evaluate_object(obj, methods, [1, 3, 5], fit.RATIO)
    assert measures["long"]["iou"] > 0.93 and measures["long"]["psnr"] > 20
    assert measures["long"]["psnr"] > measures["short"]["psnr"] + 3
    radius = 0.4 * frame_of_input(obj, fit.RATIO).scale
    mesh = native_field(load_field(tmp_path / f"{obj.name}.safetensors"), 1).mesh
    size = np.ptp(mesh(native.MeshOptions(64, SMALL.threshold)).vertices, axis=0) / SMALL.spec.radius
    assert np.allclose(size[[0, 2]], 2 * radius, rtol=0.1)


def test_a_field_survives_its_file(tmp_path):
    field = new_field(SMALL)
    save_field(field, tmp_path / "f.safetensors")
    read = load_field(tmp_path / "f.safetensors")
    points = torch.rand(1, 100, 3, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    assert read.spec == field.spec and not any(p.requires_grad for p in read.parameters())
    for a, b in zip(field.query(points), read.query(points), strict=True):
        assert torch.allclose(a, b, rtol=0.02, atol=0.01)


def test_the_command_writes_measures_a_sheet_and_fields(tmp_path, monkeypatch, capsys):
    write_spheres(tmp_path / "packed", objects=2, size=32)
    words = ["--rendered", tmp_path / "packed", "--names", "sphere1", "--out", tmp_path / "fit.json"]
    words += [
        "--fields",
        tmp_path / "fields",
        "--steps",
        "2",
        "--resolution",
        "8",
        "--views",
        "2",
        "--leave-out",
    ]
    monkeypatch.setattr(sys, "argv", ["fit", *map(str, words)])
    fit.main()
    report = json.loads((tmp_path / "fit.json").read_text())
    assert list(report["objects"]) == ["sphere1"] and report["summary"]["fit"]["seconds"]["mean"] > 0
    assert (tmp_path / "fit.png").is_file() and (tmp_path / "fields" / "sphere1.safetensors").is_file()
    assert "psnr" in capsys.readouterr().out


def test_an_unknown_object_is_named(tmp_path):
    write_spheres(tmp_path / "packed", objects=1)
    with pytest.raises(SystemExit, match="cube: not in"):
        fit.chosen_objects(tmp_path / "packed", ["cube"], None)
