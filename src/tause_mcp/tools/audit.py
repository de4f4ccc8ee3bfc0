"""Audit: who changed what, proof that nobody rewrote it, and an export to keep elsewhere."""

from datetime import UTC, datetime
from typing import Annotated, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's only from Python 3.12

from tause_mcp import times
from tause_mcp.capability import READ, Pages, tool
from tause_mcp.errors import Invalid
from tause_mcp.services.audit import AuditRecords, Head, Record, head_line, line_of

Since = Annotated[
    str | None, Field(max_length=40, description="From this time on, ISO 8601; UTC when no zone.")
]
Until = Annotated[str | None, Field(max_length=40, description="Before this time, ISO 8601.")]
Cursor = Annotated[str | None, Field(max_length=1024)]
_PAGE = 1000


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
    hash: NotRequired[str]
    broken_seq: NotRequired[int]
    problem: NotRequired[str]


class AuditExport(TypedDict):
    content: str
    records: int
    first_seq: NotRequired[int]
    last_seq: NotRequired[int]
    next_cursor: NotRequired[str]


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
    limit: Annotated[int, Field(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> AuditPage:
    """List the changes made in this tenant, newest first. Use to see who did what and when."""
    filters = (since, until, actor, action)
    before = pages.position(cursor, *filters)
    found = await records.search(
        moment(since, "since"), moment(until, "until"), actor or "", action or "", before, limit + 1
    )
    page = pages.page([shown(r) for r in found], limit, lambda item: item["seq"], *filters)
    return cast(AuditPage, page)


@tool("Verify the audit trail", scope="audit:read", hints=READ, cost=5)
async def audit_verify(records: AuditRecords) -> AuditVerdict:
    """Check every link of the chain: changed, removed, inserted or moved records show.

    Use before you rely on the trail, and compare `hash` with one you kept.
    """
    verdict = await records.verify()
    told: AuditVerdict = {
        "intact": verdict.intact,
        "records": verdict.records,
        "last_seq": verdict.last,
    }
    if verdict.hash:
        told["hash"] = verdict.hash
    if verdict.broken_seq is not None:
        told["broken_seq"] = verdict.broken_seq
        told["problem"] = verdict.problem
    return told


@tool("Export the audit trail", scope="audit:read", hints=READ, cost=2, open_result=True)
async def audit_export(
    records: AuditRecords,
    pages: Pages,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int | None,
        Field(ge=1, le=_PAGE, description="Records; without it, what fits in one answer."),
    ] = None,
    cursor: Cursor = None,
) -> AuditExport:
    """Export the chain as JSON Lines that `tause-mcp audit verify` checks offline, page by page.

    Use to keep a copy elsewhere; the pages in order make one file.
    """
    after = pages.position(cursor, since, until)
    end = moment(until, "until")
    found, head = await records.walk(moment(since, "since"), end, after, (limit or _PAGE) + 1)
    lines = _fitting([line_of(r) for r in found[: limit or _PAGE]], None if limit else pages.budget)
    kept, more = found[: len(lines)], len(found) > len(lines)
    if not more and end is None:
        lines.append(head_line(head or Head("", 0, "")))
    return _exported(pages, kept, lines, more, since, until)


def _exported(
    pages: Pages,
    kept: list[Record],
    lines: list[str],
    more: bool,
    since: str | None,
    until: str | None,
) -> AuditExport:
    told: AuditExport = {"content": "".join(f"{line}\n" for line in lines), "records": len(kept)}
    if kept:
        told["first_seq"], told["last_seq"] = kept[0].seq, kept[-1].seq
    if more:
        told["next_cursor"] = pages.cursor(kept[-1].seq, since, until)
    return told


def _fitting(lines: list[str], budget: int | None) -> list[str]:
    """As many as the budget of bytes takes as JSON, at least one."""
    if budget is None:
        return lines
    size, kept = 0, 0
    for line in lines:
        size += len(line) + line.count('"') + line.count("\\") + 2
        if size > budget and kept:
            break
        kept += 1
    return lines[:kept]


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
