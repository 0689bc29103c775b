"""The emulated device is a second form of the semantics only if it does not ask the first one."""

import ast
from pathlib import Path

import pytest

import eplb_real.emulated

DATA = {"eplb_model.machine", "eplb_model.placement", "eplb_model.world"}
FILES = sorted(Path(eplb_real.emulated.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_file_asks_the_model_for_data_only(path):
    tree = ast.parse(path.read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = {name.name for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names}

    assert {name for name in modules | plain if name.startswith("eplb_model")} <= DATA
