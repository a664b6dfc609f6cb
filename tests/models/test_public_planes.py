"""TripoSR and OpenLRM against what the public code computes from the same weights and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import models
from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.images import load_image
from lrm_sdk.preprocess import prepare
from models.openlrm import source_camera
from models.readers import ReadOptions
from tests.models import golden

SMALL = ("triposr-mini", "openlrm-mini")
FULL = ("triposr", "openlrm-small", "openlrm-base")
# relative l2, largest difference (the golden README's; float32 against float64 is 9e-7 and 1e-5)
TOLERANCE = (2e-5, 3e-4)


def load(name: str, folder: Path, image_size: int | None = None) -> nn.Module:
    return models.load(golden.write_checkpoint(name, folder), options=ReadOptions(image_size))


def image_size(name: str) -> int | None:
    return golden.describe(name).get("source_size")


@pytest.fixture(scope="module", params=SMALL)
def small(request, tmp_path_factory) -> tuple[str, nn.Module]:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, load(request.param, folder, image_size(request.param))


def picture(network: nn.Module) -> torch.Tensor:
    """The golden picture as the network takes it, [1, 3, S, S]; OpenLRM looks for no subject."""
    conventions = network.conventions
    whole = network.family == "openlrm"
    spec = InputSpec(
        size=network.config.image_size, normalization="folded", mean=(0, 0, 0), std=(1, 1, 1),
        background=conventions.background, foreground_ratio=None if whole else 0.85,
        resize=conventions.resize, framing=conventions.framing,
    )  # fmt: skip
    return torch.from_numpy(prepare(load_image(golden.GOLDEN / "input.png"), spec).tensor)


def check_planes(network: nn.Module, image: torch.Tensor, expected: np.ndarray) -> None:
    with torch.no_grad():
        planes = network(image)[0].numpy()
    every = planes.shape[-1] // expected.shape[-1]
    planes = planes[:, :, ::every, ::every]
    relative = np.linalg.norm(planes - expected) / np.linalg.norm(expected)
    assert relative <= TOLERANCE[0] and np.abs(planes - expected).max() <= TOLERANCE[1]


def test_planes_of_the_small_checkpoints(small):
    name, network = small
    check_planes(network, picture(network), golden.arrays(name)["planes_sub"])


def test_field_of_the_small_checkpoints(small):
    """Density and colour at 4000 points, in and out of the box, from the planes of the picture."""
    name, network = small
    numbers = golden.arrays(name)
    with torch.no_grad():
        field = network.field(network(picture(network)))
        density, rgb = field.query(torch.from_numpy(numbers["points"])[None])
    if network.family == "triposr":
        np.testing.assert_allclose(density[0].numpy(), numbers["density_act"], rtol=2e-3)
        np.testing.assert_allclose(rgb[0].numpy(), numbers["color"], atol=5e-4)
    else:
        np.testing.assert_allclose(density[0].numpy(), numbers["sigma"], atol=2e-4)
        np.testing.assert_allclose(rgb[0].numpy(), numbers["rgb"], atol=5e-5)


def test_the_source_camera_is_the_public_default_and_matters(small):
    name, network = small
    if network.family != "openlrm":
        pytest.skip("TripoSR takes no camera")
    numbers = golden.arrays(name)
    np.testing.assert_array_equal(source_camera(2.0)[0].numpy(), numbers["source_camera"])
    image = picture(network)
    with torch.no_grad():
        embedded = network.condition()[0].numpy()
        far, near = network(image), network(image, source_camera(1.5))
    np.testing.assert_allclose(embedded, numbers["camera_embedding"], atol=1e-5)
    change = (near - far).norm() / far.norm()
    expected = golden.describe(name)["sensitivity"][
        "source camera distance 1.5, relative l2 change of the planes"
    ]
    assert change == pytest.approx(expected, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_planes_of_the_full_checkpoints(name, tmp_path):
    """Weights are made on the fly, up to 1.7 GB; every key of the public checkpoint is in them."""
    network = load(name, tmp_path)
    assert network.config.image_size == golden.describe(name).get("source_size", 512)
    check_planes(network, picture(network), golden.arrays(name)["planes_sub"])
