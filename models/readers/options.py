"""What a reader may be told beyond the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """image_size: side of the picture that the network takes, where the checkpoint does not say it
    (OpenLRM's do not: the default is that of its size). camera_distance: of OpenLRM's source camera from
    the object, native units; None: the public default, 2."""

    image_size: int | None = None
    camera_distance: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}: expected a number above 0, got {value}")
