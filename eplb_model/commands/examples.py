"""Examples for the help of each command; tests/test_cli_help.py runs every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FLAGSHIP = "coop_vs_nccl_opposite_order"
RING = "--vary coop_ctas=112..132,4 --vary nccl_ctas=4,8,16"

EXAMPLES: Mapping[str, Sequence[str]] = {
    "check": (
        f"eplb-model check {FLAGSHIP}",
        f"eplb-model check {FLAGSHIP} --set coop_ctas=128 --set nccl_ctas=4",
        f"eplb-model check {FLAGSHIP} --machine h20 --set coop_ctas=70 --set nccl_ctas=12",
        f"eplb-model check {FLAGSHIP} --switch packing=all --json",
        f"eplb-model check {FLAGSHIP} --explain",
        f"eplb-model check {FLAGSHIP} --format github",
        "eplb-model check coop_vs_nccl_capped --all-ranks",
    ),
    "render": (
        f"eplb-model render {FLAGSHIP} --format mermaid",
        f"eplb-model render {FLAGSHIP} --format html > hang.html",
    ),
    "explore": (f"eplb-model explore {FLAGSHIP}", f"eplb-model explore {FLAGSHIP} --out walk.html"),
    "without": ("eplb-model without event_wait_after_record --op 'consumer: wait_flag recorded'",),
    "show": (f"eplb-model show {FLAGSHIP} --set order=free",),
    "replay": (f"eplb-model replay {FLAGSHIP} --schedule '0.eplb 0.main 1.main 1.eplb'",),
    "sweep": (
        f"eplb-model sweep {FLAGSHIP} {RING}",
        f"eplb-model sweep {FLAGSHIP} --vary ranks=2,3 --json",
        f"eplb-model sweep {FLAGSHIP} {RING} --jobs 2 --out map.jsonl",
    ),
    "campaign": (
        "eplb-model campaign catalogue event_order hook_mode --out catalogue.jsonl",
        (
            f"eplb-model campaign random {FLAGSHIP} --strategy pct --runs 100 --shards 4 "
            "--out runs.jsonl"
        ),
    ),
    "advise": (
        "eplb-model advise --ranks 2 --experts 256 --tokens 64,128 --bytes-per-op 512KiB",
        (
            "eplb-model advise --ranks 2 --experts 144 --tokens 1..64 --bytes-per-op 512KiB "
            "--env NCCL_MAX_CTAS=8"
        ),
    ),
    "list": ("eplb-model list", "eplb-model list --bugs"),
    "conform": ("eplb-model conform nccl_ctas",),
    "schema": ("eplb-model schema", "eplb-model schema eplb-vector/1"),
    "export": (f"eplb-model export {FLAGSHIP} --format promela",),
    "doctor": ("eplb-model doctor", "eplb-model doctor --json"),
}
