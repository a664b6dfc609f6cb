"""Pictures of a known shape: frames, depth, colours, packing."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data import render
from models.data.blender_layout import read_object
from models.data.compact import compact, unpack
from models.data.furniture import Entry, entries
from models.data.objects import Unsuitable, load_object
from models.data.pack import pack
from models.data.rasterizer import Rasterizer, downsample
from models.data.render import folders_of, render_entry
from models.data.split import split_of
from models.data.viewpoints import Viewpoint, look_at_origin, viewpoints
from models.training.objects import PackedRenders
from tests.models.scenes import write_spheres

# A box 2 wide (x), 4 high (y), 1 deep (z): +X side red, -X side green, front (+Z) blue, rest grey.
SIDES = {
    "red": ((1, 2, 6, 5), (0.8, 0.0, 0.0)),
    "green": ((0, 4, 7, 3), (0.0, 0.8, 0.0)),
    "blue": ((4, 5, 6, 7), (0.0, 0.0, 0.8)),
    "grey": ((0, 3, 2, 1), (0.5, 0.5, 0.5)),
    "top": ((3, 7, 6, 2), (0.5, 0.5, 0.5)),
    "bottom": ((0, 1, 5, 4), (0.5, 0.5, 0.5)),
}
CORNERS = [(x, y, z) for z in (0, 1) for x, y in ((0, 0), (2, 0), (2, 4), (0, 4))]
SCALE = 0.9 / 2  # half height 2 becomes 0.9: the box's reach from the axis is smaller


def write_box(folder: Path, *, mtl: bool = True) -> Entry:
    lines = ["mtllib box.mtl"] + [f"v {x} {y} {z}" for x, y, z in CORNERS]
    for name, (corners, _) in SIDES.items():
        lines += [f"usemtl {name}", "f " + " ".join(str(c + 1) for c in corners)]
    (folder / "box.obj").write_text("\n".join(lines))
    if mtl:
        colors = [f"newmtl {n}\nKd {c[0]} {c[1]} {c[2]}" for n, (_, c) in SIDES.items()]
        (folder / "box.mtl").write_text("\n".join(colors))
    return Entry("test-box", "box", "Box", folder / "box.obj", np.eye(3, dtype=np.float32), "me", "CC0")


@pytest.fixture(scope="module")
def rasterizer():
    try:
        made = Rasterizer(64)
    except RuntimeError as reason:
        pytest.skip(f"no offscreen OpenGL here: {reason}")
    with made:
        yield made


def picture(rasterizer, obj, azimuth: float, elevation: float = 0.0):
    pose = look_at_origin(math.radians(azimuth), math.radians(elevation), 3.0)
    rgba, depth = rasterizer.draw(obj, [Viewpoint(pose, math.radians(45))])
    return rgba[0], depth[0]


@pytest.mark.parametrize("azimuth, channel", [(0, 2), (90, 0), (-90, 1)])
def test_sides_are_where_the_frame_says(rasterizer, tmp_path, azimuth, channel):
    rgba, depth = picture(rasterizer, load_object(write_box(tmp_path)), azimuth)
    middle = rgba[32, 32]
    assert middle[3] == 255 and np.argmax(middle[:3]) == channel and np.sort(middle[:3])[1] == 0
    half = {0: 0.5, 90: 1.0, -90: 1.0}[azimuth] * SCALE
    assert depth[32, 32] == pytest.approx(3.0 - half, abs=1e-3)
    assert rgba[0, 0, 3] == 0 and depth[0, 0] == 0


def test_picture_is_upright_and_of_the_right_size(rasterizer, tmp_path):
    alpha = picture(rasterizer, load_object(write_box(tmp_path)), 0)[0][..., 3] > 127
    rows, columns = alpha.any(1).sum(), alpha.any(0).sum()
    focal = 32 / math.tan(math.radians(22.5))
    front = 3.0 - 0.5 * SCALE
    assert rows == pytest.approx(2 * 2.0 * SCALE / front * focal, abs=1.5)
    assert columns == pytest.approx(2 * 1.0 * SCALE / front * focal, abs=1.5)


def test_colour_is_lit_in_linear_light(rasterizer, tmp_path):
    """Front side, normal to the camera: light = 0.62 + 0.28 key_z + 0.14 fill_z."""
    key, fill = np.array([0.4, 0.6, 0.7]), np.array([-0.7, 0.3, 0.5])
    light = 0.62 + 0.28 * key[2] / np.linalg.norm(key) + 0.14 * fill[2] / np.linalg.norm(fill)
    linear = ((0.8 + 0.055) / 1.055) ** 2.4 * light
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    blue = picture(rasterizer, load_object(write_box(tmp_path)), 0)[0][32, 32, 2]
    assert blue == pytest.approx(expected, abs=1.5)


def test_straight_alpha_keeps_the_colour_at_the_edge():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 100, 50, 255)
    depth = np.zeros((2, 2), np.float32)
    depth[0, 0] = 2.5
    picture, nearest = downsample(rgba, depth)
    assert picture[0, 0].tolist() == [200, 100, 50, 64] and nearest[0, 0] == 2.5


def test_cameras_cover_the_circle_and_look_at_the_origin():
    views = viewpoints(8, 0.9, np.random.default_rng(0))
    azimuths = [
        math.degrees(math.atan2(v.camera_to_world[0, 3], v.camera_to_world[2, 3])) % 360 for v in views
    ]
    assert sorted(int(a // 45) for a in azimuths) == list(range(8))
    for view in views:
        rotation, position = view.camera_to_world[:3, :3], view.camera_to_world[:3, 3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(rotation[:, 2], position / np.linalg.norm(position), atol=1e-12)


def test_missing_materials_and_flat_objects_are_left_out_with_a_reason(tmp_path):
    with pytest.raises(Unsuitable, match="material is missing"):
        load_object(write_box(tmp_path, mtl=False))
    entry = write_box(tmp_path)
    lines = entry.obj.read_text().splitlines()
    entry.obj.write_text("\n".join(x.replace(" 4 ", " 0.05 ") if x[0] == "v" else x for x in lines))
    with pytest.raises(Unsuitable, match="flat"):
        load_object(entry)


def test_missing_texture_is_left_out_with_its_name(tmp_path):
    entry = write_box(tmp_path)
    mtl = tmp_path / "box.mtl"
    mtl.write_text(mtl.read_text() + "\nmap_Kd oak.jpg")
    with pytest.raises(Unsuitable, match=r"oak\.jpg is missing"):
        load_object(entry)


def test_broken_obj_names_the_line(tmp_path):
    entry = write_box(tmp_path)
    entry.obj.write_text("v 0 0 0\nv 0 zero 0\n")
    with pytest.raises(ValueError, match=r"box\.obj:2"):
        load_object(entry)


def test_split_is_by_name_and_the_public_test_objects_never_train():
    names = ("antiqueChair", "barrel", "basketball", "bread", "chicken", "cupcake", "deckChair", "chair_deck")
    names += ("fireExtinguisher", "hotDog", "mofx_mailbox", "tetrapak", "plant", "rock1", "stoneLantern")
    assert {split_of(n) for n in (*names, "teddyBear", "woodToy")} == {"unseen"}
    counts = [split_of(f"object{i}") for i in range(1000)]
    assert 70 < counts.count("heldout") < 130


def test_render_then_pack_then_train_on_it(rasterizer, tmp_path):
    folder = tmp_path / "renders" / "train" / "test-box"
    folder.parent.mkdir(parents=True)
    assert render_entry(write_box(tmp_path), rasterizer, 4, [folder]) == {}
    pack([folder], tmp_path / "packed")
    data = PackedRenders(tmp_path / "packed")
    obj = data.object(0)
    assert (data.objects, obj.views, data.names) == (1, 4, ["test-box"])
    rgba, depth = obj.rgba(2), obj.depth[2]
    assert rgba.shape == (64, 64, 4) and depth.shape == (64, 64)
    assert bool(((rgba[..., 3] > 0) == (depth > 0)).all())
    assert rgba.dtype == torch.float32 and depth.dtype == torch.float16
    assert 2.0 < depth[32, 32] < 3.6


def test_another_seed_takes_other_pictures_of_the_same_object(rasterizer, tmp_path):
    box, folders = write_box(tmp_path), [tmp_path / name for name in ("first", "same", "other")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        assert render_entry(box, rasterizer, 4, [folder], seed) == {}
    first, same, other = map(read_object, folders)
    assert np.array_equal(first.rgba, same.rgba)
    assert np.abs(first.camera_to_world - other.camera_to_world).max((1, 2)).min() > 0.01


def test_morphs_are_drawn_beside_the_training_objects(rasterizer, tmp_path):
    """Under names of their own; what exists is kept; of what is left out there is none."""
    box = write_box(tmp_path)
    folders = folders_of(box, tmp_path / "renders", 2)
    split = split_of(box.model)
    assert [f.relative_to(tmp_path / "renders").as_posix() for f in folders] == [
        f"{split}/test-box", "morphs/test-box~1", "morphs/test-box~2"
    ]  # fmt: skip
    for folder in folders:
        folder.parent.mkdir(parents=True, exist_ok=True)
    assert render_entry(box, rasterizer, 4, folders[:2]) == {}
    before = folders[1].stat().st_mtime_ns
    assert render_entry(box, rasterizer, 4, folders) == {}
    assert folders[1].stat().st_mtime_ns == before
    pictures = [read_object(folder).rgba for folder in folders]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])
    unseen = dataclasses.replace(box, model="teddyBear")
    assert len(folders_of(unseen, tmp_path, 2)) == 1
    (tmp_path / "bare").mkdir()
    left_out = render_entry(
        write_box(tmp_path / "bare", mtl=False), rasterizer, 4, [tmp_path / "a", tmp_path / "b"]
    )
    assert set(left_out) == {"a", "b"} and "material is missing" in left_out["b"]


def test_a_morph_that_is_left_out_takes_no_other_with_it(rasterizer, tmp_path, monkeypatch):
    made = iter([Unsuitable("flat"), None])

    def first_is_flat(obj, rng):
        problem = next(made)
        if problem is not None:
            raise problem
        return obj

    monkeypatch.setattr(render, "morphed", first_is_flat)
    folders = [tmp_path / name for name in ("box", "box~1", "box~2")]
    assert render_entry(write_box(tmp_path), rasterizer, 4, folders) == {"box~1": "flat"}
    assert [folder.exists() for folder in folders] == [True, False, True]


def test_catalogue_is_read(tmp_path):
    box = tmp_path / "Cat" / "models"
    box.mkdir(parents=True)
    write_box(box)
    (tmp_path / "Cat" / "PluginFurnitureCatalog.properties").write_text(
        "license=CC-BY\nname#1=A box\nmodel#1=/models/box.obj\ncreator#1=Ann\n"
        "modelRotation#1=0 0 1 0 1 0 -1 0 0\nname#2=Gate\nmodel#2=/models/box.obj\ndoorOrWindow#2=true\n"
    )
    (entry,) = entries(tmp_path)
    assert (entry.name, entry.creator, entry.license) == ("Cat-box", "Ann", "CC-BY")
    assert entry.rotation.tolist() == [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]


def test_compact_renders_come_back(tmp_path):
    """Outlines exactly, colours and depth nearly; the trainer reads them as it reads packed ones."""
    write_spheres(tmp_path / "packed" / "train", size=64)
    compact(tmp_path / "packed" / "train", tmp_path / "compact" / "train", objects=2)
    unpack(tmp_path / "compact" / "train", tmp_path / "again")
    before, after = PackedRenders(tmp_path / "packed" / "train"), PackedRenders(tmp_path / "again")
    assert after.names == before.names[:2] and after.side == 64
    files = (tmp_path / "compact" / "train").iterdir()
    assert sum(f.stat().st_size for f in files) < (tmp_path / "again" / "images.npy").stat().st_size / 10
    for index in range(2):
        a, b = before.object(index), after.object(index)
        assert torch.equal(a.images[..., 3], b.images[..., 3])
        solid = a.images[..., 3] > 0
        assert (a.images.float() - b.images.float())[solid][:, :3].abs().mean() < 6
        assert torch.equal(a.depth > 0, b.depth > 0)
        assert (a.depth.float() - b.depth.float()).abs().max() < 0.005
        assert torch.equal(a.camera_to_world, b.camera_to_world) and torch.equal(a.focal, b.focal)
        reach = b.surface.float().norm(dim=-1)
        assert (reach - reach.median()).abs().max() < 0.05
