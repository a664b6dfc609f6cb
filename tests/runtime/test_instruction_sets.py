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

from tests.runtime import fields, query_once, twins

NAMES = ("portable", "avx2", "avx512", "amx")

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


def write_case(case: str, folder: Path) -> None:
    field = parameters(case)
    arrays = {f"weight{i}": w for i, w in enumerate(field.weights)}
    arrays |= {f"bias{i}": b for i, b in enumerate(field.biases)}
    density = field.native().density_grid(query_once.RESOLUTION)
    threshold = np.quantile(density[density > 0], 0.8)
    np.savez(
        folder / f"{case}.in.npz", spec=json.dumps(field.spec.to_json()), planes=field.planes,
        points=points(case), threshold=threshold, **arrays,
    )  # fmt: skip


def run_all(folder: Path, instruction_set: str, *options: str) -> Path:
    """In a process of its own, because the library chooses once."""
    for case in CASES:
        write_case(case, folder)
    command = [sys.executable, "-m", query_once.__name__, folder, *options]
    environment = {**os.environ, "LRM_INSTRUCTION_SET": instruction_set}
    subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True)
    return folder


@pytest.fixture(scope="module", params=NAMES)
def answers(request, tmp_path_factory) -> Path:
    folder = run_all(tmp_path_factory.mktemp(request.param), request.param)
    got = str(fields.load_arrays(folder / f"{next(iter(CASES))}.out.npz")["instruction_set"])
    if got != request.param:
        pytest.skip(f"this machine cannot run {request.param}: the library chose {got}")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_values_and_normals_match_the_twin(case, answers):
    result = fields.load_arrays(answers / f"{case}.out.npz")
    field = parameters(case)
    twins.assert_close(field, points(case), result["density"], result["rgb"])
    assert len(result["vertices"]) > 100
    twins.assert_normals(field, result["vertices"], result["normals"])


def cpu_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def test_a_process_that_may_not_use_tiles_does_without(tmp_path):
    if not {"amx_tile", "amx_bf16"} <= cpu_flags():
        pytest.skip("this processor has no AMX")
    run_all(tmp_path, "amx", "small-signal-stack")
    result = fields.load_arrays(tmp_path / "triposr.out.npz")
    assert result["instruction_set"] == "avx512"
    twins.assert_close(parameters("triposr"), points("triposr"), result["density"], result["rgb"])
