"""Bytes as a model reads and writes them: text, base64 or JSON, within a result's bounds."""

import base64
import binascii
from typing import Any, Literal

import orjson

from tause_mcp.errors import Invalid

Encoding = Literal["utf-8", "base64", "json"]
BUDGET = 22 * 1024
"""Bytes of content in one result, as JSON: the whole stays under 24 KiB."""
TYPES: dict[str, str | None] = {
    "utf-8": "text/plain; charset=utf-8",
    "base64": None,
    "json": "application/json",
}


def encode(content: Any, encoding: Encoding) -> bytes:
    """What a caller sent, as the bytes to store.

    Raises:
        Invalid: the content is not what `encoding` says.
    """
    if encoding == "json":
        return _json(content)
    if not isinstance(content, str):
        raise Invalid(
            f"content is a string unless encoding is json, not {encoding}", field="content"
        )
    if encoding == "base64":
        try:
            return base64.b64decode(content.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise Invalid("content is not base64", field="content") from None
    try:
        return content.encode()
    except UnicodeEncodeError:
        raise Invalid("content holds a lone surrogate: it is no text", field="content") from None


def _json(content: Any) -> bytes:
    """A JSON value; a string that is itself JSON text is taken as that text."""
    if isinstance(content, str):
        try:
            orjson.loads(content)
        except orjson.JSONDecodeError:
            pass
        else:
            return content.encode()
    try:
        return orjson.dumps(content)
    except (TypeError, orjson.JSONEncodeError):
        raise Invalid("content is not a JSON value", field="content") from None


def decode(
    body: bytes, encoding: Encoding | None, *, whole: bool, cut: bool
) -> tuple[Any, str, int]:
    """`(content, encoding, bytes shown)`, the content cut to the budget.

    `whole`: body is the whole object; `cut`: the object goes on behind it. Without an encoding:
    text where it is text, else base64. A JSON value cannot be cut: a part of one, or one larger
    than a result, is shown as text.
    """
    if encoding == "json" and whole and (value := _value(body)) is not _TOO_LARGE:
        return value, "json", len(body)
    if encoding == "base64":
        return _base64(body)
    text, used = _text(body, cut=cut)
    if text is not None:
        return text, "utf-8", used
    if encoding is not None:
        raise Invalid("these bytes are not UTF-8: ask for base64", field="encoding")
    return _base64(body)


_TOO_LARGE = object()


def _value(body: bytes) -> Any:
    """The JSON value of `body`; written anew it may be longer than it was."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid(
            "this object is not JSON: ask for utf-8 or base64", field="encoding"
        ) from None
    return value if len(orjson.dumps(value)) <= BUDGET else _TOO_LARGE


def _base64(body: bytes) -> tuple[str, str, int]:
    shown = body[: BUDGET // 4 * 3]
    return base64.b64encode(shown).decode(), "base64", len(shown)


def _text(body: bytes, *, cut: bool) -> tuple[str | None, int]:
    """The longest text that begins `body` and fits; None when it is no UTF-8."""
    shown = body[:BUDGET]
    cut = cut or len(shown) < len(body)
    while True:
        text, used = _decoded(shown, cut=cut)
        if text is None:
            return None, 0
        size = len(orjson.dumps(text))
        if size <= BUDGET:
            return text, used
        shown, cut = shown[: max(1, used * BUDGET // size - 8)], True


def _decoded(body: bytes, *, cut: bool) -> tuple[str | None, int]:
    """Text and the bytes it took; a character that `cut` split at the end is left out."""
    try:
        return body.decode(), len(body)
    except UnicodeDecodeError as wrong:
        if cut and wrong.end == len(body) and len(body) - wrong.start < 4 and wrong.start > 0:
            return body[: wrong.start].decode(), wrong.start
        return None, 0
