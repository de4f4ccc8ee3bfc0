"""Whatever is done to a chain shows, and where; whatever is put into a record stays in its line."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.services.audit.verify import (
    GENESIS,
    Chain,
    Head,
    Record,
    Verdict,
    hash_of,
    head_line,
    line_of,
    verify_lines,
)

texts = st.text(st.characters(), max_size=20)


def chain_of(length: int, actor: str = "key:a", tenant: str = "aa") -> list[Record]:
    records: list[Record] = []
    previous = GENESIS
    for seq in range(1, length + 1):
        record = Record(
            tenant=tenant,
            seq=seq,
            at=1_700_000_000_000_000 + seq,
            actor=actor,
            home="",
            issuer="local",
            credential="a",
            action="storage_put",
            digest=f"{seq:064x}",
            outcome="done",
            door="mcp",
            previous=previous,
            hash="",
        )
        record = record._replace(hash=hash_of(record))
        previous = record.hash
        records.append(record)
    return records


def head_of(records: list[Record]) -> Head:
    return Head(records[-1].tenant, records[-1].seq, records[-1].hash)


def verdict_of(records: list[Record], head: Head) -> Verdict:
    chain = Chain(head.tenant, whole=True)
    for record in records:
        chain.take(record)
    return chain.close(head)


def rehashed(record: Record) -> Record:
    return record._replace(hash=hash_of(record))


MUTATIONS: dict[str, Callable[[list[Record], int], tuple[list[Record], int]]] = {
    "changed": lambda r, i: ([*r[:i], r[i]._replace(actor=r[i].actor + "!"), *r[i + 1 :]], i),
    "changed and hashed anew": lambda r, i: (
        [*r[:i], rehashed(r[i]._replace(action="x")), *r[i + 1 :]],
        i + 1,
    ),
    "removed": lambda r, i: (r[:i] + r[i + 1 :], i),
    "inserted": lambda r, i: (
        [*r[: i + 1], rehashed(r[i]._replace(seq=r[i].seq + 1)), *r[i + 1 :]],
        i + 1,
    ),
    "moved": lambda r, i: ([*r[:i], *reversed(r[i : i + 2]), *r[i + 2 :]], i),
    "retimed": lambda r, i: ([*r[:i], r[i]._replace(at=r[i].at + 1), *r[i + 1 :]], i),
}


@given(st.integers(2, 12), st.data(), st.sampled_from(sorted(MUTATIONS)))
def test_every_mutation_shows_at_its_place(length: int, data: st.DataObject, how: str) -> None:
    records = chain_of(length)
    at = data.draw(st.integers(0, length - (2 if how == "moved" else 1)))
    mutated, broken = MUTATIONS[how](records, at)
    found = verdict_of(mutated, head_of(records))
    assert not found.intact
    assert found.broken_seq is not None
    assert abs(found.broken_seq - (broken + 1)) <= 1
    lines = [*map(line_of, mutated), head_line(head_of(records))]
    assert (verify_lines(lines).intact, how) == (False, how) or (how, at) == ("removed", 0)


@pytest.mark.parametrize(("old", "new"), [("T", "0"), ("T", " "), ("Z", "+00:00"), ("-", "")])
def test_a_time_that_is_spelled_otherwise_is_a_change(old: str, new: str) -> None:
    line = json.loads(line_of(chain_of(1)[0]))
    spelled = json.dumps({**line, "at": line["at"].replace(old, new)})
    assert not verify_lines([spelled]).intact


@given(st.integers(1, 6), st.data())
def test_no_byte_of_an_export_can_be_changed_unseen(length: int, data: st.DataObject) -> None:
    records = chain_of(length)
    text = "\n".join([*map(line_of, records), head_line(head_of(records))])
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    changed = text[:at] + new + text[at + 1 :]
    found = verify_lines(changed.split("\n"))
    assert not found.intact or json_equal(text, changed)


def json_equal(a: str, b: str) -> bool:
    """Whether a change was one of mere spelling, as `\\u0041` for `A` or a blank."""
    try:
        return [json.loads(x) for x in a.splitlines()] == [json.loads(x) for x in b.splitlines()]
    except ValueError:
        return False


@given(st.lists(texts, min_size=7, max_size=7), st.integers(0, 2**50))
def test_any_text_stays_in_its_line_and_verifies(texts: list[str], at: int) -> None:
    actor, home, issuer, credential, action, digest, door = texts
    names = (actor, home, issuer, credential, action, digest, "done", door)
    record = rehashed(Record("aa", 1, at, *names, previous=GENESIS, hash=""))  # type: ignore[misc]  # the fields in their order
    line = line_of(record)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert verify_lines([line]).intact


@given(texts, texts, texts)
def test_a_hash_knows_where_a_field_ends(a: str, b: str, c: str) -> None:
    one = chain_of(1)[0]._replace(actor=a + b, home=c)
    other = one._replace(actor=a, home=b + c)
    assert (hash_of(one) == hash_of(other)) == (b == "")


def test_a_chain_that_lost_its_end_shows() -> None:
    records = chain_of(5)
    found = verdict_of(records[:3], head_of(records))
    assert (found.intact, found.broken_seq, found.problem) == (False, 4, "it is missing")


def test_a_chain_that_lost_everything_shows() -> None:
    assert verdict_of([], head_of(chain_of(5))).broken_seq == 1


def test_a_record_behind_the_head_shows() -> None:
    records = chain_of(5)
    assert verdict_of(records, head_of(records[:3])).broken_seq == 4


def test_a_record_of_another_tenant_shows() -> None:
    mine, other = chain_of(3), chain_of(3, tenant="ab")
    found = verify_lines(map(line_of, [mine[0], other[1], mine[2]]))
    assert (found.intact, found.broken_seq) == (False, 2)


def test_a_whole_export_is_intact() -> None:
    records = chain_of(4)
    found = verify_lines([*map(line_of, records), head_line(head_of(records))])
    assert (found.intact, found.records, found.first, found.last) == (True, 4, 1, 4)
    assert found.hash == records[-1].hash
    assert "records 1 to 4 of aa" in found.text


def test_a_part_is_intact_from_its_first_record_on() -> None:
    records = chain_of(9)
    assert verify_lines(map(line_of, records[3:6])).intact
    assert not verify_lines(map(line_of, [*records[3:5], records[6]])).intact


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        "null",
        "nonsense",
        '{"head": 3}',
        '{"head": {}}',
        "\ud800",
        "\x00",
        '"a"',
        "[" * 10**5,
    ],
)
def test_a_line_that_is_no_record_shows(line: str) -> None:
    lines = [*map(line_of, chain_of(2)), line, *map(line_of, chain_of(4)[2:])]
    found = verify_lines(lines)
    assert found.intact == (line == "")
    if line:
        assert (found.broken_seq, found.problem) == (3, "line 3 is not a record")


def test_nothing_is_intact_and_says_so() -> None:
    assert verify_lines([]).text == "intact: no records"


def test_a_saved_result_verifies_as_it_is() -> None:
    records = chain_of(3)
    content = "".join(f"{line}\n" for line in (*map(line_of, records), head_line(head_of(records))))
    for indent in (None, 2):
        saved = json.dumps({"content": content, "records": 3}, indent=indent)
        assert verify_lines(saved.splitlines(keepends=True)).records == 3
        assert not verify_lines(saved.replace("key:a", "key:b").splitlines()).intact
