"""One JSON record per line on stderr, whatever it holds; a secret in none of them."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from tause_mcp import log
from tause_mcp.auth.apikeys import mint
from tause_mcp.tenancy import TenantId

KEY = mint(TenantId("ta"), b"p" * 32).text
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2ln"


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The records on stderr; stdout stays empty."""

    def read() -> list[dict[str, Any]]:
        out, err = capsys.readouterr()
        assert out == ""
        return [json.loads(line) for line in err.splitlines()]

    return read


def test_a_record_is_one_line_of_json(told: Callable[[], list[dict[str, Any]]]) -> None:
    log.configure()
    log.get("storage").warning("two\nlines", path="a\r\nb\u2028c", size=5, odd="\ud800\0\x1b[0m")
    (record,) = told()
    assert record["event"] == "two\nlines"
    assert (record["room"], record["level"], record["size"]) == ("storage", "warning", 5)
    assert record["timestamp"].endswith("Z")


def test_the_level_holds_for_ours_and_never_opens_the_libraries(
    told: Callable[[], list[dict[str, Any]]],
) -> None:
    log.configure("debug")
    log.get("x").debug("ours")
    logging.getLogger("httpx").debug("theirs")
    logging.getLogger("httpx").info("theirs")
    logging.getLogger("httpx").warning("theirs %s", "now")
    assert [r["event"] for r in told()] == ["ours", "theirs now"]
    log.configure("error")
    log.get("x").warning("ours")
    logging.getLogger("httpx").warning("theirs")
    assert told() == []


SECRETS = {
    "bearer": f"Authorization: Bearer {KEY}",
    "lower": "bearer abc.def-ghi",
    "basic": "Basic dXNlcjpwYXNzd29yZA==",
    "jwt": f"token was {JWT}!",
    "key": f"key={KEY}",
    "url": "postgresql+asyncpg://user:canarypass@host:5432/db?x=1",
    "nouser": "redis://:canarypass@host",
    "inside": f"GET https://h/x?key={KEY}&y=1",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("way", ["event", "value", "nested", "listed", "repr", "stdlib", "error"])
def test_nothing_shaped_like_a_secret_is_logged(
    text: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("debug")
    logger = log.get("x")

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({text})"

    match way:
        case "event":
            logger.info(text)
        case "value":
            logger.info("e", note=text)
        case "nested":
            logger.info("e", note={"a": {"b": [text]}})
        case "listed":
            logger.info("e", note=("x", [text]))
        case "repr":
            logger.info("e", note=Holder())
        case "stdlib":
            logging.getLogger("lib").warning("it said %s", text)
        case "error":
            try:
                raise ValueError(text)
            except ValueError:
                logger.exception("failed")
                logging.getLogger("lib").exception("failed")
    _, err = capsys.readouterr()
    assert err.count("\n") == len(err.splitlines()) > 0
    for canary in ("canarypass", KEY[-20:], JWT[-20:], "abc.def", "dXNlcjpw"):
        assert canary not in err


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "secret", "client_secret", "token", "access_token", "api_key",
     "apikey", "private_key", "Authorization", "cookie", "set_cookie"],
)  # fmt: skip
def test_a_value_with_the_name_of_a_secret_is_hidden(
    name: str, told: Callable[[], list[dict[str, Any]]]
) -> None:
    log.configure()
    log.get("x").info("e", **{name: "canary"})
    log.get("x").info("e", inner={name: "canary", "more": [{name: ["canary"]}]})
    first, second = told()
    assert first[name] == "***"
    assert second["inner"] == {name: "***", "more": [{name: ["***"]}]}


@pytest.mark.parametrize(
    "text",
    ["tk_short", "a bearer of news", "https://host/path?x=1", "user@host", "12:30 a@b", "eyJx"],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    if text != "a bearer of news":
        assert log.hide(text) == text
    else:
        assert log.hide(text) == "a bearer *** news"


def test_a_traceback_is_in_the_record(told: Callable[[], list[dict[str, Any]]]) -> None:
    log.configure()
    try:
        raise ValueError("boom")
    except ValueError as error:
        log.get("x").error("crash", exc_info=error)
    (record,) = told()
    assert "ValueError: boom" in record["exception"]
    assert "test_a_traceback_is_in_the_record" in record["exception"]


class Gone:
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise ValueError("I/O operation on closed file")


def test_a_stream_that_is_gone_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    log.configure()
    monkeypatch.setattr(sys, "stderr", Gone())
    log.get("x").error("e")
    log.security.warning("e")
    logging.getLogger("lib").error("e")


def test_what_a_call_binds_is_in_its_records(told: Callable[[], list[dict[str, Any]]]) -> None:
    log.configure()
    with structlog.contextvars.bound_contextvars(tenant="ta", request="r1"):
        log.get("x").info("in")
    log.get("x").info("out")
    first, second = told()
    assert (first["tenant"], first["request"]) == ("ta", "r1")
    assert "tenant" not in second
