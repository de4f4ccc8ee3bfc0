"""A proof as JSON and as Markdown, each signed by the installation's own key."""

from collections.abc import Mapping
from typing import Any

import orjson

from tause_mcp.auth.detached import sign, verify
from tause_mcp.auth.identities import Refused
from tause_mcp.auth.keys import Key
from tause_mcp.auth.signing import Keyring
from tause_mcp.errors import Invalid
from tause_mcp.proof.findings import Check, Proof

KIND = "tause-proof"
FORMAT = 1
_MARK = "\nSigned (JWS, detached, over every line above): `"


def document(proof: Proof) -> dict[str, Any]:
    """The proof as one JSON object."""
    return {
        "format": FORMAT,
        "made_at": proof.made_at,
        "passed": proof.passed,
        "subject": proof.subject,
        "checks": [check.told() for check in proof.checks],
    }


def signed(proof: Proof, keyring: Keyring) -> bytes:
    """`proof.json`: the proof, and a signature over its canonical bytes."""
    told = document(proof)
    signature = sign(keyring, KIND, _canonical(told))
    whole = {"proof": told, "signature": signature}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2) + b"\n"


def _canonical(told: Any) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def markdown(proof: Proof, keyring: Keyring) -> str:
    """`proof.md`: the same for a person, signed too."""
    subject = proof.subject
    lines = [
        f"# Proof: {'passed' if proof.passed else 'FAILED'}",
        "",
        f"Made {proof.made_at} by tause-mcp {subject['version']}, schema {subject['schema']}, on "
        f"{subject['database']}, {subject['storage']} and {subject['cache']}; {subject['tools']} "
        "tools.",
        "",
        "| check | verdict | counted | seconds |",
        "|---|---|---|---|",
        *map(_row, proof.checks),
        "",
        *_problems(proof),
        f"Plugins: {_listed(subject['plugins'])}. Libraries: {_listed(subject['libraries'])}.",
        f"Settings: {_listed(subject['settings'])}.",
        "",
    ]
    text = "\n".join(lines)
    return f"{text}{_MARK}{sign(keyring, KIND, text.encode())}`\n"


def _row(check: Check) -> str:
    counted = ", ".join(f"{what} {count}" for what, count in check.counts.items()) or check.absent
    return (
        f"| **{check.name}**: {check.claim} | {check.verdict} | {counted} | {check.seconds:.1f} |"
    )


def _problems(proof: Proof) -> list[str]:
    found = [f"- {check.name}: {problem}" for check in proof.checks for problem in check.problems]
    return [*found, ""] if found else []


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items()) or "none"


def verified(content: bytes, keys: Mapping[str, Key]) -> tuple[str, bool]:
    """Who signed a `proof.json` or `proof.md`, and whether the proof says that it passed.

    Raises:
        Invalid: it is neither, was changed, or was signed by none of `keys`.
    """
    try:
        payload, signature, passed = _taken(content)
        return verify(keys, KIND, payload, signature), passed
    except Refused as refused:
        raise Invalid(f"the proof does not verify: {refused}") from None


def _taken(content: bytes) -> tuple[bytes, str, bool]:
    if not content.lstrip().startswith(b"{"):
        text, mark, signature = content.partition(_MARK.encode())
        if not mark or not signature.endswith(b"`\n"):
            raise Refused("no signature is in it")
        return text, signature[:-2].decode(errors="replace"), text.startswith(b"# Proof: passed\n")
    try:
        whole = orjson.loads(content)
        told, signature = whole["proof"], whole["signature"]
        return _canonical(told), str(signature), told["passed"] is True
    except (ValueError, KeyError, TypeError):
        raise Refused("it is not a proof") from None
