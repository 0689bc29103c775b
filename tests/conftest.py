"""Hypothesis profiles: `ci` draws the same examples every time, `deep` 20 times as many.

The variable HYPOTHESIS_PROFILE chooses; `ci` is the default.
"""

import os

from hypothesis import settings

CI = settings(derandomize=True, deadline=None, print_blob=True)

settings.register_profile("ci", CI)
settings.register_profile("deep", CI, max_examples=20 * CI.max_examples)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
