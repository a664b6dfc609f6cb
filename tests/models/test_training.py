"""The trainer learns, and a killed run goes on bit for bit."""

import json

import pytest
import torch

from models import checkpoint, train
from models.training.alignment import align
from models.training.config import TrainConfig
from models.training.dataset import PackedRenders, input_view, make_batch, mirror
from models.training.rays import pick_rays
from models.training.state import TrainState
from tests.models.scenes import write_spheres

NETWORK = {
    "family": "lrm",
    "config": {
        "image_size": 32, "encoder": {"width": 32, "depth": 1, "heads": 2, "patch_size": 8, "image_size": 32},
        "width": 32, "depth": 1, "heads": 2, "plane_tokens": 4, "upsample": 2, "plane_channels": 8,
        "field": {"widths": [24, 16, 4], "density_bias": -1.0},
    },
}  # fmt: skip
SMOKE = TrainConfig(
    steps=120, batch=2, rays=48, points=512, learning_rate=5e-3, warmup=10, log_every=5, save_every=50,
    picture_every=120, permute_channels=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def spheres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "train"
    write_spheres(folder)
    return PackedRenders(folder)


def new_state(config: TrainConfig = SMOKE) -> TrainState:
    torch.manual_seed(0)
    return TrainState(checkpoint.build(NETWORK), config)


def test_smoke_run_lowers_the_loss(spheres, tmp_path, capsys):
    state = new_state()
    train.train(state, spheres, spheres, tmp_path)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert state.step == entries[-1]["step"] == SMOKE.steps
    first, last = (sum(e["loss"] for e in part) / 3 for part in (entries[:3], entries[-3:]))
    assert last < 0.6 * first, f"loss went from {first:.4f} to {last:.4f}"
    assert {p.name for p in tmp_path.iterdir()} >= {"state.pt", "checkpoint", "train.png", "heldout.png"}
    assert checkpoint.load(tmp_path / "checkpoint").config == state.model.config


def test_resume_is_bit_for_bit(spheres, tmp_path):
    whole, broken, resumed = new_state(), new_state(), new_state()
    for _ in range(6):
        train.train_step(whole, spheres)
    for _ in range(3):
        train.train_step(broken, spheres)
    broken.save(tmp_path / "state.pt")
    resumed.load(tmp_path / "state.pt")
    for _ in range(3):
        train.train_step(resumed, spheres)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_rays_hit_what_their_pixel_shows(spheres):
    """A ray's surface point lies on the sphere that its colour was computed from."""
    batch = make_batch(spheres, SMOKE, 0, 32, 0.85)
    rays = pick_rays(batch, SMOKE, torch.Generator().manual_seed(0))
    points = rays.origins + rays.directions * rays.distance[..., None]
    solid = rays.distance > 0
    assert solid.any()
    for sample in range(SMOKE.batch):
        radius = points[sample][solid[sample]].norm(dim=-1)
        assert (radius - radius.median()).abs().max() < 0.01  # depth is float16


def test_a_sample_stands_where_its_picture_shows_it(spheres):
    """Seen from the moved input camera, the middle of the crop is the origin's pixel, the sphere's
    outline reaches 0.85 of the box, and its distance from every camera still fits its depth picture."""
    _, frame = input_view(spheres, 0, 3, 32, 0.85)
    cameras = frame.cameras(spheres.camera_to_world[0])
    position = cameras[3, :3, 3]
    assert abs(position[0]) < 1e-5 and position[2] > 0
    surface = frame.points(torch.tensor(spheres.surface[0]).float())
    reach = surface.abs().amax(0)
    assert 0.75 < reach[0] < 0.9 and abs(surface[:, 0].max() + surface[:, 0].min()) < 0.06
    center = frame.points(torch.zeros(1, 3))
    depths = spheres.depths(0).float() * frame.scale
    nearest = torch.stack([d[d > 0].min() for d in depths])
    radius = frame.scale * 0.4
    assert torch.allclose(nearest, (cameras[:, :3, 3] - center).norm(dim=-1) - radius, atol=0.02)


def test_a_deep_object_is_scaled_to_the_box():
    source, ray = torch.eye(4), torch.tensor([0.0, 0.0, -1.0])
    source[2, 3] = 5.0
    bench = torch.tensor([[0.1, 0.1, -0.9], [-0.1, -0.1, 0.9]])
    frame = align(source, ray, 0.05, bench)
    assert torch.allclose(frame.points(bench).abs().amax(), torch.tensor(0.97))
    assert torch.allclose(
        frame.points(torch.tensor([[0.0, 0.0, 5.0]])), frame.cameras(source[None])[0, :3, 3]
    )


def test_mirror_keeps_cameras_rigid_and_pictures_consistent(spheres):
    batch = make_batch(spheres, SMOKE, 1, 32, 0.85)
    once = mirror(batch.image[0], batch.rgba[0], batch.depth[0], batch.camera_to_world[0])
    assert torch.allclose(torch.linalg.det(once[3][:, :3, :3]), torch.ones(2), atol=1e-5)
    twice = mirror(*once)
    original = (batch.image[0], batch.rgba[0], batch.depth[0])
    assert all(torch.equal(a, b) for a, b in zip(twice[:3], original, strict=True))


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown option.*stepz"):
        TrainConfig.from_json({"stepz": 3})
