"""The examples in docstrings run, and everything public is described."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import lrm_sdk

PACKAGE = Path(lrm_sdk.__file__).resolve().parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(len(test.examples) > 0 for m in modules for test in finder.find(m)) >= 6


@pytest.mark.parametrize("name", lrm_sdk.__all__)
def test_public_names_are_described(name):
    thing = getattr(lrm_sdk, name)
    assert inspect.getdoc(thing)
    for method, value in vars(thing).items():
        if not method.startswith("_") and (
            inspect.isfunction(value) or isinstance(value, property | classmethod)
        ):
            assert inspect.getdoc(value), f"{name}.{method} has no docstring"
