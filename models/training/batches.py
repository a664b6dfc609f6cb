"""Micro-batches by number: what a run, or one of several processes, draws from its sources.

Micro-batch k holds the same samples whoever makes it, so that a resumed run, a run on four devices and
one that accumulates four times all see the same data.
"""

from __future__ import annotations

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
    """Batches of an optimiser step: of packed objects where these lie (`workers` help on a CPU), procedural
    ones on `device`."""

    def __init__(
        self, packed: Source | None, procedural: Source | None, config: TrainConfig, picture: Picture,
        *, share: Share = ALONE, workers: int = 0, device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        if workers and packed is not None and packed.device.type != "cpu":
            raise ValueError(f"workers: expected 0 for pictures on {packed.device}, got {workers}")
        made = round(config.batch * config.procedural)
        if made and procedural is None:
            raise ValueError(f"procedural: {config.procedural} asks for a procedural source, got none")
        if made < config.batch and packed is None:
            raise ValueError(f"procedural: {config.procedural} leaves objects to packed renders, got none")
        if 0 < made < config.batch and packed.side != procedural.side:
            expected = f"pictures of {packed.side} pixels, like the packed ones"
            raise ValueError(f"procedural: expected {expected}, got {procedural.side}")
        self.config, self.share, self.workers, self.device = config, share, workers, torch.device(device)
        self.packed = MicroBatches(packed, config, picture, config.batch - made)
        self.procedural = MicroBatches(procedural, config, picture, made) if made else None

    def steps(self, first: int) -> Iterator[list[Sample]]:
        """The micro-batches of step `first`, of the next, and so on to the end of the run."""
        accumulate = self.config.accumulate
        numbers = [n for s in range(first, self.config.steps) for n in self.share.numbers(s, accumulate)]
        packed = iter(self._packed(numbers))
        for at in range(0, len(numbers), accumulate):
            yield [self._join(next(packed), n) for n in numbers[at : at + accumulate]]

    def _packed(self, numbers: list[int]) -> Iterable[Sample | None]:
        if not self.packed.count:
            return [None] * len(numbers)
        return DataLoader(self.packed, sampler=numbers, batch_size=None, num_workers=self.workers)

    def _join(self, packed: Sample | None, number: int) -> Sample:
        parts = [] if packed is None else [packed.to(self.device)]
        if self.procedural is not None:
            parts.append(self.procedural[number].to(self.device))
        return parts[0] if len(parts) == 1 else combine(parts)
