"""The public Blender (NeRF-synthetic) layout, one folder per object.

transforms.json: w, h, camera_angle_x, depth_unit (world units per step of the 16-bit depth), and per
frame file_path (RGBA, straight alpha, sRGB), depth_path, camera_angle_x (radians) and
transform_matrix (camera-to-world, OpenGL axes). World: +Y up, the object's front to +Z.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.data.viewpoints import Viewpoint

DEPTH_UNIT = 1e-4  # 65535 steps reach 6.5 world units, past the farthest camera's far side


@dataclass(frozen=True)
class Views:
    rgba: np.ndarray  # uint8 [V, S, S, 4]
    depth: np.ndarray  # float32 [V, S, S], 0 = background
    camera_to_world: np.ndarray  # float32 [V, 4, 4]
    focal: np.ndarray  # float32 [V] pixels


def write_object(folder: Path, rgba: np.ndarray, depth: np.ndarray, views: list[Viewpoint]) -> None:
    """Complete or absent: written beside `folder`, then renamed."""
    stage = folder.with_name(folder.name + ".part")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    frames = []
    for i, view in enumerate(views):
        name = f"{i:03d}"
        steps = (depth[i] / DEPTH_UNIT).round().astype(np.uint16)
        Image.fromarray(rgba[i]).save(stage / f"{name}.png", compress_level=1)
        Image.fromarray(steps).save(stage / f"{name}_depth.png", compress_level=1)
        frames.append({
            "file_path": f"{name}.png", "depth_path": f"{name}_depth.png", "camera_angle_x": view.fov,
            "transform_matrix": view.camera_to_world.tolist(),
        })  # fmt: skip
    size = rgba.shape[1]
    header = {"w": size, "h": size, "camera_angle_x": views[0].fov, "depth_unit": DEPTH_UNIT}
    (stage / "transforms.json").write_text(json.dumps(header | {"frames": frames}))
    stage.rename(folder)


def read_object(folder: Path) -> Views:
    """Reads what write_object wrote; other Blender-layout renders work if they carry depth."""
    data = json.loads((folder / "transforms.json").read_text())
    frames, size = data["frames"], data["w"]
    rgba = [_read(folder / f["file_path"]) for f in frames]
    depth = [_read(folder / f["depth_path"]).astype(np.float32) * data["depth_unit"] for f in frames]
    angles = [f.get("camera_angle_x", data["camera_angle_x"]) for f in frames]
    focal = [size / 2 / math.tan(a / 2) for a in angles]
    matrices = [f["transform_matrix"] for f in frames]
    return Views(np.stack(rgba), np.stack(depth), np.float32(matrices), np.float32(focal))


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.array(picture)
    except (FileNotFoundError, UnidentifiedImageError) as error:
        raise ValueError(f"{path}: expected a picture ({error})") from error
