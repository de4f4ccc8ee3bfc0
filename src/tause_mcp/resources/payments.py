"""Payments by URI."""

from typing import Annotated, Any, cast

from pydantic import Field

from tause_mcp.capability import resource
from tause_mcp.services.payments import Payments
from tause_mcp.tools import _payments as shapes

MOST = 100


async def _ids(payments: Payments, typed: str) -> list[str]:
    """Ids of the newest payments that begin as typed."""
    return [one.id for one in await payments.recent(most=MOST) if one.id.startswith(typed)]


@resource("payments/{id}", "A payment", scope="payments:read", complete={"id": _ids})
async def payments_payment(
    payments: Payments,
    id: Annotated[str, Field(pattern=r"^pay_[0-9a-f]{32}$")],  # noqa: A002  # the template's variable
) -> dict[str, Any]:
    """One payment as it stands: payments_get tells the same."""
    return cast(dict[str, Any], shapes.payment(await payments.get(id)))
