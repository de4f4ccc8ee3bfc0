"""What a tenant's locale decides: the language of every text. Nothing else is bound to it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from tause_mcp.services.colombia.texts import Language

BOGOTA = timezone(timedelta(hours=-5), "America/Bogota")
"""No daylight saving."""


@dataclass(frozen=True, slots=True)
class Colombia:
    """The functions of this package are pure; this says in which language they answer here."""

    language: Language = "es"

    def today(self) -> date:
        """The day that it is in Colombia."""
        return datetime.now(BOGOTA).date()
