"""The same field by every instruction set that this machine has: values and gradients against the twin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runtime import fields, query_once, twins

# What a processor must have, as Linux names it.
FLAGS = {
    "portable": set(),
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512vl", "avx512dq", "avx512bw", "fma"},
    "amx": {"avx512f", "avx512vl", "avx512dq", "avx512bw", "fma", "amx_tile", "amx_bf16"},
}

# Widths around those that the kernels pad to (4, 16 and 32), and fields of one and two layers.
CASES = fields.FAMILIES | {
    "odd widths": replace(fields.TRIPOSR, widths=(24, 5, 33, 20, 47, 4)),
    "wide": replace(fields.OPENLRM, widths=(24, 96, 130, 4)),
    "one layer": replace(fields.OPENLRM, widths=(24, 4)),
    "two layers": replace(fields.TRIPOSR, widths=(24, 40, 4)),
}


def parameters(case: str) -> fields.Parameters:
    return fields.random_field(CASES[case], (7, 16), seed=3)


def points(case: str) -> np.ndarray:
    return twins.points_around_the_box(500, CASES[case].radius)


def overflowing() -> fields.Parameters:
    """Finite weights, none negative, whose sums leave float32 in the second hidden layer."""
    spec = replace(fields.TRIPOSR, widths=(24, 16, 16, 4), activation="relu", density_activation="relu")
    field = fields.random_field(spec, (7, 16), seed=3)
    field.weights[0] *= 10
    field.weights[1] = np.abs(field.weights[1]) * np.float32(1e38)
    field.weights[2] = np.abs(field.weights[2])
    return field


def write_case(case: str, folder: Path) -> None:
    field = parameters(case)
    density = field.native().density_grid(query_once.RESOLUTION)
    write(folder / f"{case}.in.npz", field, points(case), np.quantile(density[density > 0], 0.8))


def write(path: Path, field: fields.Parameters, at: np.ndarray, threshold: float) -> None:
    arrays = {f"weight{i}": w for i, w in enumerate(field.weights)}
    arrays |= {f"bias{i}": b for i, b in enumerate(field.biases)}
    spec = json.dumps(field.spec.to_json())
    np.savez(path, spec=spec, planes=field.planes, points=at, threshold=threshold, **arrays)


def run_all(folder: Path, instruction_set: str, *options: str) -> Path:
    """In a process of its own, because the library chooses once."""
    for case in CASES:
        write_case(case, folder)
    write(folder / "overflow.in.npz", overflowing(), points("triposr"), 0.0)
    command = [sys.executable, "-m", query_once.__name__, folder, *options]
    environment = {**os.environ, "LRM_INSTRUCTION_SET": instruction_set}
    subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True)
    return folder


def cpu_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def tiles_granted() -> bool:
    """Asked of Linux itself (ARCH_REQ_XCOMP_PERM), in a process of its own: a grant is for good."""
    ask = "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(158, 0x1023, 18) != 0)"
    return subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0


def skip_unless_it_runs(name: str) -> None:
    """By what the machine says, not by what the library makes of it."""
    if not FLAGS[name] <= cpu_flags() or (name == "amx" and not tiles_granted()):
        pytest.skip(f"this machine has no {name}")


@pytest.fixture(scope="module", params=FLAGS)
def answers(request, tmp_path_factory) -> Path:
    skip_unless_it_runs(request.param)
    return run_all(tmp_path_factory.mktemp(request.param), request.param)


def test_the_named_set_is_used_and_tiles_are_asked_for_only_by_name(answers, request):
    wanted = request.node.callspec.params["answers"]
    results = [fields.load_arrays(path) for path in answers.glob("*.out.npz")]
    assert {str(r["instruction_set"]) for r in results} == {wanted}
    asked = any(r["tiles_after"] and not r["tiles_before"] for r in results)
    assert asked == (wanted == "amx")


@pytest.mark.parametrize("case", CASES)
def test_values_and_normals_match_the_twin(case, answers):
    result = fields.load_arrays(answers / f"{case}.out.npz")
    field = parameters(case)
    twins.assert_close(field, points(case), result["density"], result["rgb"])
    assert len(result["vertices"]) > 100
    twins.assert_normals(field, result["vertices"], result["normals"])


def test_overflow_is_opaque_not_empty(answers):
    result = fields.load_arrays(answers / "overflow.out.npz")
    with torch.no_grad():
        expected = overflowing().twin().query(torch.tensor(points("triposr")).double()[None])[0][0].numpy()
    assert (expected > 1e39).mean() > 0.9
    assert (result["density"][expected > 1e39] > 1e38).all()
    assert (result["density"][expected == 0] == 0).all()


def test_a_misspelt_set_is_not_amx(tmp_path):
    run_all(tmp_path, "avx-512")
    assert fields.load_arrays(tmp_path / "triposr.out.npz")["instruction_set"] != "amx"


def test_a_process_that_may_not_use_tiles_does_without(tmp_path):
    skip_unless_it_runs("amx")
    run_all(tmp_path, "amx", "small-signal-stack")
    result = fields.load_arrays(tmp_path / "triposr.out.npz")
    assert result["instruction_set"] == "avx512"
    twins.assert_close(parameters("triposr"), points("triposr"), result["density"], result["rgb"])
