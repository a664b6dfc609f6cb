"""Picture -> Scene: the object that an application keeps."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from lrm_sdk.ahead import one_ahead
from lrm_sdk.backends import GPU_BACKENDS, DeviceNetwork, Network, choose, load_network
from lrm_sdk.backends.nvidia import find_gpu
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.errors import BackendError, EngineError, LrmError
from lrm_sdk.images import ImageSource, source_name
from lrm_sdk.native.checks import integer
from lrm_sdk.preparation import Preparer, Ready
from lrm_sdk.progress import ProgressArgument, ProgressReporter
from lrm_sdk.reconstructor_checks import check_pictures, check_shapes, checked_tensor, left_for_field
from lrm_sdk.scene import Scene, check_field_precision, checked_size
from lrm_sdk.tuning import fastest_first, read_record

if TYPE_CHECKING:
    from lrm_sdk.cuda.picture_pass import PicturePass
    from lrm_sdk.cuda.stage import GpuStage


class Reconstructor:
    """An engine that is loaded once and run many times, from any number of threads.

    engine        path of an engine directory (something.lrm).
    backend       "auto": the fastest by `lrm tune`, else the best of `BACKENDS`; or a backend by name.
                  `backend_report` says what was chosen and why.
    device        "cpu"; "cuda:0": the field on that GPU (the `cuda` extra), the network too if the engine
                  has one for it or ONNX Runtime can run there; "auto": the field where the network runs.
    precision     None: as `lrm tune` found, else the most exact of the engine; or e.g. "float32", "int8"
                  (`lrm info` lists them).
    field_precision  of a field on a GPU: "float32"; "float16" or "bfloat16": points, grids, pictures and a
                  surface's blocks on tensor cores (docs/GPU.md says how exact), refined vertices,
                  normals and vertex colours in float32 as ever.
    threads       cores to use; None: all that this process may use.
    max_device_bytes  bound on device memory, the network's (if it is on the GPU) and all scenes' together;
                  None: none. What it holds back is an OutOfMemoryError of the call that asks for more.
    prepare_on_device  composite and resize pictures on the GPU, for a network that is on it. Pictures may lie
                  there too: C-contiguous uint8 [H, W, 3 or 4] with __cuda_array_interface__. The subject is
                  found on the CPU, from a copy; subject="whole" leaves them where they are.
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
        field_precision: str = "float32",
        threads: int | None = None,
        max_device_bytes: int | None = None,
        prepare_on_device: bool = False,
        check_hashes: bool = True,
    ) -> None:
        if max_device_bytes is not None:
            max_device_bytes = integer("max_device_bytes", max_device_bytes, 1, 2**63 - 1)
        self._threads = None if threads is None else integer("threads", threads, 1, 4096)
        self.engine: Engine = load_engine(engine, check_hashes=check_hashes)
        measured = fastest_first(read_record(self.engine, self._threads))
        choice = choose(
            self.engine.manifest.networks, backend=backend, device=device, precision=precision,
            fastest=[(m.backend, m.precision, m.seconds) for m in measured],
        )  # fmt: skip
        self.backend, self.precision = choice.spec.backend, choice.spec.precision
        self.device = _field_device(device, self.backend)
        check_field_precision(self.device, field_precision)
        self.field_precision = field_precision
        path = self.engine.path(choice.spec.file)
        network = load_network(path, choice, self._threads)
        check_shapes(path, network, self.engine.manifest)
        self._network: Network | None = network
        if prepare_on_device and (self.device == "cpu" or not isinstance(network, DeviceNetwork)):
            raise BackendError(
                f"prepare_on_device: expected a network on the GPU, got {self.backend} with the field on "
                f"{self.device}; leave it out"
            )
        self._stage: GpuStage | None = None
        field = "field on cpu"
        if self.device != "cpu":
            field = self._open_stage(left_for_field(network, max_device_bytes))
        self._preparer = Preparer(self.engine.manifest.input, self._stage if prepare_on_device else None)
        self.backend_report = f"{choice.report()}; {network.describe()}; {field}"

    def run(self, image: ImageSource, *, subject: str = "auto", progress: ProgressArgument = None) -> Scene:
        """Reconstructs one picture.

        image     path, bytes of an image file, uint8 (or uint16) array [H, W, 1, 3 or 4] or [H, W],
                  or PIL image; sRGB, straight alpha. With prepare_on_device also an array on the GPU.
        subject   "auto": found by alpha, plain background, rembg if installed, or GrabCut; then
                  centred and scaled as the model expects. "whole": the picture is taken as it is.

        Raises ImageError, CancelledError, OutOfMemoryError, BackendError.
        """
        report = ProgressReporter(progress, source_name(image))
        network = self._open_network()
        report(0.0)
        prepared = self._preparer.ready(image, subject)
        report(0.1)
        scene = self._scene(network, prepared, report.poll)
        report(1.0)
        return scene

    def run_each(
        self, images: Iterable[ImageSource], *, subject: str = "auto", progress: ProgressArgument = None
    ) -> Iterator[Scene]:
        """Reconstructs pictures one after the other, one ahead: while the caller works with a scene, the
        network runs on the next picture, and the one after that is decoded and prepared.

        images    any iterable, a camera's too; it is iterated over on another thread.
        progress  called on the caller's thread, with the part of `images` that is done; 0 until the end
                  where they have no length.

        Raises what `run` does, in the place of the scene that could not be made; nothing comes after it.
        Leaving the loop early stops the network that runs ahead. Other arguments as for `run`.

        >>> for scene in rec.run_each(["chair.png", "shoe.png"]):     # doctest: +SKIP
        ...     scene.mesh()          # while the next picture's network runs
        """
        check_pictures(images)
        count = len(images) if isinstance(images, Sized) else None
        return self._each(
            self._open_network(), images, count, subject, ProgressReporter(progress, "pictures")
        )

    def run_batch(
        self, images: Iterable[ImageSource], *, subject: str = "auto", progress: ProgressArgument = None
    ) -> list[Scene]:
        """`run_each` as a list, so all scenes are in memory at once. The first error stops it."""
        check_pictures(images)
        return list(self.run_each(list(images), subject=subject, progress=progress))

    def picture_pass(
        self,
        *,
        size: tuple[int, int] = (512, 512),
        background: Sequence[float] | None = None,
        exhaustive: bool = False,
    ) -> PicturePass:
        """For frames of many pictures, with network and field on the GPU by TensorRT: all memory is kept, and
        after two pictures network, field and frame are one CUDA graph, if it can be captured. Arguments as
        for Scene.render.

        It keeps one of the network's contexts until it is closed. Raises BackendError, OutOfMemoryError,
        InvalidArgumentError.

        >>> with rec.picture_pass(size=(256, 256)) as frames:     # doctest: +SKIP
        ...     for image in camera:
        ...         show(frames.run(image).to_uint8())
        """
        network: Any = self._open_network()
        if self._stage is None or not hasattr(network, "lent"):
            raise BackendError(
                f"picture_pass: expected a TensorRT network and the field on the GPU, got {self.backend} "
                f"with the field on {self.device}; use run(...).render(...)"
            )
        from lrm_sdk.cuda.picture_pass import PicturePass

        engine = self.engine
        return PicturePass(
            network.lent(),
            self._stage,
            lambda image, subject: self._preparer.ready(image, subject).tensor,
            lambda camera: camera.placed(engine.sdk_center, engine.sdk_radius),
            checked_size(size),
            engine.render_options(background, exhaustive=exhaustive),
        )

    def run_prepared(self, image: np.ndarray, *, progress: ProgressArgument = None) -> np.ndarray:
        """The network alone: image float32 [B, 3, S, S], sRGB in [0, 1] -> planes float32 [B, 3, C, H, W].

        Raises InvalidArgumentError, NotFiniteError, CancelledError, OutOfMemoryError, BackendError.
        """
        report = ProgressReporter(progress)
        image = checked_tensor(image, self.engine.manifest.input.size)
        return self._planes(self._open_network(), image, report.poll)

    def scene_of(self, planes: Any, picture: np.ndarray | Callable[[], np.ndarray] | None = None) -> Scene:
        """Scene(engine, planes, picture=picture) with this object's device, field_precision and threads."""
        return Scene(
            self.engine, planes, picture=picture, threads=self._threads, device=self.device,
            field_precision=self.field_precision,
        )  # fmt: skip

    def close(self) -> None:
        """Frees the network. Scenes already made stay usable, calls that other threads are inside of
        finish, new ones raise LrmError; closing twice does nothing."""
        self._network = None

    def __enter__(self) -> Reconstructor:
        self._open_network()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _each(
        self,
        network: Network,
        images: Iterable[ImageSource],
        count: int | None,
        subject: str,
        report: ProgressReporter,
    ) -> Iterator[Scene]:
        def prepared(poll: Callable[[], None]) -> Iterator[Ready]:
            return one_ahead(
                lambda _: images,
                lambda image, _: self._preparer.ready(image, subject),
                wait=lambda done: poll(),
            )

        report(0.0)
        yield from one_ahead(
            prepared,
            lambda ready, poll: self._scene(network, ready, poll),
            wait=lambda done: report(done / count if count else 0.0),
        )
        report(1.0)

    def _scene(self, network: Network, ready: Ready, poll: Callable[[], None]) -> Scene:
        start = time.perf_counter()
        with self._planes_of_one(network, ready.tensor, poll) as planes:
            seconds = ready.seconds | {"network": time.perf_counter() - start}
            scene = self.scene_of(planes, ready.picture)
        scene.timings = seconds | scene.timings
        return scene

    def _open_stage(self, max_bytes: int | None) -> str:
        """Loads kernels and weights of a field on a GPU, so that no picture waits for it; what to report."""
        from lrm_sdk.cuda.stage import gpu_stage

        self._stage = gpu_stage(self.engine, self.device, max_bytes, self.field_precision)
        bound = "" if max_bytes is None else f", at most {max_bytes / 1e6:.1f} MB"
        return f"field on {self.device}, {self._stage.describe()}{bound}"

    def _open_network(self) -> Network:
        network = self._network
        if network is None:
            raise LrmError("this Reconstructor is closed; make a new one")
        return network

    @contextlib.contextmanager
    def _planes_of_one(self, network: Network, image: Any, poll: Callable[[], None]) -> Iterator[Any]:
        """Planes [3, C, H, W] where the field takes them best; on a GPU valid inside only."""
        if self.device == "cpu" or not isinstance(network, DeviceNetwork):
            yield self._planes(network, image, poll)[0]
            return
        with network.planes_on_device(image, poll) as planes:
            self._check_planes(planes, self.engine.manifest.triplane.shape)
            yield planes

    def _planes(self, network: Network, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        planes = network.run(np.ascontiguousarray(image), poll)
        self._check_planes(planes, (len(image), *self.engine.manifest.triplane.shape))
        return planes

    def _check_planes(self, planes: Any, shape: tuple[int, ...]) -> None:
        if planes.shape != shape or planes.dtype != np.float32:
            raise EngineError(
                f"{self.engine.folder}: expected planes float32 {list(shape)} from the network, "
                f"got {planes.dtype} {list(planes.shape)}; build the engine again"
            )


def _field_device(wanted: str, backend: str) -> str:
    """Raises BackendError now, not after the first network's run, if there is no such GPU."""
    if wanted == "cpu" or (wanted == "auto" and backend not in GPU_BACKENDS):
        return "cpu"
    problem = find_gpu()
    if isinstance(problem, str):
        raise BackendError(f"device={wanted!r}: {problem}")
    return "cuda:0"
