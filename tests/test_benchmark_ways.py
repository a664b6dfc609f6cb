"""Benchmarks' ways run in turn, each in its own process, and tell what they found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.ways import in_turn, summary

ROOT = Path(__file__).resolve().parents[1]
WAY = """
import sys, time
sys.path.insert(0, {root!r})
from benchmarks.ways import peak_gb, serve
def call():
    print("a library's own words", flush=True)
    with open({log!r}, "a") as log:
        log.write({name!r})
    time.sleep({seconds})
    return {name!r}
serve(call, lambda result: {{"result": result, "peak_gb": peak_gb()}})
"""


def way(name: str, seconds: float, log: Path) -> list[str]:
    script = WAY.format(root=str(ROOT), log=str(log), name=name, seconds=seconds)
    return [sys.executable, "-c", script]


def test_they_take_turns(tmp_path):
    log = tmp_path / "log"
    rows = in_turn({"slow": way("s", 0.2, log), "fast": way("f", 0.02, log)}, repeats=3)
    assert log.read_text() == "sf" + "sf" * 3  # warmed up, then in turn
    assert [r["way"] for r in rows] == ["slow", "fast"] and [r["result"] for r in rows] == ["s", "f"]
    assert rows[0]["ratio"] == 1 and rows[1]["ratio"] > 2
    assert rows[0]["median_s"] >= 0.2 and 0 < rows[0]["peak_gb"] < 1


def test_a_way_that_fails_is_named(tmp_path):
    with pytest.raises(SystemExit, match="broken: ended early"):
        in_turn({"broken": [sys.executable, "-c", "raise SystemExit(3)"]}, repeats=1)


def test_a_slow_round_does_not_change_the_ratio():
    row = summary("fast", [1.0, 2.0, 1.0], [4.0, 8.0, 4.0])
    assert (row["ratio"], row["median_s"], row["p95_s"]) == (4.0, 1.0, 2.0)
