"""Trains a network on packed renders: python -m models.train CONFIG --data DIR --out RUN.

Kill it at any moment and start it again with the same words: it goes on from the last saved step,
on a CPU bit for bit as if it had never stopped. Several GPUs: torchrun -m models.train ...
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import torch
from torch import nn

import models
from models import checkpoint, families
from models.data.procedural.source import ProceduralObjects
from models.efficientnet import EfficientNetLite0
from models.training.batches import Batches, Share
from models.training.config import TrainConfig, read_config
from models.training.journal import Journal
from models.training.objects import PackedRenders, Source
from models.training.pictures import save_grid
from models.training.processes import choose_device, process_group, synchronised
from models.training.samples import Sample
from models.training.state import TrainState
from models.training.validation import validate

PROCEDURAL_SIZE = 128  # pixels, where there are no packed pictures to agree with


def train_step(state: TrainState, batches: list[Sample], share: Share) -> dict[str, torch.Tensor]:
    """One optimiser step; returns the losses, the gradient norm and the learning rate."""
    numbers = share.numbers(state.step, state.config.accumulate)
    terms = state.accumulate(batches, [state.config.seed * 7_368_787 + n for n in numbers])
    rate = torch.tensor(state.learning_rate())
    return terms | {"norm": state.update(), "rate": rate}


def train(
    state: TrainState, batches: Batches, journal: Journal | None, grids: dict[str, Source], out: Path
) -> None:
    """To the end of the run. The process with the journal also saves: `state.pt` to go on from,
    `checkpoint/` with the averaged weights, and a picture NAME.png and losses per source in `grids`."""
    config = state.config
    for step_batches in batches.steps(state.step):
        terms = train_step(state, step_batches, batches.share)
        if journal is None:
            continue
        journal.step()
        if journal.wants(state.step):
            journal.write(state.step, {k: v.item() for k, v in terms.items()})
        if state.step % config.save_every == 0 or state.step == config.steps:
            state.save(out / "state.pt")
            checkpoint.save(state.average, out / "checkpoint")
        if state.step % config.picture_every == 0:
            look_at(state, grids, journal, out)


def look_at(state: TrainState, grids: dict[str, Source], journal: Journal, out: Path) -> None:
    """Pictures of what the averaged network makes of each source, and its losses there."""
    losses = {}
    for name, source in grids.items():
        save_grid(state.average, source, out / f"{name}.png")
        found = validate(state.average, state.config, source)
        losses |= {f"{name}.{term}": value for term, value in found.items()}
    journal.write(state.step, losses)


def load_pretrained(model: nn.Module) -> None:
    """Of the parts that do not learn."""
    for part in model.modules():
        if isinstance(part, EfficientNetLite0):
            part.load_pretrained()


def make_state(
    network: dict, config: TrainConfig, init: Path | None, device: torch.device, share: Share
) -> TrainState:
    """A fresh state, from random weights or those of a checkpoint folder."""
    torch.manual_seed(config.seed)
    model = families.build(network)
    if init is None:
        load_pretrained(model)
    else:
        model.load_state_dict(models.load(init).state_dict())
    return TrainState(model.to(device), config, lambda objective: synchronised(objective, share))


def make_batches(
    config: TrainConfig, data: Path | None, model: nn.Module, device: torch.device, share: Share, workers: int
) -> tuple[Batches, dict[str, Source]]:
    """What the run draws from, and the sources whose reconstructions are pictured."""
    home = "cpu" if workers else device
    packed = None if data is None else PackedRenders(data / "train", home)
    morphs = PackedRenders(data / "morphs", home) if data is not None and config.morphs else None
    size = PROCEDURAL_SIZE if packed is None else packed.side
    made = ProceduralObjects(config.seed, size=size, device=device) if config.procedural else None
    picture = (model.config.image_size, model.config.foreground_ratio)
    batches = Batches(
        packed, made, config, picture, morphs=morphs, share=share, workers=workers, device=device
    )
    grids: dict[str, Source] = {"train": made if packed is None else packed}
    if data is not None and (data / "heldout").is_dir():
        grids["heldout"] = PackedRenders(data / "heldout", home)
    return batches, grids


def run(options: argparse.Namespace) -> None:
    network, config = read_config(options.config)
    device = choose_device(options.device)
    if config.precision != "float32":
        torch.set_float32_matmul_precision("high")  # field and losses: TF32 where there is such a thing
    with process_group(device) as share, contextlib.ExitStack() as stack:
        state = make_state(network, config, options.init, device, share)
        batches, grids = make_batches(config, options.data, state.model, device, share, options.workers)
        if (options.out / "state.pt").exists():
            state.load(options.out / "state.pt")
            print(f"resuming at step {state.step}")
        journal = None
        if share.rank == 0:
            journal = stack.enter_context(Journal(options.out, state, tensorboard=options.tensorboard))
        train(state, batches, journal, grids, options.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path, help="models/configs/NAME.json")
    parser.add_argument(
        "--data", type=Path, help="packed renders: train/, heldout/; not needed if all is procedural"
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder, made or resumed")
    parser.add_argument("--init", type=Path, help="checkpoint folder: begin with its weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; default: a GPU if there is one")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that prepare batches on the CPU;\n0: the training device, which keeps the pictures",
    )
    parser.add_argument("--tensorboard", action="store_true", help="also write RUN/tensorboard")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run(options)


if __name__ == "__main__":
    main()
