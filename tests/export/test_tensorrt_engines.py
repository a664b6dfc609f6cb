"""TensorRT-RTX plans of the model that ships, built for real: its builder needs no GPU. Without one they
cannot be loaded, so what runs them is tested in tests/sdk/test_tensorrt_backend.py."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")

from export.backends import backend_module
from export.backends.tensorrt import TensorRTOptions
from export.build_engine import BuildOptions, build_engine
from export.tensorrt_build import TimingCache
from lrm_sdk import BackendError, CancelledError, InvalidArgumentError, Reconstructor
from lrm_sdk.backends.nvidia import find_gpu
from lrm_sdk.engine import load_engine

ROOT = Path(__file__).resolve().parents[2]
ONNX = ROOT / "models/lrm-tiny/onnx/network.onnx"
PICTURE = ROOT / "examples/teddy_bear.png"
HAS_GPU = not isinstance(find_gpu(), str)
without_gpu = pytest.mark.skipif(HAS_GPU, reason="says what happens without a GPU")
with_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
ignore_steps = print if os.environ.get("LRM_VERBOSE") else lambda text: None


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Nothing goes into the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LRM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def rtx(*precisions: str, **options) -> BuildOptions:
    own = {name: options.pop(name) for name in ("force", "backends") if name in options}
    return BuildOptions(
        **{"backends": ("tensorrt-rtx",), **own}, precisions=precisions, tensorrt=TensorRTOptions(**options)
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Path:
    """Three plans and ONNX Runtime's network."""
    path = tmp_path_factory.mktemp("engines") / "tiny.lrm"
    wanted = rtx("float32", "float16", "bfloat16", backends=("tensorrt-rtx", "onnxruntime"), max_batch=2)
    build_engine(path, onnx=ONNX, options=wanted)
    return path


def report_of(engine: Path, precision: str) -> dict:
    return json.loads((engine / f"network.{precision}.rtx.plan.report.json").read_text())


def test_the_engine_and_its_reports(engine):
    import tensorrt_rtx

    manifest = load_engine(engine).manifest  # sizes and hashes of all files
    plans = {n.precision: n for n in manifest.networks if n.backend == "tensorrt-rtx"}
    assert list(plans) == ["float32", "float16", "bfloat16"]
    for precision, spec in plans.items():
        assert spec.requires == {
            "version": tensorrt_rtx.__version__, "version_compatible": False,
            "compute_capabilities": None, "max_batch": 2,
        }  # fmt: skip
        report = report_of(engine, precision)
        assert report["plan_bytes"] == manifest.files[spec.file].size > 1 << 20
        layers = report["parsed_layers"]
        assert layers["ATTENTION_INPUT"] == 10  # one operator each, still
        assert layers["NORMALIZATION"] == 18
    assert manifest.files["source.onnx"].size == ONNX.stat().st_size
    sizes = {p: manifest.files[n.file].size for p, n in plans.items()}
    assert max(sizes["float16"], sizes["bfloat16"]) < 0.7 * sizes["float32"]


def test_graphs_are_judged_before_they_are_built(engine):
    errors = {p: report_of(engine, p)["graph_relative_error"] for p in ("float32", "float16", "bfloat16")}
    assert errors["float32"] < 1e-5 < errors["float16"] < 5e-3
    assert errors["bfloat16"] is None  # ONNX Runtime has no kernels for it on a CPU


@without_gpu
def test_without_a_driver(engine, tmp_path):
    verification = load_engine(engine).manifest.verification
    first, *_, last = [verification, *verification["others"]]
    assert first["passed"] is None and "no NVIDIA driver" in first["not_verified"]
    assert last["passed"] is True and "onnxruntime" in last["network"]
    report = report_of(engine, "float16")
    assert report["layers"] is None and "no NVIDIA driver" in report["layers_note"]
    with Reconstructor(engine) as rec:
        assert rec.backend == "onnxruntime" and "tensorrt-rtx float16 (no NVIDIA driver" in rec.backend_report
    with pytest.raises(
        BackendError, match="tensorrt-rtx float32: no NVIDIA driver; install NVIDIA's display"
    ):
        Reconstructor(engine, backend="tensorrt-rtx")
    with pytest.raises(BackendError, match=r"stripped and refittable .* on a GPU only: no NVIDIA driver"):
        build_engine(tmp_path / "s.lrm", onnx=ONNX, options=rtx("float16", stripped=True))
    assert not list(tmp_path.iterdir())


@with_gpu
@pytest.mark.parametrize("precision,bound", [("float32", 1e-4), ("float16", 1e-2), ("bfloat16", 5e-2)])
def test_planes_are_those_of_onnxruntime(engine, precision, bound):
    with Reconstructor(engine, backend="onnxruntime") as rec:
        planes = rec.run(PICTURE).planes
    with Reconstructor(engine, backend="tensorrt-rtx", precision=precision) as rec:
        mine = np.asarray(rec.run(PICTURE).planes)
    assert np.linalg.norm(mine - planes) <= bound * np.linalg.norm(planes)


@with_gpu
def test_a_stripped_plan_is_smaller(engine, tmp_path):
    build_engine(tmp_path / "s.lrm", onnx=ONNX, options=rtx("float16", stripped=True))
    name = "network.float16.rtx.plan"
    assert (tmp_path / "s.lrm" / name).stat().st_size < 0.5 * (engine / name).stat().st_size


def test_a_plan_of_another_version(engine, tmp_path):
    document = json.loads((engine / "engine.json").read_text())
    for network in document["networks"]:
        if network["backend"] == "tensorrt-rtx":
            network["requires"]["version"] = "1.2.0.54"
    for file in engine.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    (tmp_path / "engine.json").unlink()
    (tmp_path / "engine.json").write_text(json.dumps(document))
    with Reconstructor(tmp_path) as rec:
        assert "tensorrt-rtx float16 (the plan was made by TensorRT-RTX 1.2.0.54, installed is" in (
            rec.backend_report
        )
    with pytest.raises(
        BackendError, match=r"1\.2\.0\.54, installed is .*source\.onnx --backend tensorrt-rtx"
    ):
        Reconstructor(tmp_path, backend="tensorrt-rtx")


def test_built_again_from_its_own_onnx(engine, tmp_path):
    """The command that the message above offers."""
    target = tmp_path / "again.lrm"
    build_engine(target, onnx=engine / "source.onnx", options=rtx("float16"))
    first = load_engine(engine).manifest
    build_engine(target, onnx=target / "source.onnx", options=rtx("float16", force=True))
    again = load_engine(target).manifest
    assert (again.model, again.field, again.input) == (first.model, first.field, first.input)
    assert [(n.backend, n.precision) for n in again.networks] == [("tensorrt-rtx", "float16")]
    assert again.files["source.onnx"] == first.files["source.onnx"]
    assert [p.name for p in tmp_path.iterdir()] == ["again.lrm"]


def test_weights_beside_the_graph(tmp_path):
    """As in a network of more than 256 MB."""
    import onnx
    from onnx.external_data_helper import convert_model_to_external_data

    folder = tmp_path / "onnx"
    folder.mkdir()
    for name in ("field.safetensors", "verification.safetensors", "manifest.json"):
        (folder / name).hardlink_to(ONNX.parent / name)
    graph = onnx.load(ONNX)
    convert_model_to_external_data(graph, location="network.onnx.data", size_threshold=1024)
    onnx.save(graph, folder / "network.onnx")
    build_engine(tmp_path / "e.lrm", onnx=folder / "network.onnx", options=rtx("float32", "float16"))
    files = load_engine(tmp_path / "e.lrm").manifest.files
    assert files["network.onnx.data"].size > 1 << 20 and files["source.onnx"].size < 1 << 20
    assert report_of(tmp_path / "e.lrm", "float32")["graph_relative_error"] < 1e-5


def test_compute_capabilities_in_one_plan(tmp_path):
    build = backend_module("tensorrt-rtx").build
    plans = []
    for listed in (("8.6", "12.0"), ("12.0",)):
        folder = tmp_path / "-".join(listed)
        folder.mkdir()
        options = TensorRTOptions(compute_capabilities=listed)
        (entry,) = build(ONNX, folder, "float16", ignore_steps, options=options)
        assert entry["requires"]["compute_capabilities"] == list(listed)
        plans.append((folder / entry["file"]).read_bytes())
    assert plans[0] != plans[1]


def test_float8(tmp_path):
    """Matrix products with weights; what the library stores of them takes a byte each."""
    build, listed = backend_module("tensorrt-rtx").build, ["8.9", "12.0"]
    (entry,) = build(ONNX, tmp_path, "float8", ignore_steps)
    assert entry["requires"]["compute_capabilities"] == listed
    report = json.loads((tmp_path / "network.float8.rtx.plan.report.json").read_text())
    assert 5e-3 < report["graph_relative_error"] < 1 / 16  # what E4M3's three bits of mantissa may round by
    layers = report["parsed_layers"]
    assert layers["MATRIX_MULTIPLY"] == 38 and layers["ATTENTION_INPUT"] == 10
    assert layers["DEQUANTIZE"] == layers["QUANTIZE"] + 38
    with pytest.raises(InvalidArgumentError, match=r"float8 is for 8\.9 and newer, got 8\.6; leave them out"):
        build(ONNX, tmp_path, "float8", ignore_steps, TensorRTOptions(compute_capabilities=("8.6", "12.0")))


@pytest.mark.parametrize(
    "options,kind,text",
    [
        ({"compute_capabilities": ("9.1",)}, InvalidArgumentError, r"has 7\.5, 8\.0, .*, got '9\.1'"),
        ({"compute_capabilities": ("86",)}, InvalidArgumentError, "got '86'"),
        ({"max_batch": 0}, InvalidArgumentError, "max batch: expected 1 to 64, got 0"),
        ({"version_compatible": True}, InvalidArgumentError, "tensorrt-rtx has no such plans"),
        # The library's own reason: float32 products want at least 8.0.
        ({"compute_capabilities": ("7.5",)}, BackendError, "TensorRT-RTX's builder failed: .*FP32 GEMM"),
    ],
)
def test_bad_options(tmp_path, options, kind, text):
    with pytest.raises(kind, match=text):
        build_engine(tmp_path / "x.lrm", onnx=ONNX, options=rtx("float32", **options))
    assert not list(tmp_path.iterdir())


def test_a_node_that_the_library_does_not_know(tmp_path):
    import onnx
    import tensorrt_rtx

    from export.tensorrt_network import parse_network
    from lrm_sdk.backends.tensorrt_log import make_logger

    graph = onnx.load(ONNX)
    node = next(n for n in graph.graph.node if n.op_type == "Gelu")
    node.op_type, node.domain, node.name = "Wobble", "example", "block_7/wobble"
    graph.opset_import.append(onnx.helper.make_opsetid("example", 1))
    onnx.save(graph, tmp_path / "network.onnx")
    logger = make_logger(tensorrt_rtx)
    with pytest.raises(BackendError, match=r"cannot read it: .*'block_7/wobble' .Wobble.*export the ONNX"):
        parse_network(
            tensorrt_rtx, tensorrt_rtx.Builder(logger), logger, tmp_path / "network.onnx", "TensorRT-RTX"
        )


def test_progress_rises_to_the_end(tmp_path):
    fractions = []
    build = backend_module("tensorrt-rtx").build
    build(ONNX, tmp_path, "float16", ignore_steps, options=TensorRTOptions(progress=fractions.append))
    assert fractions == sorted(fractions) and 0 <= fractions[0] < fractions[-1] == 1


def test_cancelled_in_the_builder(tmp_path):
    polls = []

    def stop(fraction: float) -> bool:
        polls.append(fraction)
        return len(polls) >= 4  # 0.2 s into it

    with pytest.raises(CancelledError):
        build_engine(tmp_path / "x.lrm", onnx=ONNX, options=rtx("float32", progress=stop))
    assert len(polls) == 4 and not list(tmp_path.iterdir())


def test_interrupted_from_the_keyboard(tmp_path):
    command = [sys.executable, str(ROOT / "export/build_engine.py"), "--onnx", str(ONNX)]
    command += ["--backend", "tensorrt-rtx", "--out", str(tmp_path / "x.lrm")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "building with" in line:
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.endswith("build_engine: interrupted; nothing was written\n")
    assert not list(tmp_path.iterdir())


class CachingConfig:
    """The three calls of an IBuilderConfig; the caches of TensorRT-RTX do nothing."""

    def __init__(self) -> None:
        self.known = None

    def create_timing_cache(self, data: bytes) -> bytes:
        self.known = data
        return data + b"+"

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> None:
        assert not ignore_mismatch
        self.cache = cache

    def get_timing_cache(self) -> "CachingConfig":
        return self

    def serialize(self) -> bytes:
        return self.cache


def test_timings_are_kept_for_the_next_build(monkeypatch, tmp_path):
    monkeypatch.setenv("LRM_CACHE", str(tmp_path))
    for key, known in (("11.4-9.0", b""), ("11.4-9.0", b"+"), ("11.4-8.6", b""), ("11.4-9.0", b"++")):
        config = CachingConfig()
        TimingCache(config, key).save()
        assert config.known == known
    (tmp_path / "file").touch()
    monkeypatch.setenv("LRM_CACHE", str(tmp_path / "file"))
    config = CachingConfig()
    TimingCache(config, "11.4-9.0").save()  # no place to write: nothing is kept
    assert config.known == b""
