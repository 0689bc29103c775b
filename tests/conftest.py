"""Hypothesis profiles: `ci` draws the same examples every time, `deep` 20 times as many.

The variable HYPOTHESIS_PROFILE chooses; `ci` is the default.  With --require-gpu a test that is
skipped for want of a GPU fails.
"""

import os

import pytest
from hypothesis import settings

CI = settings(derandomize=True, deadline=None, print_blob=True, max_examples=60)

settings.register_profile("ci", CI)
settings.register_profile("deep", CI, max_examples=20 * CI.max_examples)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser):
    parser.addoption(
        "--require-gpu",
        action="store_true",
        help="a test that is skipped for want of a GPU fails",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    wanted = item.config.getoption("--require-gpu") and item.get_closest_marker("gpu") is not None
    if report.skipped and wanted and "GPU" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped although --require-gpu: {report.longrepr[2]}"
    return report
