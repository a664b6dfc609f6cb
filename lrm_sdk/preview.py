"""One picture that shows a whole result: the input, four rendered views, and the mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.files import check_writable, write_atomically
from lrm_sdk.mesh import Mesh
from lrm_sdk.resize import resize
from lrm_sdk.video import png_bytes

if TYPE_CHECKING:
    from lrm_sdk.scene import Scene

TILE = 256  # pixels
AZIMUTHS = (0, 90, 180, 270)  # degrees
ELEVATION = 15.0  # degrees
MESH_AZIMUTH = 30.0  # degrees
# A headlight and a little from everywhere: every face that is seen gets light, and shapes show.
AMBIENT, DIFFUSE = 0.25, 0.65
_SUBPIXEL_BITS = 4  # of cv2.fillConvexPoly


def save_preview(scene: Scene, mesh: Mesh, path: Path) -> Path:
    """See Scene.save_preview."""
    check_writable(path)
    return write_atomically(path, png_bytes(draw_preview(scene, mesh)))


def draw_preview(scene: Scene, mesh: Mesh) -> np.ndarray:
    """uint8 [TILE, n TILE, 3], sRGB: input if known, views from AZIMUTHS, the mesh without its colours."""
    cameras = [Camera.orbit(a, ELEVATION) for a in AZIMUTHS]
    views = [scene.render(camera, size=(TILE, TILE)).to_uint8() for camera in cameras]
    orbit = Camera.orbit(MESH_AZIMUTH, ELEVATION)
    views.append(draw_mesh(mesh, orbit.placed(scene.engine.sdk_center, scene.engine.sdk_radius)))
    if scene.picture is not None:
        picture = resize(scene.picture.astype(np.float32) / 255, TILE, "area")
        views.insert(0, np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8))
    return np.concatenate(views, axis=1)


def draw_mesh(mesh: Mesh, camera: Camera, side: int = TILE) -> np.ndarray:
    """uint8 [side, side, 3]: flat-shaded grey on white, back to front (the painter's algorithm)."""
    import cv2

    parameters = camera.parameters(side, side)
    matrix = np.linalg.inv(parameters.camera_to_world.astype(np.float64))
    eye = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]  # camera's frame: looks along -Z
    depth = np.maximum(-eye[:, 2:], 1e-6)
    pixels = eye[:, :2] / depth * [parameters.fx, -parameters.fy] + [parameters.cx, parameters.cy]
    corners = eye[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centers = corners.mean(axis=1)
    facing = -np.einsum("fk,fk->f", normals, centers)
    cosine = facing / np.maximum(np.linalg.norm(normals, axis=1) * np.linalg.norm(centers, axis=1), 1e-12)
    order = np.argsort(centers[:, 2])
    order = order[cosine[order] > 0]
    # Pixel centres are at integers there, at one half here.
    fixed = np.rint((pixels - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)[mesh.faces[order]]
    shades = np.rint(255 * (AMBIENT + DIFFUSE * cosine[order])).tolist()
    canvas = np.full((side, side), 255, np.uint8)
    for triangle, shade in zip(fixed, shades, strict=True):
        cv2.fillConvexPoly(canvas, triangle, shade, cv2.LINE_8, _SUBPIXEL_BITS)
    return np.repeat(canvas[..., None], 3, axis=2)
