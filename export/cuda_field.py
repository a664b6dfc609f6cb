"""The field of an engine as the header that liblrm's CUDA entry points are compiled for (lrm_cuda.h).

    python export/cuda_field.py ENGINE.lrm --out field.h
    cmake -S runtime -B build -DLRM_CUDA=ON -DLRM_CUDA_FIELD=field.h

Needs neither a GPU nor a CUDA package.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.errors import LrmError
from lrm_sdk.files import write_atomically


def field_header(engine: Engine) -> str:
    """The macros of runtime/cuda/field.cuh, as C."""
    shape = engine.manifest.triplane.shape
    spec = Specialization.of(
        engine.field_options(), (shape[1], shape[2], shape[3]), engine.manifest.field.widths
    )
    return f"/* One engine's field, by export/cuda_field.py. */\n{spec.header()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("engine", type=Path, help="directory with engine.json")
    parser.add_argument("--out", type=Path, required=True, help="header to write; replaced if there")
    args = parser.parse_args()
    try:
        write_atomically(args.out, field_header(load_engine(args.engine)).encode())
    except LrmError as error:
        raise SystemExit(f"cuda_field: {error}") from error


if __name__ == "__main__":
    main()
