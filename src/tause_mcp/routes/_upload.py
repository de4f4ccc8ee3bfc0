"""PUT of a signed link: a whole object in one request."""

import base64
import binascii
import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tause_mcp.errors import Invalid
from tause_mcp.routes._doors import Door, body_of, whole_number
from tause_mcp.services.storage import Conditions, Storage
from tause_mcp.services.storage.blobs import Kept
from tause_mcp.services.storage.uploads import WrongChecksum

_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}(; ?[\x21-\x7e]{1,80})?", re.ASCII
)
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")
_MEANINGLESS = ("application/x-www-form-urlencoded", "multipart/form-data")
"""What clients send when nobody told them the type."""


async def put(door: Door, request: Request) -> Response:
    """Store the body: 200 with the object's description and ETag."""
    size = whole_number(request, "Content-Length")
    conditions = {
        "if_match": request.headers.get("if-match", ""),
        "if_none_match": request.headers.get("if-none-match", ""),
    }
    expected = announced_sha256(request)
    storage: Storage = door.service(Storage, door.operations.upload)
    kept = await storage.stage(
        door.link.key,
        body_of(door, request),
        conditions=Conditions(conditions["if_match"] or None, conditions["if_none_match"] or None),
        size=size,
        max_bytes=door.link.max_bytes,
    )
    try:
        if expected not in ("", kept.sha256):
            raise WrongChecksum("the body does not have the announced sha256: send it again")
        stored = await door.run(
            door.operations.upload,
            **told(kept),
            **conditions,
            content_type=content_type(request.headers.get("content-type", "")),
        )
    except BaseException:
        await storage.blobs.discard(kept.blob)
        raise
    return JSONResponse(stored.info(), headers={"ETag": f'"{stored.etag}"'})


def told(kept: Kept) -> dict[str, str | int | bytes]:
    """Kept bytes as arguments of an operation."""
    return {
        "blob": kept.blob or "",
        "body": kept.body or b"",
        "size": kept.size,
        "sha256": kept.sha256,
        "enc": kept.enc or b"",
    }


def content_type(stated: str) -> str:
    """A usable media type, or nothing: then the key's ending decides."""
    if stated.startswith(_MEANINGLESS) or _TYPE.fullmatch(stated) is None:
        return ""
    return stated


def announced_sha256(request: Request) -> str:
    """What `Repr-Digest` or `Content-Digest` (RFC 9530) says, in hexadecimal; else nothing."""
    stated = request.headers.get("repr-digest") or request.headers.get("content-digest") or ""
    found = _DIGEST.search(stated)
    return "" if found is None else hex_sha256(found[1])


def hex_sha256(encoded: str) -> str:
    """A base64 digest as hexadecimal; `Invalid` when it is no SHA-256."""
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        raise Invalid("the checksum is not a base64 SHA-256")
    return digest.hex()
