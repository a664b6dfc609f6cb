"""Times every network of an engine on this machine, so that backend="auto" need not guess."""

from __future__ import annotations

import os
import statistics
import time

import numpy as np

from lrm_sdk.backends import unavailable
from lrm_sdk.engine import load_engine
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError
from lrm_sdk.native.checks import integer, number
from lrm_sdk.progress import ProgressArgument, ProgressReporter
from lrm_sdk.reconstructor import Reconstructor
from lrm_sdk.tuning import Measurement, write_record
from lrm_sdk.verify import verify_loaded

MIN_PSNR_DB = 38.0


def tune_engine(
    folder: str | os.PathLike[str],
    *,
    threads: int | None = None,
    min_psnr_db: float = MIN_PSNR_DB,
    repeats: int = 3,
    progress: ProgressArgument = None,
) -> tuple[Measurement, ...]:
    """Measures each network that can run here and remembers the result for this user and machine.

    From then on Reconstructor(folder, threads=threads) takes the fastest whose renders differ from the
    PyTorch model's by no more than `min_psnr_db` allows and that passes `lrm verify`.

    Raises EngineError, BackendError where no network can run, SaveError, CancelledError.
    """
    repeats = integer("repeats", repeats, 1, 1000)
    least = number("min_psnr_db", min_psnr_db)
    report = ProgressReporter(progress, "tune")
    engine = load_engine(folder)
    candidates = [spec for spec in engine.manifest.networks if unavailable(spec) is None]
    if not candidates:
        reasons = "; ".join(f"{n.backend} {n.precision}: {unavailable(n)}" for n in engine.manifest.networks)
        raise BackendError(f"no network of this engine can be run here: {reasons}")
    measurements = []
    for i, spec in enumerate(candidates):
        report(i / len(candidates))
        measurements.append(_measure(folder, spec, threads, least, repeats))
    write_record(engine, threads, measurements)
    report(1.0)
    return tuple(measurements)


def _measure(
    folder: str | os.PathLike[str], spec: NetworkSpec, threads: int | None, least: float, repeats: int
) -> Measurement:
    with Reconstructor(
        folder, backend=spec.backend, precision=spec.precision, threads=threads, check_hashes=False
    ) as rec:
        verified = verify_loaded(rec)  # its runs warm the network up
        size = rec.engine.manifest.input.size
        picture = np.full((1, 3, size, size), 0.5, np.float32)
        seconds = [_seconds(rec, picture) for _ in range(repeats)]
    good = verified.passed and verified.render_psnr_db >= least
    return Measurement(
        spec.backend, spec.precision, statistics.median(seconds), verified.render_psnr_db, good
    )


def _seconds(rec: Reconstructor, picture: np.ndarray) -> float:
    start = time.perf_counter()
    rec.run_prepared(picture)
    return time.perf_counter() - start
