"""One engine with several networks: built, verified, timed by `lrm tune`, chosen by what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.build_engine import BuildError, BuildOptions, build_engine
from lrm_sdk import BackendError, Reconstructor, SaveError
from lrm_sdk.backends import choose
from lrm_sdk.cli import main
from lrm_sdk.engine import load_engine
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.tune import tune_engine
from lrm_sdk.tuning import Measurement, fastest_first, read_record, record_path, write_record

ROOT = Path(__file__).resolve().parents[2]
ONNX = ROOT / "models/lrm-tiny/onnx/network.onnx"
PLAN = [("onnxruntime", "float32"), ("onnxruntime", "int8"), ("openvino", "float32"), ("openvino", "int8")]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Nothing goes into the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LRM_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("engines") / "several.lrm"
    script = [sys.executable, str(ROOT / "export/build_engine.py"), "--onnx", str(ONNX), "--out", str(out)]
    chosen = ["--backend", "onnxruntime", "openvino", "--precision", "float32", "int8"]
    done = subprocess.run([*script, *chosen], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def measured(backend: str, precision: str, seconds: float, good: bool = True) -> Measurement:
    return Measurement(backend, precision, seconds, 40.0, good)


def test_every_network_is_there_and_verified(engine, capsys):
    manifest = load_engine(engine).manifest
    assert [(n.backend, n.precision) for n in manifest.networks] == PLAN
    first, others = manifest.verification, manifest.verification["others"]
    assert first["network"].startswith("onnxruntime float32") and len(others) == 3
    assert all(report["passed"] for report in [first, *others])
    assert main(["info", str(engine)]) == 0
    shown = capsys.readouterr().out
    assert "openvino int8" in shown and "{" not in shown


def test_tune_measures_all_and_auto_follows(engine, capsys):
    found = tune_engine(engine, threads=1, repeats=1)
    assert [(m.backend, m.precision) for m in found] == PLAN
    assert all(m.seconds > 0 and m.good for m in found)
    best = fastest_first(found)[0]
    with Reconstructor(engine, threads=1) as rec:
        assert (rec.backend, rec.precision) == (best.backend, best.precision)
        assert "the fastest by lrm tune" in rec.backend_report
    assert not read_record(load_engine(engine), threads=2)  # other threads, other figures


def test_auto_takes_the_fastest_that_is_good_and_wanted(engine):
    loaded = load_engine(engine)
    rows = [measured("onnxruntime", "int8", 0.1, good=False), measured("openvino", "int8", 0.2)]
    write_record(loaded, 1, [*rows, measured("onnxruntime", "float32", 0.3)])
    assert read_record(loaded, 1)[0] == rows[0]
    wishes = {
        (): ("openvino", "int8"),
        (("backend", "onnxruntime"),): ("onnxruntime", "float32"),
        (("precision", "float32"),): ("onnxruntime", "float32"),
        (("backend", "openvino"), ("precision", "float32")): ("openvino", "float32"),
    }
    for wish, expected in wishes.items():
        with Reconstructor(engine, threads=1, **dict(wish)) as rec:
            assert (rec.backend, rec.precision) == expected


def test_a_damaged_record_is_no_record(engine):
    loaded = load_engine(engine)
    path = write_record(loaded, 1, [measured("onnxruntime", "int8", 0.1)])
    for content in (b"", b"{}", b"[1]", b'[{"backend": "onnxruntime"}]', b"\xff", b"null"):
        path.write_bytes(content)
        assert read_record(loaded, 1) == ()
        with Reconstructor(engine, threads=1) as rec:
            assert rec.backend == "openvino"
    path.unlink()


def test_command_says_what_it_found(engine, capsys):
    assert main(["tune", str(engine), "--threads", "1", "--repeats", "1"]) == 0
    shown = capsys.readouterr().out
    assert "auto takes" in shown and shown.count("yes") == 4
    assert str(record_path(load_engine(engine), 1)) in shown
    assert main(["tune", str(engine), "--threads", "1", "--repeats", "1", "--min-psnr", "500"]) == 1
    assert "auto stays as it was" in capsys.readouterr().out
    with Reconstructor(engine, threads=1) as rec:
        assert (rec.backend, rec.precision) == ("openvino", "float32")


def test_nowhere_to_remember(engine, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LRM_CACHE", str(tmp_path / "file"))
    with pytest.raises(SaveError, match="LRM_CACHE"):
        write_record(load_engine(engine), 1, [])


def test_choice_goes_by_measurement_first():
    networks = [NetworkSpec(b, p, "network", {}) for b, p in PLAN]
    choice = choose(networks, fastest=[("onnxruntime", "int8", 0.125)])
    assert (choice.spec.backend, choice.spec.precision, choice.seconds) == ("onnxruntime", "int8", 0.125)
    assert "fastest by lrm tune (0.125 s)" in choice.report()
    assert choose(networks).seconds is None


def test_tune_without_a_backend(engine, monkeypatch):
    monkeypatch.setattr("lrm_sdk.tune.unavailable", lambda spec: "not installed")
    with pytest.raises(BackendError, match="onnxruntime int8: not installed"):
        tune_engine(engine)


def test_combinations_that_give_nothing(tmp_path):
    cases = [
        (
            ["onnxruntime", "openvino"],
            ["int8-dynamic"],
            "openvino builds float32, bfloat16, int8, int8-static; got int8-dynamic",
        ),
        (["onnxruntime"], ["float32", "int2"], "got float32, int2"),
    ]
    for backends, precisions, problem in cases:
        with pytest.raises(BuildError, match=problem):
            options = BuildOptions(backends=backends, precisions=precisions)
            build_engine(tmp_path / "e.lrm", onnx=ONNX, options=options)
    assert not list(tmp_path.iterdir())


def test_the_networks_agree(engine):
    image = np.random.default_rng(0).random((1, 3, 128, 128), np.float32)
    planes = {}
    for backend, precision in PLAN:
        with Reconstructor(engine, backend=backend, precision=precision, threads=1) as rec:
            planes[backend, precision] = rec.run_prepared(image)
    exact = planes["onnxruntime", "float32"]
    for key, bound in zip(PLAN[1:], (3e-2, 1e-5, 3e-2), strict=True):
        error = np.linalg.norm(planes[key] - exact) / np.linalg.norm(exact)
        assert 0 < error <= bound, key


def test_the_record_is_plain_json(engine):
    path = write_record(load_engine(engine), 3, [measured("openvino", "int8", 0.5)])
    assert json.loads(path.read_text())[0]["seconds"] == 0.5
