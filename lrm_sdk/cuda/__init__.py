"""The field on an NVIDIA GPU: the kernels of runtime/cuda, compiled for one engine's field and one GPU.

Needs the packages of the `cuda` extra and NVIDIA's driver; compiling needs the packages alone.
"""
