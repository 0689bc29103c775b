"""The pictures of specs: the pages of the hang in a real Chromium, and the safety map.

`python -m tests.pictures` writes them; it needs what `tests.browser` says, and the extra `plot`.
The map is made by the command that stands under it in specs/safety_table.md.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

from eplb_model.check import check
from eplb_model.cli import main as eplb_model
from eplb_model.explain.asked import Asked
from eplb_model.explain.explanation import story_of
from eplb_model.explain.walking import graph_document
from eplb_model.render.page import graph_page, page
from eplb_model.vector import load
from tests.browser import chromium, missing

SPECS = Path(__file__).parent.parent / "specs"
PICTURES = SPECS / "pictures"
HANG = "coop_vs_nccl_opposite_order"
SMALL = {"machine": "tiny", "coop_ctas": 3, "nccl_ctas": 2, "nccl_cluster": 2}


def _pages() -> dict[str, str]:
    vector = load(HANG)
    asked = Asked(vector.scenario(), vector)
    hang = page(story_of(asked, check(asked.scenario)))
    return {"hang": hang, "walk": graph_page(graph_document(vector.scenario(SMALL), 300))}


def map_command() -> list[str]:
    """The arguments of the command under the safety map."""
    page = (SPECS / "safety_table.md").read_text("utf-8")
    (line,) = [
        each
        for each in page.replace("\\\n", " ").splitlines()
        if each.startswith("    eplb-model") and "--plot" in each
    ]
    return shlex.split(line)[1:]


def main() -> int:
    """Write every picture."""
    reason = missing()
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
        return 4
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in _pages().items():
            (Path(folder) / f"{name}.html").write_text(text, encoding="utf-8")
        for name, source, width, height, dark in (
            ("hang_light", "hang", 1060, 980, False),
            ("hang_dark", "hang", 1060, 690, True),
            ("hang_phone", "hang", 390, 860, False),
            ("walk", "walk", 1060, 640, False),
        ):
            with chromium(width, height, dark=dark) as browser:
                browser.get((Path(folder) / f"{source}.html").as_uri())
                if source == "hang":
                    browser.find_element("id", "last").click()
                for word in ("0.eplb", "0.main") if source == "walk" else ():
                    choice = f'#choices button[data-word="{word}"]'
                    browser.find_element("css selector", choice).click()
                browser.save_screenshot(str(PICTURES / f"{name}.png"))
    os.chdir(SPECS.parent)
    return 0 if eplb_model(map_command()) == 1 else 1  # 1: some of its points hang


if __name__ == "__main__":
    sys.exit(main())
