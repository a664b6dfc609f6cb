"""PyTorch and CuPy beside lrm-sdk on one GPU: planes go in, pictures and vertices come out, nothing is copied
to the host, all on the caller's stream.

    python examples/gpu_interop.py ENGINE.lrm PICTURE

Needs an NVIDIA GPU, `pip install 'lrm-sdk[cuda]'`, and PyTorch with CUDA or CuPy: it takes what it finds.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from lrm_sdk import Camera, LrmError, Reconstructor
from lrm_sdk.backends.nvidia import open_device
from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.gpu import GpuDevice
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.cuda.stage import GpuStage
from lrm_sdk.engine import Engine
from lrm_sdk.native import MeshOptions


def open_stage(engine: Engine, stream: Any) -> GpuStage:
    """Kernels and weights on the GPU; everything is ordered on `stream`, an object with __cuda_stream__."""
    options, field = engine.field_options(), engine.manifest.field
    channels, height, width = engine.manifest.triplane.shape[1:]
    spec = Specialization.of(options, (channels, height, width), field.widths)
    return GpuStage(GpuDevice(spec, 0, stream), spec, options, engine.weights, engine.biases)


def made(engine: Engine, stream: Any, planes: Any) -> tuple[Any, Any]:
    """Picture [256, 256, 3] and vertices [V, 3] of another library's planes, in device memory."""
    stage = open_stage(engine, stream)
    field: CudaField = stage.field(stage.planes(planes)).field  # planes: by __cuda_array_interface__
    camera = Camera.orbit(30, 20).placed(engine.sdk_center, engine.sdk_radius)
    rgb, _, _ = field.render(camera.parameters(256, 256), engine.render_options(None))
    mesh = field.mesh(MeshOptions(128, engine.manifest.mesh.threshold))
    return rgb, mesh.vertices


def with_torch(torch: ModuleType, engine: Engine, planes: np.ndarray) -> str:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        # A network in PyTorch would leave its planes here.
        rgb, vertices = made(engine, stream, torch.from_numpy(planes).cuda())
        picture, points = torch.from_dlpack(rgb), torch.from_dlpack(vertices)
        assert picture.data_ptr() == rgb.pointer and points.data_ptr() == vertices.pointer
        return f"mean colour {picture.mean(dim=(0, 1)).tolist()}, {len(points)} vertices"


def with_cupy(cupy: ModuleType, engine: Engine, planes: np.ndarray) -> str:
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        rgb, vertices = made(engine, stream, cupy.asarray(planes))
        picture, points = cupy.asarray(rgb), cupy.asarray(vertices)
        assert picture.data.ptr == rgb.pointer and points.data.ptr == vertices.pointer
        return f"mean colour {picture.mean(axis=(0, 1)).tolist()}, {len(points)} vertices"


def usable_libraries() -> dict[str, Any]:
    """Name -> (module, function)."""
    found: dict[str, Any] = {}
    try:
        import torch

        if torch.cuda.is_available():
            found["PyTorch"] = (torch, with_torch)
    except ImportError:
        pass  # the other one may be there
    try:
        import cupy

        found["CuPy"] = (cupy, with_cupy)
    except ImportError:
        pass
    return found


def main() -> int:
    if len(sys.argv) != 3:
        print(f"usage: python {sys.argv[0]} ENGINE.lrm PICTURE", file=sys.stderr)
        return 2
    try:
        open_device()
        libraries = usable_libraries()
        if not libraries:
            print("gpu_interop: neither PyTorch with CUDA nor CuPy is installed", file=sys.stderr)
            return 1
        with Reconstructor(sys.argv[1]) as rec:
            planes = np.asarray(rec.run(sys.argv[2]).planes)
            for name, (module, run) in libraries.items():
                print(f"{name}: {run(module, rec.engine, planes)}")
    except LrmError as error:
        print(f"gpu_interop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
