"""Documents whose commands are run: every ```console block, with the output it shows.

A block is lines `$ command`, each followed by what it prints.  A document runs in a folder of its
own: a ```python block that begins with `# NAME.py` is a file there, and so is a block after
```json NAME.json.  The blocks of a guide (specs/guides/) run one after the other; those of other
documents rest on its files alone.
`python -m tests.documents --rewrite` writes what is printed now; without the option it only names
the documents that differ.  With file names it looks at these alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUIDES = ROOT / "specs" / "guides"
FILE = re.compile(
    r"^```(?:python\n# (?=\w+\.py\n)|json (?=\w+\.json\n))(\S+)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TIME = re.compile(r" in \d+\.\d\ds\b( \([\d:]+\))?")  # of a run of pytest
# What a reader's shell hands on.  The rest stays behind: with CI set, say, pytest prints a failure
# in full where it prints one line at a terminal.
READERS = ("HOME", "LANG", "LC_ALL", "TMPDIR")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command: str, folder: Path) -> str:
    """What a command prints, standard error included, with this interpreter's scripts first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    inherited = {name: os.environ[name] for name in READERS if name in os.environ}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**inherited, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return TIME.sub(" in 0.10s", done.stdout)


def commands(block: str) -> list[str]:
    """The commands of a block."""
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def played(block: str, run: Callable[[str], str]) -> str:
    """A block as it would be if its commands were run now."""
    return "\n".join(f"$ {command}\n{run(command)}" for command in commands(block))


def write_files(text: str, folder: Path) -> None:
    """The files that a document shows."""
    for file, content in FILE.findall(text):
        (folder / file).write_text(content, "utf-8")


def replayed(text: str) -> str:
    """A document with the output of all its blocks as it is now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(text, folder)
        return BLOCK.sub(
            lambda found: f"```console\n{played(found[1], partial(run, folder=folder))}```", text
        )


def documents() -> list[Path]:
    """The documents that show commands."""
    every = [ROOT / "README.md", *sorted((ROOT / "specs").glob("*.md"))]
    return [path for path in every if BLOCK.search(path.read_text())]


def guides() -> list[Path]:
    """The guides."""
    return sorted(GUIDES.glob("*.md"))


def lacking(text: str) -> str | None:
    """What this machine lacks to play a document."""
    said = [command for found in BLOCK.finditer(text) for command in commands(found[1])]
    pytests = any(command.startswith("pytest") for command in said)
    if pytests and not entry_points(group="pytest11", name="eplb"):
        return "the plugin's entry point is not installed: pip install -e ."
    if any("gloo" in command for command in said) and find_spec("torch") is None:
        return "needs torch: pip install -e '.[real]'"
    return None


def main() -> int:
    """Name the documents whose output has changed; write them if asked to."""
    differ = 0
    asked = {Path(word).name for word in sys.argv[1:] if word != "--rewrite"}
    for path in [*documents(), *guides()]:
        if asked and path.name not in asked:
            continue
        text = path.read_text()
        reason = lacking(text)
        if reason is not None:
            sys.stdout.write(f"{path.relative_to(ROOT)} is left as it is: {reason}\n")
            continue
        now = replayed(text)
        if now != text:
            differ += 1
            sys.stdout.write(f"{path.relative_to(ROOT)} differs\n")
            if "--rewrite" in sys.argv:
                path.write_text(now)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
