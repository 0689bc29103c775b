"""Vectors: scenarios in files, with parameters, each with what it expects and where it is from.

Rules:
- The format is `eplb-vector/1` (schemas/eplb-vector-1.json).  Keys that it does not know are
  refused, everywhere.
- Every complaint is a `VectorError` that names the file and the path in it.
- `base` takes over another vector's document; what that one says about itself (its name, what it
  fixes and what it expects) stays with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from eplb_model.format.document import (
    VECTOR_SCHEMA,
    VectorError,
    describe,
    dump,
    parse_document,
    read_document,
)
from eplb_model.format.kernels import read_kernels
from eplb_model.format.machines import is_file_name, load_machine, with_switches
from eplb_model.format.parameters import (
    Parameter,
    Scalar,
    effective,
    machine_parameter,
    merged,
    parse_setting,
    read_parameters,
)
from eplb_model.format.plans import read_groups, read_plans
from eplb_model.format.template import NAME, Node, Scope, node
from eplb_model.machine import Machine
from eplb_model.outcome import Serialised, Verdict, When
from eplb_model.scenario import Expectation, Planned, Scenario, planned
from eplb_model.world import Kernel

__all__ = [
    "VectorError",
    "VectorFile",
    "catalogue",
    "dump",
    "load",
    "parse",
    "parse_setting",
]

if TYPE_CHECKING:
    from eplb_model.claims import Claim

VECTORS = Path(__file__).with_name("vectors")
KEYS = (
    "schema", "name", "about", "source", "classes", "fixes", "base", "parameters", "derived",
    "switches", "kernels", "streams", "roles", "groups", "initial", "threads", "programs",
    "protocol", "claims", "forbid", "expect", "cases", "real",
)  # fmt: skip
OWN = ("schema", "name", "about", "fixes", "base", "expect", "cases")  # a base keeps these
EXPECT_KEYS = ("verdict", "when", "serialised", "states", "steps", "waiting", "circle")
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
WHEN: tuple[When, ...] = get_args(When)
SERIALISED: tuple[Serialised, ...] = get_args(Serialised)

Settings = Mapping[str, object]


@dataclass(frozen=True)
class VectorFile:
    """A vector that was read; `document` has what its base says, `written` only its own text."""

    name: str
    path: Path
    file: str  # what errors call it
    document: Mapping[str, object]
    written: Mapping[str, object]
    origins: Mapping[str, str]  # by key of the document, the file that says it
    parameters: Mapping[str, Parameter]

    def scenario(
        self, settings: Settings | None = None, switches: Mapping[str, str] | None = None
    ) -> Scenario:
        """The scenario under parameters and switches from outside.

        `expect` is what the vector says of exactly these settings, None if it says nothing.
        Raises `VectorError`.
        """
        values = effective(self.parameters, settings or {}, self.file)
        scope = self._scope(values, settings or {})
        machine = self._switched(self._machine(settings or {}), scope, switches or {})
        ranks = values.get("ranks", 1)
        assert isinstance(ranks, int)
        groups = read_groups(self._section("groups", scope), ranks)
        kernels = self._section("kernels", scope)
        read = read_kernels(kernels, ranks) if kernels is not None else {}
        made = self._plans(values, scope, ranks, read, groups)
        found = Scenario(
            self.name,
            machine,
            read,
            made.ranks,
            groups,
            self._text("about") or "",
            values,
            self._texts("source"),
            self._texts("classes"),
            self._text("fixes"),
            None if switches else self._expectation(values, scope),
            *self._sayings(made, scope),
        )
        if any(stream.device for plan in made.ranks for stream in plan.streams):
            self._check_devices(found)
        return found

    def _sayings(self, made: Planned, scope: Scope) -> tuple[tuple[Claim, ...], frozenset[str]]:
        """What is claimed of the variables, and what is forbidden, the protocol's own included."""
        claims, forbidden = self._section("claims", scope), self._section("forbid", scope)
        if claims is None and forbidden is None:
            return made.claims, made.forbids
        from eplb_model.format.claims import read_claims, read_forbidden  # noqa: PLC0415 (seldom)

        return made.claims + read_claims(claims, made), made.forbids | read_forbidden(forbidden)

    def _check_devices(self, scenario: Scenario) -> None:
        """Raise for ranks with several GPUs that the model can't keep apart."""
        try:
            assert scenario.world.ranks
        except ValueError as error:
            raise Node(None, self.file, ("streams",)).error(str(error)) from None

    def _plans(
        self,
        values: Mapping[str, Scalar],
        scope: Scope,
        ranks: int,
        kernels: Mapping[str, Kernel],
        groups: Mapping[str, tuple[int, ...]],
    ) -> Planned:
        """What every rank does: written as programs, or by a protocol of the library."""
        protocol = self._section("protocol", None)
        if protocol is not None:
            # Most vectors write their programs, and do without the modules of the protocols.
            from eplb_model.protocols.registry import PROTOCOLS  # noqa: PLC0415

            build = PROTOCOLS[protocol.choice(tuple(PROTOCOLS))]
            try:
                return planned(build(values))
            except ValueError as error:
                raise protocol.error(str(error)) from None
        sections = {
            key: section
            for key in ("roles", "programs", "threads", "streams", "initial")
            if (section := self._section(key, scope)) is not None
        }
        return planned(read_plans(sections, ranks, kernels, groups))

    def setting(self, text: str) -> tuple[str, Scalar]:
        """`name=value` as name and value; the text itself for a parameter that is a string."""
        name, value = parse_setting(text)
        parameter = self.parameters.get(name)
        if (
            parameter is None
            or parameter.type != "string"
            or (value is None and parameter.optional)
        ):
            return name, value
        return name, text.partition("=")[2]

    def derived(self, settings: Settings | None = None) -> dict[str, object]:
        """What the section `derived` computes from the parameters."""
        values = effective(self.parameters, settings or {}, self.file)
        scope = self._scope(values, settings or {})
        return {key: value for key, value in scope.values.items() if key not in values}

    def cases(self) -> tuple[tuple[Settings, Expectation], ...]:
        """The settings for which the vector says what to expect, the defaults first."""
        found: list[tuple[Settings, Expectation]] = []
        for settings, expect in self._expectations():
            values = effective(self.parameters, settings, self.file)
            found.append((settings, self._expect(expect, self._scope(values, settings))))
        return tuple(found)

    # --- sections ------------------------------------------------------------------------------

    def _section(self, key: str, scope: Scope | None) -> Node | None:
        if key not in self.document:
            return None
        return node(self.document[key], self.origins[key], (key,), scope)

    def _text(self, key: str) -> str | None:
        section = self._section(key, None)
        return None if section is None else section.text()

    def _texts(self, key: str) -> tuple[str, ...]:
        section = self._section(key, None)
        return () if section is None else tuple(each.text() for each in section.elements())

    def _machine(self, settings: Settings) -> Machine:
        """The machine; a relative path in a file counts from that file, else from where we are."""
        parameter = self.parameters["machine"]
        chosen = settings.get("machine", parameter.default)
        folder = None if "machine" in settings else self.path.parent
        at = Node(chosen, parameter.file, ("parameters", "machine"))
        try:
            return load_machine(at.text(), folder)
        except VectorError:
            raise
        except ValueError as error:
            raise at.error(str(error)) from None

    def _switched(self, machine: Machine, scope: Scope, switches: Mapping[str, str]) -> Machine:
        section = self._section("switches", scope)
        if section is not None:
            machine = with_switches(machine, section)
        return with_switches(machine, Node(dict(switches), self.file, ("switches",)))

    def _scope(self, values: Mapping[str, Scalar], settings: Settings) -> Scope:
        """Parameters and derived values; each of these may use those before it."""
        scope = Scope(dict(values), self._machine(settings).sms)
        section = self._section("derived", None)
        for name, written in section.named().items() if section is not None else ():
            if name in scope.values:
                raise written.error(f"{describe(name)} is a parameter too; expected another name")
            value = node(written.value, written.file, written.path, scope).plain()
            scope = Scope({**scope.values, name: value}, scope.sms)
        return scope

    # --- expectations --------------------------------------------------------------------------

    def _expectations(self) -> list[tuple[Settings, Node]]:
        """Settings and the written expectation, the defaults first."""
        found: list[tuple[Settings, Node]] = []
        default = self._section("expect", None)
        if default is not None:
            found.append(({}, default))
        section = self._section("cases", None)
        for case in section.elements() if section is not None else ():
            parts = case.fields(("set", "expect"), ("set", "expect"))
            settings = {name: each.constant() for name, each in parts["set"].members().items()}
            self._check_case(settings, parts["set"])
            found.append((settings, parts["expect"]))
        return found

    def _check_case(self, settings: Settings, section: Node) -> None:
        for name, given in section.members().items():
            if name not in self.parameters:
                at = Node(name, section.file, (*section.path, name))
                raise at.unknown("parameter", self.parameters)
            self.parameters[name].accept(given)

    def _expectation(self, values: Mapping[str, Scalar], scope: Scope) -> Expectation | None:
        for settings, expect in self._expectations():
            if effective(self.parameters, settings, self.file) == values:
                return self._expect(expect, scope)
        return None

    def _expect(self, written: Node, scope: Scope) -> Expectation:
        section = node(written.value, written.file, written.path, scope)
        parts = section.fields(EXPECT_KEYS, ("verdict",))
        states = parts["states"].named() if "states" in parts else {}
        return Expectation(
            cast(Verdict, parts["verdict"].choice(VERDICTS)),
            cast(When, parts["when"].choice(WHEN)) if "when" in parts else None,
            parts["serialised"].choice(SERIALISED) if "serialised" in parts else None,
            {search: each.integer(0) for search, each in states.items()},
            parts["steps"].integer(0) if "steps" in parts else None,
            _words(parts["waiting"]) if "waiting" in parts else None,
            _words(parts["circle"]) if "circle" in parts else None,
        )


Known = dict[Path, VectorFile]


def load(name_or_path: str | Path) -> VectorFile:
    """The vector of this name in the catalogue, or the one in this file; `VectorError` if none."""
    path, file = _locate(str(name_or_path), None)
    return _read(path, file, (), read_document(path, file))


def parse(text: str, label: str, folder: Path | None = None) -> VectorFile:
    """The vector in a JSON text.

    Parameters
    ----------
    text
        The document, `eplb-vector/1`.
    label
        What errors call it in place of a file.
    folder
        From where relative paths in it count; by default from where we are.

    Raises
    ------
    VectorError
        For what can't be a vector.
    """
    path = (folder or Path()) / f"{label}.json"
    return _read(path, label, (), parse_document(text, label))


def catalogue() -> list[VectorFile]:
    """All vectors that come with the package, by name."""
    known: Known = {}
    return [_once(path, path.name, (), known) for path in sorted(VECTORS.glob("*.json"))]


def _locate(text: str, folder: Path | None) -> tuple[Path, str]:
    """Path and label of a vector; a relative path counts from `folder`."""
    shipped = VECTORS / f"{text}.json"
    if NAME.fullmatch(text) and shipped.is_file():
        return shipped, shipped.name
    path = Path(text) if folder is None else folder / text
    if is_file_name(text) or _exists(path):
        return path, str(path)
    import difflib  # noqa: PLC0415 (only a mistake needs it)

    close = difflib.get_close_matches(text, sorted(p.stem for p in VECTORS.glob("*.json")))
    if _exists(path.with_name(f"{path.name}.json")):
        close.insert(0, f"{path}.json")
    near = f"close to it: {', '.join(close)}; " if close else ""
    raise VectorError(text, None, f"unknown vector; {near}`eplb-model list` shows all")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _read(
    path: Path,
    file: str,
    users: tuple[Path, ...],
    written: Mapping[str, object],
    known: Known | None = None,
) -> VectorFile:
    """A vector with its base, which may be known; `users` are the vectors built on this one."""
    top = Node(written, file)
    parts = top.fields(KEYS, ("schema", "name", "about"))
    parts["schema"].choice((VECTOR_SCHEMA,))
    parts["about"].text()
    document: dict[str, object] = dict(written)
    origins = dict.fromkeys(written, file)
    parameters = read_parameters(parts.get("parameters"))
    if "base" in parts:
        base = _base(parts["base"], path, users, {} if known is None else known)
        inherited = {key: each for key, each in base.document.items() if key not in OWN}
        document = {**inherited, **document}
        origins = {**{key: base.origins[key] for key in inherited}, **origins}
        parameters, document["parameters"] = merged(
            base.parameters, parameters, inherited.get("parameters"), written.get("parameters")
        )
        origins.setdefault("parameters", file)
    if ("programs" in document) == ("protocol" in document):
        raise top.error("expected 'programs' or 'protocol', here or in a base, and not both")
    if "machine" not in parameters:
        parameters = {"machine": machine_parameter(file), **parameters}
    name = parts["name"].name()
    return VectorFile(name, path, file, document, written, origins, parameters)


def _base(written: Node, path: Path, users: tuple[Path, ...], known: Known) -> VectorFile:
    users = (*users, path.resolve())
    try:
        base, file = _locate(written.text(), path.parent)
    except VectorError as error:
        raise written.error(f"{describe(written.value)}: {error.problem}") from None
    if base.resolve() in users:
        raise written.error(f"{describe(written.value)} is built on this; expected no circle")
    return _once(base, file, users, known)


def _once(path: Path, file: str, users: tuple[Path, ...], known: Known) -> VectorFile:
    """A vector that may be the base of several, read once."""
    if path not in known:
        known[path] = _read(path, file, users, read_document(path, file), known)
    return known[path]


def _words(section: Node) -> tuple[str, ...]:
    return tuple(each.text() for each in section.elements("a list of actors, like '0.main'"))
