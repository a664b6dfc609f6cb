"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.gpu.bars import judge

PASSES = tuple((what, field) for what in ("mesh", "frame") for field in ("float32", "float16"))
MARKS = {True: "pass", False: "**fail**", None: "not measured"}


def markdown(report: dict[str, Any]) -> str:
    """Of any subset of the parts; those that are missing or failed are named with the reason."""
    parts = report["parts"]
    facts = parts.get("device", {})
    lines = [f"# gpu_check on {facts.get('name', 'an unknown GPU')}", ""]
    if "name" in facts:
        capability = ".".join(map(str, facts["compute_capability"]))
        lines += [
            f"Compute capability {capability}, {facts['multiprocessors']} SMs, "
            f"{facts['clock_khz'] / 1e6:g} GHz, {facts['memory_bus_bits']} bits of memory "
            f"at {facts['memory_clock_khz'] / 1e6:g} GHz.",
            "",
        ]
    bars = [
        [row["name"], _number(row["value"], row["unit"]), row["bar"], MARKS[row["passed"]]]
        for row in judge(parts)
    ]
    lines += [*_rows(["what", "value", "bar", ""], bars), ""]
    for section in (_gaps, _tanh, _checks, _stages, _reference, _networks, _sanitizer):
        lines += section(parts)
    return "\n".join(lines).rstrip() + "\n"


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.3g} {unit}".strip()


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


def _gaps(parts: dict[str, Any]) -> list[str]:
    rows = []
    for name, part in parts.items():
        for kind in ("skipped", "error"):
            if kind in part:
                rows.append([name, kind, " ".join(part[kind].split()).replace("|", "/")])
    return ["## Parts without a result", "", *_rows(["part", "", "why"], rows), ""] if rows else []


def _tanh(parts: dict[str, Any]) -> list[str]:
    part = parts.get("tanh", {})
    if "bounds" not in part:
        return []
    found = ", ".join(
        f"{what} {part[what]:.2g} (bound {bound:.2g})" for what, bound in part["bounds"].items()
    )
    return [f"`tanh.approx`: {found}. Failed: {', '.join(part['failed']) or 'none'}.", ""]


def _checks(parts: dict[str, Any]) -> list[str]:
    part = parts.get("checks", {})
    if "differences" not in part:
        return []
    names = list(dict.fromkeys(what for row in part["bounds"].values() for what in row))
    listed = part["differences"] | {f"bound of {p}": row for p, row in part["bounds"].items()}
    rows = [[name, *(_number(row.get(what)) for what in names)] for name, row in listed.items()]
    failed = ", ".join(part["failed"]) or "none"
    return [
        "## Kernels against the CPU stage, largest differences", "", *_rows(["field", *names], rows), "",
        f"Failed: {failed}.", "",
    ]  # fmt: skip


def _stages(parts: dict[str, Any]) -> list[str]:
    stages = {p: row for p, row in parts.get("stages", {}).items() if isinstance(row, dict)}
    lines: list[str] = []
    for precision, part in stages.items():
        if "error" in part:
            lines += [f"## CUDA stage, {precision}", "", f"Failed: {part['error']}", ""]
            continue
        lines += [f"## CUDA stage, {precision}", "", *_times(part["times"]), "", _roofline(part), ""]
    return lines


def _roofline(part: dict[str, Any]) -> str:
    line = part["roofline"]
    special = line["points_per_second_by_special_functions"]
    also = "" if special is None else f"; special functions allow {special:.3g}"
    return (
        f"{part['points_per_second']:.3g} points/s anywhere, {part['grid_points_per_second']:.3g} on a grid, "
        f"at {line['operations_per_point']} operations and {line['bytes_per_point']} bytes each: "
        f"{100 * line['share']:.1f} % of {line['points_per_second']:.3g} ({line['arithmetic']}){also}."
    )


def _times(times: dict[str, Any]) -> list[str]:
    rows = []
    for name, row in times.items():
        if isinstance(row, dict) and "median_ms" in row:
            rows.append([name, f"{row['median_ms']:.3f}", f"{row['p95_ms']:.3f}"])
    return _rows(["stage", "median, ms", "95 %, ms"], rows)


def _reference(parts: dict[str, Any]) -> list[str]:
    named = {
        f"{way}: {stage}": row
        for way, stages in parts.get("pytorch", {}).items()
        if isinstance(stages, dict)
        for stage, row in stages.items()
    }
    failed = [
        f"{way}: {stages['error']}"
        for way, stages in parts.get("pytorch", {}).items()
        if isinstance(stages, dict) and "error" in stages
    ]
    networks = {f"{way}: network": row for way, row in parts.get("torch network", {}).items()}
    if not named | networks:
        return []
    return ["## PyTorch", "", *_times(named | networks), "", *(f"Failed: {line}" for line in failed), ""]


def _networks(parts: dict[str, Any]) -> list[str]:
    rows = list(_network_rows(parts.get("networks", {})))
    passes = [f"picture to {what}, {field} field, ms" for what, field in PASSES]
    head = ["network", "median, ms", *passes, "planes, error", "render, dB", ""]
    return ["## Networks", "", *_rows(head, rows), ""] if rows else []


def _network_rows(part: dict[str, Any]) -> Iterator[list[str]]:
    for name, row in part.items():
        if not isinstance(row, dict):
            continue
        if "network" not in row:
            why = " ".join(row.get("skipped", row.get("error", "")).split())
            yield [name, *[""] * (len(PASSES) + 3), why]
            continue
        passes = (row.get(f"picture to {what}", {}).get(field) for what, field in PASSES)
        times = ["" if times is None else f"{times['median_ms']:.2f}" for times in (row["network"], *passes)]
        errors = [f"{row['planes_relative_error']:.1e}", f"{row['render_psnr_db']:.1f}"]
        yield [name, *times, *errors, row["report"]]


def _sanitizer(parts: dict[str, Any]) -> list[str]:
    rows = [
        [tool, MARKS[row["passed"]], row["summary"]]
        for tool, row in parts.get("sanitizer", {}).items()
        if isinstance(row, dict)
    ]
    return ["## compute-sanitizer", "", *_rows(["tool", "", "summary"], rows), ""] if rows else []
