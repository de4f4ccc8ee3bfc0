"""The laws over a catalogue: each is a function that raises `AssertionError` naming every breach.

    @pytest.mark.parametrize("law", laws.LAWS)
    def test_the_law_holds(law):
        law(catalog.load(), only="crm")

`only` judges one capability; without it, all of them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tause_mcp.capability import Capability, Prompt, Resource, Route
from tause_mcp.catalog import Catalog
from tause_mcp.errors import Invalid
from tause_mcp.operation import Operation
from tause_mcp.tenancy import Scopes

MAX_NAME = 40
"""Characters of a tool's name: hosts put a prefix before it and cut at 64."""
EXCEPTIONS = frozenset({"access_whoami"})
"""The one name that is no `<capability>_<verb>`."""
WIDER = frozenset({"storage_put.content"})
"""Arguments that take more than their schema says: a JSON value has no type that every host reads.
Their tools check type and size themselves."""

INVERSES: Mapping[str, tuple[str, ...]] = {
    "create": ("delete", "remove", "revoke", "drop", "cancel", "void"),
    "put": ("delete",),
    "set": ("delete", "clear"),
    "add": ("remove",),
    "insert": ("delete",),
    "define": ("remove", "retire", "delete"),
    "save": ("delete", "remove"),
    "register": ("remove", "unregister"),
    "remember": ("forget",),
    "assign": ("unassign",),
    "tag": ("untag",),
    "suspend": ("resume",),
    "schedule": ("cancel", "unschedule"),
    "subscribe": ("cancel", "unsubscribe"),
    "install": ("uninstall",),
    "publish": ("unpublish", "remove", "uninstall"),
    "offer": ("revoke",),
}
"""A verb that makes something, and the verbs that undo it."""

Law = Callable[..., None]
_SCOPE = re.compile(r"[a-z][a-z0-9_]*:[a-z]+(:\S+)?")
_VARIABLE = re.compile(r"\{(\+?)([^}]*)\}")


def _hold(breaches: Iterable[str]) -> None:
    found = list(breaches)
    assert not found, "\n".join(found)


def _of(operations: Mapping[str, Operation], only: str | None) -> list[Operation]:
    return [o for o in operations.values() if only is None or o.capability == only]


def _capabilities(catalog: Catalog, only: str | None) -> list[Capability]:
    return [c for c in catalog.capabilities if only is None or c.name == only]


# --- names and words -----------------------------------------------------------------------------


def capabilities_are_introduced(catalog: Catalog, only: str | None = None) -> None:
    """A capability has a plain name, says what it is for, and offers something."""

    def breaches() -> Iterator[str]:
        for c in _capabilities(catalog, only):
            if re.fullmatch(r"[a-z][a-z0-9]*", c.name) is None:
                yield f"{c.name}: a capability's name is one word of [a-z0-9]"
            if not c.about or len(c.about) > 120:
                yield f"{c.name}: `about` says in at most 120 characters what it is for"
            if not c.words:
                yield f"{c.name}: `words` gives search words in English and Spanish"
            if not any(o.capability == c.name for o in catalog.tools.values()):
                yield f"{c.name}: no tool"

    _hold(breaches())


def names_follow_the_grammar(catalog: Catalog, only: str | None = None) -> None:
    """`<capability>_<verb>[_<noun>]`, at most 40 characters of `[a-z0-9_]`."""

    def breaches() -> Iterator[str]:
        for o in _of(catalog.tools, only):
            grammar = re.escape(o.capability) + r"_[a-z]+(_[a-z0-9]+)*"
            if o.name not in EXCEPTIONS and re.fullmatch(grammar, o.name) is None:
                yield f"{o.name}: a name is {o.capability}_<verb>[_<noun>]"
            if len(o.name) > MAX_NAME:
                yield f"{o.name}: {len(o.name)} characters, at most {MAX_NAME}"

    _hold(breaches())


def words_are_there(catalog: Catalog, only: str | None = None) -> None:
    """A title, a description in sentences, and a cost, for whatever is listed."""

    def breaches() -> Iterator[str]:
        everything = (catalog.tools, catalog.resources, catalog.prompts)
        for o in (o for operations in everything for o in _of(operations, only)):
            if not o.title or o.title[0] != o.title[0].upper() or o.title.endswith("."):
                yield f"{o.name}: a title is a short phrase with a capital and no full stop"
            if not o.description.endswith(".") or len(o.description) > 400:
                yield f"{o.name}: a description is sentences, at most 400 characters"
            if o.kind == "tool" and not (isinstance(o.cost, int) and o.cost >= 1):
                yield f"{o.name}: a cost is a whole number from 1"

    _hold(breaches())


def hints_tell_the_truth(catalog: Catalog, only: str | None = None) -> None:
    """`:read` is read-only, `:write` is not; what only reads destroys nothing and asks nobody."""

    def breaches() -> Iterator[str]:
        for o in _of(catalog.tools, only):
            hints = (o.hints.read_only, o.hints.destructive, o.hints.idempotent, o.hints.open_world)
            if any(not isinstance(hint, bool) for hint in hints):
                yield f"{o.name}: all four hints are true or false"
            if o.action == "read" and not o.hints.read_only:
                yield f"{o.name}: the scope {o.scope} reads, the hints do not"
            if o.action == "write" and o.hints.read_only:
                yield f"{o.name}: the scope {o.scope} writes, the hints say read-only"
            if o.hints.read_only and o.hints.destructive:
                yield f"{o.name}: what only reads is not destructive"
            if o.hints.read_only and o.consent is not None:
                yield f"{o.name}: what only reads asks nobody"

    _hold(breaches())


def scopes_are_of_the_capability(catalog: Catalog, only: str | None = None) -> None:
    """`<capability>:<action>`, of the capability that declares it; a resource only reads."""

    def breaches() -> Iterator[str]:
        for operations in (catalog.tools, catalog.resources, catalog.prompts):
            for o in _of(operations, only):
                if _SCOPE.fullmatch(o.scope) is None or o.scope.split(":")[0] != o.capability:
                    yield f"{o.name}: the scope {o.scope!r} is not {o.capability}:<action>"
                if o.kind == "resource" and o.action != "read":
                    yield f"{o.name}: a resource only reads, its scope is {o.scope!r}"

    _hold(breaches())


# --- schemas -------------------------------------------------------------------------------------


def _nodes(schema: Any, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema within a schema; names of properties are not schemas."""
    if not isinstance(schema, dict):
        return
    yield at, schema
    for key, value in schema.items():
        if key in ("properties", "$defs", "patternProperties"):
            for name, inner in value.items():
                yield from _nodes(inner, f"{at}.{name}")
        elif key in ("items", "additionalProperties", "contains", "not", "propertyNames"):
            yield from _nodes(value, f"{at}.{key}")
        elif key in ("prefixItems", "anyOf", "oneOf", "allOf"):
            for n, inner in enumerate(value):
                yield from _nodes(inner, f"{at}.{key}[{n}]")


def inputs_have_no_union_and_no_null(catalog: Catalog, only: str | None = None) -> None:
    """Hosts strip unions or choke on them: optional means absent."""

    def breaches() -> Iterator[str]:
        for o in (*_of(catalog.tools, only), *_of(catalog.prompts, only)):
            for at, node in _nodes(o.inputs.schema, o.name):
                if unions := {"anyOf", "oneOf", "allOf"} & set(node):
                    yield f"{at}: {', '.join(sorted(unions))}"
                kinds = node.get("type", "")
                if "null" in ([kinds] if isinstance(kinds, str) else kinds):
                    yield f"{at}: null"
                if ("default" in node and node["default"] is None) or None in node.get("enum", ()):
                    yield f"{at}: a null value"

    _hold(breaches())


def inputs_are_closed_and_bounded(catalog: Catalog, only: str | None = None) -> None:
    """Unknown arguments are refused; every string, list and number has a bound."""

    def breaches() -> Iterator[str]:
        for o in (*_of(catalog.tools, only), *_of(catalog.prompts, only)):
            if o.inputs.schema.get("additionalProperties") is not False:
                yield f"{o.name}: unknown arguments are not refused"
            for at, node in _nodes(o.inputs.schema, o.name):
                if missing := _unbounded(node):
                    yield f"{at}: {missing}"

    _hold(breaches())


def _unbounded(node: Mapping[str, Any]) -> str | None:
    has = set(node)
    if "enum" in has or "const" in has:
        return None
    match node.get("type"):
        case "object" if node.get("properties") and node.get("additionalProperties") is not False:
            return "an object with known members is closed"
        case "string" if not has & {"maxLength", "pattern", "format"}:
            return "a string without maxLength"
        case "array" if "maxItems" not in has:
            return "a list without maxItems"
        case "integer" | "number" if not (
            has & {"minimum", "exclusiveMinimum"} and has & {"maximum", "exclusiveMaximum"}
        ):
            return "a number without minimum and maximum"
    return None


def inputs_are_enforced(catalog: Catalog, only: str | None = None) -> None:
    """What the schema says is what happens: one more than the bound, or the wrong type, is refused."""

    def breaches() -> Iterator[str]:
        for o in _of(catalog.tools, only):
            for name, node in o.inputs.schema["properties"].items():
                wider = f"{o.name}.{name}" in WIDER
                for wrong in () if wider else _wrong(node):
                    if not _refused(o, name, wrong):
                        yield f"{o.name}.{name}: takes {_short(wrong)} against its own schema"
            if not _refused(o, "no_such_argument", 1):
                yield f"{o.name}: takes an unknown argument"

    _hold(breaches())


def _wrong(node: Mapping[str, Any]) -> Iterator[Any]:
    match node.get("type"):
        case "string":
            yield 7
            yield ["x"]
            if limit := node.get("maxLength"):
                yield "x" * (limit + 1)
            if "enum" in node:
                yield "no such choice"
        case "integer":
            yield "7"
            yield True
            if (most := node.get("maximum")) is not None:
                yield most + 1
            if (least := node.get("minimum")) is not None:
                yield least - 1
        case "boolean":
            yield "true"
            yield 1
        case "array":
            yield "x"
            if (limit := node.get("maxItems")) is not None:
                yield [_sample(node.get("items", {}))] * (limit + 1)
        case "object":
            yield "x"


def _sample(node: Mapping[str, Any]) -> Any:
    if choices := node.get("enum"):
        return choices[0]
    samples: dict[Any, Any] = {"string": "x", "integer": 1, "number": 1.0, "boolean": True}
    return samples.get(node.get("type"), {})


def _refused(operation: Operation, name: str, value: Any) -> bool:
    """Whether validation objects to this argument (others may be missing: that is no answer)."""
    try:
        operation.inputs.read({name: value})
    except Invalid as error:
        told = [line for line in str(error).split("; ") if not line.endswith("Field required")]
        return any(re.match(rf"{re.escape(name)}[.:]", line) for line in told)
    return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:30]}... ({len(value)} long)"


def outputs_are_objects(catalog: Catalog, only: str | None = None) -> None:
    """Every tool publishes the shape of a JSON object: all a model needs is in it."""

    def breaches() -> Iterator[str]:
        for o in _of(catalog.tools, only):
            schema = o.outputs.schema if o.outputs is not None else {}
            if schema.get("type") != "object" and "$ref" not in schema:
                yield f"{o.name}: its result is no object with a schema"

    _hold(breaches())


# --- what belongs together -------------------------------------------------------------------------


def what_is_made_can_be_undone(
    catalog: Catalog, only: str | None = None, *, lasting: Iterable[str] = ()
) -> None:
    """A tool that creates has its inverse, for the same noun. `lasting` names what must stay."""
    names = {o.name for o in catalog.tools.values()}

    def breaches() -> Iterator[str]:
        for o in _of(catalog.tools, only):
            verb, _, noun = o.name.removeprefix(f"{o.capability}_").partition("_")
            if verb not in INVERSES or o.name in lasting or o.hints.read_only:
                continue
            end = f"_{noun}" if noun else ""
            wanted = [f"{o.capability}_{undo}{end}" for undo in INVERSES[verb]]
            if not names & set(wanted):
                yield f"{o.name}: nothing undoes it; add one of {', '.join(wanted)}"

    _hold(breaches())


def data_goes_with_its_tenant(catalog: Catalog, only: str | None = None) -> None:
    """A capability with a backend of its own removes a deleted tenant's data from it: at once
    (`on_delete`), or by work beside the calls that removes what no row refers to."""
    _hold(
        f"{c.name}: keeps data in a backend and declares neither on_delete nor background"
        for c in _capabilities(catalog, only)
        if c.backends is not None and c.on_delete is None and c.background is None
    )


def routes_name_their_tool(catalog: Catalog, only: str | None = None) -> None:
    """An HTTP route calls a tool, or says why it needs none."""

    def breaches() -> Iterator[str]:
        for c in _capabilities(catalog, only):
            for r in c.declared(Route):
                if (r.tool is None) == (r.exempt is None):
                    yield f"{r.path}: names a tool or an exemption, one of them"
                if r.tool is not None and r.tool not in catalog.tools:
                    yield f"{r.path}: no tool {r.tool!r}"

    _hold(breaches())


def resources_have_their_tool(catalog: Catalog, only: str | None = None) -> None:
    """A template names exactly the function's arguments; some tool reads the same capability."""

    def breaches() -> Iterator[str]:
        for o in _of(catalog.resources, only):
            declared = o.declared
            assert isinstance(declared, Resource)
            variables = {name for _, name in _VARIABLE.findall(declared.path)}
            if variables != o.inputs.names - {"tenant_id"}:
                yield f"{o.name}: {declared.path!r} and the arguments do not agree"
            if any(not name.isidentifier() for name in variables):
                yield f"{o.name}: {declared.path!r} uses more than {{name}} and {{+name}}"
            if unknown := set(declared.complete) - variables:
                yield f"{o.name}: completes {', '.join(sorted(unknown))}, which it has not"
            if "/" not in declared.mime_type:
                yield f"{o.name}: no media type"
            if not any(
                t.capability == o.capability and t.hints.read_only for t in catalog.tools.values()
            ):
                yield f"{o.name}: no tool of {o.capability} reads, and many hosts read no resources"

    _hold(breaches())


def prompts_take_strings(catalog: Catalog, only: str | None = None) -> None:
    """Hosts send a prompt's arguments as strings."""

    def breaches() -> Iterator[str]:
        for o in _of(catalog.prompts, only):
            declared = o.declared
            assert isinstance(declared, Prompt)
            for name, node in o.inputs.schema["properties"].items():
                if node.get("type") != "string":
                    yield f"{o.name}.{name}: not a string"
            if unknown := set(declared.complete) - o.inputs.names:
                yield f"{o.name}: completes {', '.join(sorted(unknown))}, which it has not"

    _hold(breaches())


def lists_stay_small(catalog: Catalog, only: str | None = None) -> None:
    """What a host loads unasked: the default list, the small door, the instructions."""
    from tause_mcp.server.build import instructions
    from tause_mcp.testing.pages import weight

    everyone = Scopes(frozenset({"*:*"}))
    flagships, door = catalog.listed(everyone), catalog.listed(everyone, ("catalog",))
    size, tokens = weight(flagships)
    text = instructions(catalog)
    figures = {
        "tools on the default list": (len(flagships), 32),
        "bytes of the default list": (size, 34_000),
        "tokens of the default list": (tokens, 4_000),
        "tokens of the catalog toolset": (weight(door)[1], 800),
        "bytes of the instructions": (len(text.encode()), 2_048),
    }
    breaches = [
        f"{what}: {is_}, at most {most}" for what, (is_, most) in figures.items() if is_ > most
    ]
    breaches += [
        f"{c.name}: not in the instructions" for c in catalog.capabilities if c.name not in text
    ]
    _hold(breaches)


LAWS: tuple[Law, ...] = (
    capabilities_are_introduced,
    names_follow_the_grammar,
    words_are_there,
    hints_tell_the_truth,
    scopes_are_of_the_capability,
    inputs_have_no_union_and_no_null,
    inputs_are_closed_and_bounded,
    inputs_are_enforced,
    outputs_are_objects,
    what_is_made_can_be_undone,
    data_goes_with_its_tenant,
    routes_name_their_tool,
    resources_have_their_tool,
    prompts_take_strings,
    lists_stay_small,
)
"""Every law that a capability is judged by, ours or a plugin's. `lists_stay_small` judges a whole
catalogue, whatever `only` says."""


def judge(catalog: Catalog, only: str | None = None) -> None:
    """All laws at once; one `AssertionError` with every breach."""
    broken = []
    for law in LAWS:
        try:
            law(catalog, only)
        except AssertionError as error:
            broken.append(f"{law.__name__}:\n{error}")
    assert not broken, "\n\n".join(broken)
