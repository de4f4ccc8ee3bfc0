"""The calls of the pipeline's tests: one that puts, one that gets, one that is paid for."""

from typing import Any

from tests.support.pipeline import House, Shelf, operation

from tause_mcp.capability import Consent
from tause_mcp.pipeline import digest_of


async def shelf_put(shelf: Shelf, name: str = "a") -> dict[str, str]:
    await shelf.put(name)
    return {"put": name}


async def shelf_get(shelf: Shelf, name: str = "a") -> dict[str, str]:
    return {"got": name}


PUT = operation(shelf_put, part="name")
GET = operation(shelf_get, "shelf:read")
ASK = Consent("Put it?")
PAY = operation(shelf_put, consent=lambda arguments: ASK)
PAID = f"ap:{digest_of('shelf_put', {})}"


def approve(house: House, **arguments: Any) -> None:
    house.granted.add(digest_of("shelf_put", arguments))


def failing(error: BaseException, *, after: bool = False, **declared: Any) -> Any:
    """A tool that fails; `after` it has committed a row."""

    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        if after:
            await shelf.put("a")
        raise error

    return operation(shelf_put, **declared)
