"""A rank whose text repeats itself: where the bodies are, and the same rank with fewer of them.

A text is a prefix, a body K times, and a suffix.  Bodies are equal operation for operation, but for
the number of the launch that a wait is for and for where a branch lands; both go on by as much as a
body has launches and operations.

Rules:
- The threads of a rank that repeat themselves go through the same number of bodies; the body of one
  may be some of its periods.  The others may not wait for launches that bodies number.
- What a body launches is read off the text.  Where a run launches more or less, no state comes back
  in the next body, and `fold.py` sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eplb_model.ops.kernel import RunKernel
from eplb_model.state import Count, Device, State
from eplb_model.world import HostOperation, Program, Rank, World

MOST_TRIED = 32  # lengths of a body


@dataclass(frozen=True, slots=True)
class Bodies:
    """Where the bodies of a thread are: `count` times `length` operations from `first` on."""

    first: int
    length: int
    count: int

    def at(self, pc: int) -> int:
        """The body of a program counter; 0 also before the first, `count` behind the last."""
        return min(max(0, (pc - self.first) // self.length), self.count)


@dataclass(frozen=True, slots=True)
class Repetition:
    """The bodies of a rank."""

    count: int
    threads: tuple[Bodies | None, ...]  # None for a thread that does not repeat itself
    launches: Mapping[str, int]  # of each kernel whose launches are numbered, in one body

    def shorter(self, count: int) -> Repetition:
        """The repetition of the same rank with so many bodies."""
        threads = (each and replace(each, count=count) for each in self.threads)
        return replace(self, count=count, threads=tuple(threads))

    def body(self, state: State) -> int:
        """The least body that some thread is in; of a rank by itself."""
        return min(self._bodies(state))

    def furthest(self, state: State) -> int:
        """The last body that some thread is in."""
        return max(self._bodies(state))

    def _bodies(self, state: State) -> Iterator[int]:
        for thread, bodies in zip(state.threads, self.threads, strict=True):
            if bodies is not None:
                yield bodies.at(thread.pc)

    def shifted(self, state: State, rank: int, by: int) -> State | None:
        """The same situation some bodies later, or earlier (`by` negative).

        None if it can't be earlier: a launch that would have no number any more is not over.
        """
        counts: list[Count] = []
        for kernel, count in zip(state.world.kernels, state.counts[rank], strict=True):
            moved = _moved(count, by * self.launches.get(kernel, 0))
            if moved is None:
                return None
            counts.append(moved)
        threads = tuple(
            thread if bodies is None else thread._replace(pc=thread.pc + by * bodies.length)
            for thread, bodies in zip(state.threads, self.threads, strict=True)
        )
        device = state.devices[rank]
        queues = tuple(
            tuple(item._replace(work=self._renumbered(item.work, by)) for item in queue)
            for queue in device.queues
        )
        mine = (*state.counts[:rank], tuple(counts), *state.counts[rank + 1 :])
        state = state._replace(threads=threads, counts=mine)
        return _with_queues(state, rank, device, queues)

    def _renumbered(self, work: Any, by: int) -> Any:
        more = self.launches.get(work.runs, 0) if isinstance(work, RunKernel) else 0
        return replace(work, number=work.number + by * more) if more else work


def _with_queues(state: State, rank: int, device: Device, queues: tuple[Any, ...]) -> State:
    return state.with_device(rank, device._replace(queues=queues))


def _moved(count: Count, by: int) -> Count | None:
    """How many launches there are if as many more, or fewer, are over; None if they are not."""
    if by >= 0:
        return Count(count.launched + by, count.completed << by | (1 << by) - 1)
    if ~count.completed & (1 << -by) - 1:
        return None
    return Count(count.launched + by, count.completed >> -by)


def repetition_of(world: World, rank: int, fewest: int) -> Repetition | None:
    """The repetition in the texts of a rank, if its threads have one in common.

    A thread with fewer bodies than `fewest` does not repeat itself.
    """
    programs = world.ranks[rank].threads
    found = [_repeated(program, fewest) for program in programs]
    count = min((each.count for each in found if each is not None), default=0)
    if not count:
        return None
    threads = tuple(_in_bodies(each, count) for each in found)
    launches: Counter[str] = Counter()
    for program, bodies in zip(programs, threads, strict=True):
        for op in () if bodies is None else program.code[bodies.first :][: bodies.length]:
            launches.update(k for what, k in op.offers() if what == "launch" and k in world.counted)
    texts = zip(programs, threads, strict=True)
    if not all(_numbers_go_on(program, bodies, launches) for program, bodies in texts):
        return None
    return Repetition(count, threads, launches)


def _in_bodies(found: Bodies | None, count: int) -> Bodies | None:
    """The repetition of one thread in as many bodies as the others have."""
    if found is None:
        return None
    return Bodies(found.first, found.length * (found.count // count), count)


def _repeated(program: Program, fewest: int) -> Bodies | None:
    """The repetition that the middle of a text is in: of several the longest, then the finest."""
    keys = _keys(program.code)
    middle = len(keys) // 2
    again = [at - middle for at in range(middle + 1, len(keys)) if keys[at] == keys[middle]]
    best: Bodies | None = None
    for length in again[:MOST_TRIED]:
        first, last = middle, middle
        while first > 0 and keys[first - 1] == keys[first - 1 + length]:
            first -= 1
        while last + length < len(keys) and keys[last] == keys[last + length]:
            last += 1
        found = Bodies(first, length, (last + length - first) // length)
        if best is None or found.count * length > best.count * best.length:
            best = found
        if 2 * best.count * best.length >= len(keys):
            break
    if best is None or best.count < fewest:
        return None
    return None if any(_touches(best, handler) for handler in program.handlers) else best


def _touches(bodies: Bodies, handler: tuple[int, int, int]) -> bool:
    """Whether an error inside the bodies may be handled, or a handler is there."""
    end = bodies.first + (bodies.count + 1) * bodies.length
    return any(bodies.first <= place < end for place in handler) or (
        handler[0] < bodies.first <= handler[1]
    )


def _keys(code: Sequence[HostOperation]) -> list[int]:
    """Equal numbers for operations that are equal but for what goes on from body to body."""
    numbers: dict[HostOperation, int] = {}
    found = []
    for at, op in enumerate(code):
        alike: Any = op
        if op.kind == "branch":
            alike = replace(alike, otherwise=alike.otherwise - at)
        elif getattr(op, "numbered", False):
            alike = replace(alike, number=0)
        found.append(numbers.setdefault(alike, len(numbers)))
    return found


def _numbers_go_on(program: Program, bodies: Bodies | None, launches: Mapping[str, int]) -> bool:
    """Whether waits for numbered launches are for those of their own body, or of one near it."""
    for at, op in enumerate(program.code):
        if not getattr(op, "numbered", False):
            continue
        waits: Any = op
        more = launches.get(waits.kernel, 0)
        if bodies is None:
            if more:
                return False
            continue
        if not bodies.first <= at < bodies.first + (bodies.count - 1) * bodies.length:
            continue
        later: Any = program.code[at + bodies.length]
        if later.number != waits.number + more:
            return False
    return True


def cut(described: Rank, repetition: Repetition, laps: int) -> Rank | None:
    """The same rank with so many bodies less, the last ones; None if a wait would lose its launch.

    The text behind the bodies names launches by smaller numbers then.
    """
    threads = []
    for program, bodies in zip(described.threads, repetition.threads, strict=True):
        shorter = program if bodies is None else _cut(program, bodies, repetition.launches, laps)
        if shorter is None:
            return None
        threads.append(shorter)
    return replace(described, threads=tuple(threads))


def _cut(
    program: Program, bodies: Bodies, launches: Mapping[str, int], laps: int
) -> Program | None:
    here = bodies.first + (bodies.count - laps) * bodies.length
    less = laps * bodies.length

    def landing(at: int) -> int:
        return at - less if at >= here + less else at

    code: list[HostOperation] = []
    for at, op in enumerate(program.code):
        kept: Any = op
        if here <= at < here + less:
            continue
        if op.kind == "branch":
            target = kept.otherwise
            kept = replace(kept, otherwise=target - less if at >= here else landing(target))
        elif at >= here and getattr(op, "numbered", False):
            kept = replace(kept, number=kept.number - laps * launches.get(kept.kernel, 0))
            if kept.number < 0:
                return None
        code.append(kept)
    handlers = tuple((landing(a), landing(b), landing(c)) for a, b, c in program.handlers)
    return replace(program, code=tuple(code), handlers=handlers)
