"""engine.json as typed dataclasses (docs/ENGINE.md), read strictly: unknown, missing and mistyped
keys are refused by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from lrm_sdk.errors import EngineError
from lrm_sdk.native.options import ACTIVATIONS, DENSITY_ACTIVATIONS, OUTSIDE, RAY_RANGES, REDUCTIONS, STEPS

FORMAT = "lrm-engine"
FORMAT_VERSION = 1
RESIZE_MODES = ("area", "bilinear_antialias", "bicubic_align_corners")
FRAMINGS = ("subject", "triposr")
FLOAT32_MAX = 3.4028234663852886e38
AXES = tuple(a + b for a in "xyz" for b in "xyz")

Rule = Callable[[Any, str], Any]  # (value, its place in engine.json) -> the value as kept


def refuse(place: str, expected: str, got: Any) -> EngineError:
    shown = shorten(got)
    return EngineError(f"engine.json: {place}: expected {expected}, got {shown}; build the engine again")


def shorten(value: Any, length: int = 80) -> str:
    """`value` as it would be typed, cut so that a message stays readable; whatever it is."""
    try:
        shown = ascii(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list within a list ...
        shown = f"a very long {type(value).__name__}"
    return shown if len(shown) <= length else shown[: length - 3] + "..."


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
        # float32's range: an integer of JSON has none, and liblrm computes in float32.
        if not (abs(value) <= FLOAT32_MAX and low <= value <= high and value > above):
            raise refuse(place, f"a number {bounds}", value)
        return float(value)

    bounds = f"above {above}" if above > -math.inf else f"from {max(low, -FLOAT32_MAX)}"
    if above == -math.inf or high < math.inf:
        bounds += f" {'and at most' if above > -math.inf else 'to'} {min(high, FLOAT32_MAX)}"
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


Section = TypeVar("Section")


def read_section(kind: type[Section], value: Any, place: str) -> Section:
    """`kind` is a dataclass whose fields are Annotated[type, Rule]; without a default the key must be there.

    Raises EngineError naming the first key that is unknown, missing or wrong.
    """
    values = mapping(value, place)
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    prefix = f"{place}." if place else ""
    for name in values:
        if name not in known:
            expected = ", ".join(known)
            raise EngineError(f"engine.json: {prefix}{shorten(name)[1:-1]}: unknown key; expected {expected}")
    hints = get_type_hints(kind, include_extras=True)
    kept = {}
    for name, field in known.items():
        if name in values:
            kept[name] = get_args(hints[name])[1](values[name], prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise EngineError(f"engine.json: {prefix}{name}: missing; build the engine again")
    return kind(**kept)


@dataclass(frozen=True)
class ModelSpec:
    name: Annotated[str, text]
    family: Annotated[str, text]
    license: Annotated[str, text]
    source: Annotated[dict, mapping]  # checkpoint and its sha256


@dataclass(frozen=True)
class InputSpec:
    """What the network takes: [B, 3, size, size] float32, sRGB in [0, 1]."""

    size: Annotated[int, integer(8, 8192)]
    normalization: Annotated[str, one_of("folded")]
    mean: Annotated[tuple[float, ...], sequence(number(), 3)]
    std: Annotated[tuple[float, ...], sequence(number(above=0.0), 3)]
    background: Annotated[tuple[float, ...], sequence(number(0, high=1), 3)]
    foreground_ratio: Annotated[float | None, optional(number(above=0.0, high=1.0))]
    resize: Annotated[str, one_of(*RESIZE_MODES)]
    camera: Annotated[tuple[float, ...] | None, optional(sequence(number(), 16))] = None
    framing: Annotated[str, one_of(*FRAMINGS)] = "subject"


@dataclass(frozen=True)
class TriplaneSpec:
    channels: Annotated[int, integer(1, 4096)]
    height: Annotated[int, integer(1, 8192)]
    width: Annotated[int, integer(1, 8192)]
    dtype: Annotated[str, one_of("float32")]
    layout: Annotated[str, one_of("[3, C, H, W]")]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (3, self.channels, self.height, self.width)


@dataclass(frozen=True)
class FieldSpec:
    """What a sample position means; lrm_field_options in lrm.h."""

    radius: Annotated[float, number(above=0.0)]
    axes: Annotated[tuple[str, str, str], sequence(one_of(*AXES), 3)]
    align_corners: Annotated[bool, boolean]
    reduction: Annotated[str, one_of(*REDUCTIONS)]
    widths: Annotated[tuple[int, ...], sequence(integer(1, 65536), 2, 33)]
    activation: Annotated[str, one_of(*ACTIVATIONS)]
    density_activation: Annotated[str, one_of(*DENSITY_ACTIVATIONS)]
    density_bias: Annotated[float, number()]
    color_widen: Annotated[float, number(0.0)]
    outside: Annotated[str, one_of(*OUTSIDE)]


@dataclass(frozen=True)
class RenderSpec:
    """How a ray is marched; distances in native units."""

    ray_range: Annotated[str, one_of(*RAY_RANGES)]
    step: Annotated[str, one_of(*STEPS)]
    samples: Annotated[int, integer(1, 65536)]
    box_scale: Annotated[float, number(above=0.0, high=1.0)]
    near: Annotated[float | None, optional(number(0.0))] = None
    far: Annotated[float | None, optional(number(above=0.0))] = None
    last_delta: Annotated[float | None, optional(number(0.0))] = None
    background: Annotated[tuple[float, ...], sequence(number(0, high=1), 3)] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class MeshSpec:
    resolution: Annotated[int, integer(2, 2048)]
    threshold: Annotated[float, number(above=0.0)]


@dataclass(frozen=True)
class FrameSpec:
    native_to_sdk: Annotated[tuple[float, ...], sequence(number(), 16)]  # row-major, column vectors


@dataclass(frozen=True)
class NetworkSpec:
    backend: Annotated[str, text]
    precision: Annotated[str, text]
    file: Annotated[str, text]
    requires: Annotated[dict, mapping] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class FileSpec:
    size: Annotated[int, integer(0, 2**62)]
    sha256: Annotated[str, text]


def _files(value: Any, place: str) -> dict[str, FileSpec]:
    return {n: read_section(FileSpec, v, f"{place}[{shorten(n)}]") for n, v in mapping(value, place).items()}


@dataclass(frozen=True)
class Manifest:
    """The whole of engine.json. `to_json` gives it back."""

    format: Annotated[str, one_of(FORMAT)]
    format_version: Annotated[int, integer(FORMAT_VERSION, FORMAT_VERSION)]
    model: Annotated[ModelSpec, section(ModelSpec)]
    input: Annotated[InputSpec, section(InputSpec)]
    triplane: Annotated[TriplaneSpec, section(TriplaneSpec)]
    field: Annotated[FieldSpec, section(FieldSpec)]
    render: Annotated[RenderSpec, section(RenderSpec)]
    mesh: Annotated[MeshSpec, section(MeshSpec)]
    frame: Annotated[FrameSpec, section(FrameSpec)]
    networks: Annotated[tuple[NetworkSpec, ...], sequence(section(NetworkSpec), 1, 64)]
    verification: Annotated[dict, mapping]
    files: Annotated[dict[str, FileSpec], _files]

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
    near, far = render.near, render.far
    if render.ray_range == "near_far" and (near is None or far is None or not near < far):
        raise refuse("render", "near < far for ray_range near_far", (near, far))
    if render.ray_range == "near_far" and render.step != "length":
        raise refuse("render.step", "length, with ray_range near_far", render.step)
    if render.ray_range == "near_far" and render.samples < 2:
        raise refuse("render.samples", "2 or more, with ray_range near_far", render.samples)
    for name in ("height", "width"):
        if field.align_corners and getattr(planes, name) < 2:
            raise refuse(f"triplane.{name}", "2 or more with align_corners", getattr(planes, name))
