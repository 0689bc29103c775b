"""Every protocol holds where a mutant of it is caught, and no mutant does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eplb_model.check import check
from eplb_model.vector import load
from tests.protocol_mutants import PROTOCOL_MUTANTS, ProtocolMutant

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "eplb_model"
ASK = (
    "import json, sys; from eplb_model.check import check; from eplb_model.vector import load; "
    "print(check(load(sys.argv[1]).scenario(json.loads(sys.argv[2]))).verdict)"
)

by_name = pytest.mark.parametrize(
    "mutant", PROTOCOL_MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_")
)


@pytest.mark.slow
@by_name
def test_the_protocol_holds_without_the_mutant(mutant):
    assert check(load(mutant.vector).scenario(mutant.settings)).verdict == "ok"


@pytest.mark.slow
@by_name
def test_the_mutant_of_the_protocol_is_caught(mutant, tmp_path):
    apply(mutant, tmp_path)

    assert verdict(mutant, tmp_path) == mutant.verdict


def test_at_least_twelve_mutants_are_listed_and_each_applies_once():
    counts = {
        mutant.name: (PACKAGE / "protocols" / mutant.file).read_text("utf-8").count(mutant.old)
        for mutant in PROTOCOL_MUTANTS
    }

    assert len(counts) >= 12
    assert counts == dict.fromkeys(counts, 1)


def apply(mutant: ProtocolMutant, folder: Path) -> None:
    """Put a changed copy of the package into a folder."""
    copy = folder / "eplb_model"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed = copy / "protocols" / mutant.file
    text = changed.read_text("utf-8").replace(mutant.old, mutant.new)
    changed.write_text(text, encoding="utf-8")


def verdict(mutant: ProtocolMutant, folder: Path) -> str:
    """What the package in a folder says of the mutant's scenario."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, mutant.vector, json.dumps(dict(mutant.settings))],
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
