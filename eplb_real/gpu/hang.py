"""The hang on real GPUs, its circle as the model predicted it, and every cure.

An exchange of real NCCL against a gang, in opposite orders.  Where ranks have to share a GPU the
exchange goes over a network, whose channels are set by number (`sharing.py`).  Before that, without
NCCL: a gang that waits beside a kernel that spins, and what stands behind it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from eplb_model.check import check
from eplb_model.outcome import Report
from eplb_model.vector import load
from eplb_real.gpu import words
from eplb_real.gpu.point import Point, Run, Seen, quiet_for
from eplb_real.gpu.pool import Pool, pool, set_up_exchange
from eplb_real.gpu.tables import VECTOR, settings
from eplb_real.sharing import channels, is_shared

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Story:
    """One act: what is run under which variables, and what it shows."""

    title: str
    point: Point
    environment: Mapping[str, str]
    cure: str = ""  # "edge" or "gloo": another way to run it


def stories(ranks: int, shared: bool) -> Iterator[Story]:
    """The hang and its cures on a number of ranks; the last one is inverted."""
    everything = Point(
        ranks, inverted=(ranks - 1,), coop_ctas=132, exchange="nccl", nccl_ctas=None,
        bytes_per_op=(32 if shared else 64) * MIB, transport="network" if shared else "nvlink",
    )  # fmt: skip
    low_latency = replace(everything, coop_ctas=128, coop_cluster=2)
    free = channels(16) if shared else {}
    eight = channels(8) if shared else {"NCCL_MAX_CTAS": "16" if ranks == 2 else "8"}
    four = channels(4) if shared else {"NCCL_MAX_CTAS": "4"}
    one = channels(1) if shared else {"NCCL_MAX_CTAS": "1"}
    yield Story(f"132 of 132 SMs, {'16 channels' if shared else 'no cap'}", everything, free)
    yield Story("132 of 132 SMs, cap 1: no cap helps", everything, one)
    yield Story("128 SMs against 8 CTAs", low_latency, eight)
    yield Story("cure: a lower cap, 128 + n fit", low_latency, four)
    loose = {**eight, "NCCL_CGA_CLUSTER_SIZE": "0"}
    alone = replace(low_latency, coop_cluster=1)
    yield Story("cure: no clusters, the channels trickle through", alone, loose)
    yield Story("cure: a stream edge, the same order everywhere", everything, free, "edge")
    yield Story("cure: gloo through host memory, no SM", everything, free, "gloo")


class Teller:
    """Runs the stories, compares each with the model, prints what was seen."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.as_predicted = True

    def tell(self, story: Story, ranks: Pool) -> None:
        """One story, in processes that have its variables."""
        self.say(f"\n== {story.title}")
        before = [about["used_bytes"] for about in ranks.about]
        seen = _run(ranks, story)
        report = _predicted(story)
        self._compare(story, seen, report)
        self.say(f"   called off and idle after {1e3 * (seen.unwound or 0):.1f} ms")
        self.told.append(
            {"story": story.title, "environment": dict(story.environment),
             "point": asdict(story.point), "cure": story.cure, "seen": seen.row(),
             "samples": seen.samples, "predicted": report and report.verdict,
             "used_before": before}
        )  # fmt: skip

    def _compare(self, story: Story, seen: Seen, report: Report | None) -> None:
        hung = seen.outcome == "HANG"
        self.say(f"   seen: {seen.outcome} {seen.note}".rstrip())
        for line in _what_each_did(story.point, seen):
            self.say("   " + line)
        predicted = report is not None and report.verdict == "deadlock"
        agrees = hung == predicted and seen.outcome in ("OK", "SERIAL", "HANG")
        self.as_predicted &= agrees
        if report is None:
            self.say(
                f"   without SMs there is nothing to wait for: {'as said' if agrees else 'WRONG'}"
            )
            return
        self.say(f"   the model: {report.verdict} ({report.scenario})")
        if report.finding is not None and report.finding.circle:
            self.say("   its circle: " + " -> ".join(map(str, report.finding.circle)))
            stuck = {str(a) for a in report.finding.circle if a.is_stream}
            shown = _stuck_streams(story.point, seen)
            same = stuck <= shown
            self.as_predicted &= same
            self.say(f"   seen stuck: {', '.join(sorted(shown))}: "
                      f"{'the circle is among them' if same else 'NOT that circle'}")  # fmt: skip

    def races(self, ranks: Pool, most: int, seed: int) -> None:
        """How many unforced trials until it hangs: two threads per rank, nobody waits."""
        random = Random(seed)
        point = Point(len(ranks), coop_ctas=132, exchange="nccl", nccl_ctas=None)
        for trial in range(1, most + 1):
            generation = ranks.next_generation()
            for process in ranks.processes:
                spins = [random.randrange(2000), random.randrange(2000)]
                process.tell("race", shape=point.gang(), generation=generation, spins=spins)
            _until(lambda: all(ranks.page.of(r, words.STAMPS) == generation  # noqa: B023
                               for r in range(len(ranks))), 5.0)  # fmt: skip
            ranks.page.put(0, words.RELEASE, generation)
            done = _until(lambda: all(_done(ranks, r, generation, point)  # noqa: B023
                                      for r in range(len(ranks))), 0.5)  # fmt: skip
            ranks.drain()
            if not done:
                self.say(f"   trial {trial} hung")
                self.told.append({"story": "race", "hung_at_trial": trial, "seed": seed})
                return
        self.say(f"   {most} trials, none hung")
        self.told.append({"story": "race", "hung_at_trial": None, "trials": most, "seed": seed})

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _run(ranks: Pool, story: Story) -> Seen:
    point = story.point
    assert point.bytes_per_op is not None, "an exchange of NCCL has a size"
    control = set_up_exchange(ranks, point.bytes_per_op, point.peers_of_all())
    quiet = quiet_for(control, least=2.0)
    match story.cure:
        case "edge":
            return _OrderedRun(ranks, replace(point, order="same"), quiet).go()
        case "gloo":
            _warm_up_gloo(ranks)
            return _HostRun(ranks, point, quiet=20.0).go()
        case _:
            return Run(ranks, point, quiet).go()


def _warm_up_gloo(ranks: Pool) -> None:
    warm = (1 << 31) - 1
    ranks.all("exchange_through_host", generation=warm)
    everybody = range(len(ranks))
    _until(lambda: all(ranks.page.of(r, words.EXCHANGE_DONE) == warm for r in everybody), 30.0)


class _OrderedRun(Run):
    """Every rank says both in one order, the gang behind the exchange by a stream edge."""

    def _same_order(self) -> None:
        for process in self._pool.processes:
            process.tell("ordered", shape=self._point.gang(), generation=self._generation)


class _HostRun(Run):
    """The opposite order with an exchange that takes no SM: there is nothing to hold."""

    def _launch_exchange(self, rank: int) -> None:
        self._pool[rank].tell("exchange_through_host", generation=self._generation)

    def _census(self, rank: int) -> list[int]:
        return [-1]  # it holds none; any non-empty answer goes on


def _predicted(story: Story) -> Report | None:
    """What the model says of a story; None where the exchange has no kernel to model."""
    if story.cure == "gloo":
        return None
    point = replace(story.point, order="same") if story.cure == "edge" else story.point
    return check(load(VECTOR).scenario(settings(asdict(point), story.environment)))


def _what_each_did(point: Point, seen: Seen) -> Iterator[str]:
    for rank in range(point.ranks):
        first = "gang" if rank in point.inverted else "exchange"
        held = sum(sm >= 0 for sm in seen.held.get(rank, ()))
        done = "done" if seen.done.get(rank) else "not done"
        yield (
            f"rank {rank}: launched the {first} first; exchange {done}"
            + (f", it held {held} SMs" if held else "")
            + f"; gang: {seen.started.get(rank, 0)} of {point.coop_ctas} CTAs started"
            + (
                "; a host call has not returned"
                if rank in seen.late
                else "; its host calls returned"
            )
        )


def _stuck_streams(point: Point, seen: Seen) -> set[str]:
    if seen.outcome != "HANG":
        return set()
    exchanges = {f"{rank}.side" for rank, done in seen.done.items() if not done}
    return exchanges | {f"{rank}.compute" for rank in range(point.ranks)}


def _done(ranks: Pool, rank: int, generation: int, point: Point) -> bool:
    page = ranks.page
    return (
        page.of(rank, words.GANG_ENDED) >= point.coop_ctas
        and page.of(rank, words.EXCHANGE_DONE) == generation
    )


def _until(come: Any, within: float) -> bool:
    deadline = time.monotonic() + within
    while not come():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0002)
    return True


def one_gpu(teller: Teller) -> None:
    """What a single GPU shows: a gang beside a holder, and what stands behind it."""
    with pool(1, 0, nccl=False) as ranks:
        generation = ranks.next_generation()
        rank, page = ranks[0], ranks.page
        holder = {"threads": 640, "shared_bytes": 120 * 1024, "ctas": 8, "cluster": 4}
        gang = {"threads": 128, "shared_bytes": 200 * 1024, "ctas": 128, "cooperative": True}
        rank.ask("spinner", shape=holder, generation=generation)
        _until(lambda: page.of(0, words.SPINNERS_STARTED) == 8, 1.0)
        rank.ask("gang", shape=gang, generation=generation)
        rank.ask("stamp", slot=0, generation=generation)
        waits = not _until(lambda: page.of(0, words.GANG_STARTED) > 0, 0.2)
        behind = page.of(0, words.STAMPS) != generation
        page.put(0, words.SPINNER_RELEASE, generation)
        starts = _until(lambda: page.of(0, words.GANG_ENDED) == 128, 1.0)
        passes = _until(lambda: page.of(0, words.STAMPS) == generation, 1.0)
        ranks.drain()
    teller.as_predicted &= waits and behind and starts and passes
    teller.say("\n== one GPU: a gang of 128 beside 8 held SMs")
    teller.say(
        f"   0 CTAs started while they were held: {waits}; a small later kernel waited: {behind}"
    )
    teller.say(f"   after the release the gang ran: {starts}, and what stood behind it: {passes}")
    teller.told.append({"story": "one GPU", "waits": waits, "behind": behind, "starts": starts,
                        "passes": passes})  # fmt: skip


def tell_all(gpus: int, ranks: int, races: int, seed: int, out: Path | None) -> bool:
    """Tell everything that so many GPUs can show; whether it came as the model says.

    Parameters
    ----------
    gpus
        How many GPUs to use.
    ranks
        How many ranks, at least two; they share GPUs where these are fewer.
    races
        At most so many unforced trials.
    seed
        Of their spins.
    out
        Where what was told is written as JSON.
    """
    teller = Teller()
    one_gpu(teller)
    shared = is_shared(ranks, gpus)
    if shared:
        teller.say(
            f"\n{ranks} ranks take turns on {gpus} GPU{'s' * (gpus > 1)}, each with all its SMs; "
            "NCCL goes over loopback"
        )
    told = list(stories(ranks, shared))
    unforced = told[0].environment
    for variables in {tuple(sorted(story.environment.items())): None for story in told}:
        with pool(ranks, 0, dict(variables), gpus=gpus) as processes:
            for story in told:
                if tuple(sorted(story.environment.items())) == variables:
                    teller.tell(story, processes)
            if dict(variables) == unforced:
                teller.say(f"\n== nobody forces an order: two threads per rank, {told[0].title}")
                teller.races(processes, races, seed)
    if out:
        out.write_text(json.dumps(teller.told, indent=1) + "\n")
    teller.say(
        "\neverything came as the model says" if teller.as_predicted else "\nNOT as the model says"
    )
    return teller.as_predicted
