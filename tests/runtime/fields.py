"""Fields for tests: random ones, analytic ones, and those of the golden files."""

from __future__ import annotations

import functools
import json
import zlib
from pathlib import Path

import numpy as np
import torch

from models.evaluation.fitted import load_field
from models.field import FieldDecoder, FieldSpec, Triplane
from tests.runtime import liblrm

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"
CHAIR = Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "triposr_size_field.safetensors"

TRIPOSR = FieldSpec(radius=0.87, widths=(24, 16, 16, 16, 4), activation="silu", density_bias=-1.0)
OPENLRM = FieldSpec(
    axes=("xy", "xz", "zy"), widths=(24, 64, 64, 64, 4), density_activation="softplus",
    density_bias=-1.0, color_widen=0.001, outside="empty",
)  # fmt: skip
OUTLINE = FieldSpec(widths=(10, 64, 64, 4), reduction="sum", align_corners=True, density_activation="relu")
FAMILIES = {"triposr": TRIPOSR, "openlrm": OPENLRM, "outline": OUTLINE}


class Parameters:
    """A spec with its numbers (float32 arrays): made once, given to the library and to the twin."""

    def __init__(self, spec: FieldSpec, planes, weights, biases) -> None:
        self.spec = spec
        self.planes = np.ascontiguousarray(planes, np.float32)
        self.weights = [np.ascontiguousarray(w, np.float32) for w in weights]
        self.biases = [np.ascontiguousarray(b, np.float32) for b in biases]

    def native(self, **overrides) -> liblrm.Field:
        return liblrm.Field(self.spec, self.planes, self.weights, self.biases, **overrides)

    def twin(self) -> Triplane:
        """The PyTorch field in float64."""
        decoder = FieldDecoder(self.spec).double()
        for layer, weight, bias in zip(decoder.layers, self.weights, self.biases, strict=True):
            layer.weight.data, layer.bias.data = torch.tensor(weight).double(), torch.tensor(bias).double()
        return Triplane(torch.tensor(self.planes).double()[None], decoder)


def random_field(spec: FieldSpec, size: tuple[int, int], seed: int = 0, gain: float = 1.5) -> Parameters:
    """Independent texels and weights; size is (height, width) of the planes."""
    rng = np.random.default_rng(seed)
    channels = spec.widths[0] // (3 if spec.reduction == "concat" else 1)
    shapes = list(zip(spec.widths[1:], spec.widths[:-1], strict=True))
    return Parameters(
        spec,
        rng.standard_normal((3, channels, *size)),
        [rng.standard_normal(s) * gain / np.sqrt(s[1]) for s in shapes],
        [rng.standard_normal(s[0]) * 0.1 for s in shapes],
    )


def quadric_planes(size: int) -> np.ndarray:
    """[3, 3, S, S] whose sum over planes is (x^2 + y^2 + z^2, x, y) at texel centres."""
    t = (2 * np.arange(size) + 1) / size - 1
    row, column = np.meshgrid(t, t, indexing="ij")
    planes = np.zeros((3, 3, size, size))
    planes[0] = column**2 + row**2, column, row  # xy
    planes[1, 0] = row**2  # z along the height of xz
    return planes


def ball_field(radius: float = 0.6, *, size: int = 64, density: float = 60.0) -> Parameters:
    """A ball: raw density falls linearly in |p|^2 and is 0 at the radius. Box [-1, 1]^3."""
    spec = FieldSpec(widths=(3, 4), reduction="sum", density_activation="softplus")
    slope = density / radius**2
    weight = [[-slope, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 1]]
    return Parameters(spec, quadric_planes(size), [weight], [[slope * radius**2, 0, 0, 0]])


STEEPNESS = 100.0  # of gaussian_field


def gaussian_field(center) -> Parameters:
    """density = exp(-STEEPNESS |p - center|^2), white. Box [-1, 1]^3."""
    t = (2 * np.arange(256) + 1) / 256 - 1
    row, column = np.meshgrid(t, t, indexing="ij")
    planes = np.zeros((3, 1, 256, 256))
    planes[0, 0] = (column - center[0]) ** 2 + (row - center[1]) ** 2
    planes[1, 0] = (row - center[2]) ** 2
    spec = FieldSpec(widths=(1, 4), reduction="sum", density_activation="exp")
    return Parameters(spec, planes, [[[-STEEPNESS], [0], [0], [0]]], [[0, 9, 9, 9]])


def shell_field(radius: float, thickness: float, *, density: float = 400.0, size: int = 64) -> Parameters:
    """A thin ball shell: a triangular bump of raw density over |p|^2, by one hidden ReLU layer."""
    spec = FieldSpec(widths=(3, 6, 4), reduction="sum", density_activation="relu")
    half = radius * thickness  # of the bump, in |p|^2
    corners = radius**2 + half * np.array([-1, 0, 1])
    hidden = np.zeros((6, 3))
    hidden[:3, 0] = 1  # relu(|p|^2 - corner)
    hidden[3:, 1] = hidden[4:, 2] = 1
    last = np.zeros((4, 6))
    last[0, :3] = density / half * np.array([1, -2, 1])
    last[1:, 3:] = np.eye(3)
    return Parameters(spec, quadric_planes(size), [hidden, last], [[*-corners, 1, 1, 1], [0, 0, 0, 0]])


@functools.cache
def fitted_chair() -> Parameters:
    """Of TripoSR's size; `python -m models.fit` made it."""
    triplane = load_field(CHAIR)
    layers = triplane.decoder.layers
    weights, biases = ([getattr(x, n).detach().numpy() for x in layers] for n in ("weight", "bias"))
    return Parameters(triplane.spec, triplane.planes[0].detach().numpy(), weights, biases)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    # Plain arrays of our own making; pickles are refused.
    with np.load(path, allow_pickle=False) as file:  # noqa: TID251
        return dict(file)


def golden_weight(key: str, shape, gain=1.0) -> np.ndarray:
    """One tensor of the golden checkpoints, by the recipe in their JSON."""
    x = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    x = x / np.float32(np.sqrt(np.prod(shape[1:]))) if len(shape) > 1 else x * np.float32(0.05)
    return x * np.asarray(gain, np.float32).reshape(-1, *[1] * (len(shape) - 1))


def golden_field(name: str, prefix: str, spec: FieldSpec):
    """(parameters, arrays, JSON) of a golden file; prefix is that of the decoder's layers."""
    info = json.loads((GOLDEN / f"{name}.json").read_text())
    arrays = load_arrays(GOLDEN / f"{name}.npz")
    layers = [prefix + f"{2 * i}" for i in range(len(spec.widths) - 1)]

    def tensors(kind: str) -> list[np.ndarray]:
        keys = [f"{layer}.{kind}" for layer in layers]
        return [golden_weight(k, info["keys"][k], info["gains"].get(k, 1.0)) for k in keys]

    return Parameters(spec, arrays["planes_sub"], tensors("weight"), tensors("bias")), arrays, info


def golden_triposr():
    return golden_field("triposr-mini", "decoder.layers.", TRIPOSR)


def golden_openlrm():
    return golden_field("openlrm-mini", "synthesizer.decoder.net.", OPENLRM)
