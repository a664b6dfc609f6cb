"""Every operation of a native plan by every instruction set of this machine, against the interpreter."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.native.file import write
from tests.export import native_interpreter
from tests.runtime import liblrm, network_once, plans
from tests.runtime.test_instruction_sets import FLAGS, skip_unless_it_runs

PRECISIONS = ("float32", "bfloat16")
ARENA = 40  # byte of the header that says its size


def write_cases(folder: Path, precision: str) -> Path:
    folder.mkdir()
    for name, case in plans.CASES.items():
        write(folder / f"{name}.lrmnet", case.plan, precision)
        np.save(folder / f"{name}.image.npy", case.image)
    return folder


@pytest.fixture(scope="module", params=FLAGS)
def answers(request, tmp_path_factory) -> tuple[str, Path]:
    """The instruction set, and a folder of what it makes of every case in each precision."""
    skip_unless_it_runs(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    for precision, threads in zip(PRECISIONS, ("1", "3"), strict=True):
        cases = write_cases(folder / precision, precision)
        command = [sys.executable, "-m", network_once.__name__, str(cases), threads]
        environment = {**os.environ, "LRM_INSTRUCTION_SET": request.param}
        root = Path(__file__).parents[2]
        done = subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == request.param
    return request.param, folder


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", plans.CASES)
def test_an_operation_is_what_its_description_says(answers, name, precision):
    instruction_set, folder = answers
    path = folder / precision / f"{name}.lrmnet"
    tiles = precision == "bfloat16" and instruction_set == "amx"
    plan = native_interpreter.read(path)
    expected = native_interpreter.run(plan, plans.CASES[name].image, rounded=tiles)
    # Our own array; pickles are refused.
    planes = np.load(path.with_suffix(".planes.npy"), allow_pickle=False)  # noqa: TID251
    # Tiles multiply attention in bfloat16 too, which the interpreter does not.
    bound = 1e-2 if tiles and name.startswith("attention") else 2e-6
    error = np.linalg.norm(planes - expected) / np.linalg.norm(expected)
    assert planes.shape == expected.shape and error <= bound


@pytest.fixture(scope="module")
def every_operation(tmp_path_factory) -> tuple[bytes, np.ndarray]:
    """A file with one of each, and an image."""
    path = tmp_path_factory.mktemp("plan") / "n.lrmnet"
    case = plans.every_operation()
    write(path, case.plan, "float32")
    return path.read_bytes(), case.image


def end_of_operations(data: bytes) -> int:
    (count,) = struct.unpack_from("<q", data, 32)
    at = 120
    for _ in range(count):
        at += 16 + 8 * struct.unpack_from("<q", data, at + 8)[0]
    return at


def refused(path: Path, image: np.ndarray) -> bool:
    """Whether liblrm takes it for no plan; what it takes it also runs."""
    try:
        network_once.run(path, image, 2)
    except AssertionError:  # an image of another shape: a sound file, but not for this picture
        return False
    except liblrm.LrmFailure as error:
        assert error.status == liblrm.INVALID_ARGUMENT and "build the engine again" in str(error)
        return True
    return False


def test_a_file_cut_anywhere_is_refused(every_operation, tmp_path):
    data, image = every_operation
    path = tmp_path / "n.lrmnet"
    for length in [*range(8, end_of_operations(data) + 16, 8), len(data) - 1]:
        path.write_bytes(data[:length])
        assert refused(path, image), length


def test_no_word_can_be_put_to_harm(every_operation, tmp_path):
    """Each word of the plan replaced: the file is refused, or runs within its memory."""
    data, image = every_operation
    path = tmp_path / "n.lrmnet"
    refusals = 0
    words = range(8, end_of_operations(data), 8)
    for at in words:
        for value in (-(2**63), -17, 0, 1, 97, 2**31 - 1, 2**40, 2**63 - 1):
            if at == ARENA and value in (2**31 - 1, 2**40):  # sound, and more than a sanitizer allocates
                continue
            path.write_bytes(data[:at] + struct.pack("<q", value) + data[at + 8 :])
            refusals += refused(path, image)
    assert refusals > 4 * len(words)
