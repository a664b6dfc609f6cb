"""engine.json as typed dataclasses (docs/ENGINE.md), read strictly: unknown, missing and mistyped
keys are refused by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lrm_sdk.errors import EngineError
from lrm_sdk.native.options import ACTIVATIONS, DENSITY_ACTIVATIONS, OUTSIDE, RAY_RANGES, REDUCTIONS, STEPS

FORMAT = "lrm-engine"
FORMAT_VERSION = 1
RESIZE_MODES = ("area", "bilinear_antialias", "bicubic_align_corners")
AXES = tuple(a + b for a in "xyz" for b in "xyz")

Rule = Callable[[Any, str], Any]  # (value, its place in engine.json) -> the value as kept


def refuse(place: str, expected: str, got: Any) -> EngineError:
    return EngineError(f"engine.json: {place}: expected {expected}, got {got!r}; build the engine again")


def text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise refuse(place, "a text", value)
    return value


def boolean(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise refuse(place, "true or false", value)
    return value


def mapping(value: Any, place: str) -> dict:
    if not isinstance(value, dict):
        raise refuse(place, "an object", value)
    return value


def integer(low: int, high: int) -> Rule:
    def rule(value: Any, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise refuse(place, f"an integer from {low} to {high}", value)
        return value

    return rule


def number(low: float = -math.inf, *, above: float = -math.inf, high: float = math.inf) -> Rule:
    """A finite number with low <= x <= high and x > above."""

    def rule(value: Any, place: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refuse(place, "a number", value)
        if not (math.isfinite(value) and low <= value <= high and value > above):
            raise refuse(place, f"a number {bounds}", value)
        return float(value)

    bounds = f"above {above}" if above > -math.inf else f"from {low} to {high}"
    return rule


def one_of(*names: str) -> Rule:
    def rule(value: Any, place: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise refuse(place, f"one of {', '.join(names)}", value)
        return value

    return rule


def sequence(item: Rule, low: int, high: int | None = None) -> Rule:
    def rule(value: Any, place: str) -> tuple:
        most = low if high is None else high
        if not isinstance(value, list) or not low <= len(value) <= most:
            counts = str(low) if low == most else f"{low} to {most}"
            raise refuse(place, f"a list of {counts}", value)
        return tuple(item(v, f"{place}[{i}]") for i, v in enumerate(value))

    return rule


def optional(item: Rule) -> Rule:
    return lambda value, place: None if value is None else item(value, place)


def section(kind: type) -> Rule:
    return lambda value, place: read_section(kind, value, place)


def key(rule: Rule, **keywords: Any) -> Any:
    """A dataclass field that is read by `rule`; without a default the key must be there."""
    return dataclasses.field(metadata={"rule": rule}, **keywords)


Section = TypeVar("Section")


def read_section(kind: type[Section], value: Any, place: str) -> Section:
    """Raises EngineError naming the first key that is unknown, missing or wrong."""
    values = mapping(value, place)
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    prefix = f"{place}." if place else ""
    for name in values:
        if name not in known:
            expected = ", ".join(known)
            raise EngineError(f"engine.json: {prefix}{name}: unknown key; expected {expected}")
    kept = {}
    for name, field in known.items():
        if name in values:
            kept[name] = field.metadata["rule"](values[name], prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise EngineError(f"engine.json: {prefix}{name}: missing; build the engine again")
    return kind(**kept)


@dataclass(frozen=True)
class ModelSpec:
    name: str = key(text)
    family: str = key(text)
    license: str = key(text)
    source: dict = key(mapping)  # checkpoint and its sha256


@dataclass(frozen=True)
class InputSpec:
    """What the network takes: [B, 3, size, size] float32, sRGB in [0, 1]."""

    size: int = key(integer(8, 8192))
    normalization: str = key(one_of("folded"))
    mean: tuple[float, ...] = key(sequence(number(), 3))
    std: tuple[float, ...] = key(sequence(number(above=0.0), 3))
    background: tuple[float, ...] = key(sequence(number(0, high=1), 3))
    foreground_ratio: float | None = key(optional(number(above=0.0, high=1.0)))
    resize: str = key(one_of(*RESIZE_MODES))
    camera: tuple[float, ...] | None = key(optional(sequence(number(), 16)), default=None)


@dataclass(frozen=True)
class TriplaneSpec:
    channels: int = key(integer(1, 4096))
    height: int = key(integer(1, 8192))
    width: int = key(integer(1, 8192))
    dtype: str = key(one_of("float32"))
    layout: str = key(one_of("[3, C, H, W]"))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (3, self.channels, self.height, self.width)


@dataclass(frozen=True)
class FieldSpec:
    """What a sample position means; lrm_field_options in lrm.h."""

    radius: float = key(number(above=0.0))
    axes: tuple[str, str, str] = key(sequence(one_of(*AXES), 3))
    align_corners: bool = key(boolean)
    reduction: str = key(one_of(*REDUCTIONS))
    widths: tuple[int, ...] = key(sequence(integer(1, 65536), 2, 33))
    activation: str = key(one_of(*ACTIVATIONS))
    density_activation: str = key(one_of(*DENSITY_ACTIVATIONS))
    density_bias: float = key(number())
    color_widen: float = key(number(0.0))
    outside: str = key(one_of(*OUTSIDE))


@dataclass(frozen=True)
class RenderSpec:
    """How a ray is marched; distances in native units."""

    ray_range: str = key(one_of(*RAY_RANGES))
    step: str = key(one_of(*STEPS))
    samples: int = key(integer(1, 65536))
    box_scale: float = key(number(above=0.0, high=1.0))
    near: float | None = key(optional(number(0.0)), default=None)
    far: float | None = key(optional(number(above=0.0)), default=None)
    last_delta: float | None = key(optional(number(0.0)), default=None)
    background: tuple[float, ...] = key(sequence(number(0, high=1), 3), default=(1.0, 1.0, 1.0))


@dataclass(frozen=True)
class MeshSpec:
    resolution: int = key(integer(2, 2048))
    threshold: float = key(number(above=0.0))


@dataclass(frozen=True)
class FrameSpec:
    native_to_sdk: tuple[float, ...] = key(sequence(number(), 16))  # row-major, column vectors


@dataclass(frozen=True)
class NetworkSpec:
    backend: str = key(text)
    precision: str = key(text)
    file: str = key(text)
    requires: dict = key(mapping, default_factory=dict)


@dataclass(frozen=True)
class FileSpec:
    size: int = key(integer(0, 2**62))
    sha256: str = key(text)


def _files(value: Any, place: str) -> dict[str, FileSpec]:
    return {n: read_section(FileSpec, v, f"{place}[{n!r}]") for n, v in mapping(value, place).items()}


@dataclass(frozen=True)
class Manifest:
    """The whole of engine.json. `to_json` gives it back."""

    format: str = key(one_of(FORMAT))
    format_version: int = key(integer(FORMAT_VERSION, FORMAT_VERSION))
    model: ModelSpec = key(section(ModelSpec))
    input: InputSpec = key(section(InputSpec))
    triplane: TriplaneSpec = key(section(TriplaneSpec))
    field: FieldSpec = key(section(FieldSpec))
    render: RenderSpec = key(section(RenderSpec))
    mesh: MeshSpec = key(section(MeshSpec))
    frame: FrameSpec = key(section(FrameSpec))
    networks: tuple[NetworkSpec, ...] = key(sequence(section(NetworkSpec), 1, 64))
    verification: dict = key(mapping)
    files: dict[str, FileSpec] = key(_files)

    def to_json(self) -> dict:
        """Plain dicts, lists, numbers and texts, as json.dumps takes them."""
        return plain(dataclasses.asdict(self))


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def read_manifest(document: Any) -> Manifest:
    """A parsed engine.json. Raises EngineError for the first thing that is wrong in it."""
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version != FORMAT_VERSION:  # before keys that only it may know
        raise EngineError(
            f"engine.json: format_version: expected {FORMAT_VERSION}, got {version}; "
            "build the engine again with this version, or install the lrm-sdk that made it"
        )
    manifest = read_section(Manifest, document, "")
    check_consistency(manifest)
    return manifest


def check_consistency(manifest: Manifest) -> None:
    """What no single key shows: widths against planes, near and far, sizes."""
    field, planes, render = manifest.field, manifest.triplane, manifest.render
    features = planes.channels * (3 if field.reduction == "concat" else 1)
    if field.widths[0] != features:
        kind = f"{field.reduction} of three planes with {planes.channels} channels"
        raise refuse("field.widths[0]", f"{features} ({kind})", field.widths[0])
    if field.widths[-1] != 4:
        raise refuse("field.widths", "4 (density, red, green, blue) at its end", field.widths[-1])
    if render.ray_range == "near_far":
        if render.near is None or render.far is None or not render.near < render.far:
            raise refuse("render", "near < far for ray_range near_far", (render.near, render.far))
    for name in ("height", "width"):
        if field.align_corners and getattr(planes, name) < 2:
            raise refuse(f"triplane.{name}", "2 or more with align_corners", getattr(planes, name))
