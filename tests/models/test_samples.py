"""Samples agree with the pictures they were made from, whatever was done to them."""

import dataclasses

import pytest
import torch

from models.training.alignment import align
from models.training.augment import Augmentation, mirror, random_recolor
from models.training.config import TrainConfig
from models.training.objects import PackedRenders
from models.training.rays import pick_patches, pick_pixels, rays_through, target_views
from models.training.samples import combine, crop_to_subject, input_frame, input_view, make_sample
from tests.models.scenes import write_spheres

CONFIG = TrainConfig(batch=2, rays=48, points=512, augment=Augmentation(permute_channels=0.0))


@pytest.fixture(scope="module")
def spheres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "train"
    write_spheres(folder)
    return PackedRenders(folder)


def sample_of(source, config: TrainConfig = CONFIG, seed: int = 0):
    return make_sample(source, config, 32, 0.85, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("pixels", [0, 16])
def test_rays_hit_what_their_pixel_shows(spheres, pixels):
    """A ray's surface point lies on the sphere that its colour was computed from."""
    batch = combine([sample_of(spheres, seed=s) for s in range(2)], torch.stack)
    views = target_views(batch, pixels)
    picked = pick_pixels(views, CONFIG, torch.Generator().manual_seed(0))
    rays = rays_through(views, picked).reshape(2, -1)
    points = rays.origins + rays.directions * rays.distance[..., None]
    solid = rays.distance > 0
    assert solid.any()
    for sample in range(2):
        radius = points[sample][solid[sample]].norm(dim=-1)
        bound = 0.1 if pixels else 0.01  # a larger pixel spans more depth; depth itself is float16
        assert (radius - radius.median()).abs().max() < bound


def test_smaller_targets_are_the_mean_of_the_large(spheres):
    batch = combine([sample_of(spheres)], torch.stack)
    full, half = target_views(batch), target_views(batch, 16)
    alpha = full.rgba[..., 3].unflatten(2, (16, 2)).unflatten(1, (16, 2)).mean((2, 4))
    assert torch.allclose(half.rgba[..., 3], alpha, atol=1e-6)
    assert torch.allclose(half.focal, full.focal / 2)
    assert 0.99 < half.rgba[..., :3].max() <= 1.0001


def test_a_patch_is_a_square_of_the_picture_that_touches_the_object(spheres):
    batch = combine([sample_of(spheres)], torch.stack)
    views = target_views(batch)
    picked = pick_patches(views, 8, torch.Generator().manual_seed(3)).reshape(-1, 8, 8)
    assert (picked[:, 1:] - picked[:, :-1] == 32).all() and (picked[..., 1:] - picked[..., :-1] == 1).all()
    rays = rays_through(views, picked.flatten(1))
    row, column = int(picked[0, 2, 5]) // 32, int(picked[0, 2, 5]) % 32
    assert torch.equal(rays.rgba[0, 2 * 8 + 5], views.rgba[0, row, column])
    assert (rays.rgba[..., 3] > 0).any(1).all()


def test_a_sample_stands_where_its_picture_shows_it(spheres):
    """Seen from the moved input camera, the middle of the crop is the origin's pixel, the sphere's
    outline reaches 0.85 of the box, and its distance from every camera still fits its depth picture."""
    obj = spheres.object(0)
    _, frame = input_view(obj, 3, 32, 0.85)
    cameras = frame.cameras(obj.camera_to_world)
    position = cameras[3, :3, 3]
    assert abs(position[0]) < 1e-5 and position[2] > 0
    surface = frame.points(obj.surface.float())
    reach = surface.abs().amax(0)
    assert 0.75 < reach[0] < 0.9 and abs(surface[:, 0].max() + surface[:, 0].min()) < 0.06
    assert torch.allclose(frame.inverse(surface), obj.surface.float(), atol=1e-5)
    center = frame.points(torch.zeros(1, 3))
    depths = obj.depth.float() * frame.scale
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
    sample = sample_of(spheres, seed=1)
    once = mirror(sample)
    assert torch.allclose(torch.linalg.det(once.camera_to_world[:, :3, :3]), torch.ones(2), atol=1e-5)
    twice = mirror(once)
    for name in ("image", "rgba", "depth", "camera_to_world"):
        assert torch.equal(getattr(twice, name), getattr(sample, name))
    assert not torch.equal(once.image, sample.image) and not torch.equal(once.rgba, sample.rgba)
    assert torch.equal(twice.points.surface, sample.points.surface)


def test_colours_change_alike_in_pictures_and_on_points(spheres):
    """The sphere's colour is its normal; after the change every pixel's colour is found among the points'."""
    augment = Augmentation(mirror=0, permute_channels=1, gain=0.3, gamma=0.5, scale=0)
    plain = sample_of(spheres, dataclasses.replace(CONFIG, augment=Augmentation(0, 0, scale=0)), seed=4)
    changed = sample_of(spheres, dataclasses.replace(CONFIG, points=16384, augment=augment), seed=4)
    seen = changed.rgba[changed.rgba[..., 3] > 0.99][:, :3]
    assert not torch.allclose(seen.mean(0), plain.rgba[plain.rgba[..., 3] > 0.99][:, :3].mean(0), atol=0.01)
    assert torch.cdist(seen, changed.points.colors).amin(1).max() < 0.1


def test_colour_changes_stay_in_range_and_none_is_none():
    rgb = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    for seed in range(20):
        recolor = random_recolor(Augmentation(1, 1, 0.5, 1.0), torch.Generator().manual_seed(seed))
        assert recolor(rgb).min() >= 0 and recolor(rgb).max() <= 1
    same = random_recolor(Augmentation(permute_channels=0), torch.Generator().manual_seed(0))
    assert torch.equal(same(rgb), rgb)


def test_roll_turns_the_picture_and_tint_fills_behind_it(spheres):
    obj = spheres.object(0)
    crop, _ = input_frame(obj, 0, 0.5)
    upright = crop_to_subject(obj.rgba(0), 32, crop)
    turned = crop_to_subject(obj.rgba(0), 32, crop, angle=torch.pi / 2)
    assert torch.allclose(turned, upright.rot90(1, (1, 2)), atol=1e-4)
    tint = torch.tensor([0.5, 0.6, 0.7])
    tinted = crop_to_subject(obj.rgba(0), 32, crop, background=tint)
    assert torch.allclose(tinted[:, 0, 0], tint) and torch.allclose(tinted[:, 16, 16], upright[:, 16, 16])
    assert torch.equal(upright[:, 0, 0], torch.ones(3))


def test_the_photographers_changes_leave_the_object_alone(spheres):
    options = Augmentation(mirror=0, permute_channels=0, scale=0, roll=20, tint=1)
    changed = sample_of(spheres, dataclasses.replace(CONFIG, augment=options), seed=2)
    plain = sample_of(spheres, dataclasses.replace(CONFIG, augment=Augmentation(0, 0, scale=0)), seed=2)
    assert torch.equal(changed.camera_to_world, plain.camera_to_world)
    assert not torch.equal(changed.image, plain.image) and changed.image[:, 0, 0].max() < 1
