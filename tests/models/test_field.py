"""The reference field against formulas written out by hand, and its three families."""

import numpy as np
import pytest
import torch

from models.field import FieldDecoder, FieldSpec, Triplane


def make_field(spec: FieldSpec, *, size: int = 5, seed: int = 0) -> Triplane:
    torch.manual_seed(seed)
    channels = spec.widths[0] // (3 if spec.reduction == "concat" else 1)
    planes = torch.randn(1, 3, channels, size, size + 1, dtype=torch.float64)
    return Triplane(planes, FieldDecoder(spec).double())


def bilinear(plane: np.ndarray, u: float, v: float, align_corners: bool) -> np.ndarray:
    """plane [C, H, W] at (u, v) in [-1, 1]; texels outside count as zero."""
    _, height, width = plane.shape
    if align_corners:
        x, y = (u + 1) / 2 * (width - 1), (v + 1) / 2 * (height - 1)
    else:
        x, y = (u + 1) * width / 2 - 0.5, (v + 1) * height / 2 - 0.5
    total = np.zeros(len(plane))
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < height and 0 <= column < width:
                weight = (1 - abs(x - column)) * (1 - abs(y - row))
                total += weight * plane[:, row, column]
    return total


SPECS = {
    "outline": FieldSpec(align_corners=True, reduction="sum", widths=(4, 8, 8, 4), density_activation="relu"),
    "triposr": FieldSpec(radius=0.87, widths=(12, 8, 8, 4), activation="silu", density_bias=-1.0),
    "openlrm": FieldSpec(
        axes=("xy", "xz", "zy"), widths=(12, 8, 4), density_activation="softplus", density_bias=-1.0,
        color_widen=0.001,
    ),
    "mean": FieldSpec(reduction="mean", widths=(4, 8, 4)),
}  # fmt: skip


@pytest.mark.parametrize("family", SPECS)
def test_query_equals_the_formulas(family):
    spec = SPECS[family]
    field = make_field(spec)
    points = np.random.default_rng(1).uniform(-1.2, 1.2, (50, 3)) * spec.radius
    density, rgb = field.query(torch.from_numpy(points)[None])
    planes = field.planes[0].numpy()
    for n, point in enumerate(points):
        q = dict(zip("xyz", point / spec.radius, strict=True))
        parts = [bilinear(planes[k], q[a[0]], q[a[1]], spec.align_corners) for k, a in enumerate(spec.axes)]
        reduce = {"concat": np.concatenate, "sum": lambda p: np.sum(p, 0), "mean": lambda p: np.mean(p, 0)}
        x = reduce[spec.reduction](parts)
        layers = [tuple(p.detach().numpy() for p in (a.weight, a.bias)) for a in field.decoder.layers]
        for weight, bias in layers[:-1]:
            x = weight @ x + bias
            x = np.maximum(x, 0) if spec.activation == "relu" else x / (1 + np.exp(-x))
        raw = layers[-1][0] @ x + layers[-1][1]
        act = {"exp": np.exp, "relu": lambda t: max(t, 0), "softplus": lambda t: np.log1p(np.exp(t))}
        expected = act[spec.density_activation](raw[0] + spec.density_bias)
        assert density[0, n].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        widened = (1 + 2 * spec.color_widen) / (1 + np.exp(-raw[1:])) - spec.color_widen
        np.testing.assert_allclose(rgb[0, n].detach().numpy(), widened, rtol=1e-9)


def test_grid_has_points_on_both_faces_and_x_first():
    field = make_field(SPECS["triposr"])
    grid = field.density_grid(5)
    line = torch.linspace(-0.87, 0.87, 5, dtype=torch.float64)
    point = torch.stack([line[4], line[1], line[2]])[None, None]
    assert grid.shape == (1, 5, 5, 5)
    assert grid[0, 4, 1, 2].item() == pytest.approx(field.query(point)[0].item(), rel=1e-12)


def test_planes_can_be_optimised_directly():
    field = make_field(SPECS["triposr"])
    field = Triplane(torch.nn.Parameter(field.planes.clone()), field.decoder)
    points = torch.rand(1, 64, 3, dtype=torch.float64) - 0.5
    optimizer = torch.optim.Adam([field.planes], lr=0.2)
    losses = []
    for _ in range(100):
        loss = (field.query(points)[0] - 2.0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"reduction": "max"}, "reduction: expected one of concat, sum, mean, got 'max'"),
        ({"axes": ("xy", "xz", "yw")}, "axes"),
        ({"widths": (72, 64, 3)}, "widths"),
        ({"radius": 0.0}, "radius"),
    ],
)
def test_a_wrong_spec_is_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        FieldSpec(**change)


def test_planes_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \[B, 3, 4, H, W\]"):
        Triplane(torch.zeros(1, 3, 5, 4, 4), FieldDecoder(SPECS["outline"]))
