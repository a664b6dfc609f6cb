"""Checkpoint -> ONNX: parity, attention as one operator, float16 storage, staging."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from export.compare import relative_error
from export.export_onnx import export_checkpoint
from export.folding import folded
from export.onnx_from_torch import OnnxOptions, export_onnx
from export.references import procedural_picture
from export.staging import TargetExists, staged_directory
from export.weights import restore_weights
from models import checkpoint
from models.field import FieldSpec
from models.lrm import LRM, LRMConfig
from models.pooled import PooledLRM, PooledLRMConfig
from models.vit import ViTConfig

ROOT = Path(__file__).resolve().parents[2]


def small_lrm() -> LRM:
    """Its position embedding is learned at 32 and used at 48, so that resampling is exercised."""
    torch.manual_seed(0)
    return LRM(LRMConfig(
        image_size=48, encoder=ViTConfig(64, 2, 2, 8, 32), width=64, depth=2, heads=2, plane_tokens=4,
        upsample=2, plane_channels=4, field=FieldSpec(widths=(12, 8, 4)),
    )).eval()  # fmt: skip


def small_pooled() -> PooledLRM:
    torch.manual_seed(0)
    config = PooledLRMConfig(
        image_size=32, encoder=ViTConfig(32, 1, 2, 8, 32), depth=1, heads=2, plane_resolution=128
    )
    return PooledLRM(config).eval()


def run(path: Path, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["planes"], {"image": image})[0]


@pytest.mark.parametrize("make", [small_lrm, small_pooled])
@pytest.mark.parametrize("opset", [18, 23])
def test_planes_equal_torch_for_any_batch(make, opset, tmp_path):
    network = make()
    export_onnx(network, tmp_path / "n.onnx", OnnxOptions(opset=opset))
    size = network.config.image_size
    for batch in (1, 3):
        image = np.random.default_rng(batch).random((batch, 3, size, size), np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(image)).numpy()
        assert relative_error(run(tmp_path / "n.onnx", image), expected) < 1e-5


def test_attention_is_one_operator_from_opset_23_and_position_tables_are_constants(tmp_path):
    export_onnx(small_lrm(), tmp_path / "n.onnx")
    operators = [n.op_type for n in onnx.load(tmp_path / "n.onnx").graph.node]
    assert operators.count("Attention") == 2 + 2 * 2  # encoder blocks, decoder blocks twice
    assert "Softmax" not in operators and "Resize" not in operators


def test_batch_norms_of_pretrained_features_become_part_of_their_convolutions(tmp_path):
    """Also in bfloat16, which ONNX Runtime does not compute on a CPU: checked as a graph."""
    torch.manual_seed(0)
    config = dataclasses.replace(small_lrm().config, depth=1, pretrained=True)
    network = LRM(config).eval()
    for name, values in network.features.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            values.uniform_(0.5, 2)
    keys, image = list(network.state_dict()), torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        expected = network(image)
        with folded(network) as fused:
            assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
            torch.testing.assert_close(fused(image), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(image), expected, rtol=0, atol=0)
    assert list(network.state_dict()) == keys
    export_onnx(network, tmp_path / "n.onnx", OnnxOptions(dtype="bfloat16"))
    graph = onnx.load(tmp_path / "n.onnx").graph
    assert {t.data_type for t in graph.initializer if len(t.dims) > 1} == {onnx.TensorProto.BFLOAT16}


def test_fixed_batch(tmp_path):
    export_onnx(small_lrm(), tmp_path / "n.onnx", OnnxOptions(batch=1))
    shape = onnx.load(tmp_path / "n.onnx").graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [1, 3, 48, 48]


def test_export_leaves_the_network_as_it_was():
    network = small_lrm()
    before = network.encoder.pos_embed
    with folded(network):
        assert network.encoder.pos_embed.shape[1] == 37
    assert network.encoder.pos_embed is before


def test_half_weights_are_exact_and_halve_the_file(tmp_path):
    network = small_lrm()
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    export_onnx(network, tmp_path / "full.onnx")
    export_onnx(network, tmp_path / "half.onnx", OnnxOptions(half_weights=True))
    image = np.random.default_rng(0).random((1, 3, 48, 48), np.float32)
    np.testing.assert_array_equal(run(tmp_path / "half.onnx", image), run(tmp_path / "full.onnx", image))
    sizes = [(tmp_path / n).stat().st_size for n in ("half.onnx", "full.onnx")]
    assert sizes[0] < 0.7 * sizes[1]
    graph = onnx.load(tmp_path / "half.onnx")
    restore_weights(graph)
    onnx.checker.check_model(graph)
    assert not any(t.data_type == onnx.TensorProto.FLOAT16 for t in graph.graph.initializer)


def test_half_weights_leave_what_would_be_rounded(tmp_path):
    export_onnx(small_lrm(), tmp_path / "full.onnx")
    export_onnx(small_lrm(), tmp_path / "half.onnx", OnnxOptions(half_weights=True))
    image = np.random.default_rng(0).random((1, 3, 48, 48), np.float32)
    np.testing.assert_array_equal(run(tmp_path / "half.onnx", image), run(tmp_path / "full.onnx", image))


def test_the_folder_that_ships_is_complete(tmp_path):
    checkpoint.save(small_lrm(), tmp_path / "small")
    error = export_checkpoint(tmp_path / "small", tmp_path / "onnx", OnnxOptions())
    assert error < 1e-5
    names = {p.name for p in (tmp_path / "onnx").iterdir()}
    assert names == {"network.onnx", "field.safetensors", "verification.safetensors", "manifest.json"}
    manifest = json.loads((tmp_path / "onnx" / "manifest.json").read_text())
    expected = {"channels": 4, "height": 8, "width": 8, "dtype": "float32", "layout": "[3, C, H, W]"}
    assert manifest["triplane"] == expected
    stored = load_file(tmp_path / "onnx" / "verification.safetensors")
    np.testing.assert_array_equal(stored["image"], procedural_picture(manifest)[None])
    assert stored["image"].std() > 20  # something is on it


def test_a_failed_or_interrupted_stage_leaves_nothing(tmp_path):
    for problem in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(problem), staged_directory(tmp_path / "x.lrm") as stage:
            (stage / "half.bin").write_bytes(b"0")
            raise problem
    assert list(tmp_path.iterdir()) == []


def test_two_builds_into_one_directory_do_not_mix(tmp_path):
    late = pytest.raises(TargetExists, match="another build finished first")
    with late, staged_directory(tmp_path / "x.lrm") as slow:
        (slow / "who").write_text("slow")
        with staged_directory(tmp_path / "x.lrm") as fast:
            (fast / "who").write_text("fast")
    assert (tmp_path / "x.lrm" / "who").read_text() == "fast"
    assert [p.name for p in tmp_path.iterdir()] == ["x.lrm"]


def test_force_replaces_only_when_complete(tmp_path):
    with staged_directory(tmp_path / "x.lrm") as stage:
        (stage / "v").write_text("1")
    with pytest.raises(TargetExists, match="--force"), staged_directory(tmp_path / "x.lrm"):
        pass
    with pytest.raises(RuntimeError), staged_directory(tmp_path / "x.lrm", force=True):
        raise RuntimeError
    assert (tmp_path / "x.lrm" / "v").read_text() == "1"
    with staged_directory(tmp_path / "x.lrm", force=True) as stage:
        (stage / "v").write_text("2")
    assert (tmp_path / "x.lrm" / "v").read_text() == "2"
    assert [p.name for p in tmp_path.iterdir()] == ["x.lrm"]


def test_command_line_names_the_problem(tmp_path):
    script = str(ROOT / "export" / "export_onnx.py")
    command = [sys.executable, script, "--checkpoint", str(tmp_path), "--out", str(tmp_path / "o")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "expected one of config.json or config.yaml" in done.stderr
    assert "Traceback" not in done.stderr
