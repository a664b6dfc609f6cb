"""A close look at a mesh: every triangle in its own shade, so that steps in the surface show."""

from __future__ import annotations

import numpy as np

from lrm_sdk import Camera

# Blinn-Phong (Blinn 1977). The light comes from the side and leaves a narrow highlight.
LIGHT = np.array([0.5, 0.6, 0.6])  # towards it, camera's frame
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.2, 0.55, 0.25, 24
_SUBPIXEL_BITS = 4  # of cv2.fillConvexPoly


def draw_flat(vertices: np.ndarray, faces: np.ndarray, camera: Camera, side: int) -> np.ndarray:
    """uint8 [side, side]: flat shading on white, back to front (the painter's algorithm)."""
    import cv2

    pixels, corners = _projected(vertices, faces, camera, side)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    centers = corners.mean(axis=1)
    seen = np.einsum("fk,fk->f", normals, centers) < 0
    seen &= ((pixels > -side) & (pixels < 2 * side)).all(axis=(1, 2))
    order = np.flatnonzero(seen)[np.argsort(centers[seen, 2])]
    fixed = np.rint((pixels[order] - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    canvas = np.full((side, side), 255, np.uint8)
    for triangle, shade in zip(fixed, _shades(normals[order], centers[order]).tolist(), strict=True):
        cv2.fillConvexPoly(canvas, triangle, shade, cv2.LINE_8, _SUBPIXEL_BITS)
    return canvas


def _projected(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Corners in pixels, [F, 3, 2], and in the camera's frame, [F, 3, 3]."""
    parameters = camera.parameters(side, side)
    matrix = np.linalg.inv(parameters.camera_to_world.astype(np.float64))
    eye = vertices @ matrix[:3, :3].T + matrix[:3, 3]  # looks along -Z
    depth = np.maximum(-eye[:, 2:], 1e-6)
    pixels = eye[:, :2] / depth * [parameters.fx, -parameters.fy] + [parameters.cx, parameters.cy]
    return pixels[faces], eye[faces]


def _shades(normals: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """[F], 0 to 255."""
    light = LIGHT / np.linalg.norm(LIGHT)
    half = light - centers / np.linalg.norm(centers, axis=1, keepdims=True)
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    lit = np.maximum(normals @ light, 0)
    shine = np.maximum(np.einsum("fk,fk->f", normals, half), 0) ** SHININESS
    return np.rint(255 * np.clip(AMBIENT + DIFFUSE * lit + SPECULAR * shine, 0, 1))
