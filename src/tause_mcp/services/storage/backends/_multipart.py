"""Multipart uploads that a killed process began: their parts cost and are in no listing.

obstore has no way to list them, so this needs boto3 (the extra `aws`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tause_mcp.errors import Unavailable

_NAMES = {
    "endpoint": "endpoint_url",
    "region": "region_name",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


def stale(
    bucket: str, prefix: str, options: Mapping[str, str], before: float, *, abort: bool
) -> int:
    """How many uploads below `prefix` began before then (epoch seconds); blocking."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    given = {_NAMES[name]: value for name, value in options.items() if name in _NAMES}
    config = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 2})
    try:
        client = boto3.client("s3", config=config, **given)
        found = [u for u in _uploads(client, bucket, prefix) if u["Initiated"].timestamp() < before]
        for upload in found if abort else ():
            client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
    except (BotoCoreError, ClientError):  # their text names hosts and keys
        raise Unavailable("the object store does not list multipart uploads") from None
    return len(found)


def _uploads(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        yield from page.get("Uploads", ())
