"""examples/gpu_interop.py without a GPU: what it says, and what it does up to other libraries' arrays."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrm_sdk import Camera, Scene
from lrm_sdk.backends.nvidia import find_gpu
from lrm_sdk.engine import load_engine
from tests.cuda.host_device import HostDevice
from tests.sdk.make_engine import CHANNELS, SIDE, make_engine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "gpu_interop.py"


@pytest.mark.skipif(not isinstance(find_gpu(), str), reason="says what happens without a GPU")
def test_without_a_gpu():
    done = subprocess.run([sys.executable, str(EXAMPLE), "e.lrm", "p.png"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"gpu_interop: {find_gpu()}\n"
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("usage: ")


def test_pictures_and_vertices_are_the_scenes(tmp_path, monkeypatch):
    """With the kernels on the CPU."""
    spec = importlib.util.spec_from_file_location("gpu_interop", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "GpuDevice", lambda field, index, stream: HostDevice(field))
    engine = load_engine(make_engine(tmp_path / "e.lrm"))
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    planes = np.zeros((3, CHANNELS, SIDE, SIDE), np.float32)
    planes[:, 0] = -(line[:, None] ** 2 + line[None, :] ** 2)
    rgb, vertices = example.made(engine, None, planes)
    scene = Scene(engine, planes)
    frame = scene.render(Camera.orbit(30, 20), size=(256, 256))
    assert np.abs(rgb - frame.rgb).max() < 1 / 255 and frame.alpha.max() > 0.9
    mesh = scene.mesh(resolution=128)
    assert vertices.shape == mesh.vertices.shape
