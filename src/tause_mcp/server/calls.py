"""tools/call: lookup, the tenant a call names, the pipeline, and asking a person."""

from collections.abc import Mapping
from typing import Any

import anyio
from mcp_types import CallToolRequestParams, ElicitResult

from tause_mcp.errors import Invalid, TauseError
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Approval, AskPerson, Crash, Invocation
from tause_mcp.platform import Platform
from tause_mcp.server import answers
from tause_mcp.server.identity import Context, Identify, Identity
from tause_mcp.tenancy import Caller, no_such_tenant

IDEMPOTENCY_KEY = "pro.tause/idempotency_key"
MODERN = "2026-07-28"
_ASK_SECONDS = 120
_QUESTION = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve", "description": "Do exactly this, once."}
    },
    "required": ["approve"],
}


class ToolCalls:
    """The handler of tools/call."""

    def __init__(self, platform: Platform, identify: Identify) -> None:
        self._platform = platform
        self._tools = platform.catalog.tools
        self._identify = identify

    async def __call__(self, ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        identity = self._identify(ctx)
        operation = self._tools.get(params.name)
        if operation is None or not operation.opens_to(identity.caller.scopes):
            raise answers.unknown("tool", params.name)
        try:
            call = self._invocation(ctx, params, identity, operation)
            return await self._run(ctx, operation, call)
        except (TauseError, Crash) as error:
            return answers.tool_failure(error)

    def _invocation(
        self, ctx: Context, params: CallToolRequestParams, identity: Identity, operation: Operation
    ) -> Invocation:
        arguments: Mapping[str, Any] = params.arguments or {}
        caller = identity.caller
        if "tenant_id" in arguments and "tenant_id" not in operation.inputs.names:
            caller = named_tenant(identity, arguments["tenant_id"])
            arguments = {k: v for k, v in arguments.items() if k != "tenant_id"}
            if not operation.opens_to(caller.scopes):
                raise answers.unknown("tool", params.name)
        call = identity.invocation(caller, arguments)
        key = ((ctx.params or {}).get("_meta") or {}).get(IDEMPOTENCY_KEY)
        if key is not None:
            if not isinstance(key, str) or not key:
                raise Invalid(f"{IDEMPOTENCY_KEY} is a string of 1 to 255 characters")
            call.idempotency_key = key
        if operation.consent or operation.forwards:
            call.elicits = can_ask(ctx)
            _bring_answers(params, call)
        if operation.long or operation.forwards:
            call.progress = ctx.session.report_progress
        return call

    async def _run(self, ctx: Context, operation: Operation, call: Invocation) -> dict[str, Any]:
        run = self._platform.pipeline.run
        try:
            return answers.tool_result(await run(operation, call))
        except AskPerson as asked:
            if ctx.protocol_version >= MODERN:
                return _input_required(asked.approval)
            answer = await _ask(ctx, asked.approval)
            call.elicits = False
            if answer is not None:
                call.answers = {asked.approval.id: answer}
            return answers.tool_result(await run(operation, call))


def named_tenant(identity: Identity, tenant: Any) -> Caller:
    """The caller, acting for the tenant that the call names."""
    caller = identity.caller
    if not isinstance(tenant, str):
        raise no_such_tenant()
    if identity.tenant_door and tenant != caller.tenant:
        raise no_such_tenant()
    return caller.acting_for(tenant)


def can_ask(ctx: Context) -> bool:
    """Whether the client declared that it can put a form to its person, and can be reached."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return False
    return ctx.protocol_version >= MODERN or ctx.session.can_send_request


def _bring_answers(params: CallToolRequestParams, call: Invocation) -> None:
    """The person's answer that a 2026-07-28 client brings back with the sealed state."""
    responses, state = params.input_responses, params.request_state
    if not responses or not state:
        return
    call.elicits = False
    answer = responses.get("approval")
    if isinstance(answer, ElicitResult) and answer.action != "cancel":
        call.answers = {state: _accepted(answer)}


def _accepted(answer: ElicitResult) -> bool:
    return answer.action == "accept" and (answer.content or {}).get("approve") is True


def _input_required(approval: Approval) -> dict[str, Any]:
    return {
        "resultType": "input_required",
        "inputRequests": {
            "approval": {
                "method": "elicitation/create",
                "params": {
                    "mode": "form",
                    "message": approval.summary,
                    "requestedSchema": _QUESTION,
                },
            }
        },
        "requestState": approval.id,
    }


async def _ask(ctx: Context, approval: Approval) -> bool | None:
    """Ask over a session's back-channel; None when nobody answered in time."""
    with anyio.move_on_after(_ASK_SECONDS):
        answer = await ctx.session.elicit_form(approval.summary, _QUESTION, ctx.request_id)
        return None if answer.action == "cancel" else _accepted(answer)
    return None
