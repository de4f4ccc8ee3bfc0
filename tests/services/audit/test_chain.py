"""Whatever is done to a chain shows, and where; whatever is put into a record stays in its line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.services.audit.chain import (
    GENESIS,
    PRUNE,
    Chain,
    Checkpoint,
    Head,
    Record,
    Verdict,
    hash_of,
)
from tause_mcp.services.audit.verify import (
    Closing,
    Opening,
    closing_line,
    line_of,
    opening_line,
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


def exported(records: list[Record], *, complete: bool = True) -> list[str]:
    """The lines of an export of records that follow each other."""
    first = records[0]
    after = Head(first.tenant, first.seq - 1, first.previous)
    return [
        opening_line(Opening(after, complete)),
        *map(line_of, records),
        closing_line(Closing(head_of(records), complete)),
    ]


def pruned(removed: int, left: int) -> tuple[list[Record], Checkpoint]:
    """What is left of a chain whose first records retention removed."""
    records = chain_of(removed + left)
    last = records[removed - 1]
    checkpoint = Checkpoint("aa", last.seq, last.hash, last.at + 10**9)
    anchor = records[-1]._replace(
        seq=records[-1].seq + 1, action=PRUNE, digest=checkpoint.digest, previous=records[-1].hash
    )
    return [*records[removed:], rehashed(anchor)], checkpoint


def verdict_of(records: list[Record], head: Head, checkpoint: Checkpoint | None = None) -> Verdict:
    chain = Chain.whole(head.tenant, checkpoint)
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
    lines = exported(records)
    assert not verify_lines([lines[0], *map(line_of, mutated), lines[-1]]).intact


@pytest.mark.parametrize(("old", "new"), [("T", "0"), ("T", " "), ("Z", "+00:00"), ("-", "")])
def test_a_time_that_is_spelled_otherwise_is_a_change(old: str, new: str) -> None:
    lines = exported(chain_of(1))
    line = json.loads(lines[1])
    spelled = json.dumps({**line, "at": line["at"].replace(old, new)})
    assert verify_lines(lines).intact
    assert not verify_lines([lines[0], spelled, lines[2]]).intact


def test_a_member_that_stands_twice_is_a_change() -> None:
    lines = exported(chain_of(1))
    for line in range(3):
        doubled = lines[:]
        doubled[line] = doubled[line].replace('"seq":', '"seq":1,"seq":', 1)
        assert not verify_lines(doubled).intact


@given(st.integers(1, 6), st.booleans(), st.data())
def test_no_byte_of_an_export_can_be_changed_unseen(
    length: int, complete: bool, data: st.DataObject
) -> None:
    text = "\n".join(exported(chain_of(length), complete=complete))
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    changed = text[:at] + new + text[at + 1 :]
    assert not verify_lines(changed.split("\n")).intact or json_equal(text, changed)


@given(st.integers(0, 6), st.booleans(), st.data())
def test_no_line_of_an_export_can_be_left_out_doubled_or_moved(
    length: int, complete: bool, data: st.DataObject
) -> None:
    lines = exported(chain_of(length)) if length else nothing()
    at = data.draw(st.integers(0, len(lines) - 1))
    to = data.draw(st.integers(0, len(lines) - 1).filter(lambda n: n != at))
    moved = [line for n, line in enumerate(lines) if n != at]
    moved.insert(to, lines[at])
    assert verify_lines(lines).intact
    for mutated in (lines[:at] + lines[at + 1 :], [*lines[: at + 1], *lines[at:]], moved):
        assert not verify_lines(mutated).intact


def nothing() -> list[str]:
    """An export of a tenant that changed nothing."""
    start = Head("aa", 0, GENESIS)
    return [opening_line(Opening(start, True)), closing_line(Closing(start, True))]


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_what_retention_left_verifies_and_shows_every_further_loss(
    removed: int, left: int, data: st.DataObject
) -> None:
    records, checkpoint = pruned(removed, left)
    found = verdict_of(records, head_of(records), checkpoint)
    assert (found.intact, found.pruned, found.records) == (True, removed, left + 1)
    at = data.draw(st.integers(0, left))
    fewer = records[:at] + records[at + 1 :]
    assert not verdict_of(fewer, head_of(records), checkpoint).intact
    assert not verdict_of(records, head_of(records)).intact


@pytest.mark.parametrize("lie", [{"seq": 4}, {"hash": GENESIS}, {"at": 1}, {"tenant": "ab"}])
def test_a_forged_checkpoint_shows(lie: dict[str, Any]) -> None:
    records, checkpoint = pruned(3, 3)
    assert not verdict_of(records, head_of(records), checkpoint._replace(**lie)).intact


def test_a_beginning_removed_under_a_new_checkpoint_shows() -> None:
    """Whoever cuts by hand can write a checkpoint that fits, but no record that tells of it."""
    records = chain_of(6)
    forged = Checkpoint("aa", 2, records[1].hash, 1)
    found = verdict_of(records[2:], head_of(records), forged)
    assert (found.intact, "tells of its checkpoint" in found.problem) == (False, True)


@given(st.data())
def test_no_byte_of_a_pruned_export_can_be_changed_unseen(data: st.DataObject) -> None:
    records, checkpoint = pruned(2, 2)
    opening = opening_line(Opening(Head(*checkpoint[:3]), True, checkpoint))
    text = "\n".join([opening, *exported(records)[1:]])
    assert verify_lines(text.split("\n")).pruned == 2
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    changed = text[:at] + new + text[at + 1 :]
    assert not verify_lines(changed.split("\n")).intact or json_equal(text, changed)


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
    opened, line, closed = exported([record])
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert verify_lines([opened, line, closed]).intact


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
    lines, others = exported(chain_of(3)), exported(chain_of(3, tenant="ab"))
    found = verify_lines([*lines[:2], others[2], *lines[3:]])
    assert (found.intact, found.broken_seq) == (False, 2)


def test_a_whole_export_is_intact() -> None:
    records = chain_of(4)
    found = verify_lines(exported(records))
    assert (found.intact, found.records, found.first, found.last) == (True, 4, 1, 4)
    assert found.hash == records[-1].hash
    assert "records 1 to 4 of aa" in found.text


def test_a_part_is_intact_from_its_first_record_on() -> None:
    lines = exported(chain_of(9)[3:6], complete=False)
    assert verify_lines(lines).intact
    assert not verify_lines([*lines[:2], *lines[3:]]).intact


def test_a_part_does_not_pass_for_the_whole() -> None:
    records = chain_of(9)
    part, whole = exported(records[3:6], complete=False), exported(records)
    assert not verify_lines([*part[:-1], whole[-1]]).intact
    assert not verify_lines([whole[0], *part[1:]]).intact


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
        '{"chain": {}}',
        "\ud800",
        "\x00",
        '"a"',
        "[" * 10**5,
    ],
)
def test_a_line_that_is_no_record_shows(line: str) -> None:
    lines = exported(chain_of(4))
    found = verify_lines([*lines[:3], line, *lines[3:]])
    assert found.intact == (line == "")
    if line:
        assert (found.broken_seq, found.problem) == (3, "line 4 is not a record")
    assert not verify_lines([line, *lines]).intact or line == ""


@pytest.mark.parametrize("stated", [0, 2, "1", None, True])
def test_another_format_is_not_taken_for_this_one(stated: object) -> None:
    lines = exported(chain_of(1))
    told = json.loads(lines[0])
    told["chain"]["format"] = stated
    found = verify_lines([json.dumps(told), *lines[1:]])
    assert found.problem == "line 1 does not open an export"


def test_nothing_is_intact_and_says_so() -> None:
    assert verify_lines(nothing()).text == "intact: no records"


def test_an_empty_file_is_no_export() -> None:
    assert verify_lines([]).text == "BROKEN at record 1: the file is empty"


def test_a_saved_result_verifies_as_it_is() -> None:
    content = "".join(f"{line}\n" for line in exported(chain_of(3)))
    for indent in (None, 2):
        saved = json.dumps({"content": content, "records": 3}, indent=indent)
        assert verify_lines(saved.splitlines(keepends=True)).records == 3
        assert not verify_lines(saved.replace("key:a", "key:b").splitlines()).intact
