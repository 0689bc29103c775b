"""The result of a campaign in a file: JSON lines in the order of the shards, totals last.

Rules:
- FILE is written once, whole, when every shard is done; until then FILE.part is the journal.
  So an interrupted campaign that goes on leaves the same bytes as one that was not interrupted.
- Shards that failed leave the journal, not FILE: going on tries them again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eplb_model.campaign.executors import Workers
from eplb_model.campaign.journal import Journal
from eplb_model.campaign.run import Campaign, run_campaign
from eplb_model.campaign.task import Line, Task
from eplb_model.outcome import UsageError
from eplb_model.vector import load

Totals = Callable[[Sequence[Line]], Line]


def write_out(
    path: Path,
    tasks: Sequence[Task],
    totals: Totals,
    *,
    workers: Workers | None = None,
    resume: bool = False,
    retries: int = 2,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[int], None] = lambda done: None,
) -> Campaign:
    """Do the tasks, each a shard, and write their lines; FILE is there only if all were done.

    Raises `UsageError` if a journal is there and `resume` is false, or is of other tasks.
    """
    part = path.with_name(f"{path.name}.part")
    if resume and path.exists() and not part.exists():
        lines = _finished(path, tasks)
        return Campaign(len(tasks), {number: [line] for number, line in enumerate(lines)})
    shards = [(task,) for task in tasks]
    with Journal.opened(part, {"tasks": len(tasks), "of": fingerprint(tasks)}, resume) as journal:
        done = run_campaign(shards, workers, journal, retries=retries, stop=stop, tell=tell)
        if len(done.done) == done.shards:
            _write(path, [*done.lines, totals(done.lines)])
            part.unlink()
    return done


def fingerprint(tasks: Sequence[Task]) -> str:
    """What tells one campaign from another: its tasks, and the texts of their vectors."""
    vectors = {name: load(name).document for name in sorted({task.vector for task in tasks})}
    whole: list[Any] = [[task.document for task in tasks], vectors]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def text_of(lines: Sequence[Line]) -> str:
    """Lines as they are written and printed."""
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def _write(path: Path, lines: Sequence[Line]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text_of(lines), "utf-8")
    fresh.replace(path)


def _finished(path: Path, tasks: Sequence[Task]) -> list[Line]:
    """The lines of a finished result, if it is one of these tasks."""
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()][:-1]
        same = [(each["scenario"], each["parameters"]) for each in lines]
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: no result of a campaign") from None
    asked = [(each.name, dict(each.parameters)) for each in (task.scenario for task in tasks)]
    if same != asked:
        raise UsageError(f"{path}: the result of another campaign; choose another file")
    return lines
