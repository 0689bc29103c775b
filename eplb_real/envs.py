"""`override_envs_for_eplb`: sets NCCL_MAX_CTAS before NCCL reads it, as a vLLM version would.

The conditions and the value are data of the model (`eplb_model.protocols.environment`, O1 to O4).
Rule: call it before any process group exists; NCCL keeps what it read first.
"""

from __future__ import annotations

import logging
import os
from functools import cache

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
