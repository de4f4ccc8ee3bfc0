"""Credentials that do not hold: 401, where to learn more, one security line, nothing run."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import jwt
import pytest
from structlog.testing import capture_logs
from tests.faults.conftest import URL

from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.tenancy import Scopes, TenantId
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Era, Speaker

pytestmark = pytest.mark.anyio

DEFAULT = TenantId("default")
READ = Scopes(frozenset({"*:read"}))
Make = Callable[[Platform], str]


def ours(platform: Platform, ttl: float = 600) -> str:
    return platform.issue(DEFAULT, "somebody", READ, ttl)


def parts(token: str) -> tuple[dict[str, object], dict[str, object], str]:
    head, body, signature = token.split(".")
    read = [json.loads(base64.urlsafe_b64decode(p + "==")) for p in (head, body)]
    return read[0], read[1], signature


def unsigned(platform: Platform) -> str:
    _, claims, _ = parts(ours(platform))
    return jwt.encode(claims, None, algorithm="none")


def other_body(platform: Platform) -> str:
    head, _, signature = ours(platform).split(".")
    _, claims, _ = parts(ours(platform))
    told = json.dumps({**claims, "tenant": "other"}).encode()
    return f"{head}.{base64.urlsafe_b64encode(told).rstrip(b'=').decode()}.{signature}"


def by_public_key(platform: Platform) -> str:
    """Our public key as an HMAC secret: the algorithm must come from the key, not the token."""
    head, claims, _ = parts(ours(platform))
    key = platform.verifier.jwks()["keys"][0]["x"]
    return jwt.encode(claims, key, "HS256", {"kid": head["kid"]})


def expired(platform: Platform) -> str:
    """Signed by the house itself, for a time that is over."""
    door = platform.door(None).audience
    issue = platform.verifier.keyring.issue
    return issue(DEFAULT, "somebody", ["*:read"], door, 600, now=time.time() - 7200)


def flipped(platform: Platform) -> str:
    token = ours(platform)
    return token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]


WRONG: dict[str, Make] = {
    "garbage": lambda p: "garbage",
    "expired": expired,
    "unsigned": unsigned,
    "other body": other_body,
    "public key as secret": by_public_key,
    "flipped signature": flipped,
    "twice": lambda p: f"{ours(p)} {ours(p)}",
    "too long": lambda p: f"{ours(p)}{'A' * 9000}",
    "no such key": lambda p: f"tk_default.{'0' * 16}.{'A' * 43}",
    "no such tenant": lambda p: f"tk_nobody.{'0' * 16}.{'A' * 43}",
    "not ascii": lambda p: "tk_défault.é",
    "basic": lambda p: "Basic dXNlcjpwYXNz",
}


async def refused(http: httpx2.AsyncClient, token: str, door: str = "/mcp", era: Era = MODERN):
    """The answer to a wrong token, checked in everything that all refusals share."""
    with capture_logs() as logs:
        message = Speaker(http, "", door, era).message("tools/list")
        headers = Speaker(http, "", door, era).headers(message)
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        raw.append((b"authorization", b"Bearer " + token.encode()))
        answer = await http.post(door, headers=raw, content=json.dumps(message))
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="invalid_token"')
    assert f'resource_metadata="{URL}/.well-known/oauth-protected-resource{door}"' in challenge
    assert "tools" not in answer.text and token not in answer.text + challenge
    lines = [line for line in logs if line.get("log_level") in ("warning", "error")]
    assert len(lines) == 1, lines
    secret = token.rpartition(".")[2] or token
    assert token not in repr(lines) and secret not in repr(lines)
    return answer


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_token_is_refused_and_logged_once(
    platform: Platform, http: httpx2.AsyncClient, what: str
) -> None:
    await refused(http, WRONG[what](platform))


async def test_every_refusal_reads_the_same(platform: Platform, http: httpx2.AsyncClient) -> None:
    told = {(await refused(http, make(platform))).text for make in WRONG.values()}
    assert len(told) == 1


@pytest.mark.parametrize("door", ["/mcp", "/t/default/mcp"])
@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_every_door_and_era_refuses_alike(
    platform: Platform, http: httpx2.AsyncClient, door: str, era: Era
) -> None:
    await refused(http, WRONG["flipped signature"](platform), door, era)


async def test_a_token_of_another_house_is_refused(
    platform: Platform, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    settings = Settings.read({"TAUSE_HOME": str(tmp_path / "elsewhere")})
    async with open_platform(settings, public_url=URL) as other:
        token = ours(other)
        made = await run(other, DEFAULT, "access_create_key", {"role": "viewer"})
    await refused(http, token)
    await refused(http, made["key"])


async def test_a_token_for_another_door_is_refused(
    platform: Platform, http: httpx2.AsyncClient
) -> None:
    await run(platform, DEFAULT, "tenants_create", {"tenant_id": "another"})
    for tenant in ("another", "absent"):
        await refused(http, ours(platform), f"/t/{tenant}/mcp")


async def test_a_revoked_key_and_one_of_a_suspended_tenant_are_refused(
    platform: Platform, http: httpx2.AsyncClient
) -> None:
    await run(platform, DEFAULT, "tenants_create", {"tenant_id": "acme"})
    acme = TenantId("acme")
    keys = [await run(platform, acme, "access_create_key", {"role": "viewer"}) for _ in range(2)]
    assert (await Speaker(http, keys[0]["key"]).ask("tools/list")).status == 200
    await run(platform, acme, "access_revoke_key", {"id": keys[0]["id"]})
    await refused(http, keys[0]["key"])
    await run(platform, DEFAULT, "tenants_suspend", {"tenant_id": "acme"})
    platform.verifier.forget()
    await refused(http, keys[1]["key"])


async def test_no_token_is_refused_without_an_error_code(http: httpx2.AsyncClient) -> None:
    answer = await Speaker(http, "").ask("tools/list")
    challenge = dict(answer.headers)["www-authenticate"]
    assert answer.status == 401
    assert "error=" not in challenge and "resource_metadata=" in challenge


async def test_two_authorization_headers_are_no_login(
    platform: Platform, http: httpx2.AsyncClient
) -> None:
    token = ours(platform, time.time() and 600)
    headers = [(b"authorization", f"Bearer {token}".encode())] * 2
    assert (await http.post("/mcp", headers=headers, content="{}")).status_code == 401
