"""What is built and installed: wheel and sdist, and the wheel in an environment with nothing else.

These need an index or a cache of pip's for the build backend and networkx; without they skip.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from eplb_model.vector import VECTORS
from tests.documents import BLOCK, ROOT, replayed

pytestmark = pytest.mark.slow

CLEAN = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STARTS_WITHIN = 0.15  # seconds of processor time, for a command that loads no vector
USERS_TEST = """
from eplb_model.testing import assert_no_hang

def test_mine():
    assert_no_hang("coop_vs_nccl_opposite_order", nccl_ctas=4, coop_ctas=128)
"""


def said(*words: str | Path, cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [*map(str, words)],
        cwd=cwd, env=CLEAN, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


def environment(path: Path, *packages: str | Path) -> Path:
    """The `bin` of a new virtual environment with these packages."""
    said(sys.executable, "-m", "venv", path, cwd=path.parent)
    pip = [path / "bin" / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt"]
    done = subprocess.run(
        [*map(str, [*pip, *packages])], env=CLEAN, capture_output=True, text=True, check=False
    )
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip(f"pip finds no {packages} here")
    assert done.returncode == 0, done.stderr
    return path / "bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    tools = environment(folder / "tools", "hatchling")
    said(tools / "python", "-m", "hatchling", "build", "-d", folder / "dist", cwd=ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The `bin` of an environment with the wheel and what it requires."""
    return environment(tmp_path_factory.mktemp("installed") / "venv", built[0])


def test_the_wheel_has_both_packages_and_every_file_of_theirs(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    tracked = said("git", "ls-files", "eplb_model", "eplb_real", cwd=ROOT).splitlines()

    assert {
        *(
            "eplb_model/vectors/coop_vs_nccl_opposite_order.json",
            "eplb_model/schemas/eplb-report-1.json",
        ),
        *("eplb_model/measured/hang_frontier.json", "eplb_model/measured/transcripts/hang2.txt"),
        *("eplb_model/render/viewer/page.html", "eplb_model/render/viewer/page.js"),
        *("eplb_model/export/promela/law/streams.pml", "eplb_real/kernels/standins.cu"),
    } <= set(tracked)
    assert set(tracked) - names == set()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_has_what_is_needed_to_test_it(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert names >= {
        *("LICENSE", "README.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "constraints.txt"),
        *("pyproject.toml", "tests/conftest.py", "specs/semantics.md", "eplb_model/cli.py"),
    }


def test_both_commands_are_there_with_the_catalogue_and_the_schemas(installed, tmp_path):
    model, real = installed / "eplb-model", installed / "eplb-real"
    listed = json.loads(said(model, "list", "--json", cwd=tmp_path))
    health = json.loads(said(model, "doctor", "--json", cwd=tmp_path))
    found = {each["what"]: each["found"] for each in health["findings"]}

    assert len(listed["vectors"]) == len([*VECTORS.glob("*.json")])
    assert health["healthy"]
    assert found["hypothesis"] is None  # nothing but what is required
    assert "eplb-report/1" in said(model, "schema", cwd=tmp_path)
    assert "deadlock, on every run" in said(
        model, "check", "coop_vs_nccl_opposite_order", cwd=tmp_path, codes=(1,)
    )
    able = said(real, "doctor", "--driver", "gloo", cwd=tmp_path, codes=(4,))  # no torch
    assert ["threads", "can", "run"] in [line.split() for line in able.splitlines()]
    assert "agrees" in said(
        real, "replay", "coop_vs_nccl_capped", "--driver", "threads", cwd=tmp_path
    )


def test_the_readme_holds_from_top_to_bottom_with_what_it_says_to_install(
    built, tmp_path, monkeypatch
):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "pip install -e . pytest" in readme
    scripts = environment(tmp_path / "venv", built[0], "pytest")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))  # whose scripts come first

    assert BLOCK.search(readme)
    assert replayed(readme) == readme


def test_what_the_readme_says_to_set_up_works_in_a_fresh_copy(tmp_path):
    """Its shell blocks, as they are: the environment, the installation, and `make hang`."""
    blocks = SHELL.findall((ROOT / "README.md").read_text("utf-8"))
    for name in said("git", "ls-files", cwd=ROOT).splitlines():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["bash", "-ec", "\n".join(blocks)],
        cwd=tmp_path,
        env={**CLEAN, "PIP_CONSTRAINT": "constraints.txt"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("pip finds no index here")

    assert "make hang\n" in blocks
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coop_vs_nccl_opposite_order: deadlock, on every run" in done.stdout
    assert "agrees        coop_vs_nccl_opposite_order" in done.stdout


@pytest.mark.parametrize("words", ["--help", "--version", "check --help"])
def test_a_command_starts_in_an_instant(words, installed, tmp_path):
    """Processor time, so that a busy machine does not count; the best of five."""
    script = (
        "import os, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "times = os.times()\n"
        "print(times.children_user + times.children_system)\n"
    )
    command = (sys.executable, "-c", script, installed / "eplb-model", *words.split())
    taken = min(float(said(*command, cwd=tmp_path)) for _ in range(5))

    assert taken < STARTS_WITHIN


def test_the_plugin_is_found_by_its_entry_point(built, tmp_path):
    tools = environment(tmp_path / "venv", built[0], "pytest")
    (tmp_path / "test_mine.py").write_text(USERS_TEST)
    printed = said(
        tools / "python", "-m", "pytest", "-v", "--eplb-profile=quick", "test_mine.py", cwd=tmp_path
    )

    assert "1 passed" in printed
    assert "eplb-checker-" in printed  # in the line of plugins
