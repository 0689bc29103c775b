"""The law answers every case of the battery, and no mutant of it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.battery import CASES, got
from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "eplb_model"

WITH_ONE_MODULE_CHANGED = """
import importlib.util, sys
name, changed, case = sys.argv[1:]
class Changed:
    @staticmethod
    def find_spec(asked, path=None, target=None):
        return importlib.util.spec_from_file_location(name, changed) if asked == name else None
sys.meta_path.insert(0, Changed)
from tests.battery import failures
found = failures([case])
assert sys.modules[name].__file__ == changed, f"{name} was not imported"
print(*found)
"""


@pytest.mark.parametrize("name", CASES)
def test_the_law_answers_the_case(name):
    assert got(name) == CASES[name].answer


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_mutant_is_caught(mutant, tmp_path):
    assert fails(mutant, apply(mutant, tmp_path))


def test_without_a_change_no_case_fails(tmp_path):
    mutant = MUTANTS[0]
    (tmp_path / "same.py").write_text((PACKAGE / mutant.file).read_text("utf-8"), "utf-8")

    assert not fails(mutant, tmp_path / "same.py")


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_case_is_named_as_a_question_of_the_law(name):
    assert name.isidentifier()
    assert len(name) < 80


def apply(mutant: Mutant, folder: Path) -> Path:
    """Write the changed file into a folder."""
    text = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} has not once: {mutant.old!r}"
    changed = folder / Path(mutant.file).name
    changed.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return changed


def module_of(file: str) -> str:
    """The name under which a file of the package is imported."""
    parts = Path("eplb_model", file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def fails(mutant: Mutant, changed: Path) -> bool:
    """Whether the case of a mutant fails; a mutant that can't be imported is a bug of the mutant.

    The package is the one that is there, but for one module.
    """
    done = subprocess.run(
        [sys.executable, "-c", WITH_ONE_MODULE_CHANGED, module_of(mutant.file), changed,
         mutant.caught_by],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split() == [mutant.caught_by]
