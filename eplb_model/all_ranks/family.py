"""A vector as a family of scenarios, one for every number of ranks, and its cut-off instances.

Rule: in a cut-off instance every channel of a *loose* kernel serves all peers and is a class of its
own; what else its CTAs may do there is a rule of `instance.moves`.  specs/all_ranks.md#channels
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eplb_model.format.parameters import Scalar
from eplb_model.scenario import Scenario, link
from eplb_model.vector import VectorFile
from eplb_model.world import Kernel, World


@dataclass(frozen=True)
class Family:
    """A vector under settings that leave the number of ranks open; `name` finds it again."""

    name: str
    vector: VectorFile
    settings: Mapping[str, Scalar]
    switches: Mapping[str, str]

    def at(self, ranks: int) -> Scenario:
        """The scenario with so many ranks; `VectorError` where the vector has none."""
        return self.vector.scenario({**self.settings, "ranks": ranks}, self.switches)

    @property
    def digest(self) -> str:
        """A fingerprint of the vector with all that its bases say."""
        return fingerprint(self.vector.document)

    def instance(self, ranks: int, loose: tuple[str, ...]) -> World:
        """The world of so many ranks in which every channel serves every peer."""
        scenario = self.at(ranks)
        kernels = {
            name: _serving_all(kernel, ranks, name in loose)
            for name, kernel in scenario.kernels.items()
        }
        return link(replace(scenario, kernels=kernels))


def fingerprint(document: Mapping[str, object]) -> str:
    """The SHA-256 of a document, whatever the order of its keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _serving_all(kernel: Kernel, ranks: int, loose: bool) -> Kernel:
    """The kernel with channels that all serve all rounds; a loose one's differ in how often.

    Serving a round twice is serving it, and CTAs with different rounds are told apart.
    """
    everyone = tuple(range(1, ranks))
    if not kernel.rounds:
        return kernel
    if not loose or not everyone:
        return replace(kernel, rounds=())
    return replace(kernel, rounds=tuple(everyone + (1,) * n for n in range(kernel.ctas)))
