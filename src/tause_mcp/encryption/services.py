"""Master keys that never leave a key service: AWS KMS and Vault's transit engine.

`aws-kms://key-id` (an id, ARN or alias; `?region=&endpoint=`), `vault://host/mount/key`.
"""

import base64
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from tause_mcp.errors import Misconfigured, Unavailable

SETTING = "TAUSE_ENCRYPTION_KEY"
_KMS = "the key service (AWS KMS)"


def damaged() -> Unavailable:
    """What does not open, though the service answers."""
    return Unavailable("a stored key is damaged: the operator has to restore it from a backup")


class KmsMaster:
    """A key of AWS KMS. What a wrapped key is about is its encryption context."""

    remote = True

    def __init__(self, url: str, name: bytes) -> None:
        self.id = name
        self._key, _, query = url.partition("://")[2].partition("?")
        options = {k: v[0] for k, v in parse_qs(query).items()}
        self._region, self._endpoint = options.pop("region", ""), options.pop("endpoint", "")
        if not self._key or options:
            raise Misconfigured(f"{SETTING}: write aws-kms://key-id?region=eu-west-1")

    @cached_property
    def _client(self) -> Any:
        from tause_mcp.outbound.amazon import client

        return client("kms", SETTING, self._region, self._endpoint)

    async def wrap(self, plain: bytes, about: str) -> bytes:
        from tause_mcp.outbound.amazon import RefusedError, ask

        told = {"KeyId": self._key, "Plaintext": plain, "EncryptionContext": {"tause": about}}
        try:
            made = await ask(self._client.encrypt, _KMS, **told)
        except RefusedError as refused:
            raise Unavailable(f"{_KMS} cannot use the key: {refused.code}") from None
        return bytes(made["CiphertextBlob"])

    async def unwrap(self, payload: bytes, about: str) -> bytes:
        from tause_mcp.outbound.amazon import RefusedError, ask

        told = {"KeyId": self._key, "CiphertextBlob": payload}
        try:
            found = await ask(
                self._client.decrypt, _KMS, EncryptionContext={"tause": about}, **told
            )
        except RefusedError as refused:
            if refused.code == "InvalidCiphertextException":
                raise damaged() from None
            raise Unavailable(f"{_KMS} cannot use the key: {refused.code}") from None
        return bytes(found["Plaintext"])


class TransitMaster:
    """A key of Vault's transit engine (an AEAD type, as its default aes256-gcm96 is)."""

    remote = True

    def __init__(self, url: str, name: bytes) -> None:
        from tause_mcp.outbound.hashivault import Vault

        self.id = name
        self._vault = Vault.of(url, SETTING)
        self._mount, _, self._key = self._vault.path.rpartition("/")
        if not self._mount:
            raise Misconfigured(f"{SETTING}: write vault://host/mount/key")

    async def wrap(self, plain: bytes, about: str) -> bytes:
        told = await self._ask(
            "encrypt", {"plaintext": _text(plain), "associated_data": _of(about)}
        )
        return str(told["ciphertext"]).encode()

    async def unwrap(self, payload: bytes, about: str) -> bytes:
        ciphertext = payload.decode("ascii", "replace")
        told = await self._ask("decrypt", {"ciphertext": ciphertext, "associated_data": _of(about)})
        return base64.b64decode(told["plaintext"])

    async def _ask(self, verb: str, body: dict[str, str]) -> dict[str, Any]:
        from tause_mcp.outbound import Outbound

        async with Outbound(trusted=True) as client:
            path = f"{self._mount}/{verb}/{self._key}"
            status, told = await self._vault.ask(client, "POST", path, body)
        if status == 404:
            raise Unavailable("Vault has no such transit mount: the operator has to enable it")
        if status != 200:
            raise damaged()
        found: dict[str, Any] = told["data"]
        return found


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _of(about: str) -> str:
    return _text(about.encode())
