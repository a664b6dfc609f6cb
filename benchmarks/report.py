"""benchmarks/results/*.json -> the tables of docs/PERFORMANCE.md and the chart docs/speed.svg.

    python benchmarks/report.py

A table stands between <!-- NAME --> and <!-- /NAME -->; the text around it is written by hand.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import RESULTS
from lrm_sdk.files import write_atomically

DOCS = Path(__file__).resolve().parent.parent / "docs"
LEFT, WIDTH, LINE, BAR = 250, 720, 26, 16  # of the chart, pixels
ORIGINAL, OURS = "#b8bec6", "#2f6f9f"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def field_table(result: dict) -> str:
    rows = []
    for r in result["rows"]:
        check = ""
        if "hausdorff_cells" in r:
            check = f"Hausdorff {r['hausdorff_cells']:.3f} cell"
        elif "max_difference_of_255" in r:
            check = f"at most {r['max_difference_of_255']:.2f} of 255 off"
        elif "density_error" in r:
            check = f"density {r['density_error']:.1e} off"
        seconds = f"{r['native_s']:.2f}", f"{r['torch_s']:.2f}"
        rows.append([r["stage"], *seconds, f"{r['ratio']:.1f}", f"{r['bar']:g}", check])
    return markdown(["stage", "lrm-sdk, s", "PyTorch, s", "ratio", "bar", "check"], rows)


def network_table(result: dict) -> str:
    rows = []
    for r in result["rows"]:
        error, psnr, start = "", "", ""
        if "planes_relative_error" in r:
            error, psnr = f"{r['planes_relative_error']:.1e}", f"{r['render_psnr_db']:.0f}"
            start = f"{r['process_start_to_mesh_s']:.1f}"
        times = f"{r['median_s']:.1f}", f"{r['p95_s']:.1f}", f"{r['ratio']:.2f}"
        rows.append([r["way"], *times, error, psnr, f"{r['peak_gb']:.2f}", start])
    head = ["network", "s", "p95", "ratio", "planes, error", "render, dB", "peak, GB", "start to mesh, s"]
    return markdown(head, rows)


def end_to_end_table(result: dict) -> str:
    rows = [
        [
            r["way"], f"{r['median_s']:.2f}", f"{r['ratio']:.1f}", f"{r['peak_gb']:.2f}", str(r["vertices"]),
            f"{r['distance_p99_cells']:.1e}",
        ]
        for r in result["rows"]
    ]  # fmt: skip
    head = ["way", "s", "times lrm-sdk's", "peak, GB", "vertices", "distance, p99, cells"]
    return markdown(head, rows)


def roofline_table(result: dict) -> str:
    rows = []
    for r in result["rows"]:
        what = f"query, {r['threads']} thread{'s' * (r['threads'] > 1)}"
        rows.append(
            [what, f"{r['query_gflops']:.0f}", f"{r['peak_gflops']:.0f}", f"{r['query_share_of_peak']:.0%}"]
        )
        if "matrix_share_of_peak" in r:
            reached, peak = r["matrix_gflops"], r["matrix_peak_gflops"]
            share = f"{r['matrix_share_of_peak']:.0%}"
            rows.append([f"{what}, as bfloat16", f"{reached:.0f}", f"{peak:.0f}", share])
    peak = result["rows"][-1]["peak_gflops"]
    for n in result["network"]:
        reached = n["share_of_peak"] * peak
        rows.append([f"network, {n['way']}", f"{reached:.0f}", f"{peak:.0f}", f"{n['share_of_peak']:.0%}"])
    return markdown(["stage", "GFLOP/s", "peak", "share"], rows)


def turntable_table(result: dict) -> str:
    rows = []
    for r in result["rows"]:
        parts = f"{r['rendering_s']:.1f}", f"{r['encoding_s']:.2f}"
        rows.append([r["field"], f"{r['seconds']:.1f}", f"{r['bar_s']:g}", *parts])
    return markdown(["field", "s", "bar", "rendering alone", "encoding alone"], rows)


def costs_table(result: dict) -> str:
    return markdown(["ratio", "value"], [[name, f"{v:.2f}"] for name, v in result["ratios"].items()])


def quality_table(result: dict) -> str:
    keys = ("face_mean_deg", "face_p99_deg", "delivered_mean_deg", "delivered_p99_deg", "distance_rms_cells")
    rows = [[r["shape"], r["method"], *(f"{r[k]:.2g}" for k in keys)] for r in result["rows"]]
    head = ["shape", "vertices", "faces off, mean deg", "p99", "normals off, mean deg", "p99"]
    return markdown([*head, "distance, rms cells"], rows)


def seeding_table(result: dict) -> str:
    rows = [
        [r["field"], str(r["components"]), str(r["missed"]), f"{r['missed_share']:.2%}"]
        for r in result["rows"]
    ]
    return markdown(["field", "components", "missed", "share of the vertices"], rows)


TABLES: dict[str, Callable[[dict], str]] = {
    "field": field_table,
    "network": network_table,
    "end_to_end": end_to_end_table,
    "roofline": roofline_table,
    "turntable": turntable_table,
    "check": costs_table,
    "surface_quality": quality_table,
    "seeding": seeding_table,
}


def machine(environment: dict) -> str:
    """What a table was measured on."""
    name = re.sub(r"\((R|TM)\)", "", environment["processor"])
    used = environment.get("instruction_set")
    return f"*{' '.join(name.split())}{f', {used}' if used else ''}*"


def filled(text: str, name: str, table: str) -> str:
    """`text` with the table between the marks of `name`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"PERFORMANCE.md: expected {begin} and {end} once each")
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def chart(result: dict) -> str:
    """Times of both, on a logarithmic axis, as SVG."""
    rows = result["rows"]
    times = [t for r in rows for t in (r["native_s"], r["torch_s"])]
    low, high = (math.floor(math.log10(min(times))), math.ceil(math.log10(max(times))))
    scale = (WIDTH - LEFT - 60) / (high - low)

    def length(seconds: float) -> float:
        return (math.log10(seconds) - low) * scale

    height = LINE * 2 * len(rows) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for i, r in enumerate(rows):
        top = 12 + 2 * LINE * i
        parts.append(f'<text x="{LEFT - 8}" y="{top + LINE}" text-anchor="end">{escape(r["stage"])}</text>')
        for k, (seconds, color) in enumerate(((r["torch_s"], ORIGINAL), (r["native_s"], OURS))):
            y, note = top + k * (BAR + 3), f"{seconds:.2g} s" + (f", {r['ratio']:.0f}x" if k else "")
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{length(seconds):.1f}" height="{BAR}" fill="{color}"/>'
            )
            parts.append(f'<text x="{LEFT + length(seconds) + 4:.1f}" y="{y + BAR - 3}">{note}</text>')
    legend = "grey: PyTorch; blue: lrm-sdk; seconds, logarithmic"
    parts.append(f'<text x="{LEFT}" y="{height - 16}">{legend}</text></svg>')
    return "\n".join(parts) + "\n"


def main() -> None:
    page = DOCS / "PERFORMANCE.md"
    text = page.read_text()
    for name, table in TABLES.items():
        result = json.loads((RESULTS / f"{name}.json").read_text())
        text = filled(text, name, table(result) + "\n\n" + machine(result["environment"]))
    write_atomically(page, text.encode())
    write_atomically(DOCS / "speed.svg", chart(json.loads((RESULTS / "field.json").read_text())).encode())


if __name__ == "__main__":
    main()
