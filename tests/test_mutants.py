"""The law answers every case of the battery, and no mutant of it does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.battery import CASES, got
from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "eplb_model"


@pytest.mark.parametrize("name", CASES)
def test_the_law_answers_the_case(name):
    assert got(name) == CASES[name].answer


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_mutant_is_caught(mutant, tmp_path):
    apply(mutant, tmp_path)

    failed = failed_cases(tmp_path)

    assert mutant.caught_by in failed


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_case_is_named_as_a_question_of_the_law(name):
    assert name.isidentifier()
    assert len(name) < 80


def apply(mutant: Mutant, folder: Path) -> None:
    """Put a changed copy of the package into a folder; the rest of it is linked."""
    text = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} has not once: {mutant.old!r}"
    copy = folder / "eplb_model"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
    (copy / mutant.file).write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def failed_cases(folder: Path) -> list[str]:
    """What the battery says of the package in a folder; a package that can't be imported is a bug
    of the mutant, not a kill."""
    path = os.pathsep.join((str(folder), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", "from tests.battery import failures; print(*failures())"],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
