"""What every source of secrets holds to: AWS Secrets Manager (moto) and Vault (a double)."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from tests.support import s3
from tests.support.serving import free_port
from tests.support.vault import TOKEN, VaultDouble, vault

from tause_mcp.errors import Conflict, Misconfigured, NotFound, Unavailable
from tause_mcp.services.secrets import Secrets
from tause_mcp.services.secrets.sources.aws import open_aws
from tause_mcp.services.secrets.sources.vault import VaultSource, open_vault
from tause_mcp.tenancy import TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
CANARY = "canary-77aa"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)


@pytest.fixture
def double() -> Iterator[VaultDouble]:
    with vault() as made:
        yield made


def aws_url(port: int, prefix: str = "") -> str:
    return f"aws://us-east-1/{prefix or uuid4().hex}?endpoint=http://127.0.0.1:{port}"


@pytest.fixture(params=["aws", "vault"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator:
    if request.param == "aws":
        async with open_aws(aws_url(s3.server().port)) as opened:
            yield opened
    else:
        double = request.getfixturevalue("double")
        async with open_vault(double.url("kv")) as opened:
            yield opened


def of(source, tenant: str = "acme") -> Secrets:
    return Secrets(source.shelf(TenantId(tenant)))


# --- what must not work -------------------------------------------------------------------------


async def test_another_tenants_secret_is_not_found(source) -> None:
    await of(source, "aa").put("k/a", CANARY)
    for tenant in ("a", "aab", "aa-", "aa_", "k"):
        theirs = of(source, tenant)
        for attempt in (
            theirs.resolve("secret://k/a"),
            theirs.rotate("k/a", "x"),
            theirs.delete("k/a"),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await theirs.list() == []
    assert await of(source, "aa").resolve("secret://k/a") == CANARY


async def test_what_is_not_there_is_not_found(source) -> None:
    for attempt in (
        of(source).resolve("secret://a"),
        of(source).rotate("a", "x"),
        of(source).delete("a"),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_an_expired_secret_is_not_used(source, monkeypatch: pytest.MonkeyPatch) -> None:
    from tause_mcp.services.secrets import service

    await of(source).put("a", CANARY, expires_in=60)
    assert await of(source).resolve("secret://a") == CANARY
    monkeypatch.setattr(service, "now", lambda: 2**60)
    with pytest.raises(NotFound):
        await of(source).resolve("secret://a")


# --- what works ---------------------------------------------------------------------------------


async def test_a_secret_is_kept_rotated_listed_and_removed(source) -> None:
    secrets = of(source)
    first = await secrets.put("a", CANARY, description="d")
    second = await secrets.rotate("a", "new", grace=600)
    assert first.version != second.version
    assert (second.description, second.previous_until is not None) == ("d", True)
    assert await secrets.accepted("secret://a") == ("new", CANARY)
    await secrets.rotate("a", "newer", grace=0)
    assert await secrets.accepted("secret://a") == ("newer",)
    for name in ("b/c", "b", "z"):
        await secrets.put(name, "v")
    listed = await secrets.list("", 3)
    assert [s.name for s in listed] == ["a", "b", "b/c"]
    assert CANARY not in repr(listed) and "newer" not in repr(listed)
    assert [s.name for s in await secrets.list("b/c", 3)] == ["z"]
    await secrets.delete("a")
    assert [s.name for s in await secrets.list()] == ["b", "b/c", "z"]
    again = await secrets.put("a", "reborn")
    assert await secrets.accepted("secret://a") == ("reborn",)
    assert again.previous_until is None


async def test_a_deleted_tenants_secrets_go(source) -> None:
    for tenant in ("aa", "aab"):
        for name in ("a", "b/c"):
            await of(source, tenant).put(name, "v")
    await source.end(TenantId("aa"))
    await source.end(TenantId("aa"))
    assert await of(source, "aa").list() == []
    assert len(await of(source, "aab").list()) == 2


async def test_what_other_hands_put_there_is_read(double: VaultDouble) -> None:
    import boto3

    port, prefix = s3.server().port, uuid4().hex
    api = boto3.client("secretsmanager", "us-east-1", endpoint_url=f"http://127.0.0.1:{port}")
    api.create_secret(Name=f"{prefix}/acme/db/url", SecretString="by hand")
    async with open_aws(aws_url(port, prefix)) as opened:
        assert await of(opened).resolve("secret://db/url") == "by hand"
        assert (await of(opened).list())[0].name == "db/url"
    double._store("acme/db/url", {"value": "by hand"})
    double._store("acme/odd", {"password": "no value here"})
    async with open_vault(double.url("kv")) as opened:
        assert await of(opened).resolve("secret://db/url") == "by hand"
        with pytest.raises(NotFound):
            await of(opened).resolve("secret://odd")


# --- faults -------------------------------------------------------------------------------------


async def unavailable(source, within: float = 12) -> str:
    began = time.monotonic()
    told = set()
    for attempt in (
        of(source).resolve("secret://a"),
        of(source).put("a", CANARY),
        of(source).list(),
    ):
        with pytest.raises(Unavailable) as refused:
            await attempt
        told.add(str(refused.value))
        assert CANARY not in str(refused.value) and TOKEN not in str(refused.value)
    assert time.monotonic() - began < within * 3
    return told.pop()


async def test_a_source_that_is_down_is_unavailable_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = free_port()
    async with open_aws(aws_url(gone)) as source:
        assert "does not answer" in await unavailable(source)
    async with open_vault(f"vault://127.0.0.1:{gone}/kv?tls=off") as source:
        assert "does not answer" in await unavailable(source)


async def test_a_sealed_vault_is_unavailable_and_recovers(double: VaultDouble) -> None:
    async with open_vault(double.url("kv")) as source:
        double.sealed = True
        await unavailable(source)
        double.sealed = False
        await of(source).put("a", "v")


async def test_a_wrong_token_is_told_to_the_operator(
    double: VaultDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    async with open_vault(double.url("kv")) as source:
        assert "token" in await unavailable(source)


async def test_a_slow_vault_is_unavailable_in_time(
    double: VaultDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.outbound import hashivault
    from tause_mcp.outbound.client import Policy

    monkeypatch.setattr(hashivault, "_POLICY", Policy(deadline=0.3, attempts=2))
    double.delay = 8.0
    async with open_vault(double.url("kv")) as source:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await of(source).resolve("secret://a")
        assert time.monotonic() - began < 8, "it waited for the answer"


@pytest.mark.parametrize("strange", [b"<html>", b"[" * 100_000, b"\xff\xfe"])
async def test_an_answer_that_is_no_json_is_unavailable(
    double: VaultDouble, strange: bytes
) -> None:
    double.strange = strange
    async with open_vault(double.url("kv")) as source:
        await unavailable(source)


async def test_a_version_that_came_between_is_a_conflict(double: VaultDouble) -> None:
    async with open_vault(double.url("kv")) as source:
        await of(source).put("a", "one")
        double.interfere = True
        for attempt in (of(source).put("a", "two"), of(source).rotate("a", "two")):
            with pytest.raises(Conflict):
                await attempt


async def test_parallel_changes_lose_nothing(double: VaultDouble) -> None:
    async with open_vault(double.url("kv")) as source:
        told = await asyncio.gather(
            *(of(source).put("a", f"v{n}") for n in range(8)), return_exceptions=True
        )
        done = [t for t in told if not isinstance(t, BaseException)]
        assert done and all(isinstance(t, Conflict) for t in told if t not in done)
        assert len({t.version for t in done}) == len(done)


@pytest.mark.parametrize(
    "url",
    ["vault://", "vault://host", "vault:///kv", "vault://u:p@host/kv", "vault://host/kv?x=1",
     "vault://host:port/kv"],
)  # fmt: skip
async def test_a_vault_url_of_the_wrong_form_refuses_to_start(url: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_SECRETS_URL"):
        async with open_vault(url):
            pass


@pytest.mark.parametrize("url", ["aws://", "aws://us-east-1", "aws:///p", "aws://us-east-1/p?x=1"])
async def test_an_aws_url_of_the_wrong_form_refuses_to_start(url: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_SECRETS_URL"):
        async with open_aws(url):
            pass


async def test_a_missing_token_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    with pytest.raises(Misconfigured, match="VAULT_TOKEN"):
        async with open_vault("vault://host/kv"):
            pass


async def test_the_token_is_not_printed(double: VaultDouble) -> None:
    async with open_vault(double.url("kv")) as source:
        assert isinstance(source, VaultSource)
        assert TOKEN not in repr(source._vault)
