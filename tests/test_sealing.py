"""What callers carry for us opens only as it was closed, and only where it belongs."""

import base64
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tause_mcp.errors import Invalid, Misconfigured
from tause_mcp.sealing import Seal, secret_file

SEAL = Seal(b"k" * 32)


@pytest.mark.parametrize("value", [None, 0, "", "a", ["a", 5], {"a": {"b": [1.5, True]}}, "ñ😀"])
def test_what_was_closed_opens_with_the_same_bindings(value: Any) -> None:
    token = SEAL.close(value, "page", "ta")
    assert SEAL.open(token, "page", "ta") == value
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    "bindings",
    [(), ("page",), ("page", "tb"), ("ta", "page"), ("page", "ta", ""), ("paget", "a"),
     ("pageta",), ("", "pageta"), ("page", "ta", "tool"), ("page", "ta\0")],
)  # fmt: skip
def test_other_bindings_do_not_open_it(bindings: tuple[str, ...]) -> None:
    token = SEAL.close("a", "page", "ta")
    with pytest.raises(Invalid, match="this cursor is not valid here") as refused:
        SEAL.open(token, *bindings)
    assert refused.value.field == "cursor"


def test_a_key_of_another_installation_does_not_open_it() -> None:
    with pytest.raises(Invalid):
        Seal(b"l" * 32).open(SEAL.close("a", "page"), "page")


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_changed_token_opens(data: st.DataObject) -> None:
    token = SEAL.close({"after": "key/1"}, "page")
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters().filter(lambda c: c != token[at]))
    how = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
    changed = {
        "replace": token[:at] + character + token[at + 1 :],
        "insert": token[:at] + character + token[at:],
        "delete": token[:at] + token[at + 1 :],
        "cut": token[:at],
    }[how]
    with pytest.raises(Invalid):
        SEAL.open(changed, "page")


@pytest.mark.parametrize("size", range(1, 8))
def test_one_value_has_one_spelling(size: int) -> None:
    """Else what may be used once could be used again under another text."""
    token = SEAL.close("x" * size, "once")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = {token[:-1] + last for last in alphabet} - {token}
    spellings |= {token + "=", token + "==", token + "\n", " " + token, token[:3] + "!" + token[3:]}
    spellings |= {token.replace("-", "+").replace("_", "/") + "."}
    for other in spellings:
        with pytest.raises(Invalid):
            SEAL.open(other, "once")


@pytest.mark.parametrize(
    "token", ["", "A", "AAAA", "=", "ñ", "\ud800", "A" * 100_000, "a.b.c", "\0"]
)
def test_what_is_no_token_is_refused_in_the_same_words(token: str) -> None:
    with pytest.raises(Invalid, match="this link is not valid here"):
        SEAL.open(token, "page", field="link")


def test_the_value_is_readable_and_says_nothing_of_the_key() -> None:
    """A token is authenticated, not encrypted: nothing secret goes in."""
    raw = base64.urlsafe_b64decode(SEAL.close("x", "page") + "==")
    assert raw.startswith(b'"x"')
    assert b"kkkk" not in raw
    assert len(raw) == 3 + 16


def test_derived_keys_differ_by_purpose_and_from_the_seal() -> None:
    keys = {SEAL.derive("a"), SEAL.derive("b"), SEAL.derive(""), b"k" * 32}
    assert len(keys) == 4
    assert SEAL.derive("a") == Seal(b"k" * 32).derive("a")
    assert all(len(key) == 32 for key in keys)


# --- the secret's file --------------------------------------------------------------------------


def test_a_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    first = secret_file(path)
    assert secret_file(path) == first
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["secret"]
    assert secret_file(tmp_path / "other") != first


def _make(path: str, start: Any, out: Any) -> None:
    start.wait()
    out.put(secret_file(Path(path)))


def test_many_processes_at_once_make_one_secret(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    start, out = spawn.Event(), spawn.Queue()
    made = [spawn.Process(target=_make, args=(str(tmp_path / "s"), start, out)) for _ in range(6)]
    for process in made:
        process.start()
    start.set()
    secrets = {out.get(timeout=20) for _ in made}
    for process in made:
        process.join()
    assert len(secrets) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31])
def test_a_secret_that_is_too_short_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="secret is too short"):
        secret_file(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("at", ["file/secret", "folder"])
def test_a_place_that_cannot_hold_it_is_one_line_without_the_path(tmp_path: Path, at: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Misconfigured) as refused:
        secret_file(tmp_path / at)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert os.listdir(tmp_path / "folder") == []
