"""The command line: parse, call, print, exit.

Exit codes: 0 agrees, 1 disagrees, 2 bad input, 3 inconclusive or declined, 4 the environment lacks
something, 5 our own error, 130 interrupted (with what was reached).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from eplb_model.check import machines
from eplb_model.scenario import Scenario
from eplb_model.trace import ScheduleError, parse_schedule
from eplb_model.vector import VectorError, VectorFile, catalogue, load
from eplb_real.doctor import diagnosis
from eplb_real.drivers.base import Driver, library_modules
from eplb_real.drivers.registry import ABSENT, DRIVERS
from eplb_real.drivers.vllm import NAME as VLLM
from eplb_real.drivers.vllm import driver_name
from eplb_real.nursery import Spawner
from eplb_real.runner import Replay, Replayed, Wish, document, lacking, refusals
from eplb_real.torchrun import TeamError, follow, gather, meeting
from eplb_real.vllm.protocol import Asked, refined, scenario_of
from eplb_real.vllm.protocol import run as run_protocol
from eplb_real.vllm.wheel import REFERENCE, VERSIONS, WheelError, extracted, fetch

_DRIVERS = [*(name for name in DRIVERS if not name.startswith(VLLM)), VLLM, *ABSENT]
BAD_INPUT, INCONCLUSIVE, LACKING, OUR_ERROR, INTERRUPTED = 2, 3, 4, 5, 130
DEADLINE = 20.0


class UsageError(ValueError):
    """Something on the command line that can't be used."""


class Lacking(RuntimeError):
    """The environment does not have what a driver needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except (VectorError, ScheduleError, UsageError) as error:
        print(f"eplb-real: {error}", file=sys.stderr)
        return BAD_INPUT
    except (Lacking, TeamError, WheelError) as error:
        print(f"eplb-real: {error}", file=sys.stderr)
        return LACKING
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 (the last frame: whatever escapes is ours, and gets its own code)
        traceback.print_exc()
        print("eplb-real: this is our own error, not yours; please report it", file=sys.stderr)
        return OUR_ERROR
    return code


# --- what each command does ------------------------------------------------------------------


def _replay(options: argparse.Namespace) -> int:
    driver = _driver(_driver_name(options))
    where = meeting(os.environ) if driver.name == "gloo" else None
    if where is None:
        return _replay_with(driver, None, options)
    modules = (*driver.modules, "eplb_real.events")
    if where.rank:
        follow(where, modules)
        return 0
    options.nproc = where.size
    return _replay_with(driver, gather(where, modules), options)


def _replay_with(driver: Driver, team: Spawner | None, options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    done: list[Replayed] = []
    interrupted = False
    with Replay(driver, team) as replay:
        try:
            for vector, scenario in chosen:
                wish = _wish(options, vector, scenario)
                for replayed in _replayed(replay, driver, vector, scenario, wish):
                    done.append(replayed)
                    if not options.json:
                        _print_replayed(replayed, full=not options.all)
        except KeyboardInterrupt:
            interrupted = True
    answers = Counter(str(replayed.answer) for replayed in done)
    if options.json:
        vectors = [document(replayed) for replayed in done]
        _print_json({"schema": "eplb-replay/1", "driver": driver.name, "vectors": vectors})
    elif options.all:
        print(", ".join(f"{count} {answer}" for answer, count in sorted(answers.items())))
    return INTERRUPTED if interrupted else _code(answers)


def _replayed(
    replay: Replay, driver: Driver, vector: VectorFile, scenario: Scenario, wish: Wish
) -> Iterator[Replayed]:
    """What comes of replaying a vector, which may itself name the drivers it is for."""
    named = _real(vector).get("drivers")
    if named is not None and driver.name not in named:
        why = f"the vector is for the drivers {', '.join(named)}"
        yield Replayed(vector.name, driver.name, "", "declined", why)
        return
    yield from replay.scenario(scenario, wish)


def _code(answers: Counter[str]) -> int:
    if answers["disagrees"]:
        return 1
    if answers["inconclusive"] or not answers["agrees"]:
        return INCONCLUSIVE
    return 0


def _list(options: argparse.Namespace) -> int:
    drivers = [_known(_driver_name(options))] if options.driver else list(DRIVERS.values())
    rows = []
    for vector in catalogue():
        scenario = vector.scenario()
        scenario = scenario.on(next(machines(scenario)))
        why = {driver.name: _refused(vector, scenario, driver) for driver in drivers}
        rows.append({"name": vector.name, "refused": why})
    if options.json:
        _print_json({"schema": "eplb-real-list/1", "vectors": rows})
        return 0
    wide = max(len(str(row["name"])) for row in rows)
    for row in rows:
        refused: Any = row["refused"]
        words = [f"{name}: {'; '.join(why) or 'yes'}" for name, why in refused.items()]
        print(f"{row['name']:<{wide}}  {'   '.join(words)}")
    return 0


def _refused(vector: VectorFile, scenario: Scenario, driver: Driver) -> list[str]:
    named = _real(vector).get("drivers")
    if named is not None and driver.name not in named:
        return [f"the vector is for {', '.join(named)}"]
    return refusals(scenario, driver)


def _fetch_vllm(options: argparse.Namespace) -> int:
    rows = []
    for version in [options.version] if options.version else VERSIONS:
        folder = fetch(version)
        rows.append({"version": version, "folder": str(folder), "files": extracted(version)})
    if options.json:
        _print_json({"schema": "eplb-real-vllm/1", "versions": rows})
        return 0
    for row in rows:
        files: Any = row["files"]
        size = sum(files.values())
        print(f"vLLM {row['version']}: {len(files)} files, {size} bytes, verified: {row['folder']}")
    return 0


def _step_vllm(options: argparse.Namespace) -> int:
    named = dict(_field(text) for text in options.set)
    if options.version is not None:
        named["version"] = options.version
    try:
        asked = Asked(**named)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    if lacking(("torch",)):
        raise Lacking("step-vllm needs torch, which is not installed")
    ran = run_protocol(asked)
    found = refined(scenario_of(asked), ran)
    holds = None if ran.ending == "cut" else found.holds  # a rank that failed says nothing
    answer = {True: "agrees", False: "disagrees", None: "inconclusive"}[holds]
    if options.json:
        told = {"answer": answer, "ending": ran.ending, "why": found.message}
        _print_json({"schema": "eplb-real-step/1", **told, "lines": list(ran.lines)})
    else:
        text = "; ".join(filter(None, (ran.ending, ran.evidence, found.message)))
        print(f"{answer:<12}  vLLM {asked.version}: {text}")
    return _code(Counter([answer]))


def _field(text: str) -> tuple[str, Any]:
    """A field of a run: JSON, or a word."""
    name, _, value = _pair(text).partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _doctor(options: argparse.Namespace) -> int:
    found = diagnosis(DRIVERS.values())
    if options.json:
        _print_json({"schema": "eplb-real-doctor/1", **found})
    else:
        for name, value in found["versions"].items():
            print(f"{name:<12} {value}")
        for name, value in found["machine"].items():
            print(f"{name:<12} {value}")
        for name, missing in found["drivers"].items():
            print(f"{name:<12} {'can run' if not missing else 'lacks ' + ', '.join(missing)}")
    return LACKING if any(found["drivers"].values()) else 0


# --- what the options mean -------------------------------------------------------------------


def _driver_name(options: argparse.Namespace) -> str:
    """The driver that is meant: vLLM has one per version."""
    if options.driver == VLLM:
        return driver_name(options.version or REFERENCE)
    if options.version is not None:
        raise UsageError("--version goes with --driver vllm")
    return str(options.driver)


def _driver(name: str) -> Driver:
    driver = _known(name)
    missing = lacking(driver.modules)
    if missing:
        raise Lacking(f"driver {name} needs {', '.join(missing)}, which is not installed")
    if driver.lacks():
        raise Lacking(f"driver {name} needs {'; '.join(driver.lacks())}")
    return driver


def _known(name: str) -> Driver:
    if name in ABSENT:
        raise Lacking(f"driver {name}: {ABSENT[name]}")
    return DRIVERS[name]


def _chosen(options: argparse.Namespace) -> list[tuple[VectorFile, Scenario]]:
    """The vectors to replay, with their scenarios."""
    if options.all == (options.vector is not None):
        raise UsageError("expected a vector or --all, and not both")
    if options.all:
        if options.set or options.nproc or options.schedule:
            raise UsageError("--set, --nproc and --schedule go with one vector, not with --all")
        return [(vector, vector.scenario()) for vector in catalogue()]
    vector = load(options.vector)
    scenario = _chosen_scenario(options, vector)
    missing = lacking(library_modules(scenario))
    if missing:
        raise Lacking(f"{vector.name} needs {', '.join(missing)}, which is not installed")
    return [(vector, scenario)]


def _chosen_scenario(options: argparse.Namespace, vector: VectorFile) -> Scenario:
    named = dict(vector.setting(_pair(text)) for text in options.set)
    if options.nproc is not None:
        named["ranks"] = options.nproc
    return vector.scenario(named)


def _pair(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set {text!r}: expected name=value")
    return text


def _wish(options: argparse.Namespace, vector: VectorFile, scenario: Scenario) -> Wish:
    deadline = _real(vector).get("deadline_s", DEADLINE)
    wish = Wish(
        runs=options.runs,
        seed=options.seed,
        deadline=float(deadline if options.deadline is None else options.deadline),
    )
    if options.schedule is None:
        return wish
    return replace(wish, schedule=parse_schedule(scenario.world, options.schedule))


def _real(vector: VectorFile) -> Mapping[str, Any]:
    """What a vector says about replaying it."""
    real: Any = vector.document.get("real", {})
    if not isinstance(real, dict):
        raise UsageError(f"{vector.file}: /real: expected an object")
    return real


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
        return value

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eplb-real", description="Replay vectors on real threads, processes and devices."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    replay = commands.add_parser(
        "replay", help="run a vector for real and hold it against the model"
    )
    replay.add_argument("vector", nargs="?", help="a name of the catalogue, or a file")
    replay.add_argument("--all", action="store_true", help="every vector of the catalogue")
    replay.add_argument("--driver", choices=_DRIVERS, default="threads")
    replay.add_argument("--version", choices=VERSIONS, help="of --driver vllm")
    replay.add_argument("--nproc", type=_positive(int), metavar="N", help="the number of ranks")
    replay.add_argument("--deadline", type=_positive(float), metavar="S", help="seconds per run")
    replay.add_argument(
        "--schedule", metavar="WORDS", help="enforce these steps: '0.main 1.side:3'"
    )
    replay.add_argument("--runs", type=_positive(int), metavar="N", help="how often to run")
    replay.add_argument("--seed", type=int, default=0, metavar="N", help="of the free choices")
    replay.add_argument("--set", action="append", default=[], metavar="K=V", help="a parameter")
    _finish(replay, _replay)
    listing = commands.add_parser("list", help="which vectors each driver supports, and why not")
    listing.add_argument("--driver", choices=_DRIVERS)
    listing.add_argument("--version", choices=VERSIONS, help="of --driver vllm")
    _finish(listing, _list)
    _finish(commands.add_parser("doctor", help="what can run here"), _doctor)
    fetching = commands.add_parser(
        "fetch-vllm", help="download vLLM's wheels and keep the files that --driver vllm runs"
    )
    fetching.add_argument("--version", choices=VERSIONS, help="one of them only")
    _finish(fetching, _fetch_vllm)
    stepping = commands.add_parser(
        "step-vllm", help="run vLLM's step() and worker over gloo and hold them against the model"
    )
    stepping.add_argument("--version", choices=VERSIONS)
    stepping.add_argument("--set", action="append", default=[], metavar="K=V", help="a setting")
    _finish(stepping, _step_vllm)
    return parser


def _finish(parser: argparse.ArgumentParser, command: Callable[[Any], int]) -> None:
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    parser.set_defaults(command=command)


# --- how it is printed -----------------------------------------------------------------------


def _print_json(found: Mapping[str, Any]) -> None:
    print(json.dumps(found, indent=1, ensure_ascii=False))


def _print_replayed(replayed: Replayed, full: bool) -> None:
    where = f" [{replayed.setting}]" if replayed.setting else ""
    outcomes = Counter(result.outcome for result in replayed.runs)
    runs = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    told = "; ".join(filter(None, (runs, replayed.why)))
    expected = f"the model says {replayed.expected}; " if replayed.expected else ""
    print(f"{replayed.answer:<12}  {replayed.vector}{where}: {expected}{told}", flush=True)
    if full:
        _print_last_run(replayed)


def _print_last_run(replayed: Replayed) -> None:
    if not replayed.runs:
        return
    last = replayed.runs[-1]
    for text in last.evidence:
        print(f"  {text}")
    for pending in last.pending:
        place = "" if pending.pc is None else f" (operation {pending.pc})"
        why = f": {pending.why}" if pending.why else ""
        print(f"  {pending.actor} in {pending.op}{place}{why}")
    for line in last.exceptions:
        print(f"  {line['actor']} raised {line['family']} in {line['op']}: {line['text']}")
    for line in last.overlaps:
        print(f"  {' and '.join(line['actors'])} overlap on {line['buffer']}")
