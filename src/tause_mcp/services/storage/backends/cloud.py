"""`s3://`, `gs://`, `az://`: blobs in a bucket, by obstore.

`s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1`; what the query leaves out
comes from the usual environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`). An upload that a killed process left
half-way is invisible; a bucket rule that aborts incomplete multipart uploads ends its cost.
"""

import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from anyio import to_thread

from tause_mcp import log, tally
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.services.storage.backends import Blob, BlobGone, Body, named
from tause_mcp.services.storage.backends._feed import Feed
from tause_mcp.urls import imported

CHUNK = 8 << 20
"""Bytes of one ranged read and of one part of a multipart upload."""
PARALLEL = 4

_STORES: Mapping[str, str] = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "endpoint": "endpoint",
        "region": "region",
        "access_key_id": "access_key_id",
        "secret_access_key": "secret_access_key",
        "session_token": "session_token",
        "virtual_hosted": "virtual_hosted_style_request",
        "kms_key_id": "sse_kms_key_id",
        "encryption": "server_side_encryption",
    },
    "gs": {
        "endpoint": "base_url",
        "service_account": "service_account",
        "application_credentials": "application_credentials",
        "skip_signature": "skip_signature",
    },
    "az": {
        "endpoint": "endpoint",
        "account": "account_name",
        "key": "account_key",
        "sas_key": "sas_key",
        "client_id": "client_id",
        "client_secret": "client_secret",
        "tenant_id": "tenant_id",
        "use_emulator": "use_emulator",
    },
}
Stale = Callable[..., int]
"""`stale(before, abort=...)`: how many multipart uploads nobody ended."""
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_DENIED = "the object store refuses our credentials: the operator has to check them"
_log = log.get("storage")


def _refused(failed: BaseException) -> Unavailable:
    """What to tell of a failed request: never its text, which names hosts and keys."""
    text = str(failed)
    status, code = _STATUS.search(text), _CODE.search(text)
    number = int(status[1]) if status else 0
    kind = type(failed).__name__
    tally.failed("storage")
    _log.warning("object store failed", error=kind, status=number, code=code[1] if code else "")
    if number in (401, 403):
        return Unavailable(_DENIED)
    if number == 404 or (code and code[1] == "NoSuchBucket"):
        return Unavailable("the object store has no such bucket: the operator has to create it")
    if number == 507:
        return Unavailable("the object store is full: free space and try again")
    return Unavailable("the object store does not answer: try again shortly", retry_after=1.0)


@contextmanager
def _told(*, reading: bool = False) -> Iterator[None]:
    """obstore's failures as `Unavailable`; a missing blob, when reading one, as `BlobGone`."""
    failures: type[Exception] = imported("obstore.exceptions:BaseError")
    try:
        yield
    except FileNotFoundError as absent:
        if reading and "NoSuchBucket" not in str(absent):
            raise BlobGone("the bytes of this object are gone") from None
        raise _refused(absent) from None
    except (failures, OSError, TimeoutError) as failed:
        raise _refused(failed) from None


def _past_the_end(failed: BaseException) -> bool:
    status = _STATUS.search(str(failed))
    return status is not None and status[1] == "416"


class CloudStore:
    """Blobs as objects of one bucket, below one prefix."""

    def __init__(self, store: Any, uploads: "Stale | None" = None) -> None:
        self._store = store
        self._uploads = uploads
        self._api = import_module("obstore")

    async def write(self, name: str, body: Body) -> None:
        """One request, or a multipart upload that is aborted when the body or we are cut short."""
        named(name)
        if isinstance(body, bytes) and len(body) <= CHUNK:
            with _told():
                await self._api.put_async(self._store, name, body, use_multipart=False)
            return
        await Feed(partial(self._multipart, name)).run(body)

    async def _multipart(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        with _told():
            await self._api.put_async(
                self._store,
                name,
                pieces,
                use_multipart=True,
                chunk_size=CHUNK,
                max_concurrency=PARALLEL,
            )

    async def copy(self, source: str, name: str) -> None:
        """Copy inside the bucket."""
        with _told(reading=True):
            await self._api.copy_async(self._store, named(source), named(name))

    async def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Ranged requests of at most `CHUNK` each, so that none outlives its time limit."""
        named(name)
        while end is None or start < end:
            stop = start + CHUNK if end is None else min(end, start + CHUNK)
            piece, size = await self._piece(name, start, stop)
            if piece:
                yield piece
            start += len(piece)
            if not piece or start >= size:
                return

    async def _piece(self, name: str, start: int, stop: int) -> tuple[bytes, int]:
        """Bytes `start` to `stop` and the size of the whole blob."""
        failures: type[Exception] = imported("obstore.exceptions:BaseError")
        with _told(reading=True):
            try:
                options = {"range": (start, stop)}
                found = await self._api.get_async(self._store, name, options=options)
                return bytes(await found.bytes_async()), int(found.meta["size"])
            except failures as failed:
                if _past_the_end(failed):
                    return b"", 0
                raise

    async def remove(self, name: str) -> None:
        """Delete the object."""
        with _told():
            try:
                await self._api.delete_async(self._store, named(name))
            except FileNotFoundError as absent:
                if "NoSuchBucket" in str(absent):
                    raise

    async def names(self, prefix: str = "") -> AsyncIterator[Blob]:
        """List by pages below the last whole folder of `prefix`."""
        folder = prefix.rpartition("/")[0]
        with _told():
            async for page in self._api.list(self._store, prefix=folder or None):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        yield Blob(meta["path"], meta["size"], meta["last_modified"].timestamp())

    async def unfinished(self, before: float, *, abort: bool) -> int | None:
        """Multipart uploads below our prefix; needs boto3, and a store that speaks S3."""
        if self._uploads is None:
            return None
        return await to_thread.run_sync(partial(self._uploads, before, abort=abort))

    async def check(self) -> None:
        """Ask for an empty listing: reaches the bucket and proves the credentials."""
        with _told():
            await self._api.list_with_delimiter_async(self._store, "readiness")


def _options(scheme: str, query: str) -> dict[str, str]:
    """The query as the store's settings; an unknown name is `Misconfigured`."""
    known = _OPTIONS[scheme]
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(given) - set(known))
    if unknown:
        usable = ", ".join(sorted(known))
        raise Misconfigured(f"the storage URL has an unknown option: use {usable}")
    return {known[name]: value for name, value in given.items()}


def _endpoint(scheme: str, options: Mapping[str, str]) -> str:
    stated = options.get("endpoint") or options.get("base_url") or ""
    if stated or scheme != "s3":
        return stated
    return next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")


@asynccontextmanager
async def open_cloud(url: str) -> AsyncIterator[CloudStore]:
    """`scheme://bucket/prefix?options`; `Misconfigured` when the parts do not fit together."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    options = _options(scheme, parts.query)
    if not parts.hostname or "@" in parts.netloc:
        raise Misconfigured(f"the storage URL has to be {scheme}://bucket/prefix")
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=5),
        "timeout": timedelta(seconds=30),
        "allow_http": _endpoint(scheme, options).startswith("http://"),
    }
    retry = {
        "max_retries": 3,
        "retry_timeout": timedelta(seconds=20),
        "backoff": {
            "init_backoff": timedelta(milliseconds=50),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    try:
        store = imported(f"obstore.store:{_STORES[scheme]}")(
            parts.netloc,
            prefix=unquote(parts.path).strip("/") or None,
            config=options,
            client_options=client,
            retry_config=retry,
        )
    except imported("obstore.exceptions:BaseError") as wrong:
        kind = type(wrong).__name__
        raise Misconfigured(f"the storage URL or its credentials cannot be used ({kind})") from None
    yield CloudStore(store, _stale(scheme, parts.netloc, unquote(parts.path), options))


def _stale(scheme: str, bucket: str, path: str, options: Mapping[str, str]) -> Stale | None:
    """How to find abandoned multipart uploads, where that can be done."""
    if scheme != "s3" or not find_spec("boto3"):
        return None
    found: Callable[..., int] = imported("tause_mcp.services.storage.backends._multipart:stale")
    return partial(found, bucket, f"{path.strip('/')}/".lstrip("/"), options)
