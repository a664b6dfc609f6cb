"""The part of a network that stays float32 where the rest computes in bfloat16.

Depthwise convolutions in front of a transformer add up their rounding errors: the ImageNet features of
lrm-tiny are off by 6 % in bfloat16 and its planes by 4 to 10 %; with those features in float32 planes are off
by 0.5 %, in the same time. OpenVINO has one precision for a compiled network, so such a network is compiled
as two.
"""

from __future__ import annotations

from typing import Any

FEATURES = "features"  # what the first part gives the second


def split_features(model: Any) -> tuple[Any, Any] | None:
    """(image -> features, image and features -> planes), or None for a network without such convolutions.

    model: openvino.Model. Features end where the first matrix product behind the last depthwise
    convolution begins.
    """
    end = end_of_features(model)
    if end is None:
        return None
    from openvino import Model, PartialShape, Type
    from openvino.op import Parameter, Result

    name, port = end
    head, tail = model.clone(), model.clone()
    features = Model([Result(_source(head, name, port))], [head.get_parameters()[0]], FEATURES)
    source = _source(tail, name, port)
    given = Parameter(Type.f32, PartialShape(source.get_partial_shape()))
    given.output(0).set_names({FEATURES})
    for target in source.get_target_inputs():
        target.replace_source_output(given.output(0))
    tail.add_parameters([given])
    return features, tail


def end_of_features(model: Any) -> tuple[str, int] | None:
    """The matrix product, by name, and which of its inputs comes from the convolutions."""
    depthwise = [op for op in model.get_ordered_ops() if op.get_type_name() == "GroupConvolution"]
    if not depthwise:
        return None
    behind = {depthwise[-1].get_friendly_name()}
    for op in model.get_ordered_ops():  # sources first
        for port, value in enumerate(op.input_values()):
            if value.get_node().get_friendly_name() in behind:
                if op.get_type_name() == "MatMul":
                    return op.get_friendly_name(), port
                behind.add(op.get_friendly_name())
    return None


def _source(model: Any, name: str, port: int) -> Any:
    (op,) = (op for op in model.get_ops() if op.get_friendly_name() == name)
    return op.input_value(port)
