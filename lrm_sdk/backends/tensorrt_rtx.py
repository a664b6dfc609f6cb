"""TensorRT-RTX: lrm_sdk/backends/tensorrt.py with its package."""

from functools import partial

from lrm_sdk.backends import tensorrt
from lrm_sdk.backends.tensorrt_plans import RTX

PIP_EXTRA = RTX.extra
available = partial(tensorrt.available, flavour=RTX)
load = partial(tensorrt.load, flavour=RTX)
