"""OpenVINO engines of the model that ships: built, verified, run, cancelled, damaged."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from export.build_engine import BuildError, BuildOptions, build_engine
from lrm_sdk import BackendError, CancelledError, EngineError, Reconstructor
from lrm_sdk.backends import openvino
from lrm_sdk.engine import load_engine

ROOT = Path(__file__).resolve().parents[2]
ONNX = ROOT / "models/lrm-tiny/onnx/network.onnx"
PICTURE = ROOT / "examples/teddy_bear.png"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Nothing goes into the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LRM_CACHE", str(folder))
        yield folder


HAS_BFLOAT16 = "BF16" in openvino._capabilities()
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16")


@pytest.fixture(scope="module")
def engines(tmp_path_factory) -> dict[str, Path]:
    """float32.lrm has bfloat16 too."""
    folder = tmp_path_factory.mktemp("engines")
    for precision in ("float32", "int8", "int8-static"):
        both = ["bfloat16", "float32"] if precision == "float32" else [precision]
        options = BuildOptions(backends=["openvino"], precisions=both)
        build_engine(folder / f"{precision}.lrm", onnx=ONNX, options=options)
    build_engine(folder / "onnxruntime.lrm", onnx=ONNX)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def planes(engines) -> np.ndarray:
    with Reconstructor(engines["onnxruntime"]) as rec:
        return rec.run(PICTURE).planes


@pytest.mark.parametrize(
    "precision,bound",
    [
        ("float32", 1e-5),
        pytest.param("bfloat16", 2e-2, marks=needs_bfloat16),
        ("int8", 2e-2),
        ("int8-static", 0.1),
    ],
)
def test_planes_are_those_of_onnxruntime(engines, planes, precision, bound):
    engine = engines["float32" if precision == "bfloat16" else precision]
    with Reconstructor(engine, precision=precision, threads=1) as rec:
        assert f"openvino {precision}" in rec.backend_report and "1 threads" in rec.backend_report
        computed = "bfloat16" if HAS_BFLOAT16 and precision != "float32" else "float32"
        assert f"CPU in {computed}" in rec.backend_report
        mine = rec.run(PICTURE).planes
    assert np.linalg.norm(mine - planes) <= bound * np.linalg.norm(planes)
    assert (mine != planes).any()  # it was another library


def test_reports_and_sizes(engines):
    manifests = {name: load_engine(path).manifest for name, path in engines.items()}
    assert manifests["float32"].verification["others"][0]["planes_relative_error"] <= 1e-4
    assert manifests["int8"].verification["render_psnr_db"] >= 38
    assert manifests["int8-static"].verification["render_psnr_db"] >= 38
    sizes = {name: m.files[f"network.{name}.bin"].size for name, m in manifests.items() if "onnx" not in name}
    assert sizes["int8"] < 0.5 * sizes["float32"] and sizes["int8-static"] < 0.5 * sizes["float32"]


def test_bfloat16_shares_the_file_of_float32(engines):
    manifest = load_engine(engines["float32"]).manifest
    assert [n.precision for n in manifest.networks] == ["bfloat16", "float32"]
    assert {n.file for n in manifest.networks} == {"network.float32.xml"}
    assert [name for name in manifest.files if name.startswith("network")] == [
        "network.float32.bin",
        "network.float32.xml",
    ]
    # Verified where it can run; where it cannot, the engine says why.
    assert manifest.verification["passed"] is (True if HAS_BFLOAT16 else None)


@needs_bfloat16
def test_bfloat16_is_what_it_computes_in(engines, planes):
    """Float32's own file, and not float32's numbers; nor the other way round from a common cache."""
    errors = {}
    for precision in ("bfloat16", "float32", "bfloat16"):
        with Reconstructor(engines["float32"], precision=precision) as rec:
            mine = rec.run(PICTURE).planes
        errors[precision] = np.linalg.norm(mine - planes) / np.linalg.norm(planes)
    assert errors["float32"] < 1e-5 and errors["bfloat16"] > 1e-4


def test_a_processor_without_bfloat16(engines, monkeypatch):
    monkeypatch.setattr(openvino, "_capabilities", lambda: ("FP32", "INT8"))
    with Reconstructor(engines["float32"]) as rec:
        assert (rec.precision, "CPU in float32" in rec.backend_report) == ("float32", True)
    with pytest.raises(BackendError, match=r"no bfloat16 \(OpenVINO lists FP32, INT8\); take float32"):
        Reconstructor(engines["float32"], precision="bfloat16")
    with Reconstructor(engines["int8"]) as rec:
        assert "CPU in float32" in rec.backend_report


def test_a_second_start_finds_the_compiled_network(engines, monkeypatch, tmp_path):
    monkeypatch.setenv("LRM_CACHE", str(tmp_path))
    with Reconstructor(engines["float32"]) as rec:
        assert "compiled before" not in rec.backend_report
        planes = rec.run(PICTURE).planes
    assert [p.suffix for p in (tmp_path / "openvino/float32").iterdir()] == [".blob"]
    with Reconstructor(engines["float32"]) as rec:
        assert "compiled before" in rec.backend_report
        np.testing.assert_allclose(rec.run(PICTURE).planes, planes, atol=1e-6)


def test_no_place_for_a_cache(engines, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LRM_CACHE", str(tmp_path / "file"))
    with Reconstructor(engines["float32"]) as rec:
        assert np.isfinite(rec.run(PICTURE).planes).all()


def test_threads_share_one_network(engines, planes):
    results = []
    with Reconstructor(engines["float32"]) as rec:
        workers = [threading.Thread(target=lambda: results.append(rec.run(PICTURE).planes)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(results) == 3
    for mine in results:
        np.testing.assert_allclose(mine, planes, atol=1e-4 * np.abs(planes).max())


def test_cancel_while_it_runs(engines):
    with Reconstructor(engines["float32"]) as rec:
        size = rec.engine.manifest.input.size
        picture = np.random.default_rng(0).random((64, 3, size, size), np.float32)
        polls = iter([False, False])
        with pytest.raises(CancelledError):
            rec.run_prepared(picture, progress=lambda fraction: next(polls, True))
        assert np.isfinite(rec.run(PICTURE).planes).all()  # still usable


def damaged(engine: Path, target: Path, change) -> Path:
    shutil.copytree(engine, target)
    change(target / "network.float32.xml", target / "network.float32.bin")
    return target


@pytest.mark.parametrize(
    "change",
    [
        lambda xml, weights: xml.write_text("no IR"),
        lambda xml, weights: xml.write_text(xml.read_text()[:5000]),
        lambda xml, weights: xml.write_text(xml.read_text().replace('"planes"', '"plains"')),
        lambda xml, weights: weights.write_bytes(weights.read_bytes()[:1000]),
    ],
    ids=["text", "cut", "another output", "short weights"],
)
def test_damaged_files(engines, tmp_path, change):
    """By the loader itself: the engine's hashes would find them first."""
    folder = damaged(engines["float32"], tmp_path / "d.lrm", change)
    with pytest.raises(EngineError, match=r"network\.float32\.xml: .*(build the engine again|see docs)"):
        openvino.load(folder / "network.float32.xml", 1)
    with pytest.raises(EngineError, match="expected"):
        Reconstructor(folder)


def test_unknown_precision(tmp_path):
    with pytest.raises(BuildError, match="openvino builds float32, bfloat16, int8, int8-static; got float64"):
        options = BuildOptions(backends=["openvino"], precisions=["float64"])
        build_engine(tmp_path / "x.lrm", onnx=ONNX, options=options)
    assert not list(tmp_path.iterdir())
