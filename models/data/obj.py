"""Wavefront OBJ and MTL, as far as pictures need them: triangles grouped by material."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Material:
    color: tuple[float, float, float] = (0.6, 0.6, 0.6)  # Kd, sRGB
    texture: Path | Image.Image | None = None  # map_Kd, sRGB


@dataclass(frozen=True)
class Part:
    """Triangles of one material, not indexed; material is None where the MTL does not define it."""

    material: Material | None
    positions: np.ndarray  # [T, 3, 3] float32
    normals: np.ndarray  # [T, 3, 3] float32, unit
    uvs: np.ndarray  # [T, 3, 2] float32
    colors: np.ndarray | None = None  # [T, 3, 3] float32, linear; factors of the material's colour


def read_obj(path: Path) -> list[Part]:
    """Raises ValueError on a malformed line (with its number)."""
    columns: dict[str, list] = {"v": [], "vt": [], "vn": []}
    materials: dict[str, Material] = {}
    faces: dict[str | None, list] = {}
    current = None
    with path.open(encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            key, _, rest = line.strip().partition(" ")
            try:
                if key in columns:
                    columns[key].append([float(x) for x in rest.split()[: 2 if key == "vt" else 3]])
                elif key == "usemtl":
                    current = rest.strip()
                elif key == "mtllib":
                    materials |= read_mtl(path.parent / rest.strip())
                elif key == "f":
                    counts = [len(columns[k]) for k in ("v", "vt", "vn")]
                    faces.setdefault(current, []).extend(_triangles(rest, counts))
            except (ValueError, IndexError) as error:
                raise ValueError(f"{path}:{number}: {error}") from error
    arrays = [np.array(columns[k] or [[0.0] * n], np.float32) for k, n in (("v", 3), ("vt", 2), ("vn", 3))]
    return [_part(materials.get(name), np.array(f), arrays) for name, f in faces.items() if f]


def _triangles(rest: str, counts: list[int]) -> list[list[list[int]]]:
    """A polygon's corners as a fan; indices from 0, -1 where the corner has none."""
    corners = []
    for corner in rest.split():
        indices = [int(i) if i else 0 for i in (corner.split("/") + ["", ""])[:3]]
        corners.append(
            [i - 1 if i > 0 else i + n if i < 0 else -1 for i, n in zip(indices, counts, strict=True)]
        )
    return [[corners[0], corners[k], corners[k + 1]] for k in range(1, len(corners) - 1)]


def _part(material: Material | None, corners: np.ndarray, arrays: list[np.ndarray]) -> Part:
    """corners [T, 3, (v, vt, vn)]"""
    positions, uvs, normals = (a[np.clip(corners[..., k], 0, len(a) - 1)] for k, a in enumerate(arrays))
    flat = np.cross(positions[:, 1] - positions[:, 0], positions[:, 2] - positions[:, 0])
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True) + 1e-12
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    missing = (corners[..., 2:] < 0) | (length < 1e-3)
    normals = np.where(missing, flat[:, None], normals / np.maximum(length, 1e-12))
    return Part(material, positions, normals.astype(np.float32), uvs)


def read_mtl(path: Path) -> dict[str, Material]:
    """An absent file gives no material: the caller sees parts without one, not a silent grey."""
    if not path.is_file():
        return {}
    found: dict[str, dict] = {}
    current: dict = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            current = found.setdefault(rest.strip(), {})
        elif key == "Kd":
            current["color"] = tuple(float(x) for x in rest.split()[:3])
        elif key == "map_Kd":
            current["texture"] = path.parent / rest.strip()
    return {name: Material(**values) for name, values in found.items()}
