"""NCCL_MAX_CTAS, before NCCL reads it: as a vLLM version would set it, and as the model would.

The conditions and the value are data of the model (`eplb_model.protocols.environment`, O1 to O4).
`safe_nccl_max_ctas` asks the model instead; what it returns is checked, not assumed.
Rule: call both before any process group exists; NCCL keeps what it read first.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from functools import cache
from typing import Literal

from eplb_model.advise import Question, largest_safe_cap
from eplb_model.protocols.environment import Version, after, fires, reads

VARIABLE = "NCCL_MAX_CTAS"
OF_EPLB_CONFIG = frozenset({"use_async", "communicator"})  # the others are the parallel config's

logger = logging.getLogger(__name__)


def override_envs_for_eplb(
    parallel_config: object,
    moe_backend: str | None = None,
    *,
    version: Version = "0.20",
) -> None:
    """Set NCCL_MAX_CTAS to 8 where a version would, unless it holds digits; log that once.

    Parameters: parallel_config with `data_parallel_size`, `enable_eplb`, `all2all_backend` and
    `eplb_config` with `use_async`, `communicator`, as far as the version reads them; moe_backend
    is read by 0.33 only, which never fires without it.
    Raises AttributeError for an attribute that is read and missing, whether it fires or not, and
    ValueError for another version.  Source: O1 to O4.
    """
    configuration = {name: _read(parallel_config, name) for name in reads(version)}
    if not fires(version, configuration | {"moe_backend": moe_backend}):
        return
    before = os.environ.get(VARIABLE)
    value = after(before)
    if value != before:
        os.environ[VARIABLE] = value
        _say(before, value)


def safe_nccl_max_ctas(
    *,
    ranks: int,
    experts: int,
    tokens: Iterable[int],
    bytes_per_op: int,
    machine: str = "h200",
    peers: Literal["all", "next"] = "all",
    cluster_size: int = 4,
    uneven: bool = False,
) -> int | None:
    """The largest NCCL_MAX_CTAS under which the model finds no hang, or None if there is none.

    Parameters: ranks of the group that exchanges weights; experts with the redundant ones; tokens
    are all counts that a rank may have in a step; bytes_per_op of each send and receive; machine
    is a preset of the model or the path of a machine file; cluster_size is NCCL_CGA_CLUSTER_SIZE;
    uneven says that ranks may have different token counts in one step.
    64 is NCCL's own limit: then no cap is needed.  None means: another transport, or stream edges.
    Nothing is set; `os.environ[VARIABLE] = str(...)` is up to the caller.
    Raises ValueError for what the formulas don't cover.  What the answer rests on is what
    `eplb-model advise` prints.  Source: D1, D2, H12.

    >>> safe_nccl_max_ctas(ranks=2, experts=256, tokens=(64, 128), bytes_per_op=1 << 19)
    8
    """
    question = Question(
        machine=machine,
        ranks=ranks,
        experts=experts,
        tokens=tuple(sorted(set(tokens))),
        bytes_per_op=bytes_per_op,
        peers=peers,
        cluster_size=cluster_size,
        uneven=uneven,
    )
    return largest_safe_cap(question)


def _read(parallel_config: object, name: str) -> object:
    """An attribute of the parallel config, or of the EPLB config within."""
    config = parallel_config
    if name in OF_EPLB_CONFIG:
        config = getattr(parallel_config, "eplb_config")  # noqa: B009 - of an object, not a class
    value: object = getattr(config, name)
    return value


@cache
def _say(before: str | None, value: str) -> None:
    """Log once per process what was replaced by what."""
    logger.info("EPLB sets %s=%s (was %s)", VARIABLE, value, "unset" if before is None else before)
