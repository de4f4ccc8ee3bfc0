"""Audit: who changed what, proof that nobody rewrote it, and an export to keep elsewhere."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's only from Python 3.12

from tause_mcp import times
from tause_mcp.capability import READ, Pages, tool
from tause_mcp.errors import Invalid
from tause_mcp.services.audit import AuditRecords, Filters, Record

Since = Annotated[
    str | None, Field(max_length=40, description="From this time on, ISO 8601; UTC when no zone.")
]
Until = Annotated[str | None, Field(max_length=40, description="Before this time, ISO 8601.")]
Cursor = Annotated[str | None, Field(max_length=1024)]
_PIECE = 500
"""Lines written to a file at once."""


class AuditEntry(TypedDict):
    seq: int
    at: str
    actor: str
    home: NotRequired[str]
    issuer: str
    credential: NotRequired[str]
    action: str
    digest: str
    outcome: str
    door: str
    hash: str


class AuditPage(TypedDict):
    items: list[AuditEntry]
    next_cursor: NotRequired[str]


class AuditVerdict(TypedDict):
    intact: bool
    records: int
    last_seq: int
    pruned: NotRequired[int]
    hash: NotRequired[str]
    broken_seq: NotRequired[int]
    problem: NotRequired[str]


class AuditExport(TypedDict):
    records: int
    first_seq: NotRequired[int]
    last_seq: NotRequired[int]
    content: NotRequired[str]
    key: NotRequired[str]
    size: NotRequired[int]
    sha256: NotRequired[str]
    url: NotRequired[str]


@tool("Search the audit trail", scope="audit:read", hints=READ)
async def audit_search(
    records: AuditRecords,
    pages: Pages,
    since: Since = None,
    until: Until = None,
    actor: Annotated[
        str | None, Field(max_length=512, description="Only this actor, such as `key:...`.")
    ] = None,
    action: Annotated[
        str | None,
        Field(max_length=128, description="Only this tool; `storage_*` for all that begin so."),
    ] = None,
    door: Annotated[
        str | None, Field(max_length=512, description="Only through this door, such as `mcp`.")
    ] = None,
    outcome: Annotated[
        Literal["done", "approved", "denied"] | None, Field(description="Only this outcome.")
    ] = None,
    home: Annotated[
        str | None, Field(max_length=64, description="Only actors who came from this tenant.")
    ] = None,
    credential: Annotated[
        str | None, Field(max_length=512, description="Only made with this key or token id.")
    ] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> AuditPage:
    """List the changes made in this tenant, newest first. Use to see who did what and when."""
    filters = Filters(
        actor or "", action or "", door or "", outcome or "", home or "", credential or ""
    )
    asked = (since, until, filters)
    before = pages.position(cursor, *asked)
    found = await records.search(
        moment(since, "since"), moment(until, "until"), filters, before, limit + 1
    )
    page = pages.page([shown(r) for r in found], limit, lambda item: item["seq"], *asked)
    return cast(AuditPage, page)


@tool("Verify the audit trail", scope="audit:read", hints=READ, cost=5)
async def audit_verify(records: AuditRecords) -> AuditVerdict:
    """Check every link of the chain: changed, removed, inserted or moved records show.

    Use before you rely on the trail, and compare `hash` with one you kept. `pruned` records were
    removed from its beginning by retention.
    """
    verdict = await records.verify()
    told: AuditVerdict = {
        "intact": verdict.intact,
        "records": verdict.records,
        "last_seq": verdict.last,
    }
    if verdict.pruned:
        told["pruned"] = verdict.pruned
    if verdict.hash:
        told["hash"] = verdict.hash
    if verdict.broken_seq is not None:
        told["broken_seq"] = verdict.broken_seq
        told["problem"] = verdict.problem
    return told


@tool("Export the audit trail", scope="audit:read", hints=READ, cost=5)
async def audit_export(
    records: AuditRecords, since: Since = None, until: Until = None
) -> AuditExport:
    """Export the chain, or a run of it, as JSON Lines for `tause-mcp audit verify`.

    Use to keep a copy elsewhere. `content` has it whole; when it is too large, it is a file behind
    `key` and `url`.
    """
    span = await records.span(moment(since, "since"), moment(until, "until"))
    told: AuditExport = {"records": span.records}
    if span.records:
        told["first_seq"], told["last_seq"] = span.after.seq + 1, span.end.seq
    kept: list[str] = []
    lines = records.lines(span)
    size = 0
    async for line in lines:
        kept.append(line)
        size += len(line) + line.count('"') + line.count("\\") + 2
        if size > Pages.budget:
            return cast(AuditExport, {**told, **await records.keep(_rest(kept, lines))})
    return {**told, "content": "".join(f"{line}\n" for line in kept)}


async def _rest(begun: list[str], lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """The lines as bytes, in pieces that are worth writing."""
    piece = begun
    async for line in lines:
        piece.append(line)
        if len(piece) >= _PIECE:
            yield _joined(piece)
            piece = []
    yield _joined(piece)


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def moment(text: str | None, field: str) -> int | None:
    """ISO 8601 as epoch microseconds; a time without a zone is UTC."""
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        return times.micros(told.isoformat())
    except (ValueError, OverflowError):
        raise Invalid(
            f"{field} is no time in ISO 8601, as 2026-01-31T12:00:00Z", field=field
        ) from None


def shown(record: Record) -> AuditEntry:
    """A record as callers see it."""
    told = {**record._asdict(), "at": times.iso(record.at)}
    hidden = ("tenant", "previous", *(n for n in ("home", "credential") if not told[n]))
    return cast(AuditEntry, {k: v for k, v in told.items() if k not in hidden})
