"""Trains a network on packed renders: python -m models.train CONFIG --data DIR --out RUN.

Kill it at any moment and start it again with the same words: it goes on from the last saved step,
on one CPU bit for bit as if it had never stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn

from models import checkpoint
from models.training.config import read_config
from models.training.dataset import PackedRenders, make_batch
from models.training.losses import random_background, ray_losses, total
from models.training.occupancy import point_losses
from models.training.pictures import save_grid
from models.training.rays import pick_rays, render_batch
from models.training.state import TrainState


def train_step(state: TrainState, data: PackedRenders) -> dict[str, float]:
    """One optimiser step; returns the losses, the gradient norm and the learning rate."""
    model, config = state.model, state.config
    generator = torch.Generator().manual_seed(config.seed * 7_368_787 + state.step)
    sizes = (model.config.image_size, model.config.foreground_ratio)
    batch = make_batch(data, config, state.step, *sizes)
    rays = pick_rays(batch, config, generator)
    field = model.field(model(batch.image))
    rendered = render_batch(field, rays, config, generator)
    terms = ray_losses(rays, rendered, random_background(config.batch, generator))
    terms |= point_losses(field, batch.points, model.config.mesh_threshold)
    terms["loss"] = total(terms, config)
    terms["loss"].backward()
    rate = state.learning_rate()
    norm = state.update()
    return {k: v.item() for k, v in terms.items()} | {"norm": norm, "rate": rate}


def train(state: TrainState, data: PackedRenders, heldout: PackedRenders | None, out: Path) -> None:
    config = state.config
    start, first = time.perf_counter(), state.step
    while state.step < config.steps:
        terms = train_step(state, data)
        if state.step % config.log_every == 0:
            seconds = (time.perf_counter() - start) / (state.step - first)
            entry = {"step": state.step, "seconds_per_step": round(seconds, 3)} | terms
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(entry) + "\n")
            show_progress(state, terms, seconds)
        if state.step % config.save_every == 0 or state.step == config.steps:
            state.save(out / "state.pt")
            checkpoint.save(state.average, out / "checkpoint")
        if state.step % config.picture_every == 0:
            save_pictures(state.average, data, heldout, out)
    print()


def show_progress(state: TrainState, terms: dict[str, float], seconds: float) -> None:
    left = (state.config.steps - state.step) * seconds / 60
    shown = " ".join(f"{k} {terms[k]:.4f}" for k in ("loss", "rgb", "mask", "depth", "solid", "haze"))
    speed = f"{seconds:.2f} s/step, {left:.0f} min left "
    print(f"\rstep {state.step}/{state.config.steps} {shown} {speed}", end="", flush=True)


def save_pictures(model: nn.Module, data, heldout, out: Path) -> None:
    for name, source in (("train", data), ("heldout", heldout)):
        if source is not None:
            count = min(8, source.objects)
            objects = [i * source.objects // count for i in range(count)]
            save_grid(model, source, objects, out / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path, help="models/configs/NAME.json")
    parser.add_argument("--data", type=Path, required=True, help="packed renders: train/, heldout/")
    parser.add_argument("--out", type=Path, required=True, help="run folder, made or resumed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network, config = read_config(options.config)
    torch.manual_seed(config.seed)
    state = TrainState(checkpoint.build(network), config)
    options.out.mkdir(parents=True, exist_ok=True)
    if (options.out / "state.pt").exists():
        state.load(options.out / "state.pt")
        print(f"resuming at step {state.step}")
    heldout = options.data / "heldout"
    held = PackedRenders(heldout) if heldout.is_dir() else None
    train(state, PackedRenders(options.data / "train"), held, options.out)


if __name__ == "__main__":
    main()
