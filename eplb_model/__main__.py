"""`python -m eplb_model`."""

import sys

from eplb_model.cli import main

if __name__ == "__main__":
    sys.exit(main())
