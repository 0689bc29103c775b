"""A protocol as Python: `Build` collects the sections of a vector and has the loader read them.

Rules:
- What comes out is the document of a vector, nothing else: there is one account of what is valid.
- An error names the line of Python that wrote what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from eplb_model.build.places import BuildError, Place, caller, nearest
from eplb_model.build.thread import Thread
from eplb_model.build.words import Comparison, Parameter, Value, Var, name_from, name_of, written
from eplb_model.format.document import VECTOR_SCHEMA, VectorError, dump, pointer
from eplb_model.outcome import Serialised, Verdict, When
from eplb_model.scenario import Scenario
from eplb_model.vector import KEYS, VectorFile, parse

Setting = None | bool | int | float | str
Offsets = Literal["all", "next"] | Sequence[int] | Parameter


class Role:
    """What some ranks do; ranks with several roles do the sum."""

    def __init__(self, build: Build, name: str) -> None:
        self._build = build
        self.name = name

    def __enter__(self) -> Role:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing behind."""

    def thread(self, name: str, *, started: bool = True) -> Thread:
        """A host thread; one that is not `started` waits for `start`."""
        key = f"{self.name}.{name}"
        programs = self._build.section("programs")
        if key in programs:
            raise TypeError(f"thread({name!r}): {self.name} has one already; go on with that")
        thread = Thread(key, self._build.places)
        programs[key] = thread.statements
        self._build.put_place("programs", key)
        if not started:
            self._build.section("threads")[key] = {"started": False}
            self._build.put_place("threads", key)
        return thread

    def stream(
        self,
        name: str,
        *,
        priority: int | Parameter = 0,
        kind: Literal["nonblocking", "blocking", "default"] | Parameter = "nonblocking",
        device: int | Parameter = 0,
    ) -> str:
        """Declare a stream, in order of creation; without any, streams are made by first use."""
        declared = self._build.section("streams").setdefault(self.name, [])
        assert isinstance(declared, list)
        stream = {"name": name, "priority": priority, "kind": kind, "device": device}
        self._build.put_place("streams", self.name, len(declared))
        if self.name == "*":  # alone, it is a list and no object
            self._build.put_place("streams", len(declared))
        declared.append(stream)
        return name

    def variable(self, name: str, initial: Value = None) -> Var:
        """A variable or a flag of these ranks with its initial value."""
        values = self._build.section("initial").setdefault(self.name, {})
        assert isinstance(values, dict)
        values[name] = written(initial)
        self._build.put_place("initial", self.name, name)
        return Var(name)


class Build:
    """A protocol under construction.

    Parameters
    ----------
    title
        What it is about; the name of the vector is made of its letters and digits.
    machine
        A preset (`h200`, `h20`, `b200`, `tiny`) or the path of an `eplb-machine/1` file.
    ranks
        How many processes.
    about
        A longer text, if there is more to say than the title.
    source, classes, fixes
        As in a vector of the catalogue.

    Examples
    --------
    >>> build = Build("one kernel", machine="tiny", ranks=1)
    >>> kernel = build.kernel("work", ctas=1, footprint="tiny")
    >>> with build.rank(0) as rank, rank.thread("main") as t:
    ...     t.launch(kernel, "compute")
    ...     t.stream_synchronize("compute")
    >>> from eplb_model.check import check
    >>> check(build.scenario()).verdict
    'ok'
    """

    def __init__(
        self,
        title: str,
        *,
        machine: str | os.PathLike[str] = "h200",
        ranks: int = 1,
        about: str = "",
        source: Sequence[str] = (),
        classes: Sequence[str] = (),
        fixes: str | None = None,
    ) -> None:
        self.places: dict[str, Place] = {"": caller()}
        self._sections: dict[str, object] = {
            "schema": VECTOR_SCHEMA,
            "name": name_from(title),
            "about": about or title,
            "source": list(source),
            "classes": list(classes),
            "parameters": {"machine": os.fspath(machine), "ranks": ranks},
            "programs": {},
        }
        if fixes is not None:
            self._sections["fixes"] = fixes

    # --- what the ranks share ------------------------------------------------------------------

    def parameter(
        self,
        name: str,
        default: Setting,
        *,
        least: float | None = None,
        most: float | None = None,
        choices: Sequence[Setting] = (),
        about: str = "",
    ) -> Parameter:
        """A value that `--set NAME=VALUE` and `scenario(NAME=VALUE)` change."""
        given = {"min": least, "max": most, "choices": list(choices), "about": about}
        more = {key: value for key, value in given.items() if value not in (None, [], "")}
        self.section("parameters")[name] = {"default": default, **more} if more else default
        self.put_place("parameters", name)
        return Parameter(f"${name}")

    def derived(self, name: str, formula: str, **arguments: Setting) -> Parameter:
        """A value that a formula of the library makes of parameters."""
        self.section("derived")[name] = {"fn": formula, **arguments}
        self.put_place("derived", name)
        return Parameter(f"${name}")

    def kernel(
        self,
        name: str,
        *,
        ctas: int | Parameter,
        cooperative: bool = False,
        cluster: int | Parameter = 1,
        footprint: str | dict[str, int] = "exclusive",
        meets: Offsets | None = None,
        grain: Literal["first", "grid", "channel"] | Parameter = "grid",
        sends: Offsets | None = None,
        receives: Offsets | None = None,
        partner: str | None = None,
        eager: bool | Parameter = False,
        ends: Literal["each", "together"] | Parameter | None = None,
        until: str | None = None,
        module: str | None = None,
        rounds: Sequence[Sequence[int]] | None = None,
    ) -> str:
        """A kernel, and its name for `launch`.  specs/semantics.md#launch

        Parameters
        ----------
        name
            What operations call it.
        ctas, cluster, footprint
            Its grid, and what a CTA takes of an SM; `exclusive` leaves no room for another.
        cooperative
            Whether it starts all at once or not at all.
        meets, sends, receives
            The ranks that have to come before it ends, as offsets; `meets` is both directions.
        grain
            Who of a peer has to be resident: its first CTA, its grid, or the channel's partner.
            `grid`, the default, asks for most: it rather finds a hang too many.
        partner
            The kernel that it meets there, if it is not the same one.
        eager
            Whether a send ends without its receive.
        ends, until, module, rounds
            As in a vector.
        """
        kernel: dict[str, object] = {
            "launch": "cooperative" if cooperative else "regular",
            "ctas": ctas,
            "cluster": cluster,
            "footprint": footprint,
        }
        directions = {"peers": meets, "sends": sends, "receives": receives}
        met = {key: _offsets(each) for key, each in directions.items() if each is not None}
        if met:
            other = {} if partner is None else {"kernel": partner}
            kernel["meets"] = {"grain": grain, **met, **other, "eager": eager}
        more = {"ends": ends, "until": until, "module": module}
        kernel |= {key: value for key, value in more.items() if value is not None}
        if rounds is not None:
            kernel["rounds"] = [list(each) for each in rounds]
        self.section("kernels")[name] = kernel
        self.put_place("kernels", name)
        return name

    def group(self, name: str, ranks: Sequence[int] | Literal["all"]) -> str:
        """A communicator of some ranks, in their order; `world` is there without being made."""
        self.section("groups")[name] = ranks if isinstance(ranks, str) else list(ranks)
        self.put_place("groups", name)
        return name

    def switch(self, name: str, setting: str) -> None:
        """Another setting for a switch of the machine; `all` runs every setting."""
        self.section("switches")[name] = setting
        self.put_place("switches", name)

    def forbid(self, *habits: str) -> None:
        """Call something an error that the machine allows."""
        self._more("forbid", habits)

    def drivers(self, *names: str, deadline_s: float = 20) -> None:
        """The drivers that `eplb-real` replays it on."""
        self._sections["real"] = {"drivers": list(names), "deadline_s": deadline_s}

    # --- who does what -------------------------------------------------------------------------

    def rank(self, number: int) -> Role:
        """One rank."""
        return self._role(f"r{number}", [number])

    def some_ranks(self, *numbers: int) -> Role:
        """Some ranks, which do the same."""
        return self._role("r" + "_".join(map(str, numbers)), list(numbers))

    def other_ranks(self) -> Role:
        """All ranks that have not been named one by one."""
        return self._role("rest", "others")

    def every_rank(self) -> Role:
        """All ranks, which do this besides what is said of them elsewhere."""
        return Role(self, "*")

    # --- what it claims, what it expects -------------------------------------------------------

    def always(self, condition: Comparison, sentence: str, *, on: int | None = None) -> None:
        """Claim that a condition holds in every state, of one rank or of all."""
        self._claim({"always": condition.written}, sentence, on)

    def at_end(self, condition: Comparison, sentence: str, *, on: int | None = None) -> None:
        """Claim that a condition holds wherever a run ends."""
        self._claim({"at_end": condition.written}, sentence, on)

    def eventually(self, condition: Comparison, sentence: str, *, on: int | None = None) -> None:
        """Claim that a condition comes to hold on every run."""
        self._claim({"eventually": condition.written}, sentence, on)

    def sometimes(self, condition: Comparison, sentence: str, *, on: int | None = None) -> None:
        """Claim that some run reaches a state in which a condition holds."""
        self._claim({"sometimes": condition.written}, sentence, on)

    def agree(self, variable: str | Var, when: str | Var, sentence: str) -> None:
        """Claim that ranks have the same value of a variable whenever they have the same `when`."""
        claim = {"agree": name_of(variable), "when": name_of(when), "sentence": sentence}
        self._more("claims", [claim])

    def expect(
        self,
        verdict: Verdict,
        *,
        when: When | None = None,
        serialised: Serialised | None = None,
        steps: int | None = None,
    ) -> None:
        """Write down what the check must answer."""
        given = {"verdict": verdict, "when": when, "serialised": serialised, "steps": steps}
        self._sections["expect"] = {k: v for k, v in given.items() if v is not None}
        self.put_place("expect")

    # --- what comes out ------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """The document, `eplb-vector/1`."""
        found = {key: self._sections[key] for key in KEYS if key in self._sections}
        streams = found.get("streams")
        if isinstance(streams, dict) and list(streams) == ["*"]:
            found["streams"] = streams["*"]
        return {key: value for key, value in found.items() if value or key == "programs"}

    def vector(self) -> VectorFile:
        """The vector, read by the loader; `BuildError` names the line that wrote what is wrong."""
        try:
            return parse(dump(self.document()), str(self._sections["name"]) or "protocol")
        except VectorError as error:
            raise self._at_its_line(error, {}) from None

    def scenario(self, **settings: Setting) -> Scenario:
        """The scenario under these parameters."""
        vector = self.vector()
        try:
            return vector.scenario(settings)
        except VectorError as error:
            raise self._at_its_line(error, settings) from None

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the vector to a file that `eplb-model check` takes."""
        self.vector()
        written_to = Path(path)
        written_to.write_text(dump(self.document()), "utf-8")
        return written_to

    # --- for the parts of this package ---------------------------------------------------------

    def section(self, key: str) -> dict[str, object]:
        """A section of the document, made if it is not there yet."""
        found = self._sections.setdefault(key, {})
        assert isinstance(found, dict)
        return found

    def put_place(self, *path: str | int) -> None:
        """Remember which line wrote a part."""
        self.places[pointer(path)] = caller()

    def _role(self, name: str, ranks: object) -> Role:
        self.section("roles")[name] = ranks
        self.put_place("roles", name)
        return Role(self, name)

    def _claim(self, claim: dict[str, object], sentence: str, on: int | None) -> None:
        one = {} if on is None else {"on": on}
        self._more("claims", [{**claim, **one, "sentence": sentence}])

    def _more(self, key: str, parts: Sequence[object]) -> None:
        found = self._sections.setdefault(key, [])
        assert isinstance(found, list)
        for part in parts:
            self.put_place(key, len(found))
            found.append(part)

    def _at_its_line(self, error: VectorError, settings: dict[str, Setting]) -> BuildError:
        asked = error.path is not None and error.path.removeprefix("/parameters/") in settings
        return BuildError(caller() if asked else nearest(self.places, error.path), error)


def _offsets(each: Offsets) -> object:
    return each if isinstance(each, str) else list(each)
