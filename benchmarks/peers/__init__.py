"""Other people's code, run from a checkout that is given by path: nothing of it is in this repository.

One script for each, run by a Python that has what the checkout needs (bench_end_to_end.py starts it). It
speaks the protocol of benchmarks/ways.py and leaves the vertices of its mesh in a file.
"""
