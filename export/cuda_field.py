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
from lrm_sdk.native.options import FIELD_PRECISIONS


def field_header(engine: Engine, precision: str = "float32") -> str:
    """The macros of runtime/cuda/field.cuh, as C. precision: of lrm_sdk.native.options.FIELD_PRECISIONS."""
    shape = engine.manifest.triplane.shape
    spec = Specialization.of(
        engine.field_options(), (shape[1], shape[2], shape[3]), engine.manifest.field.widths, precision
    )
    return f"/* One engine's field, by export/cuda_field.py. */\n{spec.header()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("engine", type=Path, help="directory with engine.json")
    parser.add_argument("--out", type=Path, required=True, help="header to write; replaced if there")
    parser.add_argument(
        "--precision", choices=FIELD_PRECISIONS, default="float32",
        help="of points, grids and pictures; default: float32",
    )  # fmt: skip
    args = parser.parse_args()
    try:
        write_atomically(args.out, field_header(load_engine(args.engine), args.precision).encode())
    except LrmError as error:
        raise SystemExit(f"cuda_field: {error}") from error


if __name__ == "__main__":
    main()
