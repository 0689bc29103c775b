"""The examples in docstrings of the real side, which pytest doesn't collect without torch."""

import doctest
import importlib
import pkgutil

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import eplb_real

MODULES = [each.name for each in pkgutil.walk_packages(eplb_real.__path__, "eplb_real.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_what_the_package_exports_is_there_and_sorted():
    assert eplb_real.__all__ == sorted(eplb_real.__all__)
    assert all(hasattr(eplb_real, name) for name in eplb_real.__all__)
