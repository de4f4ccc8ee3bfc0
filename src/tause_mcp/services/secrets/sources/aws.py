"""`aws://region/prefix`: AWS Secrets Manager, each secret as `prefix/tenant/name`.

Credentials come from the usual environment (`AWS_*`); `?endpoint=` names another server. What was
put there by other hands is read too. The version before is Amazon's own `AWSPREVIOUS`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tause_mcp.errors import Conflict, Misconfigured, Unavailable
from tause_mcp.outbound.amazon import RefusedError, ask, client
from tause_mcp.services.secrets.sources import Ground
from tause_mcp.services.secrets.values import Change, Held, Secret
from tause_mcp.tenancy import TenantId
from tause_mcp.times import SECOND, iso, micros, now

_WHAT = "the secret source (AWS Secrets Manager)"
_EXPIRES, _UNTIL = "tause:expires_at", "tause:previous_until"
_ABSENT = "ResourceNotFoundException"
_PAGE = 100


class Manager:
    """The secrets of one tenant: those whose names begin with `start`."""

    def __init__(self, api: Any, start: str) -> None:
        self._api = api
        self._start = start

    async def put(self, name: str, change: Change) -> Secret:
        if await self._described(name) is None:
            try:
                told = {"Name": self._start + name, "SecretString": change.value}
                about = {"Description": change.description or ""}
                await self._ask("create_secret", **told, **about, Tags=_tags(change, 0))
                return await self._now(name)
            except RefusedError as refused:
                if refused.code != "ResourceExistsException":
                    raise _meaning(refused) from None
        return await self._changed(name, change, 0)

    async def rotate(self, name: str, change: Change, grace: int) -> Secret | None:
        if await self._described(name) is None:
            return None
        return await self._changed(name, change, now() + grace * SECOND if grace else 0)

    async def _changed(self, name: str, change: Change, until: int) -> Secret:
        at = {"SecretId": self._start + name}
        try:
            await self._ask("tag_resource", **at, Tags=_tags(change, until))
            await self._ask("put_secret_value", **at, SecretString=change.value)
            if change.description is not None:
                await self._ask("update_secret", **at, Description=change.description)
        except RefusedError as refused:
            raise _meaning(refused) from None
        return await self._now(name)

    async def _now(self, name: str) -> Secret:
        found = await self._described(name)
        if found is None:
            raise Conflict("another call removed this secret just now: call again", field="name")
        return found

    async def remove(self, name: str) -> bool:
        if await self._described(name) is None:
            return False
        try:
            await self._ask(
                "delete_secret", SecretId=self._start + name, ForceDeleteWithoutRecovery=True
            )
        except RefusedError as refused:
            if refused.code != _ABSENT:
                raise _meaning(refused) from None
        return True

    async def list(self, after: str, count: int) -> list[Secret]:
        found = [one async for one in self._all()]
        found.sort(key=lambda one: one.name)
        return [one for one in found if one.name > after][:count]

    async def _all(self) -> AsyncIterator[Secret]:
        """Amazon filters by prefix in its own way: each name is compared here again."""
        told: dict[str, Any] = {
            "Filters": [{"Key": "name", "Values": [self._start]}],
            "MaxResults": _PAGE,
        }
        while True:
            try:
                page = await self._ask("list_secrets", **told)
            except RefusedError as refused:
                raise _meaning(refused) from None
            for row in page.get("SecretList", []):
                if row["Name"].startswith(self._start) and "DeletedDate" not in row:
                    yield self._secret(row)
            if not page.get("NextToken"):
                return
            told["NextToken"] = page["NextToken"]

    async def read(self, name: str) -> Held | None:
        about = await self._described(name)
        if about is None:
            return None
        value = await self._value(name, "AWSCURRENT")
        if value is None:
            return None
        held = about.previous_until is not None
        previous = await self._value(name, "AWSPREVIOUS") if held else None
        return Held(value, previous, about.expires_at)

    async def _value(self, name: str, stage: str) -> str | None:
        try:
            found = await self._ask(
                "get_secret_value", SecretId=self._start + name, VersionStage=stage
            )
        except RefusedError as refused:
            if refused.code == _ABSENT:
                return None
            raise _meaning(refused) from None
        value = found.get("SecretString")
        return None if value is None else str(value)

    async def _described(self, name: str) -> Secret | None:
        try:
            found = await self._ask("describe_secret", SecretId=self._start + name)
        except RefusedError as refused:
            if refused.code == _ABSENT:
                return None
            raise _meaning(refused) from None
        return None if "DeletedDate" in found else self._secret(found)

    def _secret(self, row: dict[str, Any]) -> Secret:
        tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}
        stages = row.get("VersionIdsToStages") or row.get("SecretVersionsToStages") or {}
        version = next((v for v, names in stages.items() if "AWSCURRENT" in names), "")
        until = _moment(tags.get(_UNTIL))
        return Secret(
            row["Name"].removeprefix(self._start),
            version[:8],
            row.get("Description", ""),
            _micros(row.get("CreatedDate")),
            _micros(row.get("LastChangedDate")),
            _moment(tags.get(_EXPIRES)),
            until if until is not None and until > now() else None,
        )

    async def _ask(self, method: str, **parameters: Any) -> Any:
        return await ask(getattr(self._api, method), _WHAT, **parameters)


def _tags(change: Change, until: int) -> list[dict[str, str]]:
    told = {_EXPIRES: iso(change.expires_at) if change.expires_at else "-"}
    told[_UNTIL] = iso(until) if until else "-"
    return [{"Key": key, "Value": value} for key, value in told.items()]


def _moment(text: str | None) -> int | None:
    try:
        return None if text is None else micros(text)
    except (ValueError, TypeError):
        return None


def _micros(moment: Any) -> int | None:
    return None if moment is None else int(moment.timestamp() * SECOND)


def _meaning(refused: RefusedError) -> Unavailable:
    return Unavailable(f"{_WHAT} refuses this: {refused.code}")


class Amazon:
    """`Source` over one region and prefix."""

    def __init__(self, api: Any, prefix: str) -> None:
        self._api = api
        self._prefix = prefix

    def of(self, ground: Ground) -> Manager:
        return self.shelf(ground.tenant)

    def shelf(self, tenant: TenantId) -> Manager:
        """The secrets of a tenant: an id holds no slash, so none begins another's."""
        return Manager(self._api, f"{self._prefix}/{tenant}/")

    async def end(self, tenant: TenantId) -> None:
        shelf = self.shelf(tenant)
        for secret in await shelf.list("", 1 << 30):
            await shelf.remove(secret.name)


@asynccontextmanager
async def open_aws(url: str) -> AsyncIterator[Amazon]:
    """`aws://region/prefix`."""
    parts = urlsplit(url)
    options = {k: v[0] for k, v in parse_qs(parts.query).items()}
    endpoint, prefix = options.pop("endpoint", ""), parts.path.strip("/")
    if not parts.netloc or not prefix or options:
        raise Misconfigured("TAUSE_SECRETS_URL: write aws://region/prefix")
    yield Amazon(client("secretsmanager", "TAUSE_SECRETS_URL", parts.netloc, endpoint), prefix)
