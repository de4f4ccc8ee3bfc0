"""Payment links, as a model sees them."""

from typing import Annotated, Any, cast

from pydantic import Field

from tause_mcp.capability import READ, Consent, Hints, Pages, tool
from tause_mcp.services.payments import Links, Payments
from tause_mcp.tools import _payments as shapes

LinkId = Annotated[str, Field(pattern=r"^lnk_[0-9a-f]{32}$")]
Name = Annotated[str, Field(min_length=1, max_length=60, description="The payer reads it.")]
LinkDescription = Annotated[str, Field(min_length=1, max_length=200)]
Chosen = Annotated[
    shapes.Collected | None,
    shapes.READS_MONEY,
    Field(description="Default: the payer chooses."),
]
SingleUse = Annotated[bool, Field(description="Whether it serves one payment.")]
Until = Annotated[str | None, Field(max_length=40, description="ISO 8601 with its zone.")]
Back = Annotated[
    str | None,
    Field(max_length=500, pattern=r"^https://[^\s]+$", description="Where the payer goes after."),
]


def _to_create(arguments: Any) -> Consent:
    amount = arguments.get("amount")
    much = shapes.pesos(amount["amount"]) if amount else "whatever the payer chooses"
    times = "once" if arguments.get("single_use", True) else "any number of times"
    summary = f"Make a link {arguments['name']!r} that collects {much}, {times}"
    return Consent(summary, amount["amount"] if amount else None, "COP")


async def _create_asks(
    payments: Payments,
    name: Name,
    description: LinkDescription,
    amount: Chosen = None,
    single_use: SingleUse = True,
    expires_at: Until = None,
) -> Consent | None:
    if expires_at is not None:
        shapes.moment(expires_at, "expires_at")
    asked = _to_create({"name": name, "amount": amount, "single_use": single_use})
    return shapes.told(asked, await payments.environment())


@tool(
    "Make a payment link",
    scope="payments:write",
    cost=5,
    hints=Hints(destructive=False, open_world=True),
    consent=_to_create,
    asks=_create_asks,
)
async def payments_create_link(
    links: Links,
    name: Name,
    description: LinkDescription,
    amount: Chosen = None,
    single_use: SingleUse = True,
    expires_at: Until = None,
    redirect_url: Back = None,
) -> shapes.LinkOut:
    """Make a link by which anybody who has it can pay you at Wompi. Each call makes another one.

    For an order use payments_create: it can be paid only once.
    """
    made = await links.create(
        name,
        description,
        amount=amount["amount"] if amount else None,
        single_use=single_use,
        expires_at=None if expires_at is None else shapes.moment(expires_at, "expires_at"),
        redirect_url=redirect_url,
    )
    return shapes.link(made)


@tool("List payment links", scope="payments:read", hints=READ)
async def payments_list_links(
    links: Links, pages: Pages, limit: shapes.Limit = 20, cursor: shapes.Cursor = None
) -> shapes.LinkPage:
    """List payment links, newest first. Use to find one to give to a payer, or to close."""
    found = await links.recent(shapes.behind(pages.position(cursor)), limit + 1)
    page = pages.page([shapes.link(one) for one in found], limit, shapes.place_of)
    return cast(shapes.LinkPage, page)


@tool(
    "Close a payment link",
    scope="payments:write",
    cost=2,
    hints=Hints(destructive=True, idempotent=True, open_world=True),
)
async def payments_cancel_link(
    links: Links,
    id: LinkId,  # noqa: A002  # the name that callers write
) -> shapes.LinkOut:
    """Close a payment link: nobody can pay by it any more. What was paid stays paid."""
    return shapes.link(await links.cancel(id))
