"""The reference renderer and cameras against closed forms."""

import math

import pytest
import torch

from models.camera import orbit, rotation_y
from models.field import FieldDecoder, FieldSpec, Triplane
from models.render import RenderSpec, render, render_rays


def constant_field(density: float, *, radius: float = 1.0, outside: str = "decode") -> Triplane:
    """Density everywhere the same and colour 0.5, by a decoder of zero weights."""
    spec = FieldSpec(radius=radius, widths=(3, 4), density_activation="relu", outside=outside)
    decoder = FieldDecoder(spec).double()
    torch.nn.init.zeros_(decoder.layers[0].weight)
    decoder.layers[0].bias.data = torch.tensor([density, 0.0, 0.0, 0.0], dtype=torch.float64)
    return Triplane(torch.zeros(1, 3, 1, 2, 2, dtype=torch.float64), decoder)


def ray(z: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    rays = torch.tensor([[[0.1, 0.2, z]], [[0.0, 0.0, -1.0]]], dtype=torch.float64)
    return rays[0], rays[1]


@torch.no_grad()
def test_box_length_is_the_beer_lambert_integral():
    rgb, alpha, depth = render_rays(constant_field(0.7), *ray(), RenderSpec(samples=200))
    assert alpha.item() == pytest.approx(1 - math.exp(-0.7 * 2), rel=1e-12)
    assert rgb[0, 0].item() == pytest.approx(0.5 * alpha.item() + 1 - alpha.item(), rel=1e-12)
    expected = 2 + 1 / 0.7 - 2 * math.exp(-1.4) / (1 - math.exp(-1.4))  # mean of the truncated law
    assert depth.item() == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
def test_unit_step_does_not_know_the_length():
    field = constant_field(0.7, radius=0.87)
    spec = RenderSpec(samples=64, step="unit", box_scale=0.999)
    assert render_rays(field, *ray(), spec)[1].item() == pytest.approx(1 - math.exp(-0.7), rel=1e-12)


@torch.no_grad()
def test_near_far_ends_opaque_and_leaves_the_box_decoded():
    spec = RenderSpec(ray_range="near_far", samples=16, near=1.0, far=5.0, last_delta=1e10)
    alpha = render_rays(constant_field(0.01), *ray(), spec)[1]
    assert alpha.item() == pytest.approx(1.0, abs=1e-6)
    empty = constant_field(0.01, outside="empty")
    alpha = render_rays(empty, *ray(), spec)[1]
    inside = sum(2 <= 1 + 4 * k / 15 <= 4 for k in range(16))
    assert alpha.item() == pytest.approx(1 - math.exp(-0.01 * inside * 4 / 15), rel=1e-6)


@torch.no_grad()
def test_a_ray_that_misses_is_background():
    origins, directions = ray()
    directions = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    rgb, alpha, depth = render_rays(constant_field(5.0), origins, directions, RenderSpec())
    assert rgb.tolist() == [[1.0, 1.0, 1.0]] and alpha.item() == 0 and depth.item() == 0


@torch.no_grad()
def test_render_shape_and_upright_frame():
    camera = orbit(0, 0, distance=3, fov=40, size=(6, 4))
    rgb, alpha, depth = render(constant_field(50.0), camera, RenderSpec(samples=64))
    assert rgb.shape == (4, 6, 3) and alpha.shape == depth.shape == (4, 6)
    _, directions = camera.rays()
    assert directions[0, 0, 1] > 0 > directions[-1, 0, 1]  # the first row is up
    assert directions[0, 0, 0] < 0 < directions[0, -1, 0]  # the first column is left
    assert depth[2, 3].item() == pytest.approx(2.0, abs=0.05)


def test_orbit_turns_from_z_towards_x():
    quarter = orbit(90, 0, distance=2, fov=40, size=(8, 8)).camera_to_world
    assert quarter[:3, 3].tolist() == pytest.approx([2.0, 0.0, 0.0], abs=1e-12)
    front = orbit(0, 0, distance=2, fov=40, size=(8, 8)).camera_to_world
    turned = rotation_y(torch.tensor(math.pi / 2, dtype=torch.float64)) @ front
    torch.testing.assert_close(turned, quarter, atol=1e-12, rtol=0)


def test_reference_gradients_reach_planes():
    field = constant_field(0.5)
    field = Triplane(torch.nn.Parameter(torch.zeros_like(field.planes)), field.decoder)
    torch.nn.init.ones_(field.decoder.layers[0].weight)
    render_rays(field, *ray(), RenderSpec(samples=8))[1].sum().backward()
    assert field.planes.grad.abs().sum() > 0
