"""(checkpoint | ONNX) -> engine directory: verified, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from export.build_engine import BuildError, BuildOptions, build_engine
from export.staging import TargetExists
from lrm_sdk import Reconstructor
from lrm_sdk.engine import load_engine
from lrm_sdk.verify import verify_engine

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "export" / "build_engine.py"


def only(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_from_onnx_without_torch(source, tmp_path):
    """The subprocess refuses to import torch and onnx; the engine it builds verifies and runs."""
    blocker = "import sys; sys.modules['torch'] = sys.modules['onnx'] = None; "
    blocker += "import runpy; sys.argv = sys.argv[1:]; "
    blocker += "runpy.run_path(sys.argv[0], run_name='__main__')"
    out = tmp_path / "small.lrm"
    command = [
        sys.executable,
        "-c",
        blocker,
        str(SCRIPT),
        "--onnx",
        str(source / "onnx/network.onnx"),
        "--out",
        str(out),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "is ready" in done.stdout
    assert only(tmp_path) == ["small.lrm"]
    report = json.loads((out / "engine.json").read_text())["verification"]
    assert report["passed"] and report["planes_relative_error"] <= 1e-4 and report["render_psnr_db"] >= 50
    with Reconstructor(out) as rec:
        scene = rec.run(ROOT / "examples" / "teddy_bear.png")
        assert np.isfinite(scene.planes).all() and scene.render(size=(16, 16)).rgb.shape == (16, 16, 3)


def test_from_checkpoint_gives_the_same_files(source, tmp_path):
    pictures = [ROOT / "examples" / "teddy_bear.png"]
    options = BuildOptions(name="small", license="CC0-1.0", pictures=pictures)
    made = build_engine(tmp_path / "a.lrm", checkpoint=source, options=options)
    shipped = build_engine(tmp_path / "b.lrm", onnx=source / "onnx/network.onnx")
    for name in ("field.safetensors", "verification.safetensors"):
        assert made["files"][name] == shipped["files"][name]
    assert {k: made[k] for k in ("model", "input", "field", "render")} == {
        k: shipped[k] for k in ("model", "input", "field", "render")
    }


def test_int8_is_smaller_and_close(source, tmp_path):
    exact = build_engine(tmp_path / "f.lrm", onnx=source / "onnx/network.onnx")
    small = build_engine(
        tmp_path / "i.lrm", onnx=source / "onnx/network.onnx", options=BuildOptions(precisions=["int8"])
    )
    assert [n["precision"] for n in small["networks"]] == ["int8"]
    sizes = [m["files"][m["networks"][0]["file"]]["size"] for m in (exact, small)]
    assert sizes[1] < 0.7 * sizes[0]
    assert small["verification"]["planes_relative_error"] > 1e-5  # it is quantised


def test_verification_notices_another_field(source, tmp_path):
    """A colour bias that is off by 0.05 passes every hash of a rebuilt manifest, but not the numbers."""
    from safetensors.numpy import load_file, save_file

    from export.hashing import sha256

    out = tmp_path / "e.lrm"
    build_engine(out, onnx=source / "onnx/network.onnx")
    assert verify_engine(out).passed
    path = out / "field.safetensors"
    tensors = load_file(path)
    tensors["layers.1.bias"] = tensors["layers.1.bias"] + np.float32([0, 0.05, 0, 0])
    save_file(tensors, path)
    manifest = json.loads((out / "engine.json").read_text())
    manifest["files"]["field.safetensors"] = {"size": path.stat().st_size, "sha256": sha256(path)}
    (out / "engine.json").write_text(json.dumps(manifest))
    assert not verify_engine(out).passed


def test_a_source_that_does_not_fit_its_references_is_not_built(source, tmp_path):
    folder = tmp_path / "onnx"
    folder.mkdir()
    for file in (source / "onnx").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["field"]["density_bias"] += 0.5
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BuildError, match="does not reproduce the model"):
        build_engine(tmp_path / "e.lrm", onnx=folder / "network.onnx")
    assert only(tmp_path) == ["onnx"]


@pytest.mark.parametrize("name", ["manifest.json", "field.safetensors", "verification.safetensors"])
def test_missing_companion(source, tmp_path, name):
    folder = tmp_path / "onnx"
    folder.mkdir()
    for file in (source / "onnx").iterdir():
        if file.name != name:
            (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BuildError, match=name):
        build_engine(tmp_path / "e.lrm", onnx=folder / "network.onnx")
    assert only(tmp_path) == ["onnx"]


def test_truncated_onnx(source, tmp_path):
    folder = tmp_path / "onnx"
    folder.mkdir()
    for file in (source / "onnx").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    data = (folder / "network.onnx").read_bytes()
    (folder / "network.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"network\.onnx: expected an ONNX file"):
        build_engine(tmp_path / "e.lrm", onnx=folder / "network.onnx")
    assert only(tmp_path) == ["onnx"]


def test_unknown_precision_and_backend(source, tmp_path):
    onnx = source / "onnx/network.onnx"
    with pytest.raises(BuildError, match="float32, bfloat16, int8, int8-dynamic"):
        build_engine(tmp_path / "e.lrm", onnx=onnx, options=BuildOptions(precisions=["int2"]))
    with pytest.raises(ValueError, match="backend: expected one of"):
        build_engine(tmp_path / "e.lrm", onnx=onnx, options=BuildOptions(backends=["abacus"]))
    assert only(tmp_path) == []


def test_an_existing_engine_is_kept_without_force(source, tmp_path):
    out = tmp_path / "e.lrm"
    build_engine(out, onnx=source / "onnx/network.onnx")
    before = (out / "engine.json").read_bytes()
    with pytest.raises(TargetExists, match="--force"):
        build_engine(out, onnx=source / "onnx/network.onnx", options=BuildOptions(precisions=["int8"]))
    assert (out / "engine.json").read_bytes() == before
    build_engine(
        out, onnx=source / "onnx/network.onnx", options=BuildOptions(precisions=["int8"], force=True)
    )
    assert load_engine(out).manifest.networks[0].precision == "int8"
    assert only(tmp_path) == ["e.lrm"]


@pytest.mark.parametrize("when", ["copying", "verifying"])
def test_interrupted_anywhere_nothing_is_left(source, tmp_path, when):
    def interrupt(text: str) -> None:
        if text.startswith(when):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(tmp_path / "e.lrm", onnx=source / "onnx/network.onnx", report=interrupt)
    assert only(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_killed_politely_nothing_is_left(source, tmp_path, number):
    """The signal comes while the checkpoint is exported, which takes seconds."""
    command = [sys.executable, str(SCRIPT), "--checkpoint", str(source), "--out", str(tmp_path / "e.lrm")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "exporting" in process.stdout.readline()
    assert any(p.name.startswith(".e.lrm.") for p in tmp_path.iterdir())  # it is at work
    time.sleep(0.5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "interrupted; nothing was written" in errors
    assert only(tmp_path) == []


def test_two_processes_into_one_directory(source, tmp_path):
    """One wins, the other says so; what is there is one whole engine."""
    out = tmp_path / "e.lrm"
    command = [sys.executable, str(SCRIPT), "--onnx", str(source / "onnx/network.onnx"), "--out", str(out)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    errors = [p.communicate(timeout=120)[1] for p in both]
    codes = [p.returncode for p in both]
    assert sorted(codes) == [0, 1], errors
    loser = errors[codes.index(1)]
    assert "another build finished first" in loser or "already exists" in loser
    assert "Traceback" not in loser
    assert only(tmp_path) == ["e.lrm"]
    load_engine(out)


def test_unwritable_target_is_one_line(source, tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, str(SCRIPT), "--onnx", str(source / "onnx/network.onnx")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "file" / "e.lrm")], capture_output=True, text=True
    )
    assert (
        done.returncode == 1 and done.stderr.startswith("build_engine: ") and "Traceback" not in done.stderr
    )
    assert only(tmp_path) == ["file"]
