"""Every capability of the platform, on one page. Plugins add theirs by entry point."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from tause_mcp.capability import Capability, Prompt, Resource, Route, Tool
from tause_mcp.operation import Operation, compile_completion, compile_operation
from tause_mcp.tenancy import Scopes

BUILT_IN = (
    "tenants",
    "access",
    "approvals",
    "storage",
    "database",
    "dataframes",
    "cache",
    "secrets",
    "colombia",
    "payments",
    "payouts",
    "audit",
    "catalog",
)
"""One line per capability: `services.<name>.CAPABILITY`, and its faces by the same stem."""

GROUPS = (
    "tause_mcp.capabilities",
    "tause_mcp.backends",
    "tause_mcp.channels",
    "tause_mcp.ai_providers",
    "tause_mcp.secret_sources",
)
"""The entry point groups. A backend's name is `<capability>.<scheme>`."""

SMALL_DOOR = "catalog"


@dataclass(frozen=True)
class Catalog:
    """The capabilities of this process and everything they declare, compiled."""

    capabilities: tuple[Capability, ...]
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """group -> name -> what the entry point gave, for the groups beyond capabilities."""
    problems: tuple[str, ...] = ()
    """One line for each plugin that could not be taken."""

    @cached_property
    def services(self) -> Mapping[type[Any], tuple[Capability, Callable[[Any], Any]]]:
        return {kind: (c, bind) for c in self.capabilities for kind, bind in c.services.items()}

    def _compiled(self, kind: type[Any]) -> list[Operation]:
        known = frozenset(self.services)
        return [
            compile_operation(declared, c.name, known, c.screen)
            for c in self.capabilities
            for declared in c.declared(kind)
        ]

    @cached_property
    def tools(self) -> Mapping[str, Operation]:
        return {o.name: o for o in sorted(self._compiled(Tool), key=lambda o: o.name)}

    @cached_property
    def resources(self) -> Mapping[str, Operation]:
        return {o.name: o for o in sorted(self._compiled(Resource), key=lambda o: o.name)}

    @cached_property
    def prompts(self) -> Mapping[str, Operation]:
        return {o.name: o for o in sorted(self._compiled(Prompt), key=lambda o: o.name)}

    @cached_property
    def completions(self) -> Mapping[tuple[str, str], Operation]:
        """(operation, argument) -> what suggests its values."""
        known = frozenset(self.services)
        return {
            (o.name, argument): compile_completion(o, argument, fn, known)
            for o in (*self.resources.values(), *self.prompts.values())
            for argument, fn in getattr(o.declared, "complete", {}).items()
        }

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        return tuple(r for c in self.capabilities for r in c.declared(Route))

    def build(self) -> None:
        """Build every schema and validator now: a fault of any declaration shows."""
        for operations in (self.tools, self.resources, self.prompts, self.completions):
            for operation in operations.values():
                operation.build()

    @property
    def named(self) -> frozenset[str]:
        """The names of everything that a message can name."""
        return frozenset({*self.tools, *self.prompts})

    @cached_property
    def toolsets(self) -> tuple[str, ...]:
        return tuple(sorted({o.capability for o in self.tools.values()}))

    def listed(
        self,
        scopes: Scopes,
        toolsets: Iterable[str] | None = None,
        *,
        read_only: bool = False,
        lacking: Container[str] = (),
    ) -> list[Operation]:
        """What a caller is shown, in stable order: in its scopes and in the toolsets.

        `None` is the default list: the flagship tools and the small door. A toolset decides what
        is listed, never what may be called by name; of the capabilities in `lacking`, which its
        tenant has not configured, nothing is.
        """
        wanted = None if toolsets is None else frozenset(toolsets)
        return [
            o
            for o in self.tools.values()
            if _in(o, wanted)
            and o.opens_to(scopes)
            and not (read_only and o.writes)
            and o.capability not in lacking
        ]


def _in(operation: Operation, toolsets: frozenset[str] | None) -> bool:
    if toolsets is None:
        declared = operation.declared
        return operation.capability == SMALL_DOOR or getattr(declared, "flagship", False)
    return "all" in toolsets or operation.capability in toolsets


def built_in() -> tuple[Capability, ...]:
    """The house's own capabilities, each with the faces that bear its name."""
    return tuple(
        replace(import_module(f"tause_mcp.services.{name}").CAPABILITY, modules=tuple(_faces(name)))
        for name in BUILT_IN
    )


def _faces(name: str) -> Iterator[ModuleType]:
    for kind in ("tools", "resources", "prompts", "routes"):
        if find_spec(path := f"tause_mcp.{kind}.{name}"):
            yield import_module(path)


def load(found: Iterable[EntryPoint] | None = None) -> Catalog:
    """The catalogue of this process: built in, then plugins in the order of their names."""
    points = _points() if found is None else list(found)
    capabilities = list(built_in())
    plugins: dict[str, dict[str, Any]] = {group: {} for group in GROUPS[1:]}
    problems: list[str] = []
    for point in sorted(points, key=lambda p: (GROUPS.index(p.group), p.name)):
        try:
            _take(point, capabilities, plugins)
        except (Exception, SystemExit) as error:  # a plugin may fail in any way; the rest serves
            text = str(error).splitlines()[0] if str(error) else ""
            problems.append(f"plugin {point.name!r} is left out: {type(error).__name__}: {text}")
    return Catalog(tuple(capabilities), plugins, tuple(problems))


def _points() -> list[EntryPoint]:
    every = entry_points()  # once: each question of its own would read every package's metadata
    return [point for group in GROUPS for point in every.select(group=group)]


def _take(
    point: EntryPoint, capabilities: list[Capability], plugins: dict[str, dict[str, Any]]
) -> None:
    given = point.load()
    if point.group != GROUPS[0]:
        if point.name in plugins[point.group]:
            raise ValueError(f"{point.group} already has {point.name!r}")
        plugins[point.group][point.name] = given
        return
    if not isinstance(given, Capability):
        raise TypeError(f"{point.value} is not a Capability")
    _refuse_clash(given, capabilities)
    capabilities.append(given)


_UNIQUE = (
    (Tool, "name"),
    (Resource, "name"),
    (Resource, "path"),
    (Prompt, "name"),
    (Route, "path"),
)


def _refuse_clash(given: Capability, capabilities: list[Capability]) -> None:
    """No two may share a capability's name, a service, a tool, a resource, a prompt or a path."""
    for known in capabilities:
        if known.name == given.name:
            raise ValueError(f"the capability name {given.name!r} is taken")
    for kind, of in _UNIQUE:
        own = _names(given, kind, of)
        if kind is not Route and len(set(own)) < len(own):  # routes may share out the methods
            twice = next(name for name in own if own.count(name) > 1)
            raise ValueError(f"{kind.__name__.lower()} {twice!r} is declared twice")
        for known in capabilities:
            if clash := set(own) & set(_names(known, kind, of)):
                raise ValueError(
                    f"{kind.__name__.lower()} {min(clash)!r} is taken by {known.name!r}"
                )
    foreign = [key for key in given.keys if not key.startswith(f"{given.name}.")]
    if foreign:
        raise ValueError(f"the key {foreign[0]!r} does not begin with {given.name!r}")
    for known in capabilities:
        for service in given.services.keys() & known.services.keys():
            raise ValueError(f"the service {service.__name__} is taken by {known.name!r}")
    services = frozenset(kind for c in (*capabilities, given) for kind in c.services)
    faces: list[Tool | Resource | Prompt] = [
        *given.declared(Tool),
        *given.declared(Resource),
        *given.declared(Prompt),
    ]
    for declared in faces:
        compile_operation(declared, given.name, services).build()  # a bad signature fails here


def _names(capability: Capability, kind: type[Any], of: str) -> list[str]:
    declared = {id(value): value for value in capability.declared(kind)}  # one under two names
    return [getattr(value, of) for value in declared.values()]
