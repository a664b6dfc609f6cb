"""The checkpoint that ships: steeper around the same surface, half the size."""

import dataclasses
import sys

import pytest
import torch

import models
from models import checkpoint, families, finish
from models.evaluation import sharpness
from models.training.objects import PackedRenders
from tests.models.scenes import write_spheres
from tests.models.test_training import NETWORK


def density(model: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand((1, 3, 32, 32), generator=generator)
    points = torch.rand((1, 500, 3), generator=generator) * 2 - 1
    with torch.no_grad():
        return model.field(model(image)).query(points)[0]


def test_density_is_raised_to_the_power_around_the_threshold(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model = families.build(NETWORK).eval()
    checkpoint.save(model, tmp_path / "run")
    words = [str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--power", "3", "--threshold", "0.5"]
    monkeypatch.setattr(sys, "argv", ["finish", *words])
    finish.main()
    made = models.load(tmp_path / "out")
    assert made.config.mesh_threshold == 0.5
    before, after = density(model), density(made)
    assert torch.allclose(after, 0.5 * (before / 0.5) ** 3, rtol=0.05)  # float16 weights
    monkeypatch.setattr(sys, "argv", ["finish", *words[:-1], "0"])
    with pytest.raises(ValueError, match="expected above 0"):
        finish.main()
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("run", "out")]
    assert sizes[1] < 0.6 * sizes[0]


def test_the_mean_of_weights(tmp_path, monkeypatch):
    made = []
    for seed in range(3):
        torch.manual_seed(seed)
        made.append(families.build(NETWORK))
        checkpoint.save(made[-1], tmp_path / str(seed))
    words = [str(tmp_path / "0"), "--mean", *(str(tmp_path / n) for n in "12")]
    monkeypatch.setattr(sys, "argv", ["finish", *words, "--power", "1", "--out", str(tmp_path / "out")])
    finish.main()
    states = [model.state_dict() for model in (models.load(tmp_path / "out"), *made)]
    for name, value in states[0].items():
        expected = sum(state[name] for state in states[1:]) / 3
        assert torch.allclose(value.float(), expected, rtol=2e-3, atol=2e-3), name


def test_weights_of_two_architectures_have_no_mean():
    wider = {**NETWORK["config"], "plane_channels": NETWORK["config"]["plane_channels"] + 1}
    wider["field"] = {
        **wider["field"],
        "widths": [3 * wider["plane_channels"], *wider["field"]["widths"][1:]],
    }
    other = families.build({"family": "lrm", "config": wider})
    with pytest.raises(ValueError, match=r"upsample\.weight: expected .* in all checkpoints, got"):
        finish.average(families.build(NETWORK), [other])


def test_only_an_exponential_density_can_be_steepened():
    relu = {**NETWORK["config"], "field": {**NETWORK["config"]["field"], "density_activation": "relu"}}
    model = families.build({"family": "lrm", "config": relu})
    with pytest.raises(ValueError, match="needs the density activation exp"):
        finish.steepen(model, 2, 1)
    with pytest.raises(ValueError, match="expected above 0"):
        finish.steepen(families.build(NETWORK), 0, 1)


class BallOfFog(torch.nn.Module):
    """A ball of the radius that write_spheres' objects have in the box, its density 1 only at its edge."""

    def __init__(self, radius: float, edge: float = 6.0) -> None:
        super().__init__()
        self.radius, self.edge = radius, edge
        self.config = families.build(NETWORK).config

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def field(self, planes: torch.Tensor):
        return self

    @property
    def spec(self):
        return self.config.field

    def query(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.exp(self.edge * (self.radius - points.norm(dim=-1))), torch.full_like(points, 0.5)


def test_the_pair_that_shows_training_objects_best_is_found(tmp_path, monkeypatch):
    write_spheres(tmp_path / "train", objects=1)
    monkeypatch.setattr(sharpness, "SIDE", 32)
    source = PackedRenders(tmp_path / "train")
    best, *others = sharpness.choices(BallOfFog(0.85), source)
    assert (best.power, best.threshold) == (4.0, 1.5) and best.iou > 0.95
    assert len(others) == len(sharpness.POWERS) * len(sharpness.THRESHOLDS)
    assert all(choice.iou <= best.iou for choice in others)
    (foggy,) = (choice for choice in others if choice.power == 1)
    assert foggy.iou < best.iou - 0.05


def test_a_field_that_is_best_as_it_is_keeps_its_threshold(tmp_path, monkeypatch):
    """Power 1 leaves every threshold the same picture; what is asked for then is the one that it has."""
    write_spheres(tmp_path / "train", objects=1)
    monkeypatch.setattr(sharpness, "SIDE", 32)
    ball = BallOfFog(0.85, edge=20)
    ball.config = dataclasses.replace(ball.config, mesh_threshold=0.7)
    monkeypatch.setattr(sharpness, "THRESHOLDS", (1e30,))  # any power above 1 leaves nothing of it
    best, *_ = sharpness.choices(ball, PackedRenders(tmp_path / "train"))
    assert (best.power, best.threshold) == (1.0, 0.7)
