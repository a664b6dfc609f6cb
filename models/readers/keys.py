"""Public keys -> a network's own, and the check that nothing is missing, left over or misshapen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.sources import CheckpointError

# (public, own): names of a module or a tensor; `{}` stands for a number, which both have.
Rules = Sequence[tuple[str, str]]
MAX_FIELD_LAYERS = 32  # as many as the runtime takes


class KeyMap:
    """Translates keys both ways. A rule fits a key that is its name, or its name + .weight or .bias.

    Without any rule all keys stay as they are.
    """

    def __init__(self, rules: Rules) -> None:
        self._same = not rules
        self._to_own = [(_pattern(public), own) for public, own in rules]
        self._to_public = [(_pattern(own), public) for public, own in rules]

    def own(self, key: str) -> str | None:
        return key if self._same else _translate(key, self._to_own)

    def public(self, key: str) -> str | None:
        return key if self._same else _translate(key, self._to_public)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\{\}", r"(\d+)") + r"(\.weight|\.bias|)")


def _translate(key: str, rules: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, template in rules:
        match = pattern.fullmatch(key)
        if match:
            *numbers, last = match.groups()
            return template.format(*numbers) + last
    return None


def field_rules(prefix: str) -> Rules:
    """Linear layers in a sequence with activations between them: PREFIX.2 is decoder.layers.1."""
    return [(f"{prefix}.{2 * k}", f"decoder.layers.{k}") for k in range(MAX_FIELD_LAYERS)]


def assign(
    build: Callable[[], nn.Module],
    tensors: dict[str, Tensor],
    keys: KeyMap,
    source: str,
    *,
    unused: str = "",
) -> nn.Module:
    """The network that `build` makes, with `tensors` (public key -> values) in place of its weights.

    No memory is taken for weights that are replaced; float32 ones stay where they are mapped.
    unused: pattern of public keys that are stored and not needed.
    Raises CheckpointError listing every key that is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        network = build()
    expected = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    public, problems = {}, []
    for key, tensor in tensors.items():
        name = keys.own(key)
        if name is not None and name in expected:
            public[name] = key
            if tuple(tensor.shape) != expected[name]:
                problems.append(f"{key}: expected {expected[name]}, got {tuple(tensor.shape)}")
        elif not (unused and re.fullmatch(unused, key)):
            problems.append(f"unexpected {key} {tuple(tensor.shape)}")
    missing = [k for k in expected if k not in public]
    problems += [f"missing {keys.public(k) or k} {expected[k]}" for k in missing]
    if problems:
        raise CheckpointError(f"{source}: weights do not fit the configuration:\n  " + "\n  ".join(problems))
    network.load_state_dict({name: tensors[key].float() for name, key in public.items()}, assign=True)
    return network


def count(tensors: dict[str, Tensor], pattern: str) -> int:
    """How many different numbers stand in the group of `pattern` among the keys."""
    found = (re.fullmatch(pattern, key) for key in tensors)
    return len({match[1] for match in found if match})


def shape_of(tensors: dict[str, Tensor], key: str, dimensions: int, source: str) -> tuple[int, ...]:
    """Raises CheckpointError where a key that gives a size is missing or has other dimensions."""
    if key not in tensors or tensors[key].ndim != dimensions:
        got = f"shape {tuple(tensors[key].shape)}" if key in tensors else "none"
        raise CheckpointError(f"{source}: expected a tensor {key} of {dimensions} dimensions, got {got}")
    return tuple(tensors[key].shape)
