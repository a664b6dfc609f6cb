"""benchmarks/gpu_check.py as far as it goes without a GPU: its checks, counts, tables and reference."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu_check
from benchmarks.gpu import baselines, checks, networks, roofline, sanitizer, stages
from benchmarks.gpu.bars import judge
from benchmarks.gpu.fields import CHAIR, FAMILIES, Poisoned, chair_field, random_field
from benchmarks.gpu.stages import RENDER, view
from benchmarks.gpu.table import markdown
from lrm_sdk.backends.nvidia import find_gpu
from lrm_sdk.native.options import FIELD_PRECISIONS
from models.evaluation.fitted import load_field
from tests.cuda.host_device import HostDevice

ROOT = Path(__file__).resolve().parents[2]
H100 = {
    "name": "NVIDIA H100", "compute_capability": [9, 0], "multiprocessors": 132, "clock_khz": 1_980_000,
    "memory_clock_khz": 2_619_000, "memory_bus_bits": 5120, "l2_bytes": 50 << 20,
}  # fmt: skip
SMALLER = replace(checks.SMALL, mesh=18, samples=12)
MS = {"median_ms": 2.0, "p95_ms": 2.5}
ROAD = {
    "report": "tensorrt float16", "planes_relative_error": 2e-3, "render_psnr_db": 70.0, "passed": True,
    "network": MS, "picture to mesh": {"float32": {"median_ms": 31.0, "p95_ms": 32.0}, "float16": MS},
    "picture to frame": {"float32": MS | {"one_graph": True}},
}  # fmt: skip
without_gpu = pytest.mark.skipif(not isinstance(find_gpu(), str), reason="says what happens without a GPU")


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "float32") for name in FAMILIES), ("lrm", "float16")]
)
def test_the_checks_pass_on_the_cpu_in_the_place_of_a_gpu(name, precision):
    found, bounds = checks.differences(name, HostDevice, SMALLER, precision), checks.BOUNDS[precision]
    assert set(found) == set(bounds)
    assert all(value <= bounds[what] for what, value in found.items()), found


class Lazy(HostDevice):
    """Leaves out the last block of point queries."""

    def launch(self, kernel, blocks, threads, *arguments):
        super().launch(kernel, blocks - (kernel == "lrm_query"), threads, *arguments)


def test_what_a_kernel_does_not_write_fails_its_check(monkeypatch):
    monkeypatch.setattr(checks, "FAMILIES", {"lrm": FAMILIES["lrm"]})
    monkeypatch.setattr(checks, "BOUNDS", {"float32": checks.BOUNDS["float32"]})
    report = checks.check_families(Lazy, SMALLER)
    assert report["failed"] == ["lrm float32 density", "lrm float32 rgb"]
    assert np.isnan(report["differences"]["lrm float32"]["rgb"])


class Broken(HostDevice):
    def launch(self, kernel, blocks, threads, *arguments):
        raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")


def test_an_error_fails_its_field_only(monkeypatch):
    """The others are still checked and timed; the end of the traceback is kept."""
    monkeypatch.setattr(checks, "FAMILIES", {"lrm": FAMILIES["lrm"]})
    bounds = {precision: checks.BOUNDS[precision] for precision in ("float32", "float16")}
    monkeypatch.setattr(checks, "BOUNDS", bounds)
    told: list[str] = []
    kinds = {"float32": Broken, "float16": HostDevice}
    report = checks.check_families(
        lambda spec: kinds[spec.precision](spec), SMALLER, lambda found: told.append(json.dumps(found))
    )
    assert report["failed"] == ["lrm float32 RuntimeError"] and list(report["differences"]) == ["lrm float16"]
    assert report["errors"]["lrm float32"][-1] == "RuntimeError: CUDA_ERROR_LAUNCH_FAILED"
    assert len(told) == 2 and json.loads(told[-1]) == report
    rows = stages.time_stages(Broken, H100)
    assert set(rows) == set(FIELD_PRECISIONS)
    assert all("CUDA_ERROR_LAUNCH_FAILED" in row["error"] for row in rows.values())
    assert "Failed: RuntimeError: CUDA_ERROR" in markdown({"parts": {"stages": rows}})


def test_poison_covers_every_byte():
    device = Poisoned(HostDevice(random_field("lrm", checks.PLANES).specialization()))
    assert np.isnan(device.empty((3, 5), np.float32)).all()
    assert (device.empty((7,), np.uint8) == 0xFF).all()


def test_the_chair_is_the_one_that_pytorch_reads():
    ours, theirs = chair_field(), load_field(CHAIR)
    assert np.array_equal(ours.planes, theirs.planes[0].numpy())
    for layer, weight, bias in zip(theirs.decoder.layers, ours.weights, ours.biases, strict=True):
        assert np.array_equal(layer.weight.numpy(), weight) and np.array_equal(layer.bias.numpy(), bias)
    for name in ("radius", "activation", "density_bias", "outside", "reduction"):
        assert getattr(ours.options, name) == getattr(theirs.spec, name)


# -- The roofline ------------------------------------------------------------------------------------


def test_peaks_of_an_h100():
    """NVIDIA's data sheet, SXM5: 67 TFLOP/s, 989 TFLOP/s on tensor cores at 1.83 GHz, 3.35 TB/s."""
    peak = roofline.peaks(H100)
    assert peak["float32"] == pytest.approx(67e12, rel=0.01)
    assert peak["float16"] == pytest.approx(989e12 * 1.98 / 1.83, rel=0.01)
    assert peak["bytes"] == pytest.approx(3.35e12, rel=0.01)


def test_an_unknown_architecture_is_named():
    with pytest.raises(ValueError, match=r"compute capability 3\.5: expected one of 7\.5, 8\.0"):
        roofline.peaks(H100 | {"compute_capability": [3, 5]})


def test_operations_are_those_that_pytorch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    field = load_field(CHAIR)
    with FlopCounterMode(display=False) as counter:
        features = torch.zeros(1, field.spec.widths[1])
        for layer in field.decoder.layers[1:]:
            features = layer(features)
    looked_up = 2 * 3 * 4 * field.spec.widths[1]  # three planes, four texels, a multiply-add each
    assert roofline.operations_per_point(field.spec.widths) == counter.get_total_flops() + looked_up


def test_the_lower_roof_counts():
    widths = chair_field().widths
    line = roofline.roofline(H100, widths, "silu", "float32", 1e8)
    bound = roofline.peaks(H100)["float32"] / roofline.operations_per_point(widths)
    assert line["points_per_second"] == pytest.approx(bound)  # not by memory
    assert line["share"] == pytest.approx(1e8 / bound)
    slow = roofline.roofline(H100 | {"memory_clock_khz": 100}, widths, "silu", "bfloat16", 1e8)
    assert slow["points_per_second"] == pytest.approx(2 * 1e5 * 640 / 28)


def test_special_functions_are_counted_beside_it():
    """SiLU of nine layers of 64: exp and division in float32, tanh in half precision."""
    widths = chair_field().widths
    per_second = {}
    for precision, count in (("float32", 2 * 9 * 64), ("float16", 9 * 64), ("bfloat16", 9 * 64)):
        line = roofline.roofline(H100, widths, "silu", precision, 1e8)
        assert line["special_operations_per_point"] == count
        per_second[precision] = line["points_per_second_by_special_functions"]
    assert per_second["float16"] == pytest.approx(132 * 1.98e9 * 16 / 576)
    assert per_second["float16"] == 2 * per_second["float32"]
    relu = roofline.roofline(H100, widths, "relu", "float16", 1e8)
    assert relu["points_per_second_by_special_functions"] is None


# -- PyTorch ----------------------------------------------------------------------------------------


def test_the_reference_does_the_same_work():
    """Eager, on the CPU, at a small size, against the CPU stage."""
    field, native = load_field(CHAIR), chair_field().native()
    way = baselines.WAYS[baselines.ORIGINAL]
    with baselines.arranged(field, way, "cpu") as ready:
        rgb = baselines.reference_picture(ready, 24, way.chunk).numpy()
        density, colors = baselines.reference_mesh(ready, 9, 11, 100)
    expected = native.render(view(24), RENDER)[0]
    assert np.abs(rgb - expected).max() < 1 / 255 and expected.min() < 0.5
    grid = native.density_grid(9)
    assert np.abs(density.numpy() - grid).max() < 1e-4 * grid.max()
    assert colors.shape == (1, 11, 3)
    assert np.abs(colors[0, 0].numpy() - native.query(np.zeros((1, 3)))[1][0]).max() < 1e-4


def test_every_way_is_timed_and_a_failure_is_told(monkeypatch):
    monkeypatch.setitem(baselines.WAYS, "torch.compile float16", baselines.Way(True, 512, "eager"))
    monkeypatch.setitem(baselines.WAYS, "broken", baselines.Way(False, 512, "no such compiler"))
    found = baselines.time_reference("cpu", 5, baselines.Sizes(6, (4,)))
    assert found.pop("torch") == torch.__version__
    assert "error" in found.pop("broken")
    for rows in found.values():
        assert set(rows) == {"render 4x4", "mesh 6^3"}
        assert all(row["median_ms"] > 0 for row in rows.values())


def test_the_network_by_every_road(tmp_path):
    """The shipped model on the CPU."""
    tiny = ROOT / "models/lrm-tiny"
    roads = (("onnxruntime", "float32"), ("onnxruntime", "no such precision"))
    told: list[int] = []
    kept = tmp_path / "engines"
    found = networks.run_roads(tiny, tmp_path, "cpu", roads, kept, lambda rows: told.append(len(rows)))
    assert told == [1, 2] and [path.name for path in kept.iterdir()] == ["onnxruntime.float32.lrm"]
    row = found["onnxruntime float32"]
    assert row["passed"] and row["planes_relative_error"] < 1e-4
    assert row["picture to mesh"]["float32"]["median_ms"] > row["network"]["median_ms"] > 0
    broken = found["onnxruntime no such precision"]
    assert "BuildError: precision" in broken["error"] and "BuildError" in broken["traceback"][-1]
    found = networks.run_roads(Path("nowhere"), tmp_path, "cpu", roads[:1], kept)  # as it was built
    assert found["onnxruntime float32"]["passed"]
    assert list(tmp_path.iterdir()) == [kept]
    times = networks.time_torch(tiny, "cpu", "eager")
    assert set(times) == {"eager float32", "eager float16", "torch.compile float16"}


# -- The whole --------------------------------------------------------------------------------------


def made_up() -> dict:
    """A report's parts, all there."""
    times = {"query 4194304 points": MS, "render 512x512": MS, "mesh 256^3, as the original": MS}
    lines = {p: roofline.roofline(H100, chair_field().widths, "silu", p, 5e8) for p in ("float32", "float16")}
    original = {
        "render 512x512": {"median_ms": 4e3, "p95_ms": 4e3},
        "mesh 256^3": {"median_ms": 100.0, "p95_ms": 1},
    }
    return {
        "device": H100,
        "tanh": {
            "relative": 1.1e-5, "saturated": 0.0, "failed": [],
            "bounds": {"relative": 4.9e-4, "saturated": 0.0},
        },
        "checks": {
            "differences": {"lrm float32": {"density": 2e-6}}, "bounds": checks.BOUNDS, "failed": [],
        },
        "stages": {
            p: {
                "times": times, "points_per_second": 5e8, "grid_points_per_second": 6e8, "vertices": 5,
                "roofline": line, "render_psnr_db": 70.0,
            }
            for p, line in lines.items()
        },
        "pytorch": {baselines.ORIGINAL: original, "eager float16": {"error": "out of memory"}},
        "networks": {"tensorrt float16": ROAD, "tensorrt-rtx float16": {"skipped": "not installed"}},
        "torch network": {"torch.compile float16": {"median_ms": 8.0, "p95_ms": 9.0}},
        "sanitizer": {"memcheck": {"passed": True, "summary": "ERROR SUMMARY: 0 errors"}},
    }  # fmt: skip


def test_bars():
    rows = {row["name"]: (row["value"], row["passed"]) for row in judge(made_up())}
    assert rows["coloured mesh 256^3, float16"] == (2.0, True)
    assert rows["coloured mesh 256^3 against PyTorch, float32"] == (50.0, False)
    assert rows["render 512x512 against PyTorch, float16"] == (2000.0, True)
    assert rows["render 512x512, a second, float32"] == (500.0, True)
    shares = [rows[f"points per second, share of the roofline, {p}"] for p in ("float32", "float16")]
    assert [passed for _, passed in shares] == [True, False] and shares[0][0] > 10 * shares[1][0]
    assert rows["float16 network against torch.compile"] == (4.0, True)
    assert rows["picture to mesh in device memory, float32 field"] == (31.0, False)
    assert rows["picture to mesh in device memory, float16 field"] == (2.0, True)
    assert all(row["passed"] is None and row["value"] is None for row in judge({"stages": {"error": "x"}}))


def test_table():
    text = markdown({"parts": made_up()})
    assert "# gpu_check on NVIDIA H100" in text and "132 SMs" in text
    assert "| coloured mesh 256^3 against PyTorch, float16 | 50 x | >= 100 x | **fail** |" in text
    assert "| tensorrt-rtx float16 |  |  |  |  |  |  |  | not installed |" in text
    assert "| tensorrt float16 | 2.00 | 31.00 | 2.00 | 2.00 |  | 2.0e-03 | 70.0 |" in text
    assert "## CUDA stage, float16" in text and "(float16); special functions allow" in text
    assert "Failed: eager float16: out of memory" in text
    assert "| memcheck | pass | ERROR SUMMARY: 0 errors |" in text
    assert "`tanh.approx`: relative 1.1e-05 (bound 0.00049), saturated 0 (bound 0). Failed: none." in text


@pytest.mark.parametrize("part", list(gpu_check.PARTS))
@pytest.mark.parametrize("state", ["absent", "skipped", "error"])
def test_a_table_without_one_part(part, state):
    parts = made_up()
    del parts[part]
    if state != "absent":
        parts[part] = {state: "because|of\nthis"}
    text = markdown({"parts": parts})
    assert (f"| {part} | {state} | because/of this |" in text) == (state != "absent")


def test_one_part_failing_loses_nothing(monkeypatch, tmp_path):
    """What is written after each part holds all before it."""
    parts, seen = made_up(), []

    def process(name: str, arguments: list[str], timeout: float) -> dict:
        if seen:
            seen.append(json.loads((tmp_path / "gpu_check.json").read_text())["parts"])
        seen.append({})
        return {"error": "status -11: killed"} if name == "stages" else copy.deepcopy(parts[name])

    monkeypatch.setattr(gpu_check, "in_own_process", process)
    args = Namespace(
        device=0, checkpoint=None, only=None, out=tmp_path, timeout=60.0, roads=[], engines=None
    )  # fmt: skip
    assert gpu_check.run_all(args) == 1
    report = json.loads((tmp_path / "gpu_check.json").read_text())["parts"]
    assert list(report) == list(gpu_check.PARTS)
    assert report["stages"] == {"error": "status -11: killed"} and report["networks"] == parts["networks"]
    assert list(seen[-2]) == list(gpu_check.PARTS)[:-1]
    assert "| stages | error | status -11: killed |" in (tmp_path / "gpu_check.md").read_text()


def test_failures():
    parts = made_up()
    assert gpu_check.failures(parts) == []
    parts["checks"]["failed"] = ["lrm rgb"]
    parts["sanitizer"]["racecheck"] = {"passed": False, "summary": "1 hazard"}
    parts["networks"]["onnxruntime float32"] = {"error": "no"}
    assert gpu_check.failures(parts) == [
        "checks: lrm rgb", "networks, onnxruntime float32: no", "sanitizer, racecheck: 1 hazard",
    ]  # fmt: skip


def test_what_a_part_had_found_is_kept(monkeypatch):
    """With the end of what it said: however its process ended."""
    so_far, result = gpu_check.SO_FAR + '{"a": 1}', gpu_check.RESULT + '{"a": 2}'
    script = (
        "import sys, time; print(sys.argv[2], flush=True); print('line ' * 3 + '\\n' * 20 + 'the end', "
        "file=sys.stderr, flush=True); time.sleep(float(sys.argv[1])); sys.exit(3)"
    )

    def ended(seconds: float, text: str, timeout: float) -> dict:
        command = [sys.executable, "-c", script, str(seconds), text]
        run = subprocess.run
        with monkeypatch.context() as patch:
            patch.setattr(gpu_check.subprocess, "run", lambda _, **options: run(command, **options))
            return gpu_check.in_own_process("checks", [], timeout)

    died = ended(0, so_far, 60)
    assert died["a"] == 1 and died["error"] == "status 3: the end"
    assert len(died["said"]) == gpu_check.KEPT_LINES and died["said"][-1] == "the end"
    late = ended(60, so_far, 3)
    assert late["a"] == 1 and late["error"] == "not finished after 3 s" and late["said"][-1] == "the end"
    assert ended(0, result, 60) == {"a": 2}


@without_gpu
def test_without_a_gpu():
    command = [sys.executable, "-m", "benchmarks.gpu_check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("gpu_check needs an NVIDIA GPU: ") and done.stderr.count("\n") == 1
    assert gpu_check.in_own_process("checks", [])["error"].startswith("status 1: gpu_check needs an NVIDIA")


@pytest.mark.parametrize("status", [0, sanitizer.ERRORS_FOUND])
def test_compute_sanitizer(tmp_path, monkeypatch, status):
    """A stand-in that notes how it was called: by each tool, side by side."""
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "=== ERROR SUMMARY: 0 errors"\nexit {status}\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = sanitizer.sanitize(3)
    assert list(found) == list(sanitizer.TOOLS)
    for row in found.values():
        assert row["passed"] == (status == 0) and row["summary"] == "ERROR SUMMARY: 0 errors"
        assert ("said" in row) == (status != 0)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted(call.split()[:4] for call in calls) == sorted(
        ["--tool", name, "--error-exitcode", "99"] for name in sanitizer.TOOLS
    )
    assert all(call.endswith("-m benchmarks.gpu_check --part small checks --device 3") for call in calls)


def test_no_compute_sanitizer(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sanitizer, "PLACES", ())
    assert gpu_check.run_sanitizer(Namespace(device=0)) == {"skipped": sanitizer.missing_sanitizer()}
    assert "not installed" in str(sanitizer.missing_sanitizer())
