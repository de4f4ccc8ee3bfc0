"""Audit: each day is a resource."""

from typing import Annotated, Any

from pydantic import Field

from tause_mcp import times
from tause_mcp.capability import resource
from tause_mcp.errors import Invalid, NotFound
from tause_mcp.services.audit import AuditRecords, Filters
from tause_mcp.tools.audit import moment, shown

_MOST = 500
_DAYS = 60
_DAY = 86_400 * times.SECOND

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


async def days(records: AuditRecords, typed: str) -> list[str]:
    """The last days with records."""
    return [day for day in await records.days(_DAYS) if day.startswith(typed)]


@resource("audit/{date}", "Audit trail of a day", scope="audit:read", complete={"date": days})
async def audit_day(records: AuditRecords, date: Day) -> dict[str, Any]:
    """The changes of one day (UTC), newest first: at most 500; `audit_search` has them all."""
    start = moment_of(date)
    found = await records.search(start, start + _DAY, Filters(), None, _MOST + 1)
    items = [shown(record) for record in found[:_MOST]]
    return {"date": date, "items": items, "complete": len(found) <= _MOST}


def moment_of(date: str) -> int:
    """The first microsecond of a day; what is no day has no records to show."""
    try:
        start = moment(date, "date")
    except Invalid:
        raise NotFound("resource not found", field="date") from None
    assert start is not None
    return start
