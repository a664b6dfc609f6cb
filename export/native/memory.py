"""Where each buffer lies in the arena: buffers share memory unless they live at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from export.native.plan import Buffer, Plan

ALIGNMENT = 16  # floats: a cache line, and the widest vector


@dataclass
class _Block:
    """Buffers of one place, alive from operation `first` to `last`, both included."""

    size: int
    first: int
    last: int
    offset: int = 0


def lay_out(plan: Plan) -> tuple[dict[Buffer, int], int]:
    """(offset of each buffer, size of the arena), in floats.

    The largest blocks are placed first, each in the lowest gap that is free while it lives.
    """
    blocks = _blocks(plan)
    unique = {id(block): block for block in blocks.values()}.values()
    placed: list[_Block] = []
    for block in sorted(unique, key=lambda b: (-b.size, b.first)):
        block.offset = _lowest_gap(block, placed)
        placed.append(block)
    size = max((b.offset + b.size for b in placed), default=0)
    return {buffer: block.offset for buffer, block in blocks.items()}, size


def _blocks(plan: Plan) -> dict[Buffer, _Block]:
    """A result that may take the memory of a value that ends with it shares that value's block."""
    lives = _lives(plan)
    blocks: dict[Buffer, _Block] = {}
    for buffer, (first, last) in lives.items():
        size = -(-buffer.size // ALIGNMENT) * ALIGNMENT
        reused = plan.operations[first].reused if 0 <= first < len(plan.operations) else None
        if reused is not None and plan.operations[first].output is buffer and lives[reused][1] == first:
            blocks[buffer] = blocks[reused]
            blocks[buffer].last = last
        else:
            blocks[buffer] = _Block(size, first, last)
    return blocks


def _lives(plan: Plan) -> dict[Buffer, tuple[int, int]]:
    """(first, last) operation of each buffer, by first. The image is there before all, the planes stay."""
    lives = {plan.image: (-1, -1)}
    for i, operation in enumerate(plan.operations):
        for buffer in operation.buffers():
            lives[buffer] = (lives.get(buffer, (i, i))[0], i)
    lives[plan.planes] = (lives[plan.planes][0], len(plan.operations))
    return lives


def _lowest_gap(block: _Block, placed: list[_Block]) -> int:
    offset = 0
    meanwhile = [b for b in placed if b.first <= block.last and block.first <= b.last]
    for other in sorted(meanwhile, key=lambda b: b.offset):
        if offset + block.size <= other.offset:
            break
        offset = max(offset, other.offset + other.size)
    return offset
