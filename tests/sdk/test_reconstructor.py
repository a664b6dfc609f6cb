"""Picture -> scene with the synthetic engine: results, threads, progress, closing, wrong arguments."""

from __future__ import annotations

import inspect
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lrm_sdk import (
    BackendError,
    CancelledError,
    EngineError,
    ImageError,
    InvalidArgumentError,
    LrmError,
    OutOfMemoryError,
    Reconstructor,
    Scene,
)
from lrm_sdk.backends import choose
from lrm_sdk.backends.nvidia import Gpu
from lrm_sdk.engine import read_tensors
from lrm_sdk.engine_schema import NetworkSpec
from tests.sdk import numpy_field
from tests.sdk.make_engine import CHANNELS, SIDE, SIZE, make_engine, make_field, make_manifest, write_manifest
from tests.sdk.pictures import ball_picture, encode

COLORS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (220, 220, 30)]


def test_a_red_ball_becomes_a_red_ball(scene):
    mesh = scene.mesh()
    assert np.allclose(np.linalg.norm(mesh.vertices, axis=1), 0.605, atol=0.02)
    red, green, blue = mesh.colors.mean(axis=0)
    assert red > green + 0.2 and red > blue + 0.2


def test_every_kind_of_source_gives_the_same_planes(rec, tmp_path):
    picture = ball_picture()
    data = encode(picture, "png")
    path = tmp_path / "ball.png"
    path.write_bytes(data)
    expected = rec.run(picture).planes
    for source in (path, str(path), data, Image.fromarray(picture), Image.open(io.BytesIO(data))):
        assert np.array_equal(rec.run(source).planes, expected)


def test_planes_are_what_onnx_computes(rec, engine_folder):
    """The reference evaluator of the onnx package, not ONNX Runtime, made these numbers."""
    references = read_tensors(engine_folder / "verification.safetensors")
    tensor = references["image"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    planes = rec.run_prepared(tensor)
    assert planes.dtype == np.float32 and planes.shape == (2, 3, CHANNELS, SIDE, SIDE)
    assert np.abs(planes - references["planes"]).max() < 1e-5


def test_scene_knows_what_the_network_saw(scene):
    assert scene.picture.shape == (SIZE, SIZE, 3) and scene.picture.dtype == np.uint8
    assert tuple(scene.picture[SIZE // 2, SIZE // 2]) == (200, 40, 40)
    assert tuple(scene.picture[0, 0]) == (255, 255, 255)


def test_timings_name_every_stage(rec, tmp_path):
    scene = rec.run(ball_picture())
    assert list(scene.timings) == ["decode", "prepare", "network", "field"]
    scene.render(size=(16, 16))
    scene.mesh(resolution=16)
    scene.save_turntable(tmp_path / "turn", views=1, size=(16, 16))
    assert {"render", "mesh", "turntable"} < set(scene.timings)
    assert all(isinstance(v, float) and 0 <= v < 60 for v in scene.timings.values())


def test_batch_is_one_after_the_other(rec):
    pictures = [ball_picture(c) for c in COLORS]
    fractions: list[float] = []
    scenes = rec.run_batch(iter(pictures), progress=fractions.append)
    assert [isinstance(s, Scene) for s in scenes] == [True] * 4
    for scene, picture in zip(scenes, pictures, strict=True):
        assert np.array_equal(scene.planes, rec.run(picture).planes)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(0.2 < f < 0.8 for f in fractions)
    assert rec.run_batch([]) == []


def test_batch_stops_at_a_bad_picture_and_names_it(rec, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        rec.run_batch([ball_picture(), tmp_path / "none.png"])


@pytest.mark.parametrize(
    "images",
    ["chair.png", b"bytes", 3, None, np.zeros((20, 20, 3), np.uint8)],
    ids=lambda v: type(v).__name__,
)
def test_batch_wants_a_list(rec, images):
    with pytest.raises(InvalidArgumentError, match="images: expected a list of pictures"):
        rec.run_batch(images)


def test_two_threads_get_what_one_gets(rec):
    pictures = [ball_picture(c, radius=r) for c in COLORS for r in (0.2, 0.3)]

    def work(picture: np.ndarray) -> tuple[np.ndarray, ...]:
        scene = rec.run(picture)
        frame, mesh = scene.render(size=(24, 24)), scene.mesh(resolution=24)
        return scene.planes, frame.rgb, mesh.vertices, mesh.faces, mesh.colors

    alone = [work(p) for p in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, pictures))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_two_threads_share_one_scene(scene):
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    expected = scene.query(points)
    with ThreadPoolExecutor(4) as pool:
        for density, rgb in pool.map(scene.query, [points] * 12):
            assert np.array_equal(density, expected[0]) and np.array_equal(rgb, expected[1])


def test_progress_never_falls_and_ends_at_one(rec):
    fractions: list[float] = []
    rec.run(ball_picture(), progress=fractions.append)
    assert fractions[0] == 0.0 and fractions[-1] == 1.0 and fractions == sorted(fractions)


@pytest.mark.parametrize("at", [0.0, 0.05, 1.0])
def test_cancel_by_returning_true(rec, at):
    with pytest.raises(CancelledError, match="cancelled"):
        rec.run(ball_picture(), progress=lambda f: f >= at)
    rec.run(ball_picture())  # and it goes on


def test_what_the_callback_raises_comes_out(rec, scene):
    class StopError(Exception):
        pass

    def stop(fraction: float) -> None:
        raise StopError

    for call in (
        lambda: rec.run(ball_picture(), progress=stop),
        lambda: scene.render(size=(64, 64), progress=stop),
        lambda: scene.mesh(progress=stop),
        lambda: scene.density_grid(32, progress=stop),
    ):
        with pytest.raises(StopError):
            call()


@pytest.mark.parametrize("progress", [3, "yes", [1], 0.5], ids=repr)
def test_progress_of_another_type(rec, scene, progress, tmp_path):
    for call in (
        lambda: rec.run(ball_picture(), progress=progress),
        lambda: rec.run_batch([], progress=progress),
        lambda: scene.mesh(progress=progress),
        lambda: scene.render(progress=progress),
        lambda: scene.save_turntable(tmp_path / "a.gif", progress=progress),
    ):
        with pytest.raises(InvalidArgumentError, match="progress: expected None, True or a function"):
            call()
    assert not list(tmp_path.iterdir())


def slow_network(path: Any, rounds: int) -> None:
    """The synthetic interface around a loop of large matrix products."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "m"], ["y"]),
            helper.make_node("Identity", ["c"], ["d"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [256, 256]),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [256, 256]),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["rounds", "", "m"], ["z"], body=body),
        helper.make_node("ReduceMean", ["z"], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", ["image"], ["light"], keepdims=0),
        helper.make_node("Add", ["mean", "light"], ["sum"]),
        helper.make_node("Expand", ["sum", "shape"], ["planes"]),
    ]
    constants = {
        "rounds": np.array(rounds, np.int64),
        "m": np.eye(256, dtype=np.float32),
        "shape": np.array([1, 3, CHANNELS, SIDE, SIDE], np.int64),
    }
    graph = helper.make_graph(
        nodes, "slow",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["B", 3, CHANNELS, SIDE, SIDE])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def test_cancel_while_the_network_runs(tmp_path):
    folder = make_engine(tmp_path / "slow.lrm")
    slow_network(folder / "network.onnx", 10**7)  # hours
    write_manifest(folder, make_manifest())
    began = time.perf_counter()
    with Reconstructor(folder, threads=1) as rec, pytest.raises(CancelledError):
        rec.run(ball_picture(), progress=lambda f: f >= 0.1 and time.perf_counter() - began > 0.5)
    assert time.perf_counter() - began < 10
    assert not [t for t in threading.enumerate() if t.name == "lrm-network"]


def test_network_whose_planes_come_out_wrong(tmp_path):
    folder = make_engine(tmp_path / "wrong.lrm")
    slow_network(folder / "network.onnx", 1)  # always one picture, whatever the batch
    write_manifest(folder, make_manifest())
    with Reconstructor(folder) as rec:
        rec.run(ball_picture())
        with pytest.raises(EngineError, match=r"expected planes float32 \[2, 3, 4, 16, 16\]"):
            rec.run_prepared(np.zeros((2, 3, SIZE, SIZE), np.float32))


def test_network_that_gives_nan(tmp_path):
    folder = make_engine(tmp_path / "nan.lrm")
    model = onnx.load(folder / "network.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "base":
            base = numpy_helper.to_array(tensor).copy()
            base[0, 1, 2, 3, 4] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(base, "base"))
    onnx.save(model, folder / "network.onnx")
    write_manifest(folder, make_manifest())
    with Reconstructor(folder) as rec, pytest.raises(LrmError, match=r"planes.*finite"):
        rec.run(ball_picture())


@pytest.mark.parametrize(
    "image",
    [np.zeros((3, SIZE, SIZE), np.float32), np.zeros((1, 3, 8, 8), np.float32), np.zeros((1, 3, SIZE, SIZE)),
     np.zeros((0, 3, SIZE, SIZE), np.float32), np.zeros((1, 3, SIZE, SIZE), np.uint8), [1.0], None],
    ids=["3d", "size", "float64", "empty", "uint8", "list", "none"],
)  # fmt: skip
def test_run_prepared_refuses_other_arrays(rec, image):
    with pytest.raises(InvalidArgumentError, match=r"image: expected float32 \[B, 3, 32, 32\], B >= 1, got"):
        rec.run_prepared(image)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_run_prepared_refuses_nan(rec, bad):
    image = np.zeros((1, 3, SIZE, SIZE), np.float32)
    image[0, 1, 2, 3] = bad
    with pytest.raises(InvalidArgumentError, match="image: expected finite numbers"):
        rec.run_prepared(image)


def test_close(engine_folder):
    rec = Reconstructor(engine_folder)
    scene = rec.run(ball_picture())
    rec.close()
    rec.close()
    assert scene.render(size=(8, 8)).rgb.shape == (8, 8, 3)
    for call in (
        lambda: rec.run(ball_picture()),
        lambda: rec.run_batch([ball_picture()]),
        lambda: rec.__enter__(),
    ):
        with pytest.raises(LrmError, match="closed; make a new one"):
            call()


def test_context_manager_closes_after_an_error(engine_folder):
    with pytest.raises(KeyError), Reconstructor(engine_folder) as rec:
        raise KeyError
    with pytest.raises(LrmError, match="closed"):
        rec.run(ball_picture())


def test_a_run_that_has_begun_finishes_after_close(engine_folder):
    rec = Reconstructor(engine_folder)

    def close(fraction: float) -> None:
        rec.close()

    assert rec.run(ball_picture(), progress=close).planes.shape == (3, CHANNELS, SIDE, SIDE)
    with pytest.raises(LrmError, match="closed"):
        rec.run(ball_picture())


@pytest.mark.parametrize(
    "options,kind,match",
    [
        (
            {"backend": "cuda"},
            BackendError,
            "expected auto or one of tensorrt, tensorrt-rtx, native, openvino, onnxruntime, got 'cuda'",
        ),
        (
            {"backend": None},
            BackendError,
            "expected auto or one of tensorrt, tensorrt-rtx, native, openvino, onnxruntime, got None",
        ),
        ({"backend": ["auto"]}, BackendError, "backend: expected auto or one of"),
        ({"device": "cuda:0"}, BackendError, "device='cuda:0': no NVIDIA driver"),
        ({"device": 0}, BackendError, "device: expected one of auto, cpu, cuda:0, got 0"),
        ({"precision": "float16"}, BackendError, "onnxruntime float32: precision='float16' was asked for"),
        ({"precision": 16}, BackendError, "precision=16 was asked for"),
        ({"threads": 0}, InvalidArgumentError, "threads: expected 1 to 4096, got 0"),
        ({"threads": 1.5}, InvalidArgumentError, "threads: expected an integer"),
        ({"threads": True}, InvalidArgumentError, "threads: expected an integer"),
    ],
    ids=str,
)
def test_wrong_choices(engine_folder, options, kind, match):
    with pytest.raises(kind, match=match):
        Reconstructor(engine_folder, **options)


def test_report_says_what_runs(rec, engine_folder):
    assert "onnxruntime float32" in rec.backend_report and "CPU" in rec.backend_report
    with Reconstructor(
        engine_folder, backend="onnxruntime", device="cpu", precision="float32", threads=1
    ) as one:
        assert "1 threads" in one.backend_report or "1 thread" in one.backend_report
        assert np.allclose(one.run(ball_picture()).planes, rec.run(ball_picture()).planes, atol=1e-5)


def test_a_gpu_gets_the_field(engine_folder, monkeypatch):
    """A CPU's field stands in for the GPU's, which tests/cuda compares with it."""
    import lrm_sdk.cuda.stage
    import lrm_sdk.reconstructor
    from lrm_sdk.native import Field

    opened = []

    class Stage:
        def __init__(self, engine: Any) -> None:
            self.engine = engine

        def planes(self, given: Any) -> np.ndarray:
            return given.copy()

        def field(self, planes: np.ndarray) -> Field:
            return Field(self.engine.field_options(), planes, self.engine.weights, self.engine.biases)

        def describe(self) -> str:
            return "1.0 MB of weights"

    def gpu_stage(
        engine: Any, device: str, max_bytes: int | None = None, precision: str = "float32"
    ) -> Stage:
        opened.append((device, max_bytes, precision))
        return Stage(engine)

    monkeypatch.setattr(lrm_sdk.reconstructor, "find_gpu", lambda: Gpu("Test GPU", (9, 0)))
    monkeypatch.setattr(lrm_sdk.cuda.stage, "gpu_stage", gpu_stage)
    with Reconstructor(engine_folder, device="cuda:0", max_device_bytes=10**7) as one:
        assert one.device == "cuda:0"
        assert one.backend_report.endswith("field on cuda:0, 1.0 MB of weights, at most 10.0 MB")
        one.run(ball_picture()).mesh(resolution=16)
    with Reconstructor(engine_folder) as other:  # the network has no GPU form
        assert other.device == "cpu"
        other.run(ball_picture())
    assert opened == [("cuda:0", 10**7, "float32"), ("cuda:0", None, "float32")]


def network(backend: str, precision: str) -> NetworkSpec:
    return NetworkSpec(backend, precision, "network.onnx", {})


def test_auto_takes_the_best_and_says_why_not_others():
    networks = [
        network("coreml", "float16"),
        network("onnxruntime", "int8"),
        network("onnxruntime", "float32"),
    ]
    choice = choose(networks)
    assert (choice.spec.backend, choice.spec.precision) == ("onnxruntime", "float32")
    assert choose(networks, precision="int8").spec.precision == "int8"
    only = choose([networks[0], networks[1]], precision="int8")
    assert only.spec.precision == "int8"
    with pytest.raises(BackendError, match=r"coreml float16: this version has no such backend"):
        choose([networks[0]])


def test_out_of_memory_while_preparing(rec, monkeypatch):
    import lrm_sdk.preparation

    def no_memory(*arguments: Any, **keywords: Any) -> None:
        raise MemoryError("Unable to allocate 9 GiB")

    for step in ("load_image", "prepare"):
        with monkeypatch.context() as patch:
            patch.setattr(lrm_sdk.preparation, step, no_memory)
            with pytest.raises(OutOfMemoryError, match=r"image: no memory to prepare it \(Unable"):
                rec.run(ball_picture())


def test_out_of_memory_in_the_network(engine_folder):
    """ONNX Runtime reports it as text only."""
    with Reconstructor(engine_folder) as rec:
        for error in (RuntimeError("Failed to allocate memory for requested buffer"), MemoryError()):

            class Session:
                def run(self, *arguments: Any, error: Exception = error) -> None:
                    raise error

            rec._network._session = Session()  # type: ignore[union-attr]
            with pytest.raises(OutOfMemoryError, match="the network needs more memory than there is"):
                rec.run(ball_picture())
            with pytest.raises(MemoryError):  # the same, for callers who know only Python's own
                rec.run(ball_picture())


def test_backend_that_is_not_installed(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "onnxruntime" else find(n, *a)
    )
    with pytest.raises(BackendError, match=r"onnxruntime is not installed; pip install 'lrm-sdk\[cpu\]'"):
        choose([network("onnxruntime", "float32")])


def test_query_of_a_run_is_the_numpy_fields(scene):
    points = np.random.default_rng(3).uniform(-1.1, 1.1, (500, 3)).astype(np.float32)
    density, rgb = scene.query(points)
    expected, expected_rgb = numpy_field.query(scene.planes, make_field(), points)
    assert np.abs(density - expected).max() / expected.max() < 1e-5
    assert np.abs(rgb - expected_rgb).max() < 1e-5


# DESIGN section 5: names, and what may be given to them.
PROMISED = {
    "Reconstructor.__init__": ["self", "engine", "backend", "device", "precision", "threads"],
    "Reconstructor.run": ["self", "image", "progress"],
    "Reconstructor.run_batch": ["self", "images", "progress"],
    "Reconstructor.close": ["self"],
    "Scene.query": ["self", "points"],
    "Scene.render": ["self", "camera", "size", "progress"],
    "Scene.mesh": ["self", "resolution", "threshold", "progress"],
    "Scene.save_turntable": ["self", "path", "views", "progress"],
    "Mesh.save": ["self", "path"],
    "Camera.orbit": ["azimuth", "elevation"],
}


@pytest.mark.parametrize("name", PROMISED)
def test_promised_signatures(name):
    import lrm_sdk

    kind, method = name.split(".")
    function = getattr(getattr(lrm_sdk, kind), method)
    parameters = inspect.signature(function).parameters
    assert set(PROMISED[name]) <= set(parameters)
    assert function.__doc__ or method == "__init__"
