"""Surface extraction on a device: the passes of runtime/cuda/surface.cuh, one after the other.

Between them only counts come back to the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_sdk.cuda.device import Device, DeviceArray, launch_items
from lrm_sdk.cuda.scan import exclusive_scan
from lrm_sdk.errors import EmptySurfaceError, InvalidArgumentError, OutOfMemoryError
from lrm_sdk.native.options import FieldOptions, MeshOptions

BLOCK_CELLS = 8  # block_cells of surface.cuh
BLOCK_ROWS = (BLOCK_CELLS + 1) ** 2
BLOCK_NODES = (BLOCK_CELLS + 1) ** 3
THREADS = 128
RANGE_POINTS = 129  # per axis, of what an error tells

JOB = np.dtype(
    [
        ("points", "i4"), ("pad", "i4"), ("half", "f8"),
        ("native_to_sdk", "f8", (3, 4)), ("rotation", "f8", (3, 3)),
        ("blocks", "i4"), ("stride", "i4"), ("ticks", "i4"),
        ("threshold", "f4"), ("refine_steps", "i4"),
    ],
    align=True,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DeviceMesh:
    """vertices float32 [V, 3]; faces uint32 [F, 3]; normals (unit), colors (sRGB): float32 [V, 3] or None.

    edges   int32 [V, 4]: the grid edge that each vertex lies on, its low end's x, y, z (padding
            counted) and its axis.
    """

    vertices: DeviceArray
    faces: DeviceArray
    normals: DeviceArray | None
    colors: DeviceArray | None
    edges: DeviceArray


def surface_job(field: FieldOptions, options: MeshOptions) -> np.ndarray:
    """One JOB record."""
    frame = np.asarray(field.native_to_sdk, np.float64)
    job = np.zeros((), JOB)
    job["points"], job["pad"] = options.resolution, options.close_border
    job["half"] = np.float32(field.radius)
    job["native_to_sdk"] = frame[:3]
    job["rotation"] = frame[:3, :3] / np.cbrt(np.linalg.det(frame[:3, :3]))
    side = options.resolution + 2 * int(options.close_border)
    job["blocks"] = -(-(side - 1) // BLOCK_CELLS)
    job["stride"] = coarse_stride(options)
    job["ticks"] = -(-(side - 1) // job["stride"]) + 1
    job["threshold"], job["refine_steps"] = options.threshold, options.refine_steps
    return job


def coarse_stride(options: MeshOptions) -> int:
    """Nodes between coarse ticks: the CPU stage's choice or the caller's, down to a power of two up to 8."""
    if options.exhaustive:
        return 1
    wanted = options.seed_stride or max((options.resolution - 1 + 32) // 64, 1)
    return min(2 ** (wanted.bit_length() - 1), BLOCK_CELLS)


class Extraction:
    """One call; `run` gives the mesh.

    exact, sampler   planes and layers in float32, for vertices, and as Sampler of sampler.cuh takes them.
    """

    def __init__(
        self,
        device: Device,
        exact: tuple[DeviceArray, DeviceArray],
        sampler: tuple[DeviceArray, DeviceArray],
        field: FieldOptions,
        options: MeshOptions,
    ) -> None:
        self.device = device
        self.options = options
        self.exact, self.sampler = exact, sampler
        self.record = surface_job(field, options)
        self.job = device.upload(self.record)
        blocks = int(self.record["blocks"]) ** 3
        self.blocks = blocks
        self.claimed = self._zeros((blocks,), np.uint32)
        self.slot_of_block = device.empty((blocks,), np.int32)
        self.block_of_slot = device.empty((blocks,), np.int32)
        self.count = self._zeros((1,), np.int32)

    def run(self) -> DeviceMesh:
        self._seed()
        values, slots = self._spread()
        if slots == 0:
            self._raise_empty()
        rank_of_block, slot_of_rank = self._rank(slots)
        rows = slots * BLOCK_ROWS
        ranked = (self.job, slot_of_rank, self.block_of_slot, values, np.int64(rows))
        edges, vertex_count, face_count = (self.device.empty((rows,), np.uint32) for _ in range(3))
        self._launch("lrm_surface_count", rows, *ranked, edges, vertex_count, face_count)
        vertex_offset, vertices = self._numbered(vertex_count, rows)
        face_offset, faces = self._numbered(face_count, rows)
        edge_node = self.device.empty((vertices, 4), np.int32)
        edge_density = self.device.empty((vertices, 2), np.float32)
        face_array = self.device.empty((faces, 3), np.uint32)
        self._launch("lrm_surface_edges", rows, *ranked, edges, vertex_offset, edge_node, edge_density)
        self._launch(
            "lrm_surface_faces", rows, *ranked, rank_of_block, edges, vertex_offset, face_offset, face_array
        )
        return self._finish(edge_node, edge_density, face_array)

    def _seed(self) -> None:
        ticks = int(self.record["ticks"])
        inside = self.device.empty((ticks,) * 3, np.uint8)
        self._launch("lrm_surface_ticks", ticks**3, *self.sampler, self.job, inside)
        self._launch("lrm_surface_seeds", self.blocks, self.job, inside, *self._table())

    def _spread(self) -> tuple[DeviceArray, int]:
        """Densities [slots or more, 9, 9, 9] of all blocks that the surface passes through; their number."""
        done, count = 0, self._claimed_count()
        room = 0
        values = self.device.empty((1,), np.float32)
        while done < count:
            if count > room:  # seldom a second time: then all is decoded again
                done, room = 0, min(2 * count, self.blocks)
                values = self._pool(room)
            fresh = (np.int32(done), np.int32(count - done))
            nodes = (count - done) * BLOCK_NODES
            self._launch(
                "lrm_surface_values", nodes, *self.sampler, self.job, self.block_of_slot, *fresh, values
            )
            self._launch("lrm_surface_spread", 6 * (count - done), self.job, values, *fresh, *self._table())
            done, count = count, self._claimed_count()
        return values, count

    def _pool(self, slots: int) -> DeviceArray:
        limit = self.options.max_bytes
        wanted = slots * BLOCK_NODES * 4
        if limit and wanted > limit:
            raise OutOfMemoryError(
                f"max_bytes: expected to stay within {limit} bytes, needs at least {wanted}; "
                "raise max_bytes or lower the resolution"
            )
        return self.device.empty((slots, BLOCK_NODES), np.float32)

    def _rank(self, slots: int) -> tuple[DeviceArray, DeviceArray]:
        rank_of_block = exclusive_scan(self.device, self.claimed, self.blocks)
        slot_of_rank = self.device.empty((slots,), np.int32)
        self._launch(
            "lrm_surface_ranks", self.blocks, np.int32(self.blocks), self.claimed, rank_of_block,
            self.slot_of_block, slot_of_rank,
        )  # fmt: skip
        return rank_of_block, slot_of_rank

    def _numbered(self, counts: DeviceArray, rows: int) -> tuple[DeviceArray, int]:
        """Where each row's items begin, and how many there are in all."""
        total_array = self.device.empty((1,), np.uint32)
        offsets = exclusive_scan(self.device, counts, rows, total_array)
        total = int(self.device.download(total_array)[0])
        if total >= 2**31:
            raise InvalidArgumentError(
                f"resolution: expected a surface of less than 2^31 vertices and faces, got {total}; lower it"
            )
        return offsets, total

    def _finish(self, edge_node: DeviceArray, edge_density: DeviceArray, faces: DeviceArray) -> DeviceMesh:
        vertices = edge_node.shape[0]
        native, sdk = (self.device.empty((vertices, 3), np.float32) for _ in range(2))
        edges = (*self.exact, self.job, edge_node, edge_density, np.int32(vertices))
        self._launch("lrm_surface_vertices", vertices, *edges, native, sdk)
        normals = self.device.empty((vertices, 3), np.float32) if self.options.normals else None
        colors = self.device.empty((vertices, 3), np.float32) if self.options.colors else None
        if normals is not None or colors is not None:
            lost, lost_count = self._zeros((vertices,), np.uint8), self._zeros((1,), np.int32)
            self._launch(
                "lrm_surface_attributes", vertices, *edges, native, normals, colors, lost, lost_count
            )
            if int(self.device.download(lost_count)[0]) > 0:
                self._replace_normals(faces, sdk, lost, normals)
        return DeviceMesh(sdk, faces, normals, colors, edge_node)

    def _replace_normals(
        self, faces: DeviceArray, sdk: DeviceArray, lost: DeviceArray, normals: DeviceArray | None
    ) -> None:
        """Where the field has no gradient, the area-weighted mean of the faces' normals."""
        count, vertices = faces.shape[0], sdk.shape[0]
        sums = self._zeros((vertices, 3), np.float32)
        self._launch("lrm_surface_face_normals", count, faces, np.int64(count), sdk, lost, sums)
        self._launch("lrm_surface_replace_normals", vertices, lost, sums, np.int32(vertices), normals)

    def _raise_empty(self) -> None:
        closer = ", or look closer with a smaller seed_stride or with exhaustive"
        advice = "" if self.options.exhaustive else closer
        lowest, highest = self._density_range()
        raise EmptySurfaceError(
            f"no surface: expected densities on both sides of the threshold {self.options.threshold:g}, got "
            f"{lowest:g} to {highest:g}; choose a threshold between these{advice}"
        )

    def _density_range(self) -> tuple[float, float]:
        """On the grid, or on a coarser one in its place."""
        points = min(self.options.resolution, RANGE_POINTS)
        values = self.device.empty((points,) * 3, np.float32)
        self._launch(
            "lrm_density_grid", points**3, *self.sampler, np.float64(self.record["half"]), np.int32(points),
            np.int64(0), np.int64(points**3), np.int32(1), values,
        )  # fmt: skip
        density = self.device.download(values)
        return float(density.min()), float(density.max())

    def _claimed_count(self) -> int:
        return int(self.device.download(self.count)[0])

    def _table(self) -> tuple[DeviceArray, ...]:
        return (self.claimed, self.slot_of_block, self.block_of_slot, self.count)

    def _zeros(self, shape: tuple[int, ...], dtype: type) -> DeviceArray:
        array = self.device.empty(shape, dtype)
        self.device.fill(array, 0)
        return array

    def _launch(self, kernel: str, items: int, *arguments: object) -> None:
        launch_items(self.device, kernel, items, THREADS, *arguments)
