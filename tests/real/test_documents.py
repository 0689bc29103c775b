"""The examples in docstrings of the real side, which pytest doesn't collect without torch."""

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import eplb_real

MODULES = [each.name for each in pkgutil.walk_packages(eplb_real.__path__, "eplb_real.")]
MODULES = [name for name in MODULES if not name.endswith(".__main__")]  # that one runs


FOREIGN = ("cuda", "nccl", "torch")  # what some modules are built on, and a machine may lack


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in FOREIGN or importlib.util.find_spec(package) is not None:
            raise
        pytest.skip(f"{name} needs {package}, which is not installed")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_what_the_package_exports_is_there_and_sorted():
    assert eplb_real.__all__ == sorted(eplb_real.__all__)
    assert all(hasattr(eplb_real, name) for name in eplb_real.__all__)
