"""A proof is the installation's own: nobody else signs one, and nobody changes one."""

import json
from pathlib import Path

import pytest

from tause_mcp.auth.jwks import keys_in
from tause_mcp.auth.signing import Keyring
from tause_mcp.errors import Invalid
from tause_mcp.proof import Check, Proof, markdown, signed, verified
from tause_mcp.proof.findings import checked

SUBJECT = {
    "version": "1",
    "schema": "0001",
    "database": "sqlite",
    "storage": "file",
    "cache": "memory",
    "tools": 3,
    "plugins": {},
    "libraries": {"mcp": "2"},
    "settings": {"deadline": 5},
}


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.open(tmp_path_factory.mktemp("signer"), "https://h")


def made(*checks: Check) -> Proof:
    return Proof(SUBJECT, "2026-01-01T00:00:00Z", list(checks))


def good() -> Proof:
    return made(Check("isolation", "nobody finds anything", {"probes": 3}), Check("x", "y"))


def bad() -> Proof:
    return made(Check("isolation", "nobody finds anything", problems=["a leak"]))


def forms(proof: Proof, keyring: Keyring) -> list[bytes]:
    return [signed(proof, keyring), markdown(proof, keyring).encode()]


@pytest.mark.parametrize("form", [0, 1])
def test_what_was_changed_does_not_verify(keyring: Keyring, form: int) -> None:
    told = forms(bad(), keyring)[form]
    for before, after in ((b"a leak", b"a peak"), (b"2026-01-01T", b"2026-01-02T")):
        with pytest.raises(Invalid, match="does not fit"):
            verified(told.replace(before, after), keyring.verifying)
    better = told.replace(b"FAILED", b"passed").replace(b'"passed": false', b'"passed": true')
    with pytest.raises(Invalid):
        verified(better, keyring.verifying)


@pytest.mark.parametrize("form", [0, 1])
def test_another_installation_did_not_sign_it(keyring: Keyring, tmp_path: Path, form: int) -> None:
    other = Keyring.open(tmp_path, "https://h")
    with pytest.raises(Invalid, match="not among these"):
        verified(forms(good(), other)[form], keyring.verifying)


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b'{"proof": 1, "signature": 2}', b"\xff\x00"])
def test_what_is_no_proof_is_one_clear_line(keyring: Keyring, junk: bytes) -> None:
    with pytest.raises(Invalid, match="does not verify"):
        verified(junk, keyring.verifying)


def test_a_token_of_the_installation_is_no_signature_of_a_proof(keyring: Keyring) -> None:
    token = keyring.issue("default", "ana", ["*:read"], "https://h/mcp", 60)  # type: ignore[arg-type]
    head, _, mark = token.split(".")
    told = json.loads(signed(good(), keyring)) | {"signature": f"{head}..{mark}"}
    with pytest.raises(Invalid, match="something else"):
        verified(json.dumps(told).encode(), keyring.verifying)


@pytest.mark.parametrize("form", [0, 1])
def test_the_published_key_set_is_enough_to_verify(keyring: Keyring, form: int) -> None:
    published = keys_in(json.dumps(keyring.jwks()).encode())
    assert verified(forms(good(), keyring)[form], published) == (keyring.kid, True)
    assert verified(forms(bad(), keyring)[form], published) == (keyring.kid, False)


def test_json_may_be_laid_out_anew(keyring: Keyring) -> None:
    told = json.dumps(json.loads(signed(good(), keyring))).encode()
    assert verified(told, keyring.verifying) == (keyring.kid, True)


def test_nothing_checked_is_nothing_proven() -> None:
    assert not made().passed
    assert not made(Check("backup", "restored", absent="there is none")).passed
    assert made(Check("backup", "restored", absent="there is none"), Check("x", "y")).passed


@pytest.mark.anyio
async def test_a_check_that_breaks_has_failed() -> None:
    async def broken(_: Check) -> None:
        raise OSError("/var/secret: gone")

    lines: list[str] = []
    check = await checked(Check("x", "y"), broken, lines.append)
    assert check.verdict == "fail" and "secret" not in str(check.told()) + "".join(lines)
