"""The secrets of one tenant: named, versioned, used by reference, shown by nobody."""

from tause_mcp.errors import NotFound
from tause_mcp.services.secrets.sources import Shelf
from tause_mcp.services.secrets.values import (
    REFERENCE,
    Change,
    Held,
    Secret,
    absent,
    check_name,
    check_value,
)
from tause_mcp.times import SECOND, now


class Secrets:
    """The secrets of the tenant whose shelf it is given."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def put(
        self,
        name: str,
        value: str,
        *,
        description: str | None = None,
        expires_in: int | None = None,
    ) -> Secret:
        """Store a value under a name; what was there is replaced at once.

        Raises:
            Invalid, TooLarge, QuotaExceeded, Unavailable. Unconfigured: the source is read only.
        """
        return await self._shelf.put(check_name(name), _change(value, description, expires_in))

    async def rotate(
        self, name: str, value: str, *, grace: int = 0, expires_in: int | None = None
    ) -> Secret:
        """A new value; the one before is accepted for `grace` seconds more.

        Raises:
            NotFound: there is none to rotate; else as `put`.
        """
        change = _change(value, None, expires_in)
        found = await self._shelf.rotate(check_name(name), change, grace)
        if found is None:
            raise absent()
        return found

    async def delete(self, name: str) -> None:
        """Remove a secret; `NotFound` when there is none."""
        if not await self._shelf.remove(check_name(name)):
            raise absent()

    async def list(self, after: str = "", count: int = 100) -> list[Secret]:
        """Up to `count` secrets behind `after`, without values."""
        return await self._shelf.list(after, count)

    async def resolve(self, text: str) -> str:
        """`text`, or the value that `secret://name` stands for among the tenant's own secrets.

        The value is for the wire of an outside company: never for an answer, a log or a row.

        Raises:
            NotFound: no such secret, or it has expired.
        """
        return (await self._held(text)).value if text.startswith(REFERENCE) else text

    async def accepted(self, text: str) -> tuple[str, ...]:
        """Every value that `secret://name` may stand for now: during a rotation, two."""
        if not text.startswith(REFERENCE):
            return (text,)
        held = await self._held(text)
        return (held.value,) if held.previous is None else (held.value, held.previous)

    async def _held(self, reference: str) -> Held:
        name = check_name(reference.removeprefix(REFERENCE))
        held = await self._shelf.read(name)
        if held is None or (held.expires_at is not None and held.expires_at <= now()):
            raise NotFound(
                f"this tenant has no secret {name!r}, or it has expired: store it with secrets_put "
                "(what names a secret is inherited from a tenant above, the secret never)"
            )
        return held


def _change(value: str, description: str | None, expires_in: int | None) -> Change:
    ends = None if expires_in is None else now() + expires_in * SECOND
    return Change(check_value(value), description, ends)
