"""benchmarks/peers/openlrm.py in a checkout that behaves as the public one, and how all ways are judged."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import bench_end_to_end
from benchmarks.made import Made, kept
from benchmarks.peers.openlrm import Watched, configuration, encoder_weights
from benchmarks.ways import in_turn

ROOT = Path(__file__).resolve().parents[1]
INFERRER = """
import sys, time, types
import numpy as np, torch, trimesh
import openlrm.runners.train  # as the public runners do

class LRMInferrer:
    def __init__(self):
        words = dict(w.split("=", 1) for w in sys.argv if "=" in w)
        assert sys.argv[2].endswith("/configs/infer-b.yaml") and words["mesh_thres"] == "3.0"
        self.cfg = types.SimpleNamespace(mesh_size=int(words["mesh_size"]))
        self.shift = torch.hub.load_state_dict_from_url("https://nowhere")["shift"]
        forward_grid = lambda side: time.sleep(0.02) or np.eye(3) * side
        self.model = types.SimpleNamespace(synthesizer=types.SimpleNamespace(forward_grid=forward_grid))
    def infer_planes(self):
        time.sleep(0.05)
        return torch.arange(24.0).reshape(1, 3, 2, 2, 2) + self.shift
    def infer_mesh(self, planes, target):
        points = self.model.synthesizer.forward_grid(self.cfg.mesh_size)
        trimesh.Trimesh(points, [[0, 1, 2]], process=False).export(target)
    def infer_single(self, image_path, source_cam_dist, export_video, export_mesh, video, mesh):
        self.infer_mesh(self.infer_planes(), mesh)
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Another tensor beside the encoder's, as in the public checkpoints."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"transformer_dim": 768}))
    tensors = {"encoder.model.shift": torch.tensor([0.5]), "pos_embed": torch.zeros(1)}
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    inner = tmp_path / "checkout" / "openlrm" / "runners" / "infer"
    inner.mkdir(parents=True)
    for package in (inner, inner.parent, inner.parents[1]):
        (package / "__init__.py").touch()
    (inner / "lrm.py").write_text(INFERRER)
    return tmp_path / "checkout"


def command(checkout: Path, checkpoint: Path, made: Path) -> list[str]:
    return [
        sys.executable, str(ROOT / "benchmarks" / "peers" / "openlrm.py"), "--checkout", str(checkout),
        "--checkpoint", str(checkpoint), "--picture", "p.png", "--made", str(made), "--side", "40",
        "--warm-up-side", "8", "--threads", "1", "--threshold", "3.0",
    ]  # fmt: skip


def test_openlrm_tells_planes_vertices_and_seconds(tmp_path, checkout, checkpoint):
    row = in_turn({"peer": command(checkout, checkpoint, tmp_path / "made.npz")}, repeats=1)[0]
    planes, vertices = kept(tmp_path / "made.npz")
    np.testing.assert_array_equal(planes, np.arange(24.0).reshape(3, 2, 2, 2) + 0.5)
    np.testing.assert_array_equal(vertices, 40 * np.eye(3))  # the last run's, not the warm-up's
    stages = row["stages_s"]
    assert stages["planes"] >= 0.05 and stages["mesh"] >= stages["grid"] >= 0.02
    assert stages["planes"] + stages["mesh"] == pytest.approx(row["median_s"], abs=0.01)
    assert row["vertices"] == 3 and "checkpoint's encoder" in row["stand_ins"][0]


def test_openlrm_s_configuration_follows_from_the_width(checkpoint):
    assert configuration(checkpoint) == "infer-b.yaml"
    (checkpoint / "config.json").write_text(json.dumps({"transformer_dim": 64}))
    with pytest.raises(SystemExit, match=r"expected a width of \[512, 768, 1024\], got 64"):
        configuration(checkpoint)


def test_dinov2_gets_its_own_keys(checkpoint):
    assert {k: v.item() for k, v in encoder_weights(checkpoint).items()} == {"shift": 0.5}


def test_a_watched_method_does_what_it_did():
    owner = Namespace(add=lambda a, b=1: a + b)
    watched = Watched(owner, "add")
    assert owner.add(2, b=5) == 7 == watched.result and watched.seconds > 0


def test_peers_are_judged_in_the_sdk_s_frame(tmp_path, monkeypatch):
    """A quarter turn about x, and planes that are a tenth off."""
    planes, vertices = np.ones((3, 1, 2, 2), np.float32), np.random.default_rng(0).random((50, 3), np.float32)
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # native to SDK
    native_to_sdk = np.eye(4, dtype=np.float32)
    native_to_sdk[:3, :3] = turn
    engine = Namespace(sdk_radius=1.0, native_to_sdk=native_to_sdk)

    def ways(commands, repeats):
        Made(planes, vertices @ turn.T, {}).keep(commands["lrm-sdk"])
        Made(1.1 * planes, vertices, {}).keep(commands["peer"])
        return [{"way": name, "ratio": 0.5} for name in commands]

    files = {name: bench_end_to_end.made_file(tmp_path, name) for name in ("lrm-sdk", "peer")}
    monkeypatch.setattr(bench_end_to_end, "load_engine", lambda *_, **__: engine)
    monkeypatch.setattr(bench_end_to_end, "commands", lambda args, folder: files)
    monkeypatch.setattr(bench_end_to_end, "made_file", lambda folder, way: files[way])
    monkeypatch.setattr(bench_end_to_end, "in_turn", ways)
    args = Namespace(engine=None, side=3, repeats=1, exact=None, ways=["lrm-sdk"], threads=1)
    own, peer = bench_end_to_end.compare(args)
    assert own["distance_p99_cells"] == own["planes_error"] == 0 and peer["ratio"] == 2
    assert peer["distance_p99_cells"] < 1e-6 and peer["planes_error"] == pytest.approx(0.1, rel=1e-5)
