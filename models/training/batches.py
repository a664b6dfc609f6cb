"""Micro-batches by number: what a run, or one of several processes, draws from its sources.

Micro-batch k holds the same samples whoever makes it, so that a resumed run, a run on four devices and
one that accumulates four times all see the same data.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from models.training.config import TrainConfig
from models.training.objects import Source
from models.training.samples import Sample, combine, make_batch


@dataclass(frozen=True)
class Share:
    """Which of the run's micro-batches are this process's."""

    rank: int = 0
    world: int = 1

    def numbers(self, step: int, accumulate: int) -> range:
        """Of one optimiser step."""
        first = step * accumulate * self.world
        return range(first + self.rank, first + accumulate * self.world, self.world)


ALONE = Share()
Picture = tuple[int, float]  # side of the input in pixels, and what the subject fills of it


class MicroBatches(Dataset):
    """`count` samples each."""

    def __init__(self, source: Source, config: TrainConfig, picture: Picture, count: int) -> None:
        self.source, self.config, self.picture, self.count = source, config, picture, count

    def __getitem__(self, number: int) -> Sample:
        generator = torch.Generator(self.source.device).manual_seed(self.config.seed * 1_000_003 + number)
        return make_batch(self.source, self.config, *self.picture, self.count, generator)


class Batches:
    """Batches of an optimiser step: of packed objects and their morphs where these lie (on a CPU, `workers`
    help each), and procedural ones on `device`, in the shares that the configuration asks for."""

    def __init__(
        self, packed: Source | None, procedural: Source | None, config: TrainConfig, picture: Picture,
        *, morphs: Source | None = None, share: Share = ALONE, workers: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        if workers and packed is not None and packed.device.type != "cpu":
            raise ValueError(f"workers: expected 0 for pictures on {packed.device}, got {workers}")
        self.config, self.share, self.workers, self.device = config, share, workers, torch.device(device)
        made, morphed = round(config.batch * config.procedural), round(config.batch * config.morphs)
        parts = {
            "packed": (packed, config.batch - made - morphed),
            "morphs": (morphs, morphed),
            "procedural": (procedural, made),
        }
        _check_sources(parts)
        self.parts = {
            name: MicroBatches(source, config, picture, count)
            for name, (source, count) in parts.items()
            if count
        }

    def steps(self, first: int) -> Iterator[list[Sample]]:
        """The micro-batches of step `first`, of the next, and so on to the end of the run."""
        accumulate = self.config.accumulate
        numbers = [n for s in range(first, self.config.steps) for n in self.share.numbers(s, accumulate)]
        streams = [self._stream(name, part, numbers) for name, part in self.parts.items()]
        joined = (combine([part.to(self.device) for part in parts]) for parts in zip(*streams, strict=True))
        for _ in range(first, self.config.steps):
            yield list(itertools.islice(joined, accumulate))

    def _stream(self, name: str, part: MicroBatches, numbers: list[int]) -> Iterable[Sample]:
        """Procedural objects are made where the network trains: a worker's process has no such device."""
        if name == "procedural":
            return (part[number] for number in numbers)
        return DataLoader(part, sampler=numbers, batch_size=None, num_workers=self.workers)


def _check_sources(parts: dict[str, tuple[Source | None, int]]) -> None:
    """Raises ValueError where a share has no source, or the pictures differ in size."""
    wanted = {name: source for name, (source, count) in parts.items() if count}
    missing = [name for name, source in wanted.items() if source is None]
    if missing:
        shares = ", ".join(f"{name} {count}" for name, (_, count) in parts.items())
        raise ValueError(f"expected a source of {missing[0]} objects for a batch of {shares}, got none")
    sides = {name: source.side for name, source in wanted.items()}
    if len(set(sides.values())) > 1:
        raise ValueError(f"expected pictures of one size, got {sides} pixels")
