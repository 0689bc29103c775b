"""`eplb-real fetch-vllm`: download vLLM's wheels and keep the files that `--driver vllm` runs."""

from __future__ import annotations

import argparse
from typing import Any

from eplb_real.commands.printing import add_json, print_json
from eplb_real.vllm.wheel import VERSIONS, extracted, fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take one version; all by default."""
    parser.add_argument("--version", choices=VERSIONS, help="one of them only")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print what is there now."""
    rows = []
    for version in [options.version] if options.version else VERSIONS:
        folder = fetch(version)
        rows.append({"version": version, "folder": str(folder), "files": extracted(version)})
    if options.json:
        print_json({"schema": "eplb-real-vllm/1", "versions": rows})
        return 0
    for row in rows:
        files: Any = row["files"]
        size = sum(files.values())
        print(f"vLLM {row['version']}: {len(files)} files, {size} bytes, verified: {row['folder']}")
    return 0
