"""ONNX -> a TensorRT network that is ready to be built, with errors that name the node."""

from __future__ import annotations

import collections
from pathlib import Path
from types import ModuleType
from typing import Any

from lrm_sdk.errors import BackendError


def parse_network(trt: ModuleType, builder: Any, logger: Any, onnx_path: Path, title: str) -> Any:
    """A strongly typed network: it computes in the graph's own types. Raises BackendError.

    parse_from_file rather than parse: it finds weights in a file beside the graph.
    """
    network = builder.create_network(0)  # strongly typed is the only kind there is
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_path)):
        raise BackendError(f"{onnx_path}: {title} cannot read it: {_parser_errors(parser)}")
    _check_interface(network, onnx_path)
    _allow_decomposition(trt, network)
    return network


def add_batch_profile(builder: Any, config: Any, network: Any, max_batch: int) -> None:
    """Any batch from 1 to max_batch; kernels are chosen for 1."""
    image = network.get_input(0)
    picture = tuple(image.shape)[1:]
    profile = builder.create_optimization_profile()
    profile.set_shape(image.name, (1, *picture), (1, *picture), (max_batch, *picture))
    config.add_optimization_profile(profile)


def layers_by_type(network: Any) -> dict[str, int]:
    """Counts of the parsed network, before the builder fuses anything; most frequent first."""
    kinds = (network.get_layer(i).type.name for i in range(network.num_layers))
    return dict(collections.Counter(kinds).most_common())


def _parser_errors(parser: Any) -> str:
    """Every node that is refused, once."""
    problems = []
    for i in range(parser.num_errors):
        error = parser.get_error(i)
        name, operator = error.node_name(), error.node_operator()
        where = f"node {name!r} ({operator}): " if name or operator else ""
        problems.append(where + " ".join(error.desc().split()))
    listed = "; ".join(dict.fromkeys(problems)) or "it gives no reason"
    return f"{listed}; export the ONNX again (export/export_onnx.py), or take --backend onnxruntime"


def _check_interface(network: Any, onnx_path: Path) -> None:
    tensors = [network.get_input(i) for i in range(network.num_inputs)]
    tensors += [network.get_output(i) for i in range(network.num_outputs)]
    got = [(t.name, t.dtype.name) for t in tensors]
    expected = [("image", "FLOAT"), ("planes", "FLOAT")]
    if got != expected:
        raise BackendError(
            f"{onnx_path}: expected input and output {expected}, got {got}; see docs/ENGINE.md"
        )


def _allow_decomposition(trt: ModuleType, network: Any) -> None:
    """Attention may become several kernels where the library has no fused one, as for float32: unless
    it may, the build fails."""
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.type.name == "ATTENTION_INPUT":
            layer.__class__ = trt.IAttentionInputLayer  # the bindings hand out the base class only
            layer.attention.decomposable = True
