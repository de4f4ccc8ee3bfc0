"""Master keys at AWS KMS (moto) and in Vault's transit engine (a double)."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.encryption.conftest import TA, view
from tests.support import s3
from tests.support.rows import make_file
from tests.support.serving import free_port
from tests.support.vault import TOKEN, VaultDouble, vault

import tause_mcp.services.tenants  # noqa: F401  # its tables are in the file
from tause_mcp.database import open_database
from tause_mcp.encryption.masters import Masters, read_masters
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
NOWHERE = Path("/nowhere/master.key")


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


def kms_url(port: int, key: str = "") -> str:
    where = f"region=us-east-1&endpoint=http://127.0.0.1:{port}"
    if not key:
        import boto3

        api = boto3.client("kms", "us-east-1", endpoint_url=f"http://127.0.0.1:{port}")
        key = api.create_key()["KeyMetadata"]["KeyId"]
    return f"aws-kms://{key}?{where}"


@pytest.fixture(params=["kms", "transit"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "kms":
        return kms_url(s3.server().port)
    made: VaultDouble = request.getfixturevalue("double")
    return made.url("transit/tause")


async def test_what_was_wrapped_opens_for_what_it_is_about_only(url: str) -> None:
    masters = Masters(read_masters(url, NOWHERE))
    wrapped = await masters.wrap(b"k" * 32, "tenant|ta|1")
    assert b"k" * 32 not in wrapped
    assert await masters.unwrap(wrapped, "tenant|ta|1") == b"k" * 32
    for wrong in ("tenant|tab|1", "tenant|ta|2"):
        with pytest.raises(Unavailable):
            await masters.unwrap(wrapped, wrong)
    with pytest.raises(Unavailable):
        await masters.unwrap(wrapped[:-3], "tenant|ta|1")


async def test_a_house_starts_and_starts_again_with_it(url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", encryption_key=url)
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        first = await view(settings, database)
        await first.tenant(TA)
        sealed = (await first.keys.cipher(TA)).seal("a", b"x")
        second = await view(settings, database)
        assert (await second.keys.cipher(TA)).open("a", sealed) == b"x"
    assert not (tmp_path / "home" / "master.key").exists()


async def test_it_moves_from_a_local_key_to_a_service(url: str, tmp_path: Path) -> None:
    from tause_mcp.encryption.rotation import rewrap, standing

    old = base64.b64encode(os.urandom(32)).decode()
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        before = await view(Settings(home=tmp_path, encryption_key=old), database)
        await before.tenant(TA)
        sealed = (await before.keys.cipher(TA)).seal("a", b"x")
        both = await view(Settings(home=tmp_path, encryption_key=f"{url},{old}"), database)
        assert (await standing(database, both.keys.masters)).waiting == 2
        assert await rewrap(database, both.keys.masters) == 2
        after = await view(Settings(home=tmp_path, encryption_key=url), database)
        assert (await after.keys.cipher(TA)).open("a", sealed) == b"x"
        with pytest.raises(Misconfigured, match="another master key"):
            await view(Settings(home=tmp_path, encryption_key=old), database)


async def test_a_service_that_is_down_refuses_to_start_in_one_line(tmp_path: Path) -> None:
    gone = free_port()
    for url in (kms_url(gone, "key"), f"vault://127.0.0.1:{gone}/transit/k?tls=off"):
        masters = Masters(read_masters(url, NOWHERE))
        with pytest.raises(Unavailable, match="does not answer"):
            await masters.wrap(b"x", "a")


async def test_a_service_that_refuses_us_later_says_so(
    double: VaultDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, encryption_key=double.url("transit/tause"))
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        await view(settings, database)
        double.sealed = True
        with pytest.raises(Misconfigured, match="TAUSE_ENCRYPTION_KEY: Vault does not answer"):
            await view(settings, database)
        double.sealed = False
        monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
        with pytest.raises(Misconfigured, match="token"):
            await view(settings, database)


@pytest.mark.parametrize(
    "url", ["aws-kms://", "aws-kms://k?x=1", "vault://host/key", "vault://host", "gcp-kms://k"]
)
def test_a_service_of_the_wrong_form_refuses_to_start(url: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_ENCRYPTION_KEY"):
        read_masters(url, NOWHERE)
