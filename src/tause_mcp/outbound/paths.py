"""URL templates whose values cannot leave their segment."""

import re
from urllib.parse import quote

from tause_mcp.errors import Invalid

_NAME = re.compile(r"\{([a-z_]+)\}")


def expand(template: str, **values: str) -> str:
    """`template` with every `{name}` replaced by its percent-encoded value.

    Raises:
        Invalid: a value is empty or a dot segment, which no encoding can hold.
    """
    return _NAME.sub(lambda found: _segment(found[1], values[found[1]]), template)


def _segment(name: str, value: str) -> str:
    if value in ("", ".", ".."):
        raise Invalid(f"{name!r} cannot be part of a URL", field=name)
    return quote(value, safe="", errors="surrogatepass")
