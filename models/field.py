"""The triplane field: planes + MLP -> density and colour at a point. The slow, readable twin.

A world point p of the native frame is scaled to q = p / radius in [-1, 1]^3; each of three planes is
sampled bilinearly (zero padding) at two coordinates of q; the three feature vectors are reduced and
decoded by a small MLP. Everything works in float64 and is differentiable.

Sources: Chan et al. 2022 (triplanes, arXiv 2112.07945); the parameterisations of the LRM outline,
of TripoSR (concat, SiLU, exp) and of OpenLRM (concat, ReLU, softplus, widened sigmoid).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AXES = {"x": 0, "y": 1, "z": 2}
ACTIVATIONS = {"relu": F.relu, "silu": F.silu}
DENSITY_ACTIVATIONS = {"exp": torch.exp, "relu": F.relu, "softplus": F.softplus}


@dataclass(frozen=True)
class FieldSpec:
    """What a field means; the `field` section of engine.json (docs/ENGINE.md)."""

    radius: float = 1.0  # half-extent of the box, native units
    axes: tuple[str, str, str] = ("xy", "xz", "yz")  # per plane: along width, along height
    align_corners: bool = False
    reduction: str = "concat"  # concat | sum | mean
    widths: tuple[int, ...] = (72, 64, 64, 4)  # features in, hidden..., 4
    activation: str = "relu"  # relu | silu
    density_activation: str = "exp"  # exp | relu | softplus
    density_bias: float = 0.0
    color_widen: float = 0.0
    outside: str = "decode"  # decode | empty: what a render does with samples outside the box

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        object.__setattr__(self, "widths", tuple(self.widths))
        _expect("reduction", self.reduction, ("concat", "sum", "mean"))
        _expect("activation", self.activation, ACTIVATIONS)
        _expect("density_activation", self.density_activation, DENSITY_ACTIVATIONS)
        _expect("outside", self.outside, ("decode", "empty"))
        if len(self.axes) != 3 or any(len(a) != 2 or not set(a) <= set(AXES) for a in self.axes):
            raise ValueError(f"axes: expected three pairs of x, y, z such as 'xy', got {self.axes}")
        if len(self.widths) < 2 or self.widths[-1] != 4:
            raise ValueError(f"widths: expected (features, ..., 4), got {self.widths}")
        if not self.radius > 0:
            raise ValueError(f"radius: expected a positive number, got {self.radius}")

    def to_json(self) -> dict:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _expect(name: str, value: str, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


def sample_planes(planes: Tensor, q: Tensor, spec: FieldSpec) -> Tensor:
    """Features of the three planes at points.

    planes [B, 3, C, H, W]; q [B, N, 3] in box units. Returns [B, 3, N, C].
    """
    batch, _, channels, height, width = planes.shape
    uv = torch.stack([q[..., [AXES[a[0]], AXES[a[1]]]] for a in spec.axes], dim=1)  # [B, 3, N, 2]
    sampled = F.grid_sample(
        planes.reshape(batch * 3, channels, height, width),
        uv.reshape(batch * 3, 1, -1, 2),
        mode="bilinear", padding_mode="zeros", align_corners=spec.align_corners,
    )  # fmt: skip  # [3B, C, 1, N]
    return sampled.reshape(batch, 3, channels, -1).transpose(2, 3)


def reduce_features(features: Tensor, reduction: str) -> Tensor:
    """[B, 3, N, C] -> [B, N, 3C] (concat, plane after plane) or [B, N, C] (sum, mean)."""
    if reduction == "concat":
        return features.permute(0, 2, 1, 3).flatten(2)
    return features.sum(1) if reduction == "sum" else features.mean(1)


class FieldDecoder(nn.Module):
    """MLP from reduced features to (raw density, raw colour); `layers.N` are its linear layers."""

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        self.spec = spec
        pairs = zip(spec.widths[:-1], spec.widths[1:], strict=True)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        for layer in self.layers:
            # PyTorch's default shrinks a signal threefold per layer; an untrained field would be flat.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[..., widths[0]] -> [..., 4]."""
        for layer in self.layers[:-1]:
            features = ACTIVATIONS[self.spec.activation](layer(features))
        return self.layers[-1](features)


def activate(raw: Tensor, spec: FieldSpec) -> tuple[Tensor, Tensor]:
    """Raw decoder output [..., 4] -> density [...] >= 0 and rgb [..., 3] nominally in [0, 1]."""
    density = DENSITY_ACTIVATIONS[spec.density_activation](raw[..., 0] + spec.density_bias)
    rgb = torch.sigmoid(raw[..., 1:]) * (1 + 2 * spec.color_widen) - spec.color_widen
    return density, rgb


class Triplane(nn.Module):
    """One field: planes [B, 3, C, H, W] and the decoder that reads them.

    `Triplane(nn.Parameter(planes), decoder)` can be optimised directly; a network's output makes a
    plain one. Points are [B, N, 3] in the native frame.
    """

    def __init__(self, planes: Tensor, decoder: FieldDecoder) -> None:
        super().__init__()
        expected = decoder.spec.widths[0] // (3 if decoder.spec.reduction == "concat" else 1)
        if planes.ndim != 5 or planes.shape[1] != 3 or planes.shape[2] != expected:
            got = tuple(planes.shape)
            raise ValueError(f"planes: expected [B, 3, {expected}, H, W], got {got}")
        self.planes = planes
        self.decoder = decoder

    @property
    def spec(self) -> FieldSpec:
        return self.decoder.spec

    def raw(self, points: Tensor) -> Tensor:
        """Decoder output before activation, [B, N, 4]."""
        features = sample_planes(self.planes, points / self.spec.radius, self.spec)
        return self.decoder(reduce_features(features, self.spec.reduction))

    def query(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density [B, N] and rgb [B, N, 3] at points [B, N, 3]."""
        return activate(self.raw(points), self.spec)

    def density_grid(self, resolution: int, chunk: int = 1 << 18) -> Tensor:
        """Density [B, n, n, n] on p_i = -r + 2 r i / (n - 1); first index x, last z."""
        r, like = self.spec.radius, self.planes
        line = torch.linspace(-r, r, resolution, dtype=like.dtype, device=like.device)
        points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(1, -1, 3)
        points = points.expand(like.shape[0], -1, -1)
        parts = [self.query(p)[0] for p in points.split(chunk, dim=1)]
        return torch.cat(parts, 1).reshape(-1, resolution, resolution, resolution)
