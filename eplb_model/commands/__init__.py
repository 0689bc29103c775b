"""One file per command: `add_arguments(parser)` says what it takes, `run(options)` does it.

Rules:
- A command returns its exit code; `cli.py` says what the codes mean, and imports no command but the
  one that was asked for.
- What several commands take or print alike is in `vectors.py`, `searching.py` and `printing.py`.
"""
