"""The laws over a catalogue: each is a function that raises `AssertionError` naming every breach.

    @pytest.mark.parametrize("law", laws.LAWS)
    def test_the_law_holds(law):
        law(catalog.load(), only="crm")

`only` judges one capability; without it, all of them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import jsonschema_rs

from tause_mcp.capability import Prompt, Resource, Route
from tause_mcp.catalog import Catalog
from tause_mcp.pipeline import Approval, pending
from tause_mcp.tenancy import Scopes
from tause_mcp.testing.breaches import capabilities, hold, of
from tause_mcp.testing.inputs import (
    inputs_are_closed_and_bounded,
    inputs_are_enforced,
    inputs_have_no_union_and_no_null,
)

MAX_NAME = 40
"""Characters of a tool's name: hosts put a prefix before it and cut at 64."""
EXCEPTIONS = frozenset({"access_whoami"})
"""The one name that is no `<capability>_<verb>`."""

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


# --- names and words -----------------------------------------------------------------------------


def capabilities_are_introduced(catalog: Catalog, only: str | None = None) -> None:
    """A capability has a plain name, says what it is for, and offers something."""

    def breaches() -> Iterator[str]:
        for c in capabilities(catalog, only):
            if re.fullmatch(r"[a-z][a-z0-9]*", c.name) is None:
                yield f"{c.name}: a capability's name is one word of [a-z0-9]"
            if not c.about or len(c.about) > 120:
                yield f"{c.name}: `about` says in at most 120 characters what it is for"
            if not c.words:
                yield f"{c.name}: `words` gives search words in English and Spanish"
            if not any(o.capability == c.name for o in catalog.tools.values()):
                yield f"{c.name}: no tool"
            for key, declared in c.keys.items():
                if not key.startswith(f"{c.name}.") or not declared.about:
                    yield f"{key}: a key is `{c.name}.<name>` and says what it is for"

    hold(breaches())


def names_follow_the_grammar(catalog: Catalog, only: str | None = None) -> None:
    """`<capability>_<verb>[_<noun>]`, at most 40 characters of `[a-z0-9_]`."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.tools, only):
            grammar = re.escape(o.capability) + r"_[a-z]+(_[a-z0-9]+)*"
            if o.name not in EXCEPTIONS and re.fullmatch(grammar, o.name) is None:
                yield f"{o.name}: a name is {o.capability}_<verb>[_<noun>]"
            if len(o.name) > MAX_NAME:
                yield f"{o.name}: {len(o.name)} characters, at most {MAX_NAME}"

    hold(breaches())


def words_are_there(catalog: Catalog, only: str | None = None) -> None:
    """A title, a description in sentences, and a cost, for whatever is listed."""

    def breaches() -> Iterator[str]:
        everything = (catalog.tools, catalog.resources, catalog.prompts)
        for o in (o for operations in everything for o in of(operations, only)):
            if not o.title or o.title[0] != o.title[0].upper() or o.title.endswith("."):
                yield f"{o.name}: a title is a short phrase with a capital and no full stop"
            if not o.description.endswith(".") or len(o.description) > 400:
                yield f"{o.name}: a description is sentences, at most 400 characters"
            if o.kind == "tool" and not (isinstance(o.cost, int) and o.cost >= 1):
                yield f"{o.name}: a cost is a whole number from 1"

    hold(breaches())


def hints_tell_the_truth(catalog: Catalog, only: str | None = None) -> None:
    """`:read` is read-only, `:write` is not; what only reads destroys nothing and asks nobody."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.tools, only):
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

    hold(breaches())


def scopes_are_of_the_capability(catalog: Catalog, only: str | None = None) -> None:
    """`<capability>:<action>`, of the capability that declares it; a resource only reads."""

    def breaches() -> Iterator[str]:
        for operations in (catalog.tools, catalog.resources, catalog.prompts):
            for o in of(operations, only):
                if _SCOPE.fullmatch(o.scope) is None or o.scope.split(":")[0] != o.capability:
                    yield f"{o.name}: the scope {o.scope!r} is not {o.capability}:<action>"
                if o.kind == "resource" and o.action != "read":
                    yield f"{o.name}: a resource only reads, its scope is {o.scope!r}"

    hold(breaches())


# --- results ------------------------------------------------------------------------------------


def outputs_are_objects(catalog: Catalog, only: str | None = None) -> None:
    """Every tool publishes the shape of a JSON object: all a model needs is in it."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.tools, only):
            schema = o.outputs.schema if o.outputs is not None else {}
            if schema.get("type") != "object" and "$ref" not in schema:
                yield f"{o.name}: its result is no object with a schema"

    hold(breaches())


_WAITS = Approval("ap_x.1", "pending", "Do it", "2026-01-31T12:00:00Z", "https://x/approvals/1")
_KEPT = {"preview": "{", "key": "results/x", "size": 30_000, "url": "https://x/objects/1"}


def every_answer_has_the_published_shape(catalog: Catalog, only: str | None = None) -> None:
    """Clients check a result against its schema: that of a call which waits for a person, and of
    one that was stored because it is large, pass too."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.tools, only):
            schema = o.outputs.schema if o.outputs is not None else {}
            answers = [pending(_WAITS)] if o.consent is not None else []
            answers += [_KEPT] if o.open_result else []
            for answer in answers:
                for error in jsonschema_rs.validator_for(schema).iter_errors(answer):
                    yield f"{o.name}: its schema refuses {answer}: {error.message}"

    hold(breaches())


# --- what belongs together -------------------------------------------------------------------------


def what_is_made_can_be_undone(
    catalog: Catalog, only: str | None = None, *, lasting: Iterable[str] = ()
) -> None:
    """A tool that creates has its inverse, for the same noun. `lasting` names what must stay."""
    names = {o.name for o in catalog.tools.values()}

    def breaches() -> Iterator[str]:
        for o in of(catalog.tools, only):
            verb, _, noun = o.name.removeprefix(f"{o.capability}_").partition("_")
            if verb not in INVERSES or o.name in lasting or o.hints.read_only:
                continue
            end = f"_{noun}" if noun else ""
            wanted = [f"{o.capability}_{undo}{end}" for undo in INVERSES[verb]]
            if not names & set(wanted):
                yield f"{o.name}: nothing undoes it; add one of {', '.join(wanted)}"

    hold(breaches())


def data_goes_with_its_tenant(catalog: Catalog, only: str | None = None) -> None:
    """A capability with a backend of its own removes a deleted tenant's data from it: at once
    (`on_delete`), or by work beside the calls that removes what no row refers to."""
    hold(
        f"{c.name}: keeps data in a backend and declares neither on_delete nor background"
        for c in capabilities(catalog, only)
        if c.backends is not None and c.on_delete is None and c.background is None
    )


def routes_name_their_tool(catalog: Catalog, only: str | None = None) -> None:
    """An HTTP route calls a tool, or says why it needs none."""

    def breaches() -> Iterator[str]:
        for c in capabilities(catalog, only):
            for r in c.declared(Route):
                if (r.tool is None) == (r.exempt is None):
                    yield f"{r.path}: names a tool or an exemption, one of them"
                if r.tool is not None and r.tool not in catalog.tools:
                    yield f"{r.path}: no tool {r.tool!r}"

    hold(breaches())


def resources_have_their_tool(catalog: Catalog, only: str | None = None) -> None:
    """A template names exactly the function's arguments; some tool reads the same capability."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.resources, only):
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

    hold(breaches())


def prompts_take_strings(catalog: Catalog, only: str | None = None) -> None:
    """Hosts send a prompt's arguments as strings."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.prompts, only):
            declared = o.declared
            assert isinstance(declared, Prompt)
            for name, node in o.inputs.schema["properties"].items():
                if node.get("type") != "string":
                    yield f"{o.name}.{name}: not a string"
            if unknown := set(declared.complete) - o.inputs.names:
                yield f"{o.name}: completes {', '.join(sorted(unknown))}, which it has not"

    hold(breaches())


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
    hold(breaches)


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
    every_answer_has_the_published_shape,
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
