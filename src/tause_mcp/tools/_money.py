"""Money as tools take it: whole cents of COP."""

from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _money(given: Any) -> Any:
    """A bare integer is cents of COP; a float has lost cents already."""
    if isinstance(given, int) and not isinstance(given, bool):
        return {"amount": given, "currency": "COP"}
    amount = given.get("amount") if isinstance(given, dict) else given
    if isinstance(amount, float):
        raise PydanticCustomError(
            "money", "is whole cents, as 2490000 for $ 24.900: a float loses cents"
        )
    return given


READS_MONEY = BeforeValidator(_money)
