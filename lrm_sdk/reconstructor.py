"""Picture -> Scene: the object that an application keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from types import TracebackType

import numpy as np

from lrm_sdk.backends import Network, choose, load_network
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.errors import EngineError, InvalidArgumentError, LrmError
from lrm_sdk.images import ImageSource, load_image, source_name
from lrm_sdk.native.checks import integer
from lrm_sdk.preprocess import Prepared, prepare
from lrm_sdk.progress import ProgressArgument, ProgressReporter
from lrm_sdk.scene import Scene


class Reconstructor:
    """An engine that is loaded once and run many times, from any number of threads.

    engine        path of an engine directory (something.lrm).
    backend       "auto", or a backend by name; `backend_report` says what was chosen and why.
    device        "auto" or "cpu".
    precision     None: the best that the engine has; or e.g. "float32", "int8".
    threads       cores to use; None: all that this process may use.
    check_hashes  compare every file's sha256 when loading (about a second per gigabyte).

    Raises EngineError, BackendError, OutOfMemoryError.

    >>> with Reconstructor("chair.lrm") as rec:                # doctest: +SKIP
    ...     rec.run("chair.png").mesh().save("chair.glb")
    """

    def __init__(
        self,
        engine: str | os.PathLike[str],
        *,
        backend: str = "auto",
        device: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        check_hashes: bool = True,
    ) -> None:
        self._threads = None if threads is None else integer("threads", threads, 1, 4096)
        self.engine: Engine = load_engine(engine, check_hashes=check_hashes)
        choice = choose(self.engine.manifest.networks, backend=backend, device=device, precision=precision)
        self.backend, self.precision = choice.spec.backend, choice.spec.precision
        path = self.engine.path(choice.spec.file)
        self._network: Network | None = load_network(path, choice.spec, self._threads)
        self.backend_report = f"{choice.report()}; {self._network.describe()}"

    def run(self, image: ImageSource, *, subject: str = "auto", progress: ProgressArgument = None) -> Scene:
        """Reconstructs one picture.

        image     path, bytes of an image file, uint8 (or uint16) array [H, W, 1, 3 or 4] or [H, W],
                  or PIL image; sRGB, straight alpha.
        subject   "auto": found by alpha, plain background, rembg if installed, or GrabCut; then
                  centred and scaled as the model expects. "whole": the picture is taken as it is.

        Raises ImageError, CancelledError, OutOfMemoryError, BackendError.
        """
        report = ProgressReporter(progress, source_name(image))
        return self._run(image, subject, report)

    def run_batch(
        self, images: Iterable[ImageSource], *, subject: str = "auto", progress: ProgressArgument = None
    ) -> list[Scene]:
        """Reconstructs pictures one after the other; the first error stops it. Arguments as for `run`."""
        images = list(images)
        report = ProgressReporter(progress, "pictures")
        scenes = []
        for i, image in enumerate(images):
            part = ProgressReporter(report.part(i / len(images), (i + 1) / len(images)))
            scenes.append(self._run(image, subject, part))
        report(1.0)
        return scenes

    def run_prepared(self, image: np.ndarray, *, progress: ProgressArgument = None) -> np.ndarray:
        """The network alone: image float32 [B, 3, S, S], sRGB in [0, 1] -> planes float32 [B, 3, C, H, W]."""
        return self._planes(image, ProgressReporter(progress))

    def close(self) -> None:
        """Frees the network. Scenes already made stay usable; closing twice does nothing."""
        self._network = None

    def __enter__(self) -> Reconstructor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, image: ImageSource, subject: str, report: ProgressReporter) -> Scene:
        seconds: dict[str, float] = {}
        start = time.perf_counter()
        report(0.0)
        rgba = load_image(image)
        seconds["decode"], start = _lap(start)
        prepared: Prepared = prepare(
            rgba, self.engine.manifest.input, subject=subject, name=source_name(image)
        )
        seconds["prepare"], start = _lap(start)
        report(0.1)
        planes = self._planes(prepared.tensor, report)
        seconds["network"], start = _lap(start)
        scene = Scene(self.engine, planes[0], picture=prepared.picture, threads=self._threads)
        scene.timings = seconds | scene.timings
        report(1.0)
        return scene

    def _planes(self, image: np.ndarray, report: ProgressReporter) -> np.ndarray:
        network = self._network
        if network is None:
            raise LrmError("this Reconstructor is closed; make a new one")
        size = self.engine.manifest.input.size
        if (
            not isinstance(image, np.ndarray)
            or image.dtype != np.float32
            or image.shape[1:] != (3, size, size)
        ):
            got = (
                f"{image.dtype} {list(image.shape)}"
                if isinstance(image, np.ndarray)
                else type(image).__name__
            )
            raise InvalidArgumentError(f"image: expected float32 [B, 3, {size}, {size}], got {got}")
        planes = network.run(np.ascontiguousarray(image), report.poll)
        expected = (len(image), *self.engine.manifest.triplane.shape)
        if planes.shape != expected or planes.dtype != np.float32:
            raise EngineError(
                f"{self.engine.folder}: expected planes float32 {list(expected)} from the network, "
                f"got {planes.dtype} {list(planes.shape)}; build the engine again"
            )
        return planes


def _lap(start: float) -> tuple[float, float]:
    now = time.perf_counter()
    return now - start, now
