"""resolution="auto": as fine as the surface asks for."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lrm_sdk.native import MeshArrays, MeshOptions

# A triangle lies flat on the surface if its plane is within this angle of the field's normals at its
# corners, and a mesh is fine enough if this share of its area does. The angle grows with the cell.
FLAT_DEG = 12.0
FLAT_SHARE = 0.9
# In grid points per texel of the planes: coarser would miss what the planes hold, and finer adds little
# because the field is smooth between texels.
PROBE, LEAST, MOST = 2, 2, 16
SMALLEST, LARGEST, STEP = 64, 1024, 32


class Meshed(Protocol):
    """lrm_sdk.native.Field, or the field on a GPU."""

    def mesh(self, options: MeshOptions) -> MeshArrays: ...


def auto_resolution(field: Meshed, threshold: float, texels: int) -> int:
    """Grid points per axis for a surface, from a coarse look at it.

    texels: the larger side of the planes. Raises what Field.mesh raises.
    """
    probe = min(max(PROBE * texels, SMALLEST), LARGEST)
    mesh = field.mesh(MeshOptions(probe, threshold, colors=False))
    assert mesh.normals is not None  # they were asked for
    needed = probe * flatness_deg(mesh.vertices, mesh.faces, mesh.normals) / FLAT_DEG
    bounded = min(max(needed, LEAST * texels, SMALLEST), MOST * texels, LARGEST)
    return int(np.ceil(bounded / STEP)) * STEP


def flatness_deg(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> float:
    """The angle that FLAT_SHARE of the area keeps between triangles and normals at their corners."""
    corners = vertices[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1)
    cosine = np.einsum("fk,fvk->fv", across, normals[faces]).min(axis=1) / np.maximum(area, 1e-30)
    order = np.argsort(-cosine)  # the flattest first
    place = np.searchsorted(np.cumsum(area[order]), FLAT_SHARE * area.sum())
    return float(np.rad2deg(np.arccos(np.clip(cosine[order[min(place, len(order) - 1)]], -1, 1))))
