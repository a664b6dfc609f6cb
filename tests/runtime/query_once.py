"""`python -m tests.runtime.query_once IN.npz OUT.npz`: one query in a process of its own, without PyTorch.

IN holds spec (JSON), planes, weight0.., bias0.. and points; OUT gets instruction_set, density, rgb.
"""

import json
import sys
from types import SimpleNamespace

import numpy as np

from tests.runtime import liblrm


def main(source: str, target: str) -> None:
    # Arrays of the test's own making; pickles are refused.
    with np.load(source, allow_pickle=False) as file:  # noqa: TID251
        given = dict(file)
    spec = SimpleNamespace(**json.loads(str(given["spec"])))
    layers = range(len(spec.widths) - 1)
    weights, biases = ([given[f"{kind}{i}"] for i in layers] for kind in ("weight", "bias"))
    density, rgb = liblrm.Field(spec, given["planes"], weights, biases).query(given["points"])
    name = liblrm.lib.lrm_instruction_set().decode()
    np.savez(target, instruction_set=name, density=density, rgb=rgb)


if __name__ == "__main__":
    main(*sys.argv[1:])
