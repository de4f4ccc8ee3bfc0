"""Keys, etags and ranges: refused before any backend, in every spelling."""

import pytest

from tause_mcp.errors import Invalid, PreconditionFailed
from tause_mcp.services.storage.keys import (
    check_conditions,
    check_key,
    check_prefix,
    etag_of,
    parse_range,
)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "../a",
        "a/../b",
        "a/./b",
        "./a",
        "a%2e%2e/b",
        "..%2fa",
        "a\\..\\b",
        "..\\a",
        "a\0b",
        "a\n",
        "a ",
        " a",
        "a\tb",
        "．．/a",
        "ａ",
        "á",
        "a\u200b",
        "a:b",
        "a*",
        "a?b",
        "~/a",
        "a" * 513,
        "..;/a",
        "\ud800",
    ],
)
def test_a_key_outside_the_grammar_is_refused(key: str) -> None:
    with pytest.raises(Invalid) as told:
        check_key(key)
    assert told.value.field == "key"


@pytest.mark.parametrize(
    "key", ["a", "A", "a/b", "a.b", "..a", "a..", ".../b", "-", "_", "a" * 512]
)
def test_a_key_of_the_grammar_is_kept_as_it_is(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("prefix", ["%", "a%", "a*", "\0", "é", "a" * 513])
def test_a_prefix_outside_the_grammar_is_refused(prefix: str) -> None:
    with pytest.raises(Invalid):
        check_prefix(prefix)


def test_an_etag_changes_with_content_and_with_time() -> None:
    assert len({etag_of("a" * 64, 1), etag_of("b" * 64, 1), etag_of("a" * 64, 2)}) == 3


E1, E2 = etag_of("a" * 64, 1), etag_of("b" * 64, 1)


@pytest.mark.parametrize(
    ("current", "if_match", "if_none_match"),
    [
        (None, "*", None),
        (None, E1, None),
        (E1, E2, None),
        (E1, None, "*"),
        (E1, None, E1),
        (E1, None, f"{E2}, {E1}"),
        (E1, E1, E1),
    ],
)
def test_a_condition_that_does_not_hold_is_refused(
    current: str | None, if_match: str | None, if_none_match: str | None
) -> None:
    with pytest.raises(PreconditionFailed):
        check_conditions(current, if_match, if_none_match)


@pytest.mark.parametrize(
    ("current", "if_match", "if_none_match"),
    [
        (E1, "*", None),
        (E1, E1, None),
        (E1, f'"{E1}"', None),
        (E1, f"{E2}, {E1}", None),
        (None, None, "*"),
        (None, None, E1),
        (E1, None, E2),
        (E1, E1, E2),
    ],
)
def test_a_condition_that_holds_passes(
    current: str | None, if_match: str | None, if_none_match: str | None
) -> None:
    check_conditions(current, if_match, if_none_match)


@pytest.mark.parametrize("wrong", ["", "x", f'W/"{E1}"', "v1", E1 + "x"])
@pytest.mark.parametrize("current", [None, E1])
def test_what_is_no_etag_is_invalid_and_never_ignored(wrong: str, current: str | None) -> None:
    with pytest.raises(Invalid):
        check_conditions(current, wrong, None)
    with pytest.raises(Invalid):
        check_conditions(current, None, wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "-",
        "a-b",
        "1",
        "5-2",
        "10-",
        "10-20",
        "-0",
        "0-1,3-4",
        "bytes=",
        "bytes=-",
        "items=0-1",
        "0--1",
        "+1-2",
        " 0-1",
        "٠-١",
        "9" * 30 + "-",
    ],
)
def test_a_range_that_is_none_or_past_the_end_is_refused(wrong: str) -> None:
    with pytest.raises(Invalid) as told:
        parse_range(wrong, 10)
    assert told.value.field == "range"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("0-0", (0, 1)),
        ("0-9", (0, 10)),
        ("0-99", (0, 10)),
        ("bytes=0-99", (0, 10)),
        ("3-", (3, 10)),
        ("9-", (9, 10)),
        ("-3", (7, 10)),
        ("-99", (0, 10)),
        ("2-4", (2, 5)),
    ],
)
def test_a_range_is_first_to_last_inclusive(stated: str, expected: tuple[int, int]) -> None:
    assert parse_range(stated, 10) == expected


def test_an_empty_object_has_no_range() -> None:
    with pytest.raises(Invalid):
        parse_range("0-", 0)
