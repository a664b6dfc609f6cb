"""Shapes, configurations and checkpoints of the networks."""

import dataclasses
import json

import pytest
import torch

import models
from models import checkpoint
from models.attention import explicit_attention
from models.field import FieldSpec
from models.lrm import LRM, LRMConfig
from models.pooled import PooledLRM, PooledLRMConfig
from models.vit import ViT, ViTConfig

SMALL_VIT = ViTConfig(width=32, depth=1, heads=2, patch_size=8, image_size=32)


def small_lrm(**changes) -> LRM:
    torch.manual_seed(0)
    config = LRMConfig(
        image_size=32, encoder=SMALL_VIT, width=32, depth=2, heads=2, plane_tokens=4, upsample=2,
        plane_channels=4, field=FieldSpec(widths=(12, 8, 4)),
    )  # fmt: skip
    return LRM(dataclasses.replace(config, **changes)).eval()


def small_pooled(resolution: int = 128) -> PooledLRM:
    torch.manual_seed(0)
    spec = PooledLRMConfig().field
    config = PooledLRMConfig(
        image_size=32, encoder=SMALL_VIT, depth=1, heads=2, plane_resolution=resolution, field=spec
    )
    return PooledLRM(config).eval()


def test_vit_keeps_every_token_and_takes_other_sizes():
    vit = ViT(SMALL_VIT)
    assert vit(torch.rand(2, 3, 32, 32)).shape == (2, 17, 32)
    assert vit(torch.rand(1, 3, 48, 40)).shape == (1, 31, 32)
    with pytest.raises(ValueError, match="divisible by 8, got 30"):
        vit(torch.rand(1, 3, 30, 32))


def test_explicit_attention_is_the_fused_one():
    q, k, v = (torch.randn(2, 3, n, 8, generator=torch.Generator().manual_seed(n)) for n in (5, 7, 7))
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(explicit_attention(q, k, v), fused, atol=1e-6)


def test_lrm_planes_shape_and_dependence_on_the_picture():
    network = small_lrm()
    planes = network(torch.rand(2, 3, 32, 32))
    assert planes.shape == (2, 3, 4, 8, 8)
    assert (planes[0] - planes[1]).abs().max() > 1e-4


def test_lrm_upsampling_puts_tokens_where_the_golden_convention_says():
    """out[o, 2r+i, 2s+j] = bias[o] + sum_c weight[c, o, i, j] in[c, r, s], plane after plane."""
    network = small_lrm()
    tokens = torch.randn(1, 3 * 16, 32)
    planes = network._planes(tokens)
    weight, bias = network.upsample.weight, network.upsample.bias
    for plane, r, s, i, j in [(0, 1, 2, 0, 1), (2, 3, 0, 1, 0)]:
        token = tokens[0, plane * 16 + r * 4 + s]
        expected = bias + token @ weight[:, :, i, j]
        torch.testing.assert_close(planes[0, plane, :, 2 * r + i, 2 * s + j], expected)


def test_camera_modulation_is_by_configuration():
    network = small_lrm(camera_width=16)
    image, near, far = torch.rand(1, 3, 32, 32), torch.zeros(1, 16), torch.ones(1, 16)
    assert (network(image, near) - network(image, far)).abs().max() > 1e-5
    with pytest.raises(ValueError, match="takes a camera"):
        network(image)
    with pytest.raises(ValueError, match="takes no camera"):
        small_lrm()(image, near)


@pytest.mark.parametrize("resolution", [128, 256, 512])
def test_pooled_lrm_is_the_outline(resolution):
    network = small_pooled(resolution)
    planes = network(torch.rand(1, 3, 32, 32))
    assert planes.shape == (1, 3, 32, resolution, resolution)
    field = network.field(planes)
    assert (field.spec.reduction, field.spec.align_corners) == ("sum", True)
    density, rgb = field.query(torch.rand(1, 10, 3))
    assert (density >= 0).all() and rgb.shape == (1, 10, 3)


def test_pooled_lrm_refuses_another_resolution():
    with pytest.raises(ValueError, match="expected 128, 256, 512, got 100"):
        PooledLRMConfig(plane_resolution=100)


def test_pooled_lrm_uses_all_image_tokens():
    """A picture that differs in one corner only must change the planes: the pooling sees patches."""
    network = small_pooled()
    a = torch.rand(1, 3, 32, 32)
    b = a.clone()
    b[..., -8:, -8:] = 1 - b[..., -8:, -8:]
    assert (network(a) - network(b)).abs().max() > 1e-5


@pytest.mark.parametrize("make", [small_lrm, small_pooled])
def test_checkpoint_round_trip(make, tmp_path):
    network = make()
    checkpoint.save(network, tmp_path)
    again = models.load(tmp_path)
    image = torch.rand(1, 3, 32, 32)
    assert again.config == network.config
    torch.testing.assert_close(again(image), network(image), rtol=0, atol=0)


def test_weights_that_do_not_fit_are_all_listed(tmp_path):
    checkpoint.save(small_lrm(), tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    data["config"]["depth"] = 3
    data["config"]["plane_channels"] = 5
    (tmp_path / "config.json").write_text(json.dumps(data))
    with pytest.raises(ValueError) as error:
        models.load(tmp_path)
    assert "missing blocks.2.mlp.fc1.weight" in str(error.value)
    assert "upsample.bias: expected (5,), got (4,)" in str(error.value)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(models.readers.CheckpointError, match=r"config\.json or config\.yaml"):
        models.load(tmp_path)
