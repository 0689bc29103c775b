"""A headless Chromium with the package's pages in it; for tests and for the pictures of specs.

Rule: nothing is fetched: the browser and its driver are those of the system, found on the path.
`python -m tests.browser` says whether they are there, and exits with 4 if not.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PROGRAMS = ("chromium", "chromedriver")
INSTALL = "apt-get install chromium chromium-driver; pip install 'eplb-checker[browser]'"


def missing() -> str | None:
    """Why there is no browser here, None if there is one."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {' and no '.join(absent)} on the path: {INSTALL}"
    try:
        import selenium  # noqa: F401, PLC0415 (an extra that may not be installed)
    except ImportError:
        return f"no selenium: {INSTALL}"
    return None


@contextmanager
def chromium(width: int, height: int, *, dark: bool = False) -> Iterator[Chrome]:
    """A browser whose page has this size, light or dark."""
    from selenium import webdriver  # noqa: PLC0415 (an extra that may not be installed)
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # the tests may run as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


if __name__ == "__main__":
    absent = missing()
    if absent is not None:
        sys.stderr.write(f"{absent}\n")
        sys.exit(4)
