"""One request to Wompi, and what its answer, or the lack of one, says about what happened."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tause_mcp import log
from tause_mcp.errors import (
    DeadlineExceeded,
    Invalid,
    ProviderError,
    TauseError,
    Unavailable,
)
from tause_mcp.outbound.addresses import Unreached
from tause_mcp.outbound.answer import Answer
from tause_mcp.outbound.client import Credential, Outbound, Policy
from tause_mcp.outbound.wompi.errors import NotSent, Uncertain

# A second try is only ever made for a connection that never came to be.
SENDING = Policy(deadline=25.0, attempts=2)
READING = Policy(deadline=15.0, attempts=3)

_UNSENT = "Wompi cannot be reached: nothing was sent; try again shortly"
_BUSY = "Wompi asks for fewer requests: nothing was done; try again later"
_UNKNOWN = "Wompi gave no clear answer: this may have happened; look it up before any new attempt"
_UNREAD = "Wompi cannot be read now; try again shortly"
_log = log.get("outbound")


class Dialect(NamedTuple):
    """How an API words its failures; the JSON is None when the body holds none."""

    refusal: Callable[[int, Any], TauseError]
    """From a status in 400..499 and the JSON to what is raised."""
    absent: Callable[[Any], bool]
    """Whether the JSON of a 404 says that the thing asked for does not exist."""


class Api:
    """Requests below one base URL."""

    def __init__(self, client: Outbound, base_url: str, dialect: Dialect) -> None:
        self._client = client
        self._base = base_url
        self._dialect = dialect

    async def read(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        credential: Credential | None = None,
        absent: bool = False,
    ) -> Any:
        """The body's JSON of a GET. `absent`: None when Wompi says that there is no such thing.

        A 404 that is not in Wompi's own words (a wrong host, a proxy) is never taken for that.

        Raises:
            Unavailable: down, slow, or an answer that cannot be read. Refused, KeysRefused.
        """
        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            answer = await self._client.request("GET", url, credential=credential, policy=READING)
        except (DeadlineExceeded, Invalid, ProviderError, Unavailable) as failed:
            raise self._failed(Unavailable(_UNREAD, retry_after=2.0), error=_name(failed)) from None
        told = _json(answer)
        if absent and answer.status == 404 and self._dialect.absent(told):
            return None
        if answer.status == 404 and not isinstance(told, dict):
            raise self._failed(Unavailable(_UNREAD, retry_after=2.0), status=404)
        self._turned_away(answer)
        if not 200 <= answer.status < 300 or told is None:
            wait = answer.retry_after() or 2.0
            raise self._failed(Unavailable(_UNREAD, retry_after=wait), status=answer.status)
        return told

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        credential: Credential,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The body's JSON after a change, sent once; None when Wompi answered 2xx with no body.

        Raises:
            Refused, KeysRefused: nothing was made. NotSent: nothing happened.
            Uncertain: it may have happened.
        """
        content = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await self._client.request(
                method,
                f"{self._base}{path}",
                content=content,
                headers={
                    **({"content-type": "application/json"} if content else {}),
                    **(headers or {}),
                },
                credential=credential,
                policy=SENDING,
                idempotent=False,
            )
        except (Unreached, Invalid) as failed:
            raise self._failed(NotSent(_UNSENT, retry_after=5.0), error=_name(failed)) from None
        except (DeadlineExceeded, ProviderError, Unavailable) as failed:
            raise self._failed(Uncertain(_UNKNOWN, retry_after=5.0), error=_name(failed)) from None
        self._turned_away(answer)
        told = _json(answer)
        if not 200 <= answer.status < 300 or (told is None and answer.content.strip()):
            raise self._failed(Uncertain(_UNKNOWN, retry_after=5.0), status=answer.status)
        return told

    def _turned_away(self, answer: Answer) -> None:
        """Raise what a 4xx means. A 408 says nothing about what was done, so it is none."""
        if answer.status == 429:
            wait = answer.retry_after() or 30.0
            raise self._failed(NotSent(_BUSY, retry_after=wait), status=429)
        if 400 <= answer.status < 500 and answer.status != 408:
            raise self._failed(
                self._dialect.refusal(answer.status, _json(answer)), status=answer.status
            )

    def _failed(self, meant: TauseError, **told: Any) -> TauseError:
        """Log it without a word of the answer's: it may echo keys and personal data."""
        _log.warning("wompi_failed", meaning=type(meant).__name__, **told)
        return meant


def unclear() -> Uncertain:
    """An answer of 2xx without what it should hold."""
    return Uncertain(_UNKNOWN, retry_after=5.0)


def unreadable() -> Unavailable:
    """A read that was answered, but not with what it should hold."""
    return Unavailable(_UNREAD, retry_after=2.0)


def _name(failed: TauseError) -> str:
    return type(failed).__name__


def _json(answer: Answer) -> Any:
    try:
        return answer.json() if answer.content.strip() else None
    except ProviderError:
        return None
