"""GET and HEAD of a signed link, with ranges and validators, and headers that disarm content."""

import base64
import re
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tause_mcp.errors import Invalid
from tause_mcp.routes._doors import Door, while_held
from tause_mcp.services.storage import StoredObject
from tause_mcp.services.storage.objects import Reading

_SINGLE = re.compile(r"bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})", re.ASCII)
_SHOWN = re.compile(
    r"(image/(png|jpeg|gif|webp|avif)|audio/[a-z0-9.+-]+|video/[a-z0-9.+-]+|text/plain"
    r"|application/json)(;.*)?",
    re.ASCII,
)
"""What a browser may show in place; everything else (html, svg, pdf...) is saved."""


async def get(door: Door, request: Request) -> Response:
    """The object or one range of it: 200, 206, 304 or 416."""
    known = request.headers.get("if-none-match", "")
    span = await _span(door, request)
    try:
        found, reading = await door.run(door.operations.download, span=span, known=known)
    except Invalid:
        return await _outside(door)
    headers = _headers(found)
    if reading is None:
        return Response(status_code=304, headers=headers)
    return _content(door, request, found, reading, headers, partial=bool(span))


def _content(
    door: Door,
    request: Request,
    found: StoredObject,
    reading: Reading,
    headers: dict[str, str],
    *,
    partial: bool,
) -> Response:
    headers["Content-Length"] = str(reading.end - reading.start)
    if partial:
        headers["Content-Range"] = f"bytes {reading.start}-{reading.end - 1}/{found.size}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(while_held(door, reading.chunks), status, headers)


async def _span(door: Door, request: Request) -> str:
    """The range to serve. Several ranges, other units and a stale If-Range get the whole."""
    span = request.headers.get("range", "").replace(" ", "")
    if _SINGLE.fullmatch(span) is None:
        return ""
    condition = request.headers.get("if-range")
    if condition is None:
        return span
    found, _ = await door.run(door.operations.download, span="", known="*")
    return span if condition == f'"{found.etag}"' else ""


async def _outside(door: Door) -> Response:
    found, _ = await door.run(door.operations.download, span="", known="*")
    return Response(status_code=416, headers={"Content-Range": f"bytes */{found.size}"})


def _headers(found: StoredObject) -> dict[str, str]:
    shown = _SHOWN.fullmatch(found.content_type) is not None
    name = found.key.rpartition("/")[2]
    digest = base64.b64encode(bytes.fromhex(found.sha256)).decode()
    return {
        "Content-Type": found.content_type,
        "ETag": f'"{found.etag}"',
        "Last-Modified": _http_date(found.updated_at),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"',
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _http_date(microseconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(microseconds // 1_000_000, UTC), usegmt=True)
