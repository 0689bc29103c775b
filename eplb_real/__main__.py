"""`python -m eplb_real`."""

import sys

from eplb_real.cli import main

sys.exit(main())
