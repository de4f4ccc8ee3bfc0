"""A declared tool, resource or prompt, compiled once: what it injects, validates and publishes."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_origin
from warnings import catch_warnings, simplefilter

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic_core import SchemaValidator
from typing_extensions import is_typeddict

from tause_mcp.capability import (
    READ,
    Ask,
    Call,
    Function,
    Hints,
    Pages,
    PartOf,
    Prompt,
    Resource,
    Tool,
)
from tause_mcp.errors import Invalid
from tause_mcp.schemas import ClosedSchema, PlainSchema, check_json, slim, tightened
from tause_mcp.tenancy import Caller, Scopes

WAITING = "approval_required"
"""The `status` of a call that waits for a person."""


class Inputs:
    """The validated inputs of a function: strict, closed, bounded.

    Built when first asked for: a short session uses few of the tools that there are.
    """

    def __init__(self, name: str, parameters: list[inspect.Parameter]) -> None:
        self._name = name
        self._fields: dict[str, Any] = {
            p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters
        }
        self.names = frozenset(self._fields)
        self._optional = frozenset(p.name for p in parameters if p.default is not p.empty)

    @cached_property
    def _core(self) -> Any:
        config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
        with catch_warnings():  # an argument may be called `schema`: the model is never used as one
            simplefilter("ignore", UserWarning)
            model = create_model(self._name, __config__=config, **self._fields)
        return tightened(model.__pydantic_core_schema__)

    @cached_property
    def _validate(self) -> Callable[[Any], Any]:
        # not the prebuilt ones: a nested model would bring its own, lax and open
        return SchemaValidator(self._core, _use_prebuilt=False).validate_python

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        schema: dict[str, Any] = slim(ClosedSchema().generate(self._core))
        schema.pop("description", None)
        return {"type": "object", "properties": {}, **schema}

    def build(self) -> None:
        """Build now what would be when first asked for."""
        _ = self._validate, self.schema

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments for the function. Null for an optional argument counts as absent.

        Raises:
            Invalid: naming the first field that is wrong, without echoing its value.
        """
        check_json(arguments)
        if len(arguments) > len(self.names):  # before each of very many is told apart
            raise _unknown([name for name in arguments if name not in self.names])
        if None in arguments.values():
            arguments = {
                n: v for n, v in arguments.items() if v is not None or n not in self._optional
            }
        try:
            return dict(self._validate(arguments).__dict__)
        except ValidationError as wrong:
            raise _told(wrong) from None


def _unknown(names: list[str]) -> Invalid:
    told = "; ".join(f"{name[:80]}: is not an argument of this tool" for name in names[:5])
    return Invalid(told, field=names[0][:80])


def _told(wrong: ValidationError) -> Invalid:
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    errors.sort(key=lambda error: error["type"] == "missing")  # what is wrong before what is absent
    lines = []
    for error in errors[:5]:
        at = ".".join(map(str, error["loc"]))
        text = (
            "is not an argument of this tool"
            if error["type"] == "extra_forbidden"
            else error["msg"]
        )
        lines.append(f"{at[:80]}: {text[:300]}")
    field = str(errors[0]["loc"][0])[:80] if errors[0]["loc"] else None
    return Invalid("; ".join(lines), field=field)


class Outputs:
    """How a function's result becomes a JSON object, and the schema that says so: as `Inputs`."""

    def __init__(self, annotation: Any, *, relaxed: bool, asks: bool = False) -> None:
        """`relaxed`: the result may be another one, stored elsewhere; `asks`: or wait for a person."""
        self._annotation, self._relaxed, self._asks = annotation, relaxed, asks
        self._plain = is_typeddict(annotation) or get_origin(annotation) is dict

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._annotation)

    @cached_property
    def _shown(self) -> dict[str, Any]:
        told = self._adapter.json_schema(schema_generator=PlainSchema, mode="serialization")
        return slim(told)  # type: ignore[no-any-return]  # a schema is an object

    @cached_property
    def _wrapped(self) -> bool:
        return self._shown.get("type") != "object" and "$ref" not in self._shown

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the result."""
        schema = dict(self._shown)
        if self._wrapped:
            schema = {"type": "object", "properties": {"result": schema}, "required": ["result"]}
        schema.pop("description", None)
        if self._relaxed:
            schema.pop("required", None)
        if self._asks:
            _may_wait(schema.get("properties", {}).get("status", {}))
        return schema

    def build(self) -> None:
        """Build now what would be when first asked for."""
        _ = self.schema

    def write(self, result: Any) -> dict[str, Any]:
        if self._plain:
            return result  # type: ignore[no-any-return]  # a TypedDict is its own JSON
        told = self._adapter.dump_python(result, mode="json", exclude_none=True, by_alias=True)
        return {"result": told} if self._wrapped else told


def _may_wait(status: dict[str, Any]) -> None:
    """Among the words of a `status` is that of a call which waits: clients check what they get."""
    if "const" in status:
        status["enum"] = [status.pop("const")]
    if "enum" in status:
        status["enum"] = [*status["enum"], WAITING]


@dataclass(frozen=True)
class Operation:
    """One thing that can be called, whatever the door: the pipeline runs nothing else."""

    name: str
    kind: str
    capability: str
    fn: Callable[..., Any]
    title: str
    description: str
    scope: str
    cost: int
    hints: Hints
    part: PartOf
    consent: Ask | None
    inputs: Inputs
    outputs: Outputs | None
    wants: tuple[tuple[str, type[Any]], ...]
    declared: Tool | Resource | Prompt
    asks: "Operation | None" = None
    """What looks whether a person has to be asked, and tells what."""
    screen: Callable[[Mapping[str, Any]], None] | None = None

    @cached_property
    def everyone(self) -> bool:
        return isinstance(self.declared, Tool) and self.declared.everyone

    def opens_to(self, scopes: Scopes) -> bool:
        """Whether a holder of `scopes` may know of it; to anyone else it looks absent."""
        return self.everyone or scopes.allow(self.scope)

    @cached_property
    def action(self) -> str:
        return self.scope.split(":")[1]

    @cached_property
    def writes(self) -> bool:
        return self.action != "read"

    @cached_property
    def long(self) -> bool:
        """Whether it talks while it works: served as a stream."""
        return any(kind is Call for _, kind in self.wants)

    @cached_property
    def secret_input(self) -> bool:
        return isinstance(self.declared, Tool) and self.declared.secret_input

    @cached_property
    def secret(self) -> bool:
        return isinstance(self.declared, Tool) and self.declared.secret

    @cached_property
    def forwards(self) -> bool:
        return isinstance(self.declared, Tool) and self.declared.forwards

    @cached_property
    def carries_limit(self) -> bool:
        """Whether its work takes the tenant's rate: only what reads may look before it is sure."""
        declared = isinstance(self.declared, Tool) and self.declared.carries_limit
        return declared and not self.writes

    @cached_property
    def local_only(self) -> tuple[str, ...]:
        return self.declared.local_only if isinstance(self.declared, Tool) else ()

    @cached_property
    def open_result(self) -> bool:
        return isinstance(self.declared, Tool) and self.declared.open_result

    def build(self) -> "Operation":
        """Itself, with the inputs and outputs built now: a fault of the declaration shows.

        Raises:
            Exception: an input is neither a service nor something that JSON Schema can state, or the
                result is not; pydantic's own, or a TypeError.
        """
        self.inputs.build()
        if self.outputs is not None:
            self.outputs.build()
        return self

    def part_of(self, arguments: Mapping[str, Any]) -> str | None:
        """The part that the call is about; "" (which only a whole scope covers) when it names none."""
        if self.part is None:
            return None
        named = arguments.get(self.part) if isinstance(self.part, str) else self.part(arguments)
        return named if isinstance(named, str) else ""


INJECTED: frozenset[type[Any]] = frozenset({Call, Pages, Caller})


def compile_operation(
    declared: Tool | Resource | Prompt,
    capability: str,
    services: frozenset[type[Any]],
    screen: Callable[[Mapping[str, Any]], None] | None = None,
) -> Operation:
    """Compile one declaration; `screen` is its capability's. `Operation.build` finds its faults."""
    signature = inspect.signature(declared.fn, eval_str=True)
    wants, inputs = _split(signature, services | INJECTED)
    shown = declared if isinstance(declared, Tool) else None
    compiled = Operation(
        name=declared.name,
        kind=type(declared).__name__.lower(),
        capability=capability,
        fn=declared.fn,
        title=declared.title,
        description=_prose(inspect.getdoc(declared.fn) or ""),
        scope=declared.scope,
        cost=shown.cost if shown else 1,
        hints=shown.hints if shown else READ,
        part=None if isinstance(declared, Prompt) else declared.part,
        consent=shown.consent if shown else None,
        inputs=Inputs(declared.name, inputs),
        outputs=_outputs(signature.return_annotation, shown) if shown else None,
        wants=tuple(wants.items()),
        declared=declared,
        screen=screen,
    )
    if shown is None or shown.asks is None:
        return compiled
    return replace(compiled, asks=_compile_asks(compiled, shown.asks, services))


def _compile_asks(operation: Operation, fn: Function, services: frozenset[type[Any]]) -> Operation:
    wants, inputs = _split(inspect.signature(fn, eval_str=True), services | INJECTED)
    if unknown := {parameter.name for parameter in inputs} - operation.inputs.names:
        raise TypeError(f"{fn.__name__} asks for {', '.join(sorted(unknown))}, unknown to its tool")
    return replace(operation, fn=fn, wants=tuple(wants.items()), inputs=Inputs(fn.__name__, inputs))


def _outputs(annotation: Any, declared: Tool) -> Outputs:
    asks = declared.consent is not None
    return Outputs(annotation, relaxed=asks or declared.open_result, asks=asks)


def _prose(doc: str) -> str:
    """A docstring as a model reads it: its lines joined."""
    return " ".join(doc.split())


def compile_completion(
    operation: Operation, argument: str, fn: Function, services: frozenset[type[Any]]
) -> Operation:
    """What suggests values of one argument: the operation's scope, through the same pipeline."""
    wants, inputs = _split(inspect.signature(fn, eval_str=True), services | INJECTED)
    return replace(
        operation,
        name=f"{operation.name}.{argument}",
        kind="completion",
        fn=fn,
        part=None,
        inputs=Inputs(argument, inputs),
        wants=tuple(wants.items()),
    )


def _split(
    signature: inspect.Signature, injected: frozenset[type[Any]]
) -> tuple[dict[str, type[Any]], list[inspect.Parameter]]:
    wants: dict[str, type[Any]] = {}
    inputs: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.annotation in injected:
            wants[parameter.name] = parameter.annotation
        else:
            inputs.append(parameter)
    return wants, inputs
