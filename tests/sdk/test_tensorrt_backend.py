"""The TensorRT backend against a TensorRT in plain Python: buffers, order of calls, errors.

It shows what the backend asks for, not that a GPU agrees.
"""

import importlib
import threading
import time

import numpy as np
import pytest

from lrm_sdk import BackendError, EngineError
from lrm_sdk.backends import backend_module, choose, nvidia, tensorrt, tensorrt_plans
from lrm_sdk.backends.nvidia import Gpu
from lrm_sdk.backends.tensorrt_load import CONTEXTS
from lrm_sdk.backends.tensorrt_plans import RTX, STANDARD
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import OutOfMemoryError
from tests.sdk.fake_tensorrt import IMAGE, MAX_BATCH, PLANES, Machine, expected_planes, floats

GPU = nvidia.Gpu("Test GPU", (8, 6))
FLAVOURS = pytest.mark.parametrize("flavour", [STANDARD, RTX], ids=["tensorrt", "tensorrt-rtx"])


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LRM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def machine(monkeypatch) -> Machine:
    machine = Machine()
    for package in ("tensorrt", "tensorrt_rtx"):
        for name, module in machine.modules(package).items():
            monkeypatch.setitem(importlib.sys.modules, name, module)
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: GPU)
    return machine


@pytest.fixture
def plan(tmp_path):
    def make(flavour, precision="float16"):
        path = tmp_path / "e.lrm" / f"network.{precision}{flavour.suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"plan")
        return path

    return make


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *IMAGE), np.float32)


def never():
    return None


@FLAVOURS
def test_planes_of_every_batch(machine, plan, flavour):
    network = tensorrt.load(plan(flavour), None, flavour)
    assert network.input_shape == (None, *IMAGE) and network.output_shape == (None, *PLANES)
    for count in (1, 2, MAX_BATCH, 1, 2, MAX_BATCH + 1, 3 * MAX_BATCH):
        image = pictures(count, seed=count)
        np.testing.assert_allclose(network.run(image, never), expected_planes(image), rtol=1e-6)
    sizes = [call[1] for call in machine.calls if call[0] == "allocate"]
    assert len(sizes) == 1  # everything at load
    described = network.describe()
    megabytes = (5_000_000 + sizes[0]) / 1e6
    assert f"{flavour.title} 1.7.1.116, Test GPU, 2 contexts, {megabytes:.0f} MB" in described


def test_results_are_not_overwritten_by_the_next_run(machine, plan):
    network = tensorrt.load(plan(STANDARD), None)
    first = network.run(pictures(1, 1), never)
    kept = first.copy()
    for seed in range(2, 5):
        network.run(pictures(1, seed), never)
    np.testing.assert_array_equal(first, kept)


def test_a_graph_is_captured_after_the_warm_up_and_replayed(machine, plan):
    network = tensorrt.load(plan(STANDARD), None)
    assert machine.names().count("captured") == machine.names().count("context") == CONTEXTS
    machine.calls.clear()
    network.run(pictures(1), never)
    assert "launch" in machine.names() and "execute" not in machine.names()
    machine.calls.clear()
    network.run(pictures(2), never)
    shapes = [call for call in machine.calls if call[0] in ("set_input_shape", "execute", "captured")]
    shape = (2, *IMAGE)
    assert shapes == [("set_input_shape", shape), ("execute", shape), ("execute", shape), ("captured",)]


def test_rtx_captures_by_itself_and_keeps_its_kernels(machine, plan, cache):
    path = plan(RTX)
    network = tensorrt.load(path, None, RTX)
    network.run(pictures(1), never)
    assert not {"captured", "launch", "known kernels"} & set(machine.names())
    config = next(call[1] for call in machine.calls if call[0] == "context")
    assert config.cuda_graph_strategy.name == "WHOLE_GRAPH_CAPTURE"
    assert config.strategy.name == "USER_MANAGED"
    assert config.dynamic_shapes_kernel_specialization_strategy.name == "EAGER"
    kept = list((cache / "tensorrt-rtx").iterdir())
    assert [p.read_bytes() for p in kept] == [b"kernels"] and "sm86" in kept[0].name
    tensorrt.load(path, None, RTX)
    assert ("known kernels", b"kernels") in machine.calls
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing goes into the engine


def test_rtx_lends_a_context_without_graphs_of_its_own(machine, plan):
    """In the memory of the one that has them; made once for each slot."""
    network = tensorrt.load(plan(RTX), None, RTX)
    machine.calls.clear()
    image = pictures(1)
    for _ in range(2 * CONTEXTS):
        with network.lent() as slot:
            stream = machine.core().Device(0).create_stream()
            slot.put(image, stream)
            assert slot.capturable(stream.handle)
            slot.enqueue(stream.handle)
            stream.sync()
            planes = floats(slot.planes.pointer, PLANES)
            np.testing.assert_allclose(planes, expected_planes(image)[0], rtol=1e-6)
            own = slot._context.config
    np.testing.assert_allclose(network.run(image, never), expected_planes(image), rtol=1e-6)
    configs = [call[1] for call in machine.calls if call[0] == "context"]
    assert [config.cuda_graph_strategy.name for config in configs] == ["DISABLED"] * CONTEXTS
    assert all(config.cache is own.cache for config in configs)


def test_no_place_for_kernels(machine, plan, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LRM_CACHE", str(tmp_path / "file"))
    network = tensorrt.load(plan(RTX), None, RTX)
    assert np.isfinite(network.run(pictures(1), never)).all()


def test_threads_share_the_contexts(machine, plan):
    network = tensorrt.load(plan(STANDARD), None)
    wrong = []

    def work(seed):
        for _ in range(5):
            image = pictures(1 + seed % MAX_BATCH, seed)
            if not np.allclose(network.run(image, never), expected_planes(image)):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_waiting_call_can_be_cancelled(machine, plan):
    network = tensorrt.load(plan(STANDARD), None)
    held = [network._free.get() for _ in range(CONTEXTS)]

    def stop():
        raise KeyboardInterrupt

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        network.run(pictures(1), stop)
    assert time.perf_counter() - start < 5
    for slot in held:
        network._free.put(slot)
    network.run(pictures(1), never)


@FLAVOURS
def test_a_plan_that_the_library_refuses(machine, plan, flavour):
    machine.broken.add("deserialize")
    path = plan(flavour)
    with pytest.raises(EngineError) as caught:
        tensorrt.load(path, None, flavour)
    text = str(caught.value)
    assert f"{flavour.title} 1.7.1.116 on Test GPU, 8.6 cannot run it (version tag does not match)" in text
    assert f"--onnx {path.parent}/source.onnx --backend {flavour.backend} --precision float16" in text


@pytest.mark.parametrize(
    "broken,kind,text",
    [
        ("memory", OutOfMemoryError, "no device memory to load it .*free some on Test GPU"),
        ("context", EngineError, "cannot run it .no reason was logged.; build it again here"),
        ("address", BackendError, "refuses a buffer for 'image'"),
        ("execute", BackendError, "could not start the network"),
    ],
)
def test_what_fails_at_load(machine, plan, broken, kind, text):
    machine.broken.add(broken)
    with pytest.raises(kind, match=text):
        tensorrt.load(plan(STANDARD), None)


def test_a_failure_while_running_leaves_the_network_usable(machine, plan):
    network = tensorrt.load(plan(RTX), None, RTX)
    machine.broken.add("execute")
    for _ in range(3):
        with pytest.raises(BackendError, match="could not start"):
            network.run(pictures(1), never)
    machine.broken.clear()
    assert network.run(pictures(1), never).any()


def test_another_interface_and_an_empty_file(machine, plan):
    machine.inputs = ("image", "plains")
    with pytest.raises(EngineError, match=r"expected input and output .*plains.*docs/ENGINE\.md"):
        tensorrt.load(plan(STANDARD), None)
    path = plan(STANDARD)
    path.write_bytes(b"")
    with pytest.raises(EngineError, match="empty; build the engine again"):
        tensorrt.load(path, None)


@pytest.mark.parametrize("graph", ["network.float16.onnx", "source.onnx"])
def test_a_stripped_plan_takes_its_weights_from_the_graph(machine, plan, graph):
    machine.stripped = 1000
    path = plan(STANDARD)
    path.with_name("source.onnx").touch()
    path.with_name(graph).touch()
    tensorrt.load(path, None)
    assert ("refit_from_file", str(path.with_name(graph))) in machine.calls
    names = machine.names()
    assert names.index("refit_cuda_engine") < names.index("context")
    machine.broken.add("refit_cuda_engine")
    with pytest.raises(EngineError, match=f"no weights from {graph}"):
        tensorrt.load(path, None)


def spec(flavour, precision="float16", **requires) -> NetworkSpec:
    defaults = {"version": "1.7.1.116", "version_compatible": False, "compute_capabilities": None}
    return NetworkSpec(flavour.backend, precision, f"network{flavour.suffix}", defaults | requires)


@pytest.mark.parametrize(
    "requires,reason",
    [
        ({}, None),
        ({"version": "1.7.1.2"}, None),
        ({"version": "1.6.1.9"}, "made by TensorRT-RTX 1.6.1.9, installed is 1.7.1.116; build it again: "),
        ({"version": None}, "made by TensorRT-RTX None"),
        ({"version": "new"}, "made by TensorRT-RTX new"),
        ({"version": 3}, "made by TensorRT-RTX 3"),
        ({"version": "1.6.0", "version_compatible": True}, None),
        ({"version": "1.8.0", "version_compatible": True}, "made by TensorRT-RTX 1.8.0"),
        ({"compute_capabilities": ["8.6", "12.0"]}, None),
        ({"compute_capabilities": ["8.0"]}, "for compute capability ['8.0'], Test GPU has 8.6; build it"),
        ({"compute_capabilities": ["8.9"]}, "for compute capability ['8.9'], Test GPU has 8.6; build it"),
        ({"compute_capabilities": []}, "for compute capability []"),
        ({"compute_capabilities": "all"}, "for compute capability all"),
    ],
)
def test_what_a_plan_requires(machine, requires, reason):
    why = tensorrt.available(spec(RTX, **requires), RTX)
    assert (why is None) if reason is None else (reason in why)
    if reason is not None:
        assert "--backend tensorrt-rtx --precision float16" in why


def test_a_tensorrt_plan_is_for_one_architecture(machine):
    assert tensorrt.available(spec(STANDARD, compute_capabilities=["8.6"])) is None
    assert "Test GPU has 8.6" in tensorrt.available(spec(STANDARD, compute_capabilities=["8.0"]))


@pytest.mark.parametrize("capability", [(7, 0), (9, 0), (10, 0)])
def test_tensorrt_rtx_leaves_some_gpus_out(capability):
    """As an H100 was told by version 1.7.1: another flavour is offered, not the same one again."""
    why = tensorrt_plans.gpu_problem(RTX, spec(RTX), Gpu("Left out", capability))
    assert f"8.9, and 12.0 or newer, Left out has {capability[0]}.0; TensorRT does" in why
    assert "--backend tensorrt --precision float16" in why
    assert tensorrt_plans.gpu_problem(STANDARD, spec(STANDARD), Gpu("Left out", capability)) is None
    assert tensorrt_plans.gpu_problem(RTX, spec(RTX), Gpu("Newer", (12, 1))) is None


def test_auto_passes_over_what_cannot_run(machine):
    networks = [spec(RTX, version="1.6.0"), NetworkSpec("onnxruntime", "float32", "network.onnx")]
    choice = choose(networks)
    assert choice.spec.backend == "onnxruntime"
    assert "tensorrt-rtx float16 (the plan was made by TensorRT-RTX 1.6.0" in choice.report()
    with pytest.raises(BackendError, match=r"made by TensorRT-RTX 1\.6\.0, installed is 1\.7\.1\.116"):
        choose(networks, backend="tensorrt-rtx")


def test_devices(machine, monkeypatch):
    networks = [spec(RTX), NetworkSpec("onnxruntime", "float32", "network.onnx")]
    monkeypatch.setattr(tensorrt_plans.importlib.util, "find_spec", lambda name: object())
    assert choose(networks).spec.backend == "tensorrt-rtx"
    assert choose(networks, device="cuda:0").spec.backend == "tensorrt-rtx"
    assert choose(networks, device="cpu").spec.backend == "onnxruntime"


@FLAVOURS
def test_without_package_or_driver(monkeypatch, flavour, machine):
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: "no NVIDIA driver; install it")
    module = backend_module(flavour.backend)
    assert module.available(None) == "no NVIDIA driver; install it"
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        module.load("network.plan", None)
    monkeypatch.setattr(tensorrt_plans.importlib.util, "find_spec", lambda name: None)
    assert f"{flavour.package} is not installed; pip install 'lrm-sdk[" in module.available(None)
    monkeypatch.setitem(importlib.sys.modules, flavour.package, None)
    with pytest.raises(BackendError, match=f"{flavour.package} cannot be imported"):
        module.load("network.plan", None)
