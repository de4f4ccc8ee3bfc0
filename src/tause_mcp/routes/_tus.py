"""TUS 1.0 resumable uploads: creation, creation-with-upload, checksum, expiration, termination.

POST to a PUT link makes an upload; `Location` is its own signed address for HEAD, PATCH, DELETE.
Upload-Metadata may state `filetype` and `sha256` (hexadecimal, of the whole object).
"""

import base64
import binascii
import re
import time
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import Response

from tause_mcp.errors import Conflict, Invalid
from tause_mcp.routes._doors import Door, body_of, whole_number
from tause_mcp.routes._upload import content_type, hex_sha256, told
from tause_mcp.services.storage import Upload, Uploads
from tause_mcp.services.storage.links import UPLOAD_LIFE, Link

VERSION = "1.0.0"
_EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
_BODY = "application/offset+octet-stream"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def options(most: int) -> Response:
    """What this server speaks."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": _EXTENSIONS,
        "Tus-Checksum-Algorithm": "sha256",
        "Tus-Max-Size": str(most),
        "Allow": "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS",
    }
    return Response(status_code=204, headers=headers)


def _wrong_version(request: Request) -> Response | None:
    if request.headers.get("tus-resumable") == VERSION:
        return None
    return Response(status_code=412, headers={"Tus-Version": VERSION})


async def create(door: Door, request: Request) -> Response:
    """POST: 201 with the upload's address, and what already arrived of it."""
    if refused := _wrong_version(request):
        return refused
    length = whole_number(request, "Upload-Length")
    if length is None:
        raise Invalid("Upload-Length is required: the size of the whole", field="upload-length")
    metadata = _metadata(request.headers.get("upload-metadata", ""))
    upload: Upload = await door.run(
        door.operations.begin,
        length=length,
        expires_at=int((time.time() + UPLOAD_LIFE) * 1_000_000),
        content_type=content_type(metadata.get("filetype") or metadata.get("content_type") or ""),
        sha256=_whole_sha256(metadata),
        max_bytes=door.link.max_bytes or 0,
    )
    link = door.links.of_upload(door.link, upload.id)
    upload = await _received(door, link, request, upload, sent=_sends_bytes(request))
    headers = {"Location": door.links.url(link), **_progress(upload)}
    return Response(status_code=201, headers=headers)


async def status(door: Door, request: Request) -> Response:
    """HEAD: 200 and where to go on. An upload that became whole just before a crash is finished."""
    if refused := _wrong_version(request):
        return refused
    upload: Upload = await door.run(door.operations.status, upload=door.link.upload)
    if upload.complete and not upload.done:
        await _finished(door, door.link, upload)
    headers = {"Upload-Length": str(upload.length), **_progress(upload)}
    return Response(status_code=200, headers=headers)


async def append(door: Door, request: Request) -> Response:
    """PATCH: 204 and the new offset; what an interrupted one brought stays."""
    if refused := _wrong_version(request):
        return refused
    if not _sends_bytes(request):
        return Response(status_code=415, headers={"Accept-Patch": _BODY})
    offset = whole_number(request, "Upload-Offset")
    if offset is None:
        raise Invalid("Upload-Offset is required: where these bytes begin", field="upload-offset")
    upload: Upload = await door.run(door.operations.status, upload=door.link.upload)
    if offset != upload.received:
        raise Conflict(f"the upload is at byte {upload.received}: continue there")
    upload = await _received(door, door.link, request, upload, sent=True)
    return Response(status_code=204, headers=_progress(upload))


async def end(door: Door, request: Request) -> Response:
    """DELETE: 204, and nothing of it stays."""
    if refused := _wrong_version(request):
        return refused
    await door.run(door.operations.end, upload=door.link.upload)
    return Response(status_code=204)


async def _received(
    door: Door, link: Link, request: Request, upload: Upload, *, sent: bool
) -> Upload:
    """The upload with the request's bytes added, made an object when it is whole."""
    if sent:
        uploads: Uploads = door.service(Uploads, door.operations.finish)
        checksum = _checksum(request.headers.get("upload-checksum"))
        upload = await uploads.append(upload, upload.received, body_of(door, request), checksum)
    if upload.complete and not upload.done:
        await _finished(door, link, upload)
    return upload


async def _finished(door: Door, link: Link, upload: Upload) -> None:
    uploads: Uploads = door.service(Uploads, door.operations.finish)
    kept = await uploads.assemble(upload)
    try:
        await door.run(door.operations.finish, upload=upload.id, **told(kept))
    except BaseException:
        await uploads.drop_parts([kept])
        raise


def _sends_bytes(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip() == _BODY


def _progress(upload: Upload) -> dict[str, str]:
    expires = datetime.fromtimestamp(upload.expires_at // 1_000_000, UTC)
    return {
        "Upload-Offset": str(upload.received),
        "Upload-Expires": format_datetime(expires, usegmt=True),
    }


def _metadata(header: str) -> dict[str, str]:
    """`name base64, name base64`; what cannot be read is `Invalid`."""
    if len(header) > 4096:
        raise Invalid("Upload-Metadata is too long", field="upload-metadata")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise Invalid(
                "Upload-Metadata is name base64, name base64", field="upload-metadata"
            ) from None
    return found


def _whole_sha256(metadata: dict[str, str]) -> str:
    stated = metadata.get("sha256", "")
    if stated and _SHA256.fullmatch(stated) is None:
        raise Invalid("the metadata sha256 is 64 hexadecimal digits", field="upload-metadata")
    return stated.lower()


def _checksum(header: str | None) -> str:
    """`sha256 <base64>` as hexadecimal; nothing when there is none."""
    if header is None:
        return ""
    algorithm, _, encoded = header.partition(" ")
    if algorithm != "sha256":
        raise Unsupported("Upload-Checksum: only sha256 is known here", field="upload-checksum")
    return hex_sha256(encoded)


class Unsupported(Invalid):
    """TUS asks for 400 here."""

    status = 400
