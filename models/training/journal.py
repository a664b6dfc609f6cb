"""What a run tells: a progress bar, log.jsonl, TensorBoard if asked for, pictures of what it makes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType

from models.training.progress import progress_bar
from models.training.state import TrainState

SHOWN = ("loss", "rgb", "mask", "depth", "solid")


class Journal:
    """Only the first of several processes keeps one. A context manager."""

    def __init__(self, out: Path, state: TrainState, *, tensorboard: bool = False) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.bar = progress_bar(state.config.steps, done=state.step)
        self.begun, self.first = time.perf_counter(), state.step
        self.log, self.every = out / "log.jsonl", state.config.log_every
        self.board = _summary_writer(out) if tensorboard else None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.bar.close()
        if self.board is not None:
            self.board.close()

    def wants(self, step: int) -> bool:
        """Reading losses makes a GPU wait, so it is not done at every step."""
        return step % self.every == 0

    def step(self) -> None:
        self.bar.update()

    def write(self, step: int, terms: dict[str, float]) -> None:
        """`terms` at a step that has just been made."""
        seconds = round((time.perf_counter() - self.begun) / (step - self.first), 3)
        with self.log.open("a") as log:
            log.write(json.dumps({"step": step, "seconds_per_step": seconds} | terms) + "\n")
        if shown := {k: f"{terms[k]:.4f}" for k in SHOWN if k in terms}:
            self.bar.set_postfix(shown, refresh=False)
        if self.board is not None:
            for name, value in terms.items():
                self.board.add_scalar(name, value, step)


def _summary_writer(out: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SystemExit("--tensorboard needs: pip install tensorboard") from error
    return SummaryWriter(out / "tensorboard")
