"""What no exporter writes and no healthy network computes: hostile plans, NaN, what strains float32."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import liblrm, native_file, network_once
from tests.runtime.native_file import real
from tests.runtime.test_instruction_sets import FLAGS, skip_unless_it_runs

COPY, BINARY, UNARY, LAYER_NORM, LINEAR, ATTENTION, DEPTHWISE = range(1, 8)
BIG, HUGE = 2**31, 2**40
HOSTILE = {
    "a product of sizes beyond 64 bits": (BINARY, [0, 1, 0, 1, 0, 0, 3, *[BIG, 0, 0] * 3]),
    "a product of sizes that wraps to few": (BINARY, [0, 1, 0, 1, 0, 0, 3, *[BIG, 0, 0] * 2, 4, 0, 0]),
    "a copy of more than the arena": (COPY, [0, 0, 0, 2, BIG, 0, 0, BIG, 0, 0]),
    "a copy onto one place": (COPY, [0, 0, 0, 1, 4, 1, 0]),
    "a copy to before its place": (COPY, [0, 0, 8, 1, 4, 1, -1]),
    "a flip to before the arena": (COPY, [0, 2, 0, 1, 4, -1, 1]),
    "a flip from far before the arena": (COPY, [0, HUGE, 0, 2, BIG, -BIG, 1, BIG, -BIG, 1]),
    "rows that reach beyond the arena": (LAYER_NORM, [0, 0, 2**30, 2**30, real(1e-5), -1, -1]),
    "an epsilon below 0": (LAYER_NORM, [0, 16, 1, 16, real(-1.0), -1, -1]),
    "a scale beyond float32": (ATTENTION, [0, 1, 1, 1, 2, 1, 3, 1, 1, 1, 1, 1, real(1e300), 0]),
    "a scale that is NaN": (ATTENTION, [0, 1, 1, 1, 2, 1, 3, 1, 1, 1, 1, 1, real(float("nan")), 0]),
    "heads wider than the arena": (ATTENTION, [0, 1, 1, 1, 2, 1, 3, 1, 2**30, 1, 1, 4096, real(1.0), 0]),
    "a matrix beyond the file": (LINEAR, [0, 4, 1, 4, 2**30, 0, 0, -1, 0, -1, 0, 16, BIG]),
    "a matrix that ends before the file": (LINEAR, [0, 4, 1, 4, 4, 0, 2**62, -1, 0, -1, 0, 16, 4]),
    "more inputs than kernels count": (LINEAR, [0, BIG - 1, 1, BIG - 65, 1, 0, 0, -1, 0, -1, 0, 16, 4]),
    "a kernel beyond the file": (DEPTHWISE, [0, 1, 1, 16, 1024, 1, 0, 0, 1, 1, 0, -1, 0, 16]),
    "a picture beyond the arena": (DEPTHWISE, [0, 2**20, 2**20, 2**20, 1, 1, 0, 0, 1, 1, 0, -1, 0, 16]),
    "a step of no kind": (8, []),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_plan_that_reaches_out_of_its_memory_is_refused(name, tmp_path):
    path = tmp_path / "n.lrmnet"
    native_file.write(path, [HOSTILE[name]], 64, 16, (16, 16))
    with pytest.raises(liblrm.LrmFailure, match="build the engine again") as failure:
        network_once.run(path, native_file.image(np.zeros(16)), 2)
    assert failure.value.status == liblrm.INVALID_ARGUMENT


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name in ("pipe", "empty", "", "missing"):
        with pytest.raises(liblrm.LrmFailure, match="expected a file that can be read"):
            network_once.run(tmp_path / name, native_file.image(np.zeros(16)), 1)


def test_the_path_is_utf_8_and_threads_may_be_more_than_tasks(tmp_path):
    path = tmp_path / "Größe 模型.lrmnet"
    native_file.write(path, [(COPY, [0, 0, 16, 1, 16, 1, 1])], 64, 16, (16, 16))
    image = native_file.image(np.arange(16))
    assert np.array_equal(network_once.run(path, image, 1024).ravel(), image.ravel())


def test_a_shape_of_another_size_is_refused(tmp_path):
    path = tmp_path / "n.lrmnet"
    native_file.write(path, [], 64, 16, (16, 0))
    options, handle, shape = liblrm.NetworkOptions(), ctypes.c_void_p(), liblrm.NetworkShape()
    liblrm.lib.lrm_network_options_init(ctypes.byref(options))
    opened = liblrm.lib.lrm_network_open(str(path).encode(), ctypes.byref(options), ctypes.byref(handle))
    liblrm.check(opened)
    for size in (0, ctypes.sizeof(shape) - 1, ctypes.sizeof(shape) + 1):
        shape.struct_size = size
        with pytest.raises(liblrm.LrmFailure, match=r"shape\.struct_size"):
            liblrm.check(liblrm.lib.lrm_network_get_shape(handle, ctypes.byref(shape)))
    liblrm.lib.lrm_network_close(handle)


# -- numbers, by every instruction set -----------------------------------------------------------------------

WIDTH, KEYS = 32, 41
RANDOM = np.random.default_rng(7)
QUERIES, KEY, VALUE = (RANDOM.standard_normal((n, WIDTH)).astype(np.float32) for n in (3, KEYS, KEYS))


def attention_plan(path: Path, scale: float) -> None:
    size = (3 + 2 * KEYS) * WIDTH
    places = [0, WIDTH, 3 * WIDTH, WIDTH, (3 + KEYS) * WIDTH, WIDTH, size, WIDTH]
    words = [*places, 1, 3, KEYS, WIDTH, real(scale), 0]
    native_file.write(path, [(ATTENTION, words)], size + 3 * WIDTH, size, (3 * WIDTH, size))


def softmax(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, scale: float) -> np.ndarray:
    scores = scale * queries.astype(np.float64) @ keys.T.astype(np.float64)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True) @ values


def spoiled(array: np.ndarray, row: int) -> np.ndarray:
    array = array.copy()
    array[row, 5] = np.nan
    return array


def write_numbers(folder: Path) -> None:
    images = {
        "sharp": (20 * QUERIES, KEY, VALUE),
        "equal": (QUERIES, np.repeat(KEY[:1], KEYS, 0), VALUE),
        "NaN in a query": (spoiled(QUERIES, 1), KEY, VALUE),
        "NaN in a key": (QUERIES, spoiled(KEY, 9), VALUE),
    }
    for name, arrays in images.items():
        attention_plan(folder / f"{name}.lrmnet", WIDTH**-0.5)
        np.save(folder / f"{name}.image.npy", native_file.image(*arrays))
    for kind in range(5):
        native_file.write(folder / f"unary {kind}.lrmnet", [(UNARY, [kind, 0, 16, 3])], 64, 3, (3, 16))
        np.save(folder / f"unary {kind}.image.npy", native_file.image(np.array([-1, np.nan, 2])))
    norm = [(LAYER_NORM, [0, 3000, 3, 1000, real(1e-6), -1, -1])]
    native_file.write(folder / "norm.lrmnet", norm, 6000, 3000, (3000, 3000))
    np.save(folder / "norm.image.npy", native_file.image(far_from_zero()))


def far_from_zero() -> np.ndarray:
    """Rows whose mean is 1e6 times their deviation."""
    return (1e5 + 0.1 * np.random.default_rng(2).standard_normal((3, 1000))).astype(np.float32)


@pytest.fixture(scope="module", params=FLAGS)
def numbers(request, tmp_path_factory) -> dict[str, np.ndarray]:
    """What an instruction set makes of them, each [rows, ...]."""
    skip_unless_it_runs(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    write_numbers(folder)
    environment = {**os.environ, "LRM_INSTRUCTION_SET": request.param}
    command = [sys.executable, "-m", network_once.__name__, str(folder), "2"]
    subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    # Our own arrays; pickles are refused.
    return {
        path.name.removesuffix(".planes.npy"): np.load(path, allow_pickle=False).reshape(3, -1)  # noqa: TID251
        for path in folder.glob("*.planes.npy")
    }


def test_attention_is_right_for_one_hot_and_for_equal_weights(numbers):
    for name, arrays in {
        "sharp": (20 * QUERIES, KEY, VALUE),
        "equal": (QUERIES, np.repeat(KEY[:1], KEYS, 0), VALUE),
    }.items():
        expected = softmax(*arrays, WIDTH**-0.5)
        assert np.abs(numbers[name] - expected).max() <= 1e-5 * np.abs(expected).max(), name


def test_nan_is_not_hidden(numbers):
    """An overflow inside a network must reach the planes, where lrm_field_create refuses it."""
    assert np.isnan(numbers["NaN in a query"]).all(1).tolist() == [False, True, False]
    assert np.isnan(numbers["NaN in a key"]).all()
    for kind in range(5):
        assert np.isnan(numbers[f"unary {kind}"]).ravel().tolist() == [False, True, False], kind


def test_layer_norm_keeps_its_precision_far_from_zero(numbers):
    x = far_from_zero().astype(np.float64)
    off = x - x.mean(1, keepdims=True)
    expected = off / np.sqrt(np.square(off).mean(1, keepdims=True) + 1e-6)
    assert np.abs(numbers["norm"] - expected).max() <= 1e-6 * np.abs(expected).max()
