"""A backend is a URL; what is wrong with one is told without what it may hold."""

import pytest

from tause_mcp import urls
from tause_mcp.errors import Misconfigured


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("sqlite:///a", "sqlite"), ("S3://b", "s3"), ("postgresql+asyncpg://h", "postgresql+asyncpg")],
)
def test_the_scheme_is_in_lower_case(url: str, scheme: str) -> None:
    assert urls.scheme_of(url) == scheme


@pytest.mark.parametrize("url", ["", "canary", "postgres:user:canary@host", "/var/canary", "a:b"])
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Misconfigured, match="not a URL") as refused:
        urls.choose(url, {"file": "x:y"}, "storage")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:canary@host:5/db", "postgresql://***@host:5/db"),
        ("redis://:canary@host", "redis://***@host"),
        ("s3://bucket/a?secret=canary", "s3://bucket/a?***"),
        ("https://a@canary@host/x#canary", "https://***@host/x"),
        ("file:///x", "file:///x"),
        ("https://[canary", "(not a URL)"),
    ],
)
def test_what_is_shown_of_a_url_holds_no_secret(url: str, shown: str) -> None:
    assert urls.redacted(url) == shown


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(Misconfigured) as refused:
        urls.choose("ftp://user:canary@h", {"s3": "x:y", "file": "x:y"}, "storage")
    assert str(refused.value) == "no storage backend for 'ftp': use one of file, s3"


def test_a_factory_is_imported_when_it_is_chosen() -> None:
    from collections import OrderedDict

    assert urls.choose("x://", {"x": "collections:OrderedDict"}, "storage") is OrderedDict
    assert urls.choose("x://", {"x": dict}, "storage") is dict


def test_a_missing_extra_is_one_line_that_names_it() -> None:
    with pytest.raises(Misconfigured, match=r"needs 'no_such_package': install its extra"):
        urls.choose("x://", {"x": "no_such_package.module:factory"}, "cache")
