"""`python -m tests.runtime.query_once FOLDER [small-signal-stack]`: a process of its own, without PyTorch.

Of every FOLDER/*.in.npz (spec as JSON, planes, weight0.., bias0.., points, threshold) makes *.out.npz:
density and rgb at the points, vertices and normals of a mesh unless the threshold is 0, the
instruction set in use, and whether the process may use tile registers before and after.

small-signal-stack: with an alternate signal stack that has no room for tile registers, for which
Linux refuses them to the process.
"""

import ctypes
import json
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

RESOLUTION = 24


class SignalStack(ctypes.Structure):
    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def take_small_signal_stack() -> ctypes.Array:
    """8 KiB: enough for the registers of AVX-512 (3 KiB), not for the tiles' (8 KiB more)."""
    memory = ctypes.create_string_buffer(8192)
    stack = SignalStack(ctypes.addressof(memory), 0, len(memory))
    if ctypes.CDLL(None, use_errno=True).sigaltstack(ctypes.byref(stack), None) != 0:
        raise OSError(ctypes.get_errno(), "sigaltstack")
    return memory


def tiles_permitted() -> bool:
    """What Linux says that this process may use."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    permitted = ctypes.c_uint64()
    arch_prctl, get_permission, tile_data = 158, 0x1022, 18
    failed = ctypes.CDLL(None).syscall(arch_prctl, get_permission, ctypes.byref(permitted))
    return not failed and bool(permitted.value >> tile_data & 1)


def answer(source: Path) -> None:
    before = tiles_permitted()
    from tests.runtime import liblrm

    # Arrays of the test's own making; pickles are refused.
    with np.load(source, allow_pickle=False) as file:  # noqa: TID251
        given = dict(file)
    spec = SimpleNamespace(**json.loads(str(given["spec"])))
    layers = range(len(spec.widths) - 1)
    weights, biases = ([given[f"{kind}{i}"] for i in layers] for kind in ("weight", "bias"))
    field = liblrm.Field(spec, given["planes"], weights, biases)
    density, rgb = field.query(given["points"])
    arrays = {"density": density, "rgb": rgb}
    if given["threshold"] > 0:
        mesh = field.mesh(resolution=RESOLUTION, threshold=float(given["threshold"]))
        arrays |= {"vertices": mesh.vertices, "normals": mesh.normals}
    np.savez(
        source.with_name(source.name.replace(".in.", ".out.")),
        instruction_set=liblrm.lib.lrm_instruction_set().decode(),
        tiles_before=before, tiles_after=tiles_permitted(), **arrays,
    )  # fmt: skip


def main(folder: str, *options: str) -> None:
    memory = take_small_signal_stack() if "small-signal-stack" in options else None
    for source in sorted(Path(folder).glob("*.in.npz")):
        answer(source)
    del memory


if __name__ == "__main__":
    main(*sys.argv[1:])
