"""What a browser sends back of a page."""

from urllib.parse import parse_qs

from starlette.requests import Request

from tause_mcp.errors import Invalid

_MOST_BYTES = 16 * 1024


async def form_of(request: Request, most_fields: int = 8) -> dict[str, str]:
    """The fields of a small form; the last of each name.

    Raises:
        Invalid: it is no form, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Invalid("send the form of this page")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise Invalid("the form is too large")
    try:
        read = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=most_fields)
    except ValueError:
        raise Invalid("send the form of this page") from None
    return {name: values[-1] for name, values in read.items()}
