"""Every probe that a catalogue and a scene make: A's names put wherever a string is taken."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from tause_mcp.capability import Resource
from tause_mcp.operation import Operation
from tause_mcp.testing import walk_doors
from tause_mcp.testing.walk_cast import Actor
from tause_mcp.testing.walk_ground import Base, Ground, Probe, Send
from tause_mcp.testing.walk_handles import noise
from tause_mcp.testing.walk_spellings import SPELLINGS
from tause_mcp.testing.walk_values import texts
from tause_mcp.testing.walk_wire import Answer, Speaker

_SPELLED = 3
_NESTED = 6


def probes(ground: Ground) -> Iterator[Probe]:
    """Every probe there is; each can be made by any identity."""
    for make in (
        _tools,
        _nested_names,
        _small_door,
        _spelled,
        _tenants,
        walk_doors.doors,
        _resources,
        _completions,
        _prompts,
        _cursors,
        _idempotency,
        walk_doors.sealed,
        walk_doors.sessions,
        walk_doors.links,
        walk_doors.routes,
        walk_doors.bills,
        walk_doors.credentials,
    ):
        yield from make(ground)


def allowed(ground: Ground, actor: Actor, probe: Probe) -> bool:
    """Whether the probe asks for what the actor may have: an ancestor administers its tenants."""
    if not actor.above:
        return False
    name = probe.name.partition(".")[0].rpartition(" ")[2]
    operation = ground.catalog.tools.get(name) or ground.catalog.resources.get(name)
    return operation is not None and operation.capability == "tenants"


def _tools(ground: Ground) -> Iterator[Probe]:
    """Each handle in each argument that takes a string, and A's own calls made again."""
    for operation in ground.operations:
        if operation.forwards:
            continue
        base = ground.required(operation)
        for parameter, carry in texts(operation.inputs.schema):
            for handle in ground.fitting(parameter, operation.capability):
                send = partial(_call, operation.name, base, parameter, carry)
                yield _of("tool", operation, parameter, handle.value, send)
        if operation.name in ground.a.made:
            again = json.dumps(_own_content(ground, ground.a.made[operation.name]))
            yield _of("replay", operation, "*", again, partial(_again, operation.name))


def _of(kind: str, operation: Operation, at: str, value: str, send: Send) -> Probe:
    return Probe(kind, f"{operation.name}.{at}", value, send, operation.writes)


async def _call(name: str, base: Base, at: str, carry: Any, speaker: Speaker, value: str) -> Answer:
    return await speaker.tool(name, {**base(), at: carry(value)})


async def _again(name: str, speaker: Speaker, value: str) -> Answer:
    return await speaker.tool(name, json.loads(value))


def _nested_names(ground: Ground) -> Iterator[Probe]:
    """B's own calls that worked, with one of A's names in the place of one within their lists and
    objects: the operations of a transaction, the members of a document."""
    for operation in ground.operations:
        made = ground.b.made.get(operation.name)
        for path in _texts_within(made) if made and not operation.forwards else ():
            field = next(str(name) for name in reversed(path) if isinstance(name, str))
            at = ".".join(map(str, path))
            send = partial(_with_nested, operation.name, json.dumps(made), path)
            own = _at(made, path)  # what B says itself is nothing of A's
            foreign = (h for h in ground.fitting(field, operation.capability) if h.value != own)
            for handle in islice(foreign, _NESTED):
                yield _of("nested", operation, at, handle.value, send)


def _texts_within(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of texts below the arguments themselves."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in inner:
        if isinstance(member, dict | list):
            yield from _texts_within(member, (*path, name))
        elif isinstance(member, str) and path:
            yield (*path, name)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


async def _with_nested(
    name: str, made: str, path: tuple[str | int, ...], speaker: Speaker, value: str
) -> Answer:
    arguments = json.loads(made)
    _at(arguments, path[:-1])[path[-1]] = value
    return await speaker.tool(name, arguments)


def _own_content(ground: Ground, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A's arguments with its content replaced by what nobody has: only names are asked for."""
    a, b = ground.a.canary.traces[0], ground.b.canary.traces[0]
    fresh = f"cq{noise('again', b, length=len(a) - 2)}"
    told: dict[str, Any] = json.loads(json.dumps(arguments).replace(a, fresh))
    return told


def _small_door(ground: Ground) -> Iterator[Probe]:
    """The same through `catalog_read` and `catalog_call`."""
    for door in (o for o in ground.operations if o.forwards):
        for operation in ground.operations:
            if operation.forwards or (operation.writes and not door.writes):
                continue
            base = ground.required(operation)
            for parameter, carry in texts(operation.inputs.schema):
                for handle in ground.fitting(parameter, operation.capability)[:_SPELLED]:
                    send = partial(_nested, door.name, operation.name, base, parameter, carry)
                    name = f"{door.name} {operation.name}.{parameter}"
                    yield Probe("small door", name, handle.value, send, operation.writes)


async def _nested(
    door: str, name: str, base: Base, at: str, carry: Any, speaker: Speaker, value: str
) -> Answer:
    inner = {"name": name, "arguments": {**base(), at: carry(value)}}
    return await speaker.tool(door, inner)


def _spelled(ground: Ground) -> Iterator[Probe]:
    """Handles in odd spellings, in the arguments that are called as they are."""
    for operation in ground.operations:
        base = ground.required(operation)
        for parameter, carry in texts(operation.inputs.schema):
            for handle in ground.fitting(parameter, operation.capability)[:_SPELLED]:
                for spelling, spell in SPELLINGS.items():
                    send = partial(_call_spelled, operation.name, base, parameter, carry, spell)
                    at = f"{parameter} {spelling}"
                    yield _of("spelling", operation, at, handle.value, send)


async def _call_spelled(
    name: str, base: Base, at: str, carry: Any, spell: Any, speaker: Speaker, value: str
) -> Answer:
    return await speaker.tool(name, {**base(), at: carry(spell(value))})


def _tenants(ground: Ground) -> Iterator[Probe]:
    """`tenant_id` of A on every tool, published or not, with the arguments that worked for A."""
    for operation in ground.operations:
        worked = ground.a.made.get(operation.name)
        for tenant in (ground.a.tenant, ground.child):
            send = partial(_call, operation.name, ground.required(operation), "tenant_id", str)
            yield _of("tenant", operation, "tenant_id", tenant, send)
            if worked:
                told = json.dumps({**_own_content(ground, worked), "tenant_id": tenant})
                yield _of("tenant", operation, "*", told, partial(_again, operation.name))


def _resources(ground: Ground) -> Iterator[Probe]:
    """A's URIs as they are, oddly spelled, and A's paths under the caller's own tenant."""
    for uri in ground.a.uris:
        path = uri.removeprefix(f"tause://{ground.a.tenant}/")
        name = path.partition("/")[0]
        yield Probe("resource", name, uri, _read)
        if "/" in path:
            own = partial(_read_own, ground.b.tenant)
            yield Probe("resource", f"{name} own", path, own)
        for spelling, spell in SPELLINGS.items():
            for at, shape in _URI_SHAPES.items():
                send = partial(_read_spelled, shape, spell, ground.a.tenant)
                yield Probe("resource", f"{name} {at} {spelling}", uri, send)
        yield Probe("resource", f"{name} subscribe", uri, _subscribe)
    for operation in ground.catalog.resources.values():
        declared = operation.declared
        assert isinstance(declared, Resource)
        for handle in ground.handles:
            uri = f"tause://{ground.b.tenant}/{_filled(declared.path, handle.value)}"
            yield Probe("resource", f"{operation.name} handle", uri, _read)


def _filled(path: str, value: str) -> str:
    start, _, rest = path.partition("{")
    return f"{start}{value}{rest.partition('}')[2]}" if rest else f"{path}?{value}"


_URI_SHAPES: Mapping[str, Callable[[str, str, Any], str]] = {
    "tenant": lambda tenant, path, spell: f"tause://{spell(tenant)}/{path}",
    "path": lambda tenant, path, spell: f"tause://{tenant}/{spell(path)}",
    "whole": lambda tenant, path, spell: str(spell(f"tause://{tenant}/{path}")),
}


async def _read(speaker: Speaker, value: str) -> Answer:
    return await speaker.ask("resources/read", {"uri": value})


async def _read_own(tenant: str, speaker: Speaker, value: str) -> Answer:
    return await speaker.ask("resources/read", {"uri": f"tause://{tenant}/{value}"})


async def _read_spelled(shape: Any, spell: Any, _: str, speaker: Speaker, value: str) -> Answer:
    tenant, _, path = value.removeprefix("tause://").partition("/")
    return await speaker.ask("resources/read", {"uri": shape(tenant, path, spell)})


async def _subscribe(speaker: Speaker, value: str) -> Answer:
    return await speaker.ask("resources/subscribe", {"uri": value})


def _completions(ground: Ground) -> Iterator[Probe]:
    """What is suggested when somebody types as A's things begin."""
    catalog = ground.catalog
    for name, argument in catalog.completions:
        resource = catalog.resources.get(name)
        ref: dict[str, str] = {"type": "ref/prompt", "name": name}
        if resource is not None:
            path = getattr(resource.declared, "path", "")
            ref = {"type": "ref/resource", "uri": f"tause://{{tenant_id}}/{path}"}
        for handle in ground.fitting(argument):
            for at, typed in (
                ("whole", str),
                ("start", lambda text: text[:-2]),
                ("none", _nothing),
            ):
                send = partial(_complete, ref, argument, typed, ground.a.tenant)
                yield Probe("completion", f"{name}.{argument} {at}", handle.value, send)


def _nothing(_: str) -> str:
    return ""


async def _complete(
    ref: Any, argument: str, typed: Any, tenant: str, speaker: Speaker, value: str
) -> Answer:
    params = {
        "ref": ref,
        "argument": {"name": argument, "value": typed(value)},
        "context": {"arguments": {"tenant_id": value, argument: value}},
    }
    return await speaker.ask("completion/complete", params)


def _prompts(ground: Ground) -> Iterator[Probe]:
    """Prompts with A's names as their arguments."""
    for prompt in ground.catalog.prompts.values():
        base = ground.required(prompt)
        for parameter, _ in texts(prompt.inputs.schema):
            for handle in ground.fitting(parameter):
                send = partial(_prompt, prompt.name, base, parameter)
                yield Probe("prompt", f"{prompt.name}.{parameter}", handle.value, send)


async def _prompt(name: str, base: Base, at: str, speaker: Speaker, value: str) -> Answer:
    params = {"name": name, "arguments": {**base(), at: value}}
    return await speaker.ask("prompts/get", params)


def _cursors(ground: Ground) -> Iterator[Probe]:
    """A's cursors where they came from, and everywhere else."""
    for origin, cursor in ground.a.cursors:
        for operation in ground.operations:
            if "cursor" in operation.inputs.names:
                base = ground.required(operation)
                send = partial(_call, operation.name, base, "cursor", str)
                yield _of("cursor", operation, f"cursor of {origin}", cursor, send)
        for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
            yield Probe("cursor", f"{method} {origin}", cursor, partial(_list_from, method))


async def _list_from(method: str, speaker: Speaker, value: str) -> Answer:
    return await speaker.ask(method, {"cursor": value})


def _idempotency(ground: Ground) -> Iterator[Probe]:
    """A's idempotency keys, with A's arguments and with one's own."""
    for operation in ground.operations:
        if operation.name not in ground.a.keyed:
            continue
        arguments, key = ground.a.keyed[operation.name]
        same = json.dumps([key, _own_content(ground, arguments)])
        yield _of("idempotency", operation, "same", same, partial(_keyed_again, operation.name))
        send = partial(_keyed, operation.name, ground.required(operation))
        yield _of("idempotency", operation, "own", key, send)


async def _keyed_again(name: str, speaker: Speaker, value: str) -> Answer:
    key, arguments = json.loads(value)
    return await speaker.tool(name, arguments, key=key)


async def _keyed(name: str, base: Base, speaker: Speaker, value: str) -> Answer:
    return await speaker.tool(name, base(), key=value)
