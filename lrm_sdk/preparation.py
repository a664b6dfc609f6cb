"""A caller's picture -> the network's input, on the host or on the GPU, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.errors import ImageError, OutOfMemoryError
from lrm_sdk.images import ImageSource, load_image, source_name
from lrm_sdk.preprocess import WORKING_SIDE, find_square, picture_of, prepare, takes_whole

if TYPE_CHECKING:
    from lrm_sdk.cuda.stage import GpuStage


@dataclass(frozen=True, eq=False)
class Ready:
    """tensor float32 [1, 3, S, S] on the host or the GPU; picture as Scene takes it; seconds per stage."""

    tensor: Any
    picture: np.ndarray | Callable[[], np.ndarray]
    seconds: dict[str, float]


class Preparer:
    """spec: of the engine. stage: prepares on its GPU; None: on the host."""

    def __init__(self, spec: InputSpec, stage: GpuStage | None) -> None:
        self._spec, self._stage = spec, stage

    def ready(self, image: ImageSource, subject: str) -> Ready:
        """Raises ImageError, InvalidArgumentError, OutOfMemoryError."""
        start, name = time.perf_counter(), source_name(image)
        try:
            pixels = self._loaded(image, subject)
            decoded = time.perf_counter()
            tensor, picture = self._tensor(pixels, subject, name)
        except OutOfMemoryError:
            raise
        except MemoryError as error:  # NumPy's, from any step
            raise OutOfMemoryError(
                f"{name}: no memory to prepare it ({error}); scale it down first"
            ) from error
        seconds = {"decode": decoded - start, "prepare": time.perf_counter() - decoded}
        return Ready(tensor, picture, seconds)

    def _loaded(self, image: ImageSource, subject: str) -> Any:
        """uint8 [H, W, 4] on the host; [H, W, 3 or 4] on the GPU if the picture is there and may stay."""
        if not hasattr(image, "__cuda_array_interface__"):
            return load_image(image)
        if self._stage is None:
            raise ImageError(
                "image: is in device memory; expected prepare_on_device=True, or a copy of it on the host"
            )
        picture = self._stage.picture(image)
        stays = takes_whole(subject, self._spec) and max(picture.shape) <= WORKING_SIDE
        return picture if stays else load_image(np.asarray(picture))

    def _tensor(self, pixels: Any, subject: str, name: str) -> tuple[Any, Any]:
        """The tensor, and the picture for eyes."""
        if self._stage is None:
            prepared = prepare(pixels, self._spec, subject=subject, name=name)
            return prepared.tensor, prepared.picture
        on_host = isinstance(pixels, np.ndarray)
        source = find_square(pixels, self._spec, subject=subject, name=name) if on_host else pixels
        tensor = self._stage.prepared(source, self._spec)
        return tensor, lambda: picture_of(np.asarray(tensor))
