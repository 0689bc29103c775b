"""Settling and the search with one line of their modules changed, beside the real ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import eplb_model
from tests.mutant import Mutant

PACKAGE = Path(eplb_model.__file__).parent
FILES = tuple(f"explore/{name}.py" for name in ("cells", "texts", "endings", "touches", "settle"))


def changed(mutant: Mutant) -> tuple[Any, Any]:
    """`Settling` and `explore` as a mutant has them."""
    text = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} has not once: {mutant.old!r}"
    code = compile(text.replace(mutant.old, mutant.new), mutant.file, "exec", dont_inherit=True)
    if mutant.file not in FILES:
        return import_module("eplb_model.explore.settle").Settling, _run(mutant.file, code).explore
    later = FILES[FILES.index(mutant.file) :]
    with _in_place_of(later) as modules:
        for file in later:
            modules[file] = _run(file, code if file == mutant.file else _compiled(file))
            sys.modules[_name(file)] = modules[file]
    return modules[FILES[-1]].Settling, import_module("eplb_model.explore.search").explore


@contextmanager
def _in_place_of(files: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    kept = {_name(file): import_module(_name(file)) for file in files}
    try:
        yield {}
    finally:
        sys.modules.update(kept)


def _run(file: str, code: CodeType) -> Any:
    module = ModuleType(_name(file))
    exec(code, module.__dict__)  # our own source, with one line changed
    return module


@cache
def _compiled(file: str) -> CodeType:
    text = (PACKAGE / file).read_text(encoding="utf-8")
    return compile(text, file, "exec", dont_inherit=True)


def _name(file: str) -> str:
    return "eplb_model." + file.removesuffix(".py").replace("/", ".")
