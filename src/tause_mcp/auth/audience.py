"""When two URLs name the same resource (RFC 3986 section 6, the safe part)."""

from functools import lru_cache
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=4096)
def normalised(url: str) -> str:
    """`url` with scheme and host in lower case, no default port and no trailing slash.

    Anything that is not a plain http(s) URL is given back unchanged, so that it equals only itself.
    """
    if not url.isprintable() or not url.isascii() or set(url) & set(" ?#\\@"):
        return url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return url
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
