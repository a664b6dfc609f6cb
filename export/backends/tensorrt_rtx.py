"""TensorRT-RTX: export/backends/tensorrt.py with its package."""

from functools import partial

from export.backends import tensorrt
from lrm_sdk.backends.tensorrt_plans import RTX

PRECISIONS = tensorrt.PRECISIONS
build = partial(tensorrt.build, flavour=RTX)
