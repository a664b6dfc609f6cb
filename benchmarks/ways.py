"""Ways to do the same thing, each in a process of its own.

All are started and warmed up one after the other, then they run in turn: a machine that other work (or
its host) slows down for a while is slow for all of them. A ratio is the median over the rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

MARK = "@lrm "  # libraries print as they like


def serve(
    call: Callable[[], Any], facts: Callable[[Any], dict], warm_up: Callable[[], Any] | None = None
) -> None:
    """The process of one way: runs `warm_up` (None: `call`) once, then `call` whenever asked, and ends with
    facts(its last result)."""
    result = (warm_up or call)()
    _say({})
    for line in sys.stdin:
        if line.strip() == "end":
            break
        start = time.perf_counter()
        result = call()
        _say({"seconds": time.perf_counter() - start})
    _say(facts(result))


def in_turn(commands: Mapping[str, Sequence[str]], repeats: int) -> list[dict]:
    """One row for each way: its facts and way, median_s, p95_s, seconds, ratio (the first way's time over
    its own). Raises SystemExit with what a way that failed has said."""
    ways: dict[str, _Way] = {}
    try:
        for name, command in commands.items():
            ways[name] = _Way(name, command)
        rounds = [{name: way.run() for name, way in ways.items()} for _ in range(repeats)]
        first = next(iter(ways))
        return [
            summary(name, [r[name] for r in rounds], [r[first] for r in rounds]) | way.finish()
            for name, way in ways.items()
        ]
    finally:
        for way in ways.values():
            way.close()


def summary(name: str, seconds: list[float], of_first: list[float]) -> dict:
    return {
        "way": name,
        "median_s": statistics.median(seconds),
        "p95_s": sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)],
        "seconds": seconds,
        "ratio": statistics.median(a / b for a, b in zip(of_first, seconds, strict=True)),
    }


def peak_gb() -> float:
    """The largest resident size of this process so far, mapped files included (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e9


def _say(facts: dict) -> None:
    print(MARK + json.dumps(facts), flush=True)


class _Way:
    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._answer()  # warmed up
        except BaseException:
            self.close()
            raise

    def run(self) -> float:
        seconds: float = self._ask("run")["seconds"]
        print(f"{self.name}: {seconds:.2f} s", flush=True)
        return seconds

    def finish(self) -> dict:
        return self._ask("end")

    def close(self) -> None:
        """Its process ends with its input; a second time does nothing."""
        if self.process.returncode is None:
            self.process.communicate()

    def _ask(self, what: str) -> dict:
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                answer: dict = json.loads(line[len(MARK) :])
                return answer
        raise SystemExit(f"{self.name}: ended early; its messages are above")
