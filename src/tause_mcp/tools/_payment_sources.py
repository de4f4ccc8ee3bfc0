"""Saved ways to pay and what is charged to them, as a model sees them."""

from typing import Annotated, Any, cast

from pydantic import Field

from tause_mcp import times
from tause_mcp.capability import READ, Consent, Hints, Pages, tool
from tause_mcp.services.payments import Schedules, Sources
from tause_mcp.services.payments.occurrences import number_until
from tause_mcp.services.payments.saved import Every, SavedSource, SourceType
from tause_mcp.tools import _payments as shapes

SAVE = Hints(destructive=False, idempotent=True, open_world=True)
END = Hints(destructive=True, idempotent=True, open_world=True)
ScheduleId = Annotated[str, Field(pattern=r"^sch_[0-9a-f]{32}$")]
Token = Annotated[
    str, Field(max_length=200, description="Of Wompi's own form; never a card's number.")
]
Moment = Annotated[
    str, Field(max_length=40, description="ISO 8601 with its zone, as 2026-01-31T09:00:00-05:00.")
]
MaybeMoment = Annotated[str | None, Field(max_length=40, description="ISO 8601 with its zone.")]
Count = Annotated[int | None, Field(ge=1, le=10_000, description="Charges in all.")]
Installments = Annotated[int | None, Field(ge=1, le=36)]
_UNITS = {"day": "day", "week": "week", "month": "month", "year": "year"}
_TEN_YEARS = {"day": 3653, "week": 522, "month": 120, "year": 10}
"""What an endless schedule is counted as, where a ceiling asks how much it is."""


def _label(source: SavedSource) -> str:
    told = source.label or {}
    what = " ".join(told[name] for name in ("brand", "last_four") if told.get(name))
    return f"the saved {source.type}{f' {what}' if what else ''} of {source.email or source.id}"


@tool(
    "Save a way to pay",
    scope="payments:write",
    cost=3,
    hints=SAVE,
    guard=shapes.only_unattended,
    secret_input=True,
)
async def payments_save_source(
    sources: Sources,
    type: SourceType,  # noqa: A002  # the name that callers write
    token: Token,
    customer: shapes.CustomerIn,
    acceptance: shapes.Accepted = None,
) -> shapes.SourceOut:
    """Save a tokenised card or Nequi account to charge it later; the same token is the same source.

    The payer agrees on `pay_url`; it can be charged once it is `available`.
    """
    made = await sources.save(
        type,
        token,
        shapes.customer_of(customer),
        acceptance=shapes.acceptance_of(acceptance),
    )
    return shapes.source(made)


@tool("List saved ways to pay", scope="payments:read", hints=READ)
async def payments_list_sources(
    sources: Sources, pages: Pages, limit: shapes.Limit = 20, cursor: shapes.Cursor = None
) -> shapes.SourcePage:
    """List saved cards and Nequi accounts, newest first. Use to find the one to charge."""
    found = await sources.recent(shapes.behind(pages.position(cursor)), limit + 1)
    page = pages.page([shapes.source(one) for one in found], limit, shapes.place_of)
    return cast(shapes.SourcePage, page)


@tool("Remove a saved way to pay", scope="payments:write", cost=2, hints=END)
async def payments_remove_source(
    sources: Sources,
    id: shapes.SourceId,  # noqa: A002  # the name that callers write
) -> shapes.SourceOut:
    """Forget a saved card or Nequi account, here and at Wompi; its schedules end."""
    return shapes.source(await sources.remove(id))


def _to_charge(arguments: Any) -> Consent:
    amount = arguments["amount"]["amount"]
    summary = (
        f"Charge {shapes.pesos(amount)} to the saved source {arguments['source_id']} "
        f"for order {arguments['order_id']}"
    )
    return Consent(summary, amount, "COP")


async def _charge_asks(
    sources: Sources,
    order_id: shapes.OrderId,
    source_id: shapes.SourceId,
    amount: shapes.Amount,
    installments: Installments = None,
    description: shapes.Description = None,
    retry: shapes.Retry = False,
) -> Consent | None:
    cents = amount["amount"]
    told = {"installments": installments, "description": description, "retry": retry}
    stands = await sources.standing(order_id, source_id, cents, "COP", **told)  # type: ignore[arg-type]  # as named
    if stands is not None and not retry:
        return None
    source = await sources.get(source_id)
    again = ", as a further attempt" if retry else ""
    summary = f"Charge {shapes.pesos(cents)} to {_label(source)} for order {order_id}{again}"
    return shapes.told(Consent(summary, cents, "COP"), source.environment)


@tool(
    "Charge a saved way to pay",
    scope="payments:write",
    cost=5,
    hints=SAVE,
    consent=_to_charge,
    asks=_charge_asks,
)
async def payments_charge_source(
    sources: Sources,
    order_id: shapes.OrderId,
    source_id: shapes.SourceId,
    amount: shapes.Amount,
    installments: Installments = None,
    description: shapes.Description = None,
    retry: shapes.Retry = False,
) -> shapes.PaymentOut:
    """Charge a saved source for an order, exactly once; called again it returns the same payment."""
    made = await sources.charge(
        order_id,
        source_id,
        amount["amount"],
        "COP",
        installments=installments,
        description=description,
        retry=retry,
    )
    return shapes.payment(made)


def _much(amount: int, every: Every, start: int, until: int | None, count: int | None) -> int:
    """Cents that a schedule comes to in all; an endless one is counted as ten years of it."""
    times_ = _TEN_YEARS[every] if until is None else number_until(start, every, until)
    return amount * (times_ if count is None else min(times_, count) if until else count)


def _to_schedule(arguments: Any) -> Consent:
    amount = arguments["amount"]["amount"]
    summary = f"Charge {shapes.pesos(amount)} every {arguments['every']}"
    return Consent(summary, amount, "COP")


async def _schedule_asks(
    sources: Sources,
    schedules: Schedules,
    source_id: shapes.SourceId,
    amount: shapes.Amount,
    every: Every,
    start_at: Moment,
    until: MaybeMoment = None,
    count: Count = None,
    description: shapes.Description = None,
) -> Consent | None:
    cents, start = amount["amount"], shapes.moment(start_at, "start_at")
    end = None if until is None else shapes.moment(until, "until")
    told = {"until": end, "count": count, "description": description}
    stands = await schedules.standing(source_id, cents, "COP", every, start, **told)  # type: ignore[arg-type]  # as named
    if stands is not None:
        return None
    source = await sources.get(source_id)
    much = _much(cents, every, start, end, count)
    ends = [f"{count} times at most"] if count is not None else []
    ends += [f"until {times.iso(end)[:10]}"] if end is not None else []
    whole = f"{', '.join(ends)}, {shapes.pesos(much)} in all" if ends else "until it is ended"
    summary = (
        f"Charge {shapes.pesos(cents)} to {_label(source)} every {every} "
        f"from {times.iso(start)[:10]}, {whole}"
    )
    return shapes.told(Consent(summary, much, "COP"), source.environment)


@tool(
    "Schedule a charge",
    scope="payments:write",
    cost=5,
    hints=SAVE,
    consent=_to_schedule,
    asks=_schedule_asks,
)
async def payments_schedule(
    schedules: Schedules,
    source_id: shapes.SourceId,
    amount: shapes.Amount,
    every: Every,
    start_at: Moment,
    until: MaybeMoment = None,
    count: Count = None,
    description: shapes.Description = None,
) -> shapes.ScheduleOut:
    """Charge a saved source at a time and then every day, week, month or year, each exactly once.

    Days are Bogotá's. A time missed by more than seven days is skipped and recorded.
    """
    made = await schedules.schedule(
        source_id,
        amount["amount"],
        "COP",
        every,
        shapes.moment(start_at, "start_at"),
        until=None if until is None else shapes.moment(until, "until"),
        count=count,
        description=description,
    )
    return shapes.schedule(made)


@tool("List schedules", scope="payments:read", hints=READ)
async def payments_list_schedules(
    schedules: Schedules, pages: Pages, limit: shapes.Limit = 20, cursor: shapes.Cursor = None
) -> shapes.SchedulePage:
    """List recurring charges, newest first. Use to see what will be charged next."""
    found = await schedules.recent(shapes.behind(pages.position(cursor)), limit + 1)
    page = pages.page([shapes.schedule(one) for one in found], limit, shapes.place_of)
    return cast(shapes.SchedulePage, page)


@tool("End a schedule", scope="payments:write", cost=2, hints=END)
async def payments_unschedule(
    schedules: Schedules,
    id: ScheduleId,  # noqa: A002  # the name that callers write
) -> shapes.ScheduleOut:
    """End a recurring charge. What was charged stays; what was not sent yet never is."""
    return shapes.schedule(await schedules.unschedule(id))
