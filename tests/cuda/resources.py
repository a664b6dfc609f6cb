"""Registers, stack and spills of every kernel, as ptxas reports them.

python -m tests.cuda.resources     measures again and writes tests/data/cuda_resources.json
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

from lrm_sdk.cuda.compile import compile_cubin, nvrtc_version
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.native.options import FIELD_PRECISIONS

TABLE = Path(__file__).resolve().parents[1] / "data" / "cuda_resources.json"
ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")

_AXES = ("xy", "xz", "yz")
TRIPOSR = Specialization(
    plane_shape=(40, 64, 64), widths=(120, *(64,) * 9, 4), axes=_AXES, radius=0.87, align_corners=False,
    activation="silu", density_activation="exp", density_bias=-1.0, color_widen=0.0, outside="decode",
)  # fmt: skip
OPENLRM = Specialization(
    plane_shape=(80, 64, 64), widths=(240, *(64,) * 9, 4), axes=("xy", "xz", "zy"), radius=1.0,
    align_corners=False, activation="relu", density_activation="softplus", density_bias=-1.0,
    color_widen=0.001, outside="empty",
)  # fmt: skip
LRM = Specialization(
    plane_shape=(32, 64, 64), widths=(32, 64, 64, 4), axes=_AXES, radius=1.0, align_corners=True,
    activation="relu", density_activation="relu", density_bias=0.0, color_widen=0.0, outside="decode",
)  # fmt: skip

FIELDS = {"triposr": TRIPOSR, "openlrm": OPENLRM, "lrm": LRM}

# Every architecture with the largest field, one with the others; bfloat16 differs by a few instructions.
CASES = {
    f"{name} {precision} {arch}": (replace(spec, precision=precision), arch)
    for name, spec in FIELDS.items()
    for precision in FIELD_PRECISIONS
    for arch in (ARCHITECTURES if name == "triposr" else ("sm_90",))
    if precision != "bfloat16" or (name, arch) == ("triposr", "sm_90")
}

_PATTERNS = {
    "registers": r"Used (\d+) registers",
    "stack": r"(\d+) bytes stack frame",
    "spill_stores": r"(\d+) bytes spill stores",
    "spill_loads": r"(\d+) bytes spill loads",
    "shared": r"(\d+) bytes smem",
}


def measure(case: str) -> dict[str, dict[str, int]]:
    """kernel -> figure -> number: registers per thread, the others in bytes."""
    log = io.StringIO()
    spec, arch = CASES[case]
    compile_cubin(spec, arch, log)
    return parse(log.getvalue())


def parse(report: str) -> dict[str, dict[str, int]]:
    kernels = {}
    for part in report.split("Compiling entry function '")[1:]:
        found = {name: re.search(pattern, part) for name, pattern in _PATTERNS.items()}
        kernels[part.partition("'")[0]] = {k: int(m[1]) if m else 0 for k, m in found.items()}
    return dict(sorted(kernels.items()))


def main() -> None:
    table = {case: measure(case) for case in CASES}
    lines = [f"    {json.dumps(case)}: {{\n{rows(kernels)}\n    }}" for case, kernels in table.items()]
    text = f'{{\n  "nvrtc": "{nvrtc_version()}",\n  "cases": {{\n' + ",\n".join(lines) + "\n  }\n}\n"
    TABLE.write_text(text)


def rows(kernels: dict[str, dict[str, int]]) -> str:
    return ",\n".join(f"      {json.dumps(name)}: {json.dumps(row)}" for name, row in kernels.items())


if __name__ == "__main__":
    main()
