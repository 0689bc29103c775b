"""Documents whose commands are run: every ```console block, with the output it shows.

A block is lines `$ command`, each followed by what it prints.
`python -m tests.documents --rewrite` writes what is printed now; without the option it only names
the documents that differ.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command: str) -> str:
    """What a command prints, standard error included, with this interpreter's scripts first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def commands(block: str) -> list[str]:
    """The commands of a block."""
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def played(block: str, run: Callable[[str], str] = run) -> str:
    """A block as it would be if its commands were run now."""
    return "\n".join(f"$ {command}\n{run(command)}" for command in commands(block))


def replayed(text: str) -> str:
    """A document with the output of all its blocks as it is now."""
    return BLOCK.sub(lambda found: f"```console\n{played(found[1])}```", text)


def documents() -> list[Path]:
    """The documents that show commands."""
    every = [ROOT / "README.md", *sorted((ROOT / "specs").glob("*.md"))]
    return [path for path in every if BLOCK.search(path.read_text())]


def main() -> int:
    """Name the documents whose output has changed; write them if asked to."""
    differ = 0
    for path in documents():
        text = path.read_text()
        now = replayed(text)
        if now != text:
            differ += 1
            sys.stdout.write(f"{path.relative_to(ROOT)} differs\n")
            if "--rewrite" in sys.argv:
                path.write_text(now)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
