"""Where a training step's time goes: python benchmarks/bench_train.py --data data/packed/train.

Times the parts of a step of a configuration, without and with torch.compile on the network, in one
run. Results: benchmarks/results/train.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save
from models import families
from models.training import objective
from models.training.batches import Batches
from models.training.config import read_config
from models.training.objects import PackedRenders
from models.training.state import TrainState

CONFIG = Path(__file__).parent.parent / "models" / "configs" / "lrm-cpu.json"
WARMUP = 3  # steps


class Clock:
    """Seconds per named part, summed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str):
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start

    def timed(self, name: str, function):
        def call(*arguments):
            with self.part(name):
                return function(*arguments)

        return call


def measure(state: TrainState, batches: Batches, steps: int) -> dict[str, float]:
    """Mean seconds per step of every part; `other` is what is left of the forward pass."""
    source, clock = batches.steps(0), Clock()
    inner, restore = state.objective, {}
    planes, inner.planes = inner.planes, clock.timed("network, forward", inner.planes)
    for name in ("render_batch", "point_losses"):
        restore[name] = getattr(objective, name)
        setattr(objective, name, clock.timed(f"{name}, forward", restore[name]))
    for step in range(WARMUP + steps):
        if step == WARMUP:
            clock.seconds.clear()
        with clock.part("batch"):
            (batch,) = next(source)
        with clock.part("forward"):
            loss = inner(batch, state.config.stage(step), step)["loss"]
        with clock.part("backward"):
            loss.backward()
        with clock.part("update"):
            state.update()
    for name, function in restore.items():
        setattr(objective, name, function)
    inner.planes = planes
    seconds = {k: v / steps for k, v in clock.seconds.items()}
    inside = sum(v for k, v in seconds.items() if k.endswith(", forward"))
    seconds["other forward"] = seconds.pop("forward") - inside
    return {**seconds, "step": sum(seconds.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    network, config = read_config(args.config)
    config = dataclasses.replace(config, steps=1 << 20)
    rows = {}
    for kind in ("eager", "compiled"):
        torch.manual_seed(0)
        state = TrainState(families.build(network), dataclasses.replace(config, compile=kind == "compiled"))
        picture = (state.model.config.image_size, state.model.config.foreground_ratio)
        rows[kind] = measure(state, Batches(PackedRenders(args.data), None, config, picture), args.steps)
        print(kind, *(f"{k} {1000 * v:.0f} ms" for k, v in rows[kind].items()), sep="\n  ")
    facts = environment(torch=torch.__version__) | {"threads": args.threads, "config": args.config.name}
    print(save("train", {"environment": facts, "seconds": rows}))


if __name__ == "__main__":
    main()
