"""Samples agree with the pictures they were made from, whatever was done to them."""

import dataclasses

import pytest
import torch

from models.training.alignment import Crop, affine, align, subject_crop, transform
from models.training.augment import Augmentation, random_deformation, random_recolor
from models.training.config import TrainConfig
from models.training.losses import missing_overlap
from models.training.objects import PackedRenders
from models.training.photograph import (
    Photograph,
    crop_grid,
    crop_to_subject,
    over,
    photographed,
    stored_places,
)
from models.training.rays import pick_patches, pick_pixels, rays_through, target_views
from models.training.samples import combine, input_frame, input_view, make_batch
from tests.models.scenes import write_spheres

CONFIG = TrainConfig(batch=2, rays=48, points=512, augment=Augmentation(permute_channels=0.0))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def spheres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "train"
    write_spheres(folder)
    return PackedRenders(folder)


def batch_of(source, config: TrainConfig = CONFIG, seed: int = 0, count: int = 2):
    return make_batch(source, config, 32, 0.85, count, generator(seed))


@pytest.mark.parametrize("pixels", [0, 16])
def test_rays_hit_what_their_pixel_shows(spheres, pixels):
    """A ray's surface point lies on the sphere that its colour was computed from."""
    batch = batch_of(spheres)
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
    batch = batch_of(spheres, count=1)
    full, half = target_views(batch), target_views(batch, 16)
    alpha = full.rgba[..., 3].unflatten(2, (16, 2)).unflatten(1, (16, 2)).mean((2, 4))
    assert torch.allclose(half.rgba[..., 3], alpha, atol=1e-6)
    assert torch.allclose(half.focal, full.focal / 2)
    assert 0.99 < half.rgba[..., :3].max() <= 1.0001


def test_a_patch_is_a_square_of_the_picture_that_touches_the_object(spheres):
    batch = batch_of(spheres, count=1)
    views = target_views(batch)
    patches = pick_patches(views, 8, torch.Generator().manual_seed(3))
    picked = patches.numbers.reshape(-1, 8, 8)
    assert (picked[:, 1:] - picked[:, :-1] == 32).all() and (picked[..., 1:] - picked[..., :-1] == 1).all()
    rays = rays_through(views, patches)
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
    center = frame.points(torch.zeros(1, 3))
    depths = obj.depth.float() * frame.scale
    nearest = torch.stack([d[d > 0].min() for d in depths])
    radius = frame.scale * 0.4
    assert torch.allclose(nearest, (cameras[:, :3, 3] - center).norm(dim=-1) - radius, atol=0.02)


def test_a_deep_object_is_scaled_to_the_box():
    source, ray = torch.eye(4), torch.tensor([0.0, 0.0, -1.0])
    source[2, 3] = 5.0
    bench = torch.tensor([[0.1, 0.1, -0.9], [-0.1, -0.1, 0.9]])
    frame = align(source, ray, torch.tensor(0.05), bench)
    assert torch.allclose(frame.points(bench).abs().amax(), torch.tensor(0.97))
    assert torch.allclose(
        frame.points(torch.tensor([[0.0, 0.0, 5.0]])), frame.cameras(source[None])[0, :3, 3]
    )


DEFORMED = Augmentation(mirror=0.5, permute_channels=0, scale=0, stretch=0.3, lean=0.2)


@pytest.fixture(scope="module")
def deformed(spheres):
    return batch_of(spheres, dataclasses.replace(CONFIG, augment=DEFORMED, points=8192), seed=5, count=8)


def test_a_deformed_object_ends_where_its_rays_say(deformed):
    """In front of where a target ray meets the surface is no labelled solid point, behind it there is."""
    views = target_views(deformed)
    rays, solid = rays_through(views, pick_pixels(views, CONFIG, generator(0))), deformed.points.solid > 0
    rays = rays.reshape(8, -1)
    for n in range(8):
        met = rays.distance[n] > 0
        directions = rays.directions[n][met]
        hits = rays.origins[n][met] + directions * rays.distance[n][met][:, None]
        inside, outside = deformed.points.positions[n][solid[n]], deformed.points.positions[n][~solid[n]]
        assert torch.cdist(hits, deformed.points.surface[n]).amin(1).median() < 0.05

        def is_in(points, inside=inside, outside=outside):
            return torch.cdist(points, inside).amin(1) < torch.cdist(points, outside).amin(1)

        assert is_in(hits - 0.1 * directions).float().mean() < 0.05
        assert is_in(hits + 0.2 * directions).float().mean() > 0.6  # some only graze it


def test_a_deformed_object_stands_where_its_picture_shows_it(deformed):
    """The sphere's colour is its normal, which deformation leaves on the point: what faces the input camera
    has the colour of its place in the picture, nearly (the camera is far away), and fills the crop."""
    assert deformed.points.surface.amax() < 1
    for image, surface, colors in zip(
        deformed.image, deformed.points.surface, deformed.points.colors, strict=True
    ):
        assert 0.6 < surface[:, :2].abs().max() < 1
        nearest = surface[:, 2] > surface[:, 2].quantile(0.9)
        place = torch.stack([surface[nearest, 0], -surface[nearest, 1]], -1)
        rgba = torch.cat([image, torch.ones_like(image[:1])]).permute(1, 2, 0)[None]
        seen = over(rgba, ((place + 1) * 16)[None, None], torch.ones(1, 3))[0, :, 0].T
        assert (seen - colors[nearest]).abs().mean() < 0.12


def test_deformation_changes_shapes_and_none_is_none(deformed):
    spans = [p.amax(0) - p.amin(0) for p in deformed.points.surface]
    assert max(float(s.max() / s.min()) for s in spans) > 1.3
    still = random_deformation(Augmentation(), 4, generator(0))
    assert torch.allclose(still, torch.eye(3).expand(4, 3, 3), atol=1e-6)


def test_an_undeformed_photograph_is_the_stored_picture(spheres):
    obj = spheres.object(1)
    pose, rgba = obj.camera_to_world[2:4], obj.rgba([2, 3])
    middle = torch.full((2,), 16.0)
    grid = crop_grid(Crop(middle, middle, 2 * middle), 32, torch.zeros(2))
    same = photographed(affine(torch.eye(3).expand(2, 3, 3)), pose)
    assert torch.allclose(same.camera_to_world, pose, atol=1e-5)
    assert torch.allclose(stored_places(same, grid, 32, obj.focal[2:4], 1.0), grid, atol=1e-4)
    black = torch.zeros(2, 3)
    drawn = over(rgba, grid, black).permute(0, 2, 3, 1)
    assert torch.allclose(drawn, rgba[..., :3] * rgba[..., 3:], atol=1e-5)


def test_a_photograph_sees_a_point_where_its_camera_projects_it(spheres):
    """Of a deformed world, against projecting by the new camera and by the stored one."""
    pose, point = spheres.object(0).camera_to_world[:1], torch.tensor([[[0.2, -0.1, 0.3]]])
    matrix = affine(random_deformation(DEFORMED, 1, generator(2)))
    photograph = photographed(matrix, pose)

    def direction(camera, p):
        local = transform(torch.linalg.inv(camera), p)[0, 0]
        return local / -local[2]

    new = direction(photograph.camera_to_world, transform(matrix, point))
    local = photograph.to_stored[0] @ new
    assert torch.allclose(local / -local[2], direction(pose, point), atol=1e-5)
    rotation = photograph.camera_to_world[0, :3, :3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-5)


def test_a_mirrored_sample_is_the_sample_in_a_mirror(spheres):
    plain, mirrored = (
        batch_of(spheres, dataclasses.replace(CONFIG, augment=Augmentation(chance, 0, 0, 0, scale=0)), seed=1)
        for chance in (0.0, 1.0)
    )
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert torch.equal(mirrored.image, plain.image.flip(-1))
    assert torch.allclose(mirrored.points.surface, plain.points.surface * flip, atol=1e-6)
    picked = pick_pixels(target_views(plain), CONFIG, generator(0))
    rays, seen = (rays_through(target_views(batch), picked) for batch in (plain, mirrored))
    assert torch.allclose(seen.origins, rays.origins * flip, atol=1e-5)
    assert torch.allclose(seen.directions, rays.directions * flip, atol=1e-5)
    assert torch.allclose(seen.distance, rays.distance, atol=1e-5)


def test_colours_change_alike_in_pictures_and_on_points(spheres):
    """The sphere's colour is its normal; after the change every pixel's colour is found among the points'."""
    augment = Augmentation(mirror=0, permute_channels=1, gain=0.3, gamma=0.5, scale=0)
    plain_config = dataclasses.replace(CONFIG, augment=Augmentation(0, permute_channels=0, scale=0))
    plain = batch_of(spheres, plain_config, seed=4)
    changed = batch_of(spheres, dataclasses.replace(CONFIG, points=16384, augment=augment), seed=4)
    for n in range(2):
        rgba, before = changed.rgba[n], plain.rgba[n]
        seen = rgba[rgba[..., 3] > 0.99][:, :3]
        assert not torch.allclose(seen.mean(0), before[before[..., 3] > 0.99][:, :3].mean(0), atol=0.01)
        assert torch.cdist(seen, changed.points.colors[n]).amin(1).max() < 0.1


def test_colour_changes_stay_in_range_and_none_is_none():
    rgb = torch.rand(4, 100, 3, generator=generator(0))
    for seed in range(20):
        recolor = random_recolor(Augmentation(1, 0, 0, 1, 0.5, 1.0), 4, generator(seed))
        assert recolor(rgb).min() >= 0 and recolor(rgb).max() <= 1
    same = random_recolor(Augmentation(permute_channels=0), 4, generator(0))
    assert torch.equal(same(rgb), rgb)


def test_roll_turns_the_picture_and_tint_fills_behind_it(spheres):
    obj = spheres.object(0)
    crop, _ = input_frame(obj, 0, 0.5)
    upright = crop_to_subject(obj.rgba(0), 32, crop)
    crops = Crop(*(t[None] for t in (crop.x, crop.y, crop.side)))
    grid = crop_grid(crops, 32, torch.tensor([torch.pi / 2]))
    turned = over(obj.rgba(0)[None], grid, torch.ones(1, 3))[0]
    assert torch.allclose(turned, upright.rot90(1, (1, 2)), atol=1e-4)
    tint = torch.tensor([0.5, 0.6, 0.7])
    tinted = over(obj.rgba(0)[None], crop_grid(crops, 32, torch.zeros(1)), tint[None])[0]
    assert torch.allclose(tinted[:, 0, 0], tint) and torch.allclose(tinted[:, 16, 16], upright[:, 16, 16])
    assert torch.equal(upright[:, 0, 0], torch.ones(3))


def test_the_photographers_changes_leave_the_object_alone(spheres):
    options = Augmentation(mirror=0, permute_channels=0, scale=0, roll=20, tint=1)
    still = Augmentation(mirror=0, permute_channels=0, scale=0)
    changed, plain = (
        batch_of(spheres, dataclasses.replace(CONFIG, augment=a), seed=2) for a in (options, still)
    )
    assert torch.equal(changed.camera_to_world, plain.camera_to_world)
    assert not torch.equal(changed.image, plain.image) and changed.image[:, :, 0, 0].amax() < 1


def test_batches_join(spheres):
    both = combine([batch_of(spheres, seed=s, count=c) for s, c in ((0, 1), (1, 2))])
    assert len(both.image) == len(both.points.solid) == 3


def test_geometry_is_exact_where_training_is_not(spheres):
    """TF32 for the network's products, never for cameras and points (models/train.py turns it on)."""

    class Watched:
        objects, views, device = spheres.objects, spheres.views, spheres.device

        def pick(self, objects, views):
            self.seen = torch.get_float32_matmul_precision()
            return spheres.pick(objects, views)

    source, before = Watched(), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        batch_of(source)
        assert (source.seen, torch.get_float32_matmul_precision()) == ("highest", "high")
    finally:
        torch.set_float32_matmul_precision(before)


def test_what_lay_behind_the_stored_camera_is_not_in_the_picture():
    """A direction that the stored camera has behind it must not come back mirrored."""
    half_turn = Photograph(torch.eye(4)[None], torch.diag(torch.tensor([-1.0, 1.0, -1.0]))[None])
    corners = torch.tensor([[[[0.0, 0.0], [32.0, 32.0]]]])
    places = stored_places(half_turn, corners, 32, torch.tensor([16.0]), 1.0)
    assert (places - 16).abs().min() > 1e6


def test_a_picture_without_subject_is_cropped_whole():
    crop = subject_crop(torch.zeros(2, 32, 32), 0.85)
    assert crop.x.tolist() == crop.y.tolist() == [16, 16] and crop.side.tolist() == [32, 32]


def test_rays_estimate_the_overlap_of_whole_silhouettes(spheres):
    """Of a constant opacity a, sum(a t) / sum(a + t - a t) over all pixels; most rays fall on the object."""
    views = target_views(batch_of(spheres))
    truth, a = views.rgba[..., 3].flatten(1), 0.3
    wanted = 1 - (a * truth).sum() / (a + truth - a * truth).sum()
    config = dataclasses.replace(CONFIG, rays=4000)
    rays = rays_through(views, pick_pixels(views, config, generator(5))).reshape(1, -1)
    found = missing_overlap(torch.full_like(rays.share, a), rays.rgba[..., 3], rays.share)
    assert found == pytest.approx(wanted.item(), abs=0.01)
    unweighted = missing_overlap(
        torch.full_like(rays.share, a), rays.rgba[..., 3], torch.ones_like(rays.share)
    )
    assert abs(unweighted - wanted) > 0.05
    perfect = missing_overlap((truth > 0.5).float(), (truth > 0.5).float(), torch.ones_like(truth))
    assert perfect == pytest.approx(0)
