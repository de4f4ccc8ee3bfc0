"""resources/read, prompts/get and completion/complete, through the same pipeline as tools."""

from typing import Any

from mcp.shared.uri_template import UriTemplate
from mcp_types import (
    CompleteRequestParams,
    GetPromptRequestParams,
    PromptReference,
    ReadResourceRequestParams,
)

from tause_mcp.capability import Resource
from tause_mcp.errors import NotFound, TauseError
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Crash
from tause_mcp.platform import Platform
from tause_mcp.server import answers
from tause_mcp.server.calls import named_tenant
from tause_mcp.server.identity import Context, Identify

_MAX_URI = 2048
_MAX_COMPLETIONS = 100


class Reads:
    """The handlers of what is read by URI or name."""

    def __init__(self, platform: Platform, identify: Identify) -> None:
        self._platform = platform
        self._identify = identify
        self._resources = platform.catalog.resources
        self._prompts = platform.catalog.prompts
        self._templates = [
            (UriTemplate.parse(f"tause://{{tenant_id}}/{_resource(o).path}"), o)
            for o in self._resources.values()
        ]

    async def resource(self, ctx: Context, params: ReadResourceRequestParams) -> dict[str, Any]:
        uri = str(params.uri)
        identity = self._identify(ctx)
        operation, values = self._match(uri)
        try:
            caller = named_tenant(identity, values.pop("tenant_id"))
            if not operation.opens_to(caller.scopes):
                raise NotFound("resource not found")
            call = identity.invocation(caller, values)
            result = await self._platform.pipeline.run(operation, call)
        except NotFound:
            raise answers.no_resource(uri) from None
        except (TauseError, Crash) as error:
            raise answers.protocol_error(error) from None
        return answers.resource_contents(uri, _resource(operation).mime_type, result.value)

    def _match(self, uri: str) -> tuple[Operation, dict[str, Any]]:
        if len(uri) <= _MAX_URI:
            for template, operation in self._templates:
                values = template.match(uri)
                if values is not None:
                    return operation, dict(values)
        raise answers.no_resource(uri)

    async def prompt(self, ctx: Context, params: GetPromptRequestParams) -> dict[str, Any]:
        identity = self._identify(ctx)
        operation = self._prompts.get(params.name)
        if operation is None or not operation.opens_to(identity.caller.scopes):
            raise answers.unknown("prompt", params.name)
        call = identity.invocation(identity.caller, params.arguments or {})
        try:
            result = await self._platform.pipeline.run(operation, call)
        except (TauseError, Crash) as error:
            raise answers.protocol_error(error) from None
        message = {"role": "user", "content": {"type": "text", "text": result.value}}
        return answers.COMPLETE | {"description": operation.description, "messages": [message]}

    async def completion(self, ctx: Context, params: CompleteRequestParams) -> dict[str, Any]:
        identity = self._identify(ctx)
        operation = self._completed(params)
        if operation is None or not operation.opens_to(identity.caller.scopes):
            return _completion([])
        name, typed = params.argument.name, params.argument.value[:512]
        if name == "tenant_id":
            return _completion([t for t in (identity.caller.tenant,) if t.startswith(typed)])
        suggest = self._platform.catalog.completions.get((operation.name, name))
        if suggest is None:
            return _completion([])
        known = (params.context and params.context.arguments) or {}
        given = {k: v for k, v in known.items() if k in suggest.inputs.names}
        try:
            call = identity.invocation(identity.caller, {**given, "typed": typed})
            result = await self._platform.pipeline.run(suggest, call)
        except (TauseError, Crash):
            return _completion([])
        return _completion(result.value)

    def _completed(self, params: CompleteRequestParams) -> Operation | None:
        if isinstance(params.ref, PromptReference):
            return self._prompts.get(params.ref.name)
        for template, operation in self._templates:
            if str(template) == params.ref.uri or template.template == params.ref.uri:
                return operation
        return None


def _resource(operation: Operation) -> Resource:
    assert isinstance(operation.declared, Resource)
    return operation.declared


def _completion(values: list[str]) -> dict[str, Any]:
    kept = values[:_MAX_COMPLETIONS]
    return answers.COMPLETE | {"completion": {"values": kept, "hasMore": len(values) > len(kept)}}
