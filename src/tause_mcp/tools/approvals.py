"""Approvals: see what waits for a person. No tool answers one."""

from typing import Annotated, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's only from Python 3.12

from tause_mcp import times
from tause_mcp.capability import READ, Pages, tool
from tause_mcp.services.approvals import Approvals, Record

ApprovalId = Annotated[
    str, Field(max_length=128, description="From an `approval_required` result.")
]


class Approval(TypedDict):
    id: str
    status: Literal["pending", "approved", "denied", "consumed", "expired"]
    tool: str
    summary: str
    caller: str
    amount: NotRequired[int]
    currency: NotRequired[str]
    page_only: bool
    answered_by: NotRequired[str]
    means: NotRequired[Literal["page", "cli", "elicitation", "unattended"]]
    answered_at: NotRequired[str]
    created_at: str
    expires_at: str


class ApprovalPage(TypedDict):
    items: list[Approval]
    next_cursor: NotRequired[str]


@tool("List approvals", scope="approvals:read", hints=READ)
async def approvals_list(
    approvals: Approvals,
    pages: Pages,
    status: Annotated[
        Literal["pending", "approved", "denied", "consumed", "expired"] | None,
        Field(description="Only those."),
    ] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Field(max_length=1024)] = None,
) -> ApprovalPage:
    """List what people were asked to approve, newest first. Only a person can answer."""
    after = pages.position(cursor, status)
    found = await approvals.recent(status, tuple(after) if after else None, limit + 1)
    page = pages.page([_shown(r) for r in found], limit, _position, status)
    return cast(ApprovalPage, page)


@tool("Read an approval", scope="approvals:read", hints=READ)
async def approvals_get(
    approvals: Approvals,
    id: ApprovalId,  # noqa: A002  # the name that callers write
) -> Approval:
    """Read one approval. Once it is approved, make the same call again to complete it."""
    return _shown(await approvals.get(id))


def _position(item: Approval) -> tuple[int, str]:
    return times.micros(item["created_at"]), item["id"]


def _shown(record: Record) -> Approval:
    told = {
        "id": record.id,
        "status": record.status,
        "tool": record.tool,
        "summary": record.summary,
        "caller": record.subject,
        "amount": record.amount,
        "currency": record.currency,
        "page_only": record.page_only,
        "answered_by": record.answered_by,
        "means": record.means,
        "answered_at": None if record.answered_at is None else times.iso(record.answered_at),
        "created_at": times.iso(record.created_at),
        "expires_at": record.expires,
    }
    return cast(Approval, {name: value for name, value in told.items() if value is not None})
