"""Many points: exchanges of NCCL and synthetic channels against gangs, over orders and shapes.

`python -m eplb_real.gpu.sweep --out FILE [--gpus N] [--seconds S] [--only nccl|channels]`

NCCL reads its variables once, so every setting of them has its own processes; all grids of a
setting run in the same ones.  Pairs of GPUs work side by side.  What was done is written as it
comes, one row per line, so that a run that is cut short has lost nothing.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, TextIO

import torch

from eplb_real.gpu.point import QUIET, Point, Run, Seen, quiet_for
from eplb_real.gpu.pool import Late, Pool, RankError, pool, set_up_exchange
from eplb_real.sharing import channels

MIB = 1 << 20
GRIDS = (64, 96, 108, 112, 116, 118, 120, 122, 124, 126, 128, 130, 132)
ODD_GRIDS = (117, 125, 127, 129, 131)


@dataclass(frozen=True, slots=True)
class Setting:
    """Points that share their processes: the ranks and what NCCL reads."""

    ranks: int
    environment: Mapping[str, str]
    points: tuple[Point, ...]


def shared_settings(random: Random) -> Sequence[Setting]:
    """Exchanges of NCCL between ranks that share a GPU: channels, cluster sizes, sizes, ranks.

    In a random order, so that a run that is cut short has seen some of everything.
    """
    found = list(_shared_settings(random))
    random.shuffle(found)
    return found


def _shared_settings(random: Random) -> Iterator[Setting]:
    for number in (1, 2, 4, 8, 16, 32):
        for cluster in (None, 0) if number != 8 else (None, 0, 2, 8):
            variables = {**channels(number), **_environment(None, cluster)}
            yield Setting(2, variables, tuple(_over_a_network(_two_ranks(random))))
    for ranks in (3, 4):
        for number in (16, 8, 4):
            points = tuple(_over_a_network(_more_ranks(ranks, random)))
            yield Setting(ranks, channels(number), points)


def _over_a_network(points: Iterable[Point]) -> Iterator[Point]:
    """The same with sizes that loopback moves in milliseconds."""
    for point in points:
        assert point.bytes_per_op is not None, "an exchange of NCCL has a size"
        size = min(point.bytes_per_op, 16 * MIB)
        yield replace(point, transport="network", bytes_per_op=size)


def nccl_settings(gpus: int, random: Random) -> Iterator[Setting]:
    """Exchanges of NCCL: caps, cluster sizes, sizes, on two ranks and on more."""
    for cap in (None, 32, 16, 12, 8, 4, 2, 1):
        for cluster in (None, 0, 2, 8):
            yield Setting(2, _environment(cap, cluster), tuple(_two_ranks(random)))
    for ranks in range(3, gpus + 1):
        for cap in (None, 8, 4, 2):
            yield Setting(ranks, _environment(cap, None), tuple(_more_ranks(ranks, random)))


def _two_ranks(random: Random) -> Iterator[Point]:
    for size in (1024, 1 * MIB, 64 * MIB, 256 * MIB):
        base = Point(exchange="nccl", nccl_ctas=None, bytes_per_op=size)
        for grid in random.sample(GRIDS, 4) + random.sample(ODD_GRIDS, 1):
            yield replace(base, coop_ctas=grid, inverted=(random.randrange(2),))
        yield replace(base, coop_ctas=random.choice(GRIDS), coop_cluster=2)
    yield replace(base, order="same", coop_ctas=132)
    yield replace(base, coop_launch="regular", coop_ctas=132)
    yield replace(base, coop_footprint="small", coop_ctas=132)


def _more_ranks(ranks: int, random: Random) -> Iterator[Point]:
    for size in (1 * MIB, 64 * MIB):
        for peers in ("all", "next"):
            base = Point(ranks, exchange="nccl", nccl_ctas=None, bytes_per_op=size, peers=peers)
            for grid in random.sample(GRIDS, 4):
                inverted = tuple(sorted(random.sample(range(ranks), random.randint(1, ranks - 1))))
                yield replace(base, coop_ctas=grid, inverted=inverted)


def channel_setting(ranks: int, count: int, random: Random) -> Setting:
    """Synthetic channels: any size and cluster, launch kinds, footprints, who is inverted."""
    points = []
    for _ in range(count):
        ctas = random.choice((1, 2, 3, 4, 6, 8, 12, 14, 16, 24, 32))
        clusters = [k for k in (1, 2, 4, 8) if ctas % k == 0]
        grid = random.choice((*GRIDS, *ODD_GRIDS))
        points.append(
            Point(
                ranks,
                order=random.choices(("opposite", "same"), (9, 1))[0],
                inverted=tuple(sorted(random.sample(range(ranks), random.randint(1, ranks - 1)))),
                coop_ctas=grid,
                coop_cluster=random.choice((1, 2)) if grid % 2 == 0 else 1,
                coop_launch=random.choices(("cooperative", "regular"), (5, 1))[0],
                coop_footprint=random.choices(("exclusive", "small"), (7, 1))[0],
                grain=random.choices(("first", "grid"), (2, 1))[0],
                nccl_ctas=ctas,
                nccl_cluster=random.choice(clusters),
            )
        )
    return Setting(ranks, {}, tuple(points))


def _environment(cap: int | None, cluster: int | None) -> dict[str, str]:
    given = {"NCCL_MAX_CTAS": cap, "NCCL_CGA_CLUSTER_SIZE": cluster}
    return {name: str(value) for name, value in given.items() if value is not None}


class Sweep:
    """Settings worked off side by side, each on GPUs of its own, until the time is over."""

    def __init__(self, gpus: int, seconds: float, out: TextIO) -> None:
        self._gpus = gpus
        self._until = time.monotonic() + seconds
        self._out = out
        self._lock = threading.Lock()
        self.rows = 0

    def run(self, settings: Sequence[Setting]) -> None:
        """All settings: those of two ranks on every pair of GPUs, then the larger ones.

        On one GPU all share it.
        """
        pairs = [] if self._gpus == 1 else [each for each in settings if each.ranks == 2]
        work: queue.SimpleQueue[Setting] = queue.SimpleQueue()
        for setting in pairs:
            work.put(setting)
        threads = [
            threading.Thread(target=self._work_off, args=(work, first), name=f"gpus {first}")
            for first in range(0, self._gpus - 1, 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for setting in settings:
            if setting not in pairs and not self._over():
                self._setting(setting, 0)

    def _over(self) -> bool:
        return time.monotonic() > self._until

    def _work_off(self, work: queue.SimpleQueue[Setting], first: int) -> None:
        while not self._over():
            try:
                setting = work.get_nowait()
            except queue.Empty:
                return
            self._setting(setting, first)

    def _setting(self, setting: Setting, first: int) -> None:
        nccl = any(point.exchange == "nccl" for point in setting.points)
        try:
            gpus = min(setting.ranks, self._gpus)
            with pool(setting.ranks, first, setting.environment, nccl, gpus) as ranks:
                baseline = [about["used_bytes"] for about in ranks.about]
                self._note({"about": ranks.about[0], "environment": dict(setting.environment)})
                self._points(ranks, setting)
                after = [about["used_bytes"] for about in ranks.all("about")]
                self._note({"memory": {"before": baseline, "after": after}})
        except (RankError, Late) as error:
            self._note({"failed": str(error), "environment": dict(setting.environment)})

    def _points(self, ranks: Pool, setting: Setting) -> None:
        exchange: tuple[Any, ...] = ()
        quiet = QUIET
        for point in setting.points:
            if self._over():
                return
            if point.bytes_per_op is not None and exchange != (point.bytes_per_op, point.peers):
                exchange = (point.bytes_per_op, point.peers)
                quiet = quiet_for(set_up_exchange(ranks, point.bytes_per_op, point.peers_of_all()))
            self._row(setting, point, Run(ranks, point, quiet).go())

    def _row(self, setting: Setting, point: Point, seen: Seen) -> None:
        row = {"point": asdict(point), "environment": dict(setting.environment), **seen.row()}
        if seen.outcome in ("ODD", "not reached"):
            row["samples"] = seen.samples
        row["sms"] = {str(rank): sms for rank, sms in seen.held.items()}
        self._note(row)
        self.rows += 1

    def _note(self, document: Mapping[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(document) + "\n")
            self._out.flush()


def main() -> None:
    """Run the sweep that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gpus", type=int, default=torch.cuda.device_count())
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--only", choices=("nccl", "channels"))
    parser.add_argument("--channels", type=int, default=480, help="synthetic points of two ranks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = Random(options.seed)
    settings: list[Setting] = []
    if options.only != "nccl":
        settings += [channel_setting(2, options.channels // 4, random) for _ in range(4)]
        settings += [
            channel_setting(ranks, options.channels // 6, random)
            for ranks in range(3, options.gpus + 1)
        ]
    if options.only != "channels" and options.gpus > 1:
        settings += nccl_settings(options.gpus, random)
    if options.only != "channels" and options.gpus == 1:
        settings += shared_settings(random)
    with options.out.open("w") as out:
        sweep = Sweep(options.gpus, options.seconds, out)
        sweep.run(settings)
    sys.stdout.write(f"{sweep.rows} points in {options.out}\n")


if __name__ == "__main__":
    main()
