"""The reference of what users import, as pages: `python -m tests.docs [FOLDER]`, or `make docs`.

Rules: nothing is written twice, pages are the docstrings and types of the code (pdoc); how things
are used is told by the guides (specs/guides/).  It needs the extra `docs`.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

MODULES = (
    "eplb_model.build",
    "eplb_model.build.operations",
    "eplb_model.testing",
    "eplb_model.strategies",
    "eplb_model.check",
    "eplb_model.outcome",
    "eplb_model.vector",
    "eplb_model.trace",
    "eplb_model.advise",
    "eplb_model.formulas",
    "eplb_real",
)
SITE = Path("site")


def missing() -> str | None:
    """Why no pages can be made here, None if they can."""
    absent = [name for name in ("pdoc", "torch") if find_spec(name) is None]
    return f"no {' and no '.join(absent)}: pip install -e '.[docs,real,test]'" if absent else None


def write(folder: Path) -> None:
    """Write the pages."""
    import pdoc  # noqa: PLC0415 (an extra that may not be installed)

    for name in MODULES:  # eplb_real loads its names when they are first used; pdoc reads no others
        module = import_module(name)
        for public in getattr(module, "__all__", ()):
            vars(module)[public] = getattr(module, public)
    pdoc.render.configure(docformat="numpy", footer_text="eplb-checker", search=True)
    with warnings.catch_warnings():
        # Of named tuples, and of what Hypothesis composes: a type stays as it is written.
        warnings.filterwarnings("ignore", "Error parsing type annotation")
        pdoc.pdoc(*MODULES, output_directory=folder)


def main() -> int:
    """Write the pages into a folder and say where."""
    reason = missing()
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
        return 4
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SITE
    write(folder)
    sys.stdout.write(f"{folder / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
