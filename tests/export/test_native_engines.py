"""Native engines of small networks: built, verified, run by liblrm, cancelled, damaged."""

from __future__ import annotations

import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.build_engine import BuildError, BuildOptions, build_engine
from lrm_sdk import CancelledError, EngineError, Reconstructor
from lrm_sdk.backends import native
from lrm_sdk.engine import load_engine
from lrm_sdk.native import instruction_set
from tests.export import native_interpreter
from tests.export.companions import with_companions

ROOT = Path(__file__).resolve().parents[2]
PRECISIONS = ("float32", "bfloat16")
SHIPPED = ROOT / "models/lrm-tiny/onnx/network.onnx"
PICTURE = ROOT / "examples/teddy_bear.png"


@pytest.fixture(scope="module")
def engine(source, tmp_path_factory) -> Path:
    """Of the family lrm: ONNX Runtime's network, and both native ones."""
    out = tmp_path_factory.mktemp("native") / "small.lrm"
    options = BuildOptions(backends=["onnxruntime", "native"], precisions=PRECISIONS)
    build_engine(out, onnx=source / "onnx/network.onnx", options=options)
    return out


def pictures(engine: Path, count: int = 1) -> np.ndarray:
    size = load_engine(engine).manifest.input.size
    return np.random.default_rng(0).random((count, 3, size, size), np.float32)


def planes_of(engine: Path, image: np.ndarray, **options: str) -> np.ndarray:
    with Reconstructor(engine, threads=1, **options) as rec:
        return rec.run_prepared(image)


def relative_error(planes: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(planes - expected) / np.linalg.norm(expected))


def test_it_is_verified_and_auto_takes_it(engine):
    manifest = load_engine(engine).manifest
    assert [n.file for n in manifest.networks if n.backend == "native"] == [
        "network.float32.lrmnet", "network.bfloat16.lrmnet",
    ]  # fmt: skip
    reports = [manifest.verification, *manifest.verification["others"]]
    assert len(reports) == 4 and all(report["passed"] for report in reports)
    with Reconstructor(engine, threads=1) as rec:
        assert (rec.backend, rec.precision) == ("native", "float32")
        assert "native float32" in rec.backend_report and "1 threads" in rec.backend_report
        assert np.isfinite(rec.run(PICTURE).planes).all()


@pytest.mark.parametrize("precision,bound", [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_planes_are_those_of_onnxruntime(engine, precision, bound):
    image = pictures(engine, 2)
    expected = planes_of(engine, image, backend="onnxruntime", precision="float32")
    planes = planes_of(engine, image, backend="native", precision=precision)
    assert planes.shape == expected.shape and planes.dtype == np.float32
    assert relative_error(planes, expected) <= bound
    assert (planes != expected).any()  # it was another library
    assert relative_error(planes[0], expected[1]) > 3 * bound  # each picture has planes of its own


@pytest.mark.parametrize("precision,bound", [("float32", 2e-6), ("bfloat16", 1e-2)])
def test_the_public_families_run(built, precision, bound, tmp_path):
    """liblrm against the interpreter of the same file. In bfloat16 the tile unit rounds attention too."""
    _, folder, _ = built
    onnx = with_companions(folder, tmp_path / "onnx")
    options = BuildOptions(backends=["native"], precisions=[precision])
    manifest = build_engine(tmp_path / "e.lrm", onnx=onnx, options=options)
    assert manifest["verification"]["passed"]
    image = pictures(tmp_path / "e.lrm")
    plan = native_interpreter.read(tmp_path / f"e.lrm/network.{precision}.lrmnet")
    planes = planes_of(tmp_path / "e.lrm", image)
    assert relative_error(planes[0], native_interpreter.run(plan, image[0])) <= bound


def test_what_it_computes_in_is_said(engine):
    for precision in PRECISIONS:
        with Reconstructor(engine, backend="native", precision=precision, threads=2) as rec:
            said = rec.backend_report
        exact = precision == "float32" or instruction_set() != "amx"
        assert ("CPU in float32" in said) == exact and instruction_set() in said and "2 threads" in said


def test_threads_share_one_network(engine):
    image, results = pictures(engine), []
    with Reconstructor(engine, backend="native", precision="float32") as rec:
        expected = rec.run_prepared(image)
        workers = [threading.Thread(target=lambda: results.append(rec.run_prepared(image))) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(results) == 4
    for planes in results:
        np.testing.assert_array_equal(planes, expected)


def test_cancel_while_it_runs(engine):
    image = pictures(engine, 64)
    with Reconstructor(engine, backend="native") as rec:
        polls = iter([False, False])
        with pytest.raises(CancelledError):
            rec.run_prepared(image, progress=lambda fraction: next(polls, True))
        assert np.isfinite(rec.run_prepared(image[:1])).all()  # still usable


def test_what_a_callback_raises_ends_the_run(engine):
    network = native.load(engine / "network.float32.lrmnet", 1)
    calls = []

    def poll() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        network.run(pictures(engine, 2), poll)
    assert len(calls) == 3


def word(at: int, value: int) -> Callable[[bytes], bytes]:
    """Another 64-bit word at a byte offset of the file."""
    return lambda data: data[:at] + struct.pack("<q", value) + data[at + 8 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"LRMNET99" + data[8:],
        word(32, 10**6),
        word(40, 16),
        word(72, -16),
        word(120, 8),
        word(128, 10**9),
    ],
    ids=["empty", "header cut", "cut", "longer", "another version", "more operations", "small arena",
         "image elsewhere", "unknown operation", "long record"],
)  # fmt: skip
def test_damaged_files(engine, tmp_path, change):
    path = tmp_path / "network.float32.lrmnet"
    path.write_bytes(change((engine / path.name).read_bytes()))
    with pytest.raises(EngineError, match=r"network\.float32\.lrmnet: .*build the engine again"):
        native.load(path, 1)


def test_no_file(tmp_path):
    with pytest.raises(EngineError, match=r"none\.lrmnet: .*build the engine again"):
        native.load(tmp_path / "none.lrmnet", 1)


def test_the_network_that_ships_runs(tmp_path):
    """Convolutions and all. Its features stay exact in bfloat16, else planes would be off by 4 % and more."""
    options = BuildOptions(backends=["native"], precisions=PRECISIONS)
    manifest = build_engine(tmp_path / "t.lrm", onnx=SHIPPED, options=options)
    reports = [manifest["verification"], *manifest["verification"]["others"]]
    errors = {report["precision"]: report["planes_relative_error"] for report in reports}
    assert errors["float32"] <= 1e-5 and errors["bfloat16"] <= 1e-2
    plan = native_interpreter.read(tmp_path / "t.lrm/network.bfloat16.lrmnet")
    image = pictures(tmp_path / "t.lrm")
    planes = planes_of(tmp_path / "t.lrm", image, precision="bfloat16")
    assert relative_error(planes[0], native_interpreter.run(plan, image[0])) <= 1e-2


def test_a_network_beyond_the_plan_is_refused(tmp_path):
    """The message says what is beyond it, and nothing is left behind."""
    folder = tmp_path / "onnx"
    shutil.copytree(SHIPPED.parent, folder)
    model = onnx.load(folder / SHIPPED.name)
    convolution = next(n for n in model.graph.node if "detail.mix.weight" in n.input)
    for attribute in convolution.attribute:  # of the same shape, but of every second pixel
        if attribute.name in ("dilations", "pads"):
            attribute.ints[:] = [2] * len(attribute.ints)
    onnx.save(model, folder / SHIPPED.name)
    with pytest.raises(ValueError, match=r"^Conv 3x3: no native form; build for onnxruntime"):
        build_engine(
            tmp_path / "t.lrm", onnx=folder / SHIPPED.name, options=BuildOptions(backends=["native"])
        )
    assert list(tmp_path.iterdir()) == [folder]


def test_other_precisions(tmp_path):
    with pytest.raises(BuildError, match="native builds float32, bfloat16; got int8"):
        options = BuildOptions(backends=["native"], precisions=["int8"])
        build_engine(tmp_path / "x.lrm", onnx=SHIPPED, options=options)
