"""Amazon's APIs by boto3 (extra `aws`), off the event loop, bounded in time."""

from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread

from tause_mcp import log
from tause_mcp.errors import Misconfigured, Unavailable

_threads = CapacityLimiter(8)
_REFUSED = frozenset(
    ["AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"]
    + ["ExpiredTokenException", "InvalidClientTokenId", "AccessDenied"]
)
_log = log.get("outbound")


def client(service: str, setting: str, region: str = "", endpoint: str = "") -> Any:
    """A client; credentials, and a region left out, come from the usual environment (`AWS_*`).

    Raises:
        Misconfigured: naming `setting`: the extra is missing, or there is no region.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        raise Misconfigured(f"{setting}: install the extra `tause-mcp[aws]`") from None
    patience = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        return boto3.client(
            service, region_name=region or None, endpoint_url=endpoint or None, config=patience
        )
    except (BotoCoreError, ValueError) as wrong:
        raise Misconfigured(f"{setting}: {type(wrong).__name__}: state the region") from None


class RefusedError(Exception):
    """An answer that the caller may expect: its `code` is Amazon's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def ask(method: Callable[..., Any], what: str, /, **parameters: Any) -> Any:
    """Call a client's method. `what` names the service to the caller.

    Raises:
        RefusedError: the request was understood and refused. Unavailable: anything else.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return await to_thread.run_sync(partial(method, **parameters), limiter=_threads)
    except ClientError as failed:
        code = str(failed.response.get("Error", {}).get("Code", ""))
        status = failed.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        _log.warning("amazon_refused", what=what, code=code, status=status)
        if code in _REFUSED or status in (401, 403):
            raise Unavailable(f"{what} refuses our credentials: the operator checks them") from None
        if status >= 500 or code.startswith(("Throttl", "TooManyRequests", "RequestLimit")):
            raise _down(what) from None
        raise RefusedError(code) from None
    except (BotoCoreError, OSError) as failed:
        _log.warning("amazon_failed", what=what, error=type(failed).__name__)
        raise _down(what) from None


def _down(what: str) -> Unavailable:
    return Unavailable(f"{what} does not answer: try again shortly", retry_after=1.0)
