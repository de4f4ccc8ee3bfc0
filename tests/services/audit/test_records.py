"""Reading the chain: searched, verified against whoever has the file, exported."""

import sqlite3
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.backends import on_servers
from tests.support.tenants import CATALOG, House, rows_of, who

from tause_mcp import times
from tause_mcp.errors import Invalid, NotFound, TauseError
from tause_mcp.migrations.audit_sql import SQLITE_NAMES
from tause_mcp.services.audit import verify_lines

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(house: House) -> House:
    """Tenant `aa` with six records, `ab` with one."""
    await house.grow("aa")
    await house.grow("ab")
    await house.change("aa", 6)
    await house.change("ab")
    return house


TAMPERING = {
    "changed": ("UPDATE audit SET actor='x' WHERE tenant_id='aa' AND seq=3", 3),
    "retimed": ("UPDATE audit SET at=at-1 WHERE tenant_id='aa' AND seq=3", 3),
    "timed out of any calendar": (f"UPDATE audit SET at={2**61} WHERE tenant_id='aa' AND seq=3", 3),
    "timed with a text": ("UPDATE audit SET at='x' WHERE tenant_id='aa' AND seq=3", 3),
    "renumbered with a text": ("UPDATE audit SET seq='x' WHERE tenant_id='aa' AND seq=6", 6),
    "removed": ("DELETE FROM audit WHERE tenant_id='aa' AND seq=3", 3),
    "beheaded": ("DELETE FROM audit WHERE tenant_id='aa' AND seq<3", 1),
    "cut off": ("DELETE FROM audit WHERE tenant_id='aa' AND seq>4", 5),
    "emptied": ("DELETE FROM audit WHERE tenant_id='aa'", 1),
    "moved": ("UPDATE audit SET seq=-seq WHERE tenant_id='aa' AND seq=3", -3),
    "appended": (
        "INSERT INTO audit SELECT tenant_id, 7, at, actor, home, issuer, credential, action, "
        "digest, outcome, door, previous, hash FROM audit WHERE tenant_id='aa' AND seq=6",
        7,
    ),
    "taken from another": ("UPDATE audit SET tenant_id='aa', seq=7 WHERE tenant_id='ab'", 7),
    "its head moved": ("UPDATE audit_heads SET seq=4 WHERE tenant_id='aa'", 5),
    "its head changed": ("UPDATE audit_heads SET hash='x' WHERE tenant_id='aa'", 6),
    "its head removed": ("DELETE FROM audit_heads WHERE tenant_id='aa'", 1),
}


def tamper(path: Path, sql: str, *values: Any) -> None:
    """What someone does who owns the file, and so can take the triggers away."""
    if not on_servers():
        for name in SQLITE_NAMES:
            rows_of(path, f"DROP TRIGGER IF EXISTS {name}")
    rows_of(path, sql, *values)


@pytest.mark.embedded
@pytest.mark.parametrize("how", TAMPERING)
async def test_the_file_itself_refuses_to_be_changed(kept: House, path: Path, how: str) -> None:
    before = rows_of(path, "SELECT * FROM audit"), rows_of(path, "SELECT * FROM audit_heads")
    with pytest.raises(sqlite3.IntegrityError, match=r"audit record|chain"):
        rows_of(path, TAMPERING[how][0])
    assert before == (
        rows_of(path, "SELECT * FROM audit"),
        rows_of(path, "SELECT * FROM audit_heads"),
    )


def _ways(*without: str) -> list[Any]:
    """PostgreSQL's columns take no text for a number."""
    loose = pytest.mark.embedded
    ways = [how for how in TAMPERING if how not in without]
    return [pytest.param(how, marks=loose) if "with a text" in how else how for how in ways]


@pytest.mark.parametrize("how", _ways())
async def test_whoever_changes_the_rows_is_found_out(kept: House, path: Path, how: str) -> None:
    sql, broken = TAMPERING[how]
    tamper(path, sql)
    told = await kept.call("audit_verify", who("aa"))
    assert (told["intact"], told["broken_seq"]) == (False, broken)
    assert told["problem"]


@pytest.mark.parametrize("how", _ways("renumbered with a text"))
async def test_an_export_of_changed_rows_does_not_verify(kept: House, path: Path, how: str) -> None:
    tamper(path, TAMPERING[how][0])
    exported = await kept.call("audit_export", who("aa"))
    assert not verify_lines(exported["content"].splitlines()).intact


async def test_swapped_records_are_found_out(kept: House, path: Path) -> None:
    for before, after in ((3, -1), (4, 3), (-1, 4)):
        tamper(path, "UPDATE audit SET seq=? WHERE tenant_id='aa' AND seq=?", after, before)
    assert (await kept.call("audit_verify", who("aa")))["broken_seq"] == 3


async def test_an_untouched_chain_is_intact_and_others_do_not_matter(
    kept: House, path: Path
) -> None:
    tamper(path, "DELETE FROM audit WHERE tenant_id='ab'")
    told = await kept.call("audit_verify", who("aa"))
    assert (told["intact"], told["records"], told["last_seq"]) == (True, 6, 6)


async def test_a_tenant_without_records_is_intact(house: House) -> None:
    await house.grow("aa")
    assert await house.call("audit_verify", who("aa")) == {
        "intact": True,
        "records": 0,
        "last_seq": 0,
    }


async def test_a_chain_whose_head_was_removed_goes_on_where_it_was(kept: House, path: Path) -> None:
    tamper(path, "DELETE FROM audit_heads WHERE tenant_id='aa'")
    await kept.change("aa")
    told = await kept.call("audit_verify", who("aa"))
    assert (told["intact"], told["last_seq"]) == (True, 7)


async def test_a_tenant_reads_its_own_records_only(kept: House) -> None:
    for tool in ("audit_search", "audit_export"):
        told = await kept.call(tool, who("ab"))
        assert "key:aa" not in str(told)
        assert "key:ab" in str(told)


async def test_a_search_pages_newest_first_and_misses_none(kept: House) -> None:
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await kept.call("audit_search", who("aa"), limit=4, **cursor)
        seen += [item["seq"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        await kept.change("aa")
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [6, 5, 4, 3, 2, 1]


async def test_a_cursor_holds_for_its_tenant_tool_and_filter_only(kept: House) -> None:
    cursor = (await kept.call("audit_search", who("aa"), limit=1))["next_cursor"]
    for caller, tool, more in (
        (who("ab"), "audit_search", {}),
        (who("aa"), "audit_search", {"actor": "x"}),
        (who("aa"), "audit_search", {"door": "mcp"}),
    ):
        with pytest.raises(Invalid, match="cursor"):
            await kept.call(tool, caller, cursor=cursor, **more)


@pytest.mark.parametrize(
    ("action", "found"),
    [
        ("tenants_create", 2),
        ("tenants_*", 3),
        ("tenants_creat", 0),
        ("tenants_c%", 0),
        ("tenants%", 0),
        ("TENANTS_*", 0),
        ("*", 3),
        ("*_create", 0),
    ],
)
async def test_an_action_is_exact_or_a_beginning(kept: House, action: str, found: int) -> None:
    await kept.call("tenants_suspend", tenant_id="ab")
    assert len((await kept.call("audit_search", action=action))["items"]) == found


async def test_times_bound_a_search_from_one_to_before_the_other(kept: House) -> None:
    at = [item["at"] for item in reversed((await kept.call("audit_search", who("aa")))["items"])]
    told = await kept.call("audit_search", who("aa"), since=at[1], until=at[4])
    assert [item["seq"] for item in told["items"]] == [4, 3, 2]
    shifted = at[1].replace("Z", "+00:00")
    same = await kept.call("audit_search", who("aa"), since=shifted, until=at[4].rstrip("Z"))
    assert same["items"] == told["items"]


@pytest.mark.parametrize("since", ["yesterday", "", "2026-13-01", "9999-99-99", "1e9"])
@pytest.mark.parametrize("tool", ["audit_search", "audit_export"])
async def test_what_is_no_time_is_refused(kept: House, since: str, tool: str) -> None:
    for field in ("since", "until"):
        with pytest.raises(Invalid) as refused:
            await kept.call(tool, **{field: since})
        assert refused.value.field == field


async def test_an_export_that_fits_one_answer_is_in_it(kept: House) -> None:
    told = await kept.call("audit_export", who("aa"))
    assert (told["records"], told["first_seq"], told["last_seq"]) == (6, 1, 6)
    found = verify_lines(told["content"].splitlines())
    assert (found.intact, found.records, found.tenant) == (True, 6, "aa")


async def test_a_larger_export_is_a_file_that_verifies(kept: House) -> None:
    await kept.change("aa", 60)
    records = kept.records("aa")
    fn = CATALOG.tools["audit_export"].fn
    told = await fn(records)
    assert (told["key"], told["records"], "content" in told) == ("results/1", 66, False)
    found = verify_lines(kept.kept[0].splitlines())
    assert (found.intact, found.records) == (True, 66)
    assert not verify_lines(kept.kept[0].splitlines()[:-2]).intact


async def test_what_is_appended_during_an_export_is_not_in_it(kept: House) -> None:
    records = kept.records("aa")
    span = await records.span(None, None)
    await kept.change("aa", 3)
    found = verify_lines([line async for line in records.lines(span)])
    assert (found.intact, found.last) == (True, 6)


@pytest.mark.parametrize("times", [("2001-01-01", "2001-01-02"), ("2101-01-01", None)])
async def test_a_part_without_records_is_intact(kept: House, times: Any) -> None:
    since, until = times
    told = await kept.call("audit_export", who("aa"), since=since, until=until)
    assert told["records"] == 0
    assert verify_lines(told["content"].splitlines()).intact


async def test_a_part_has_no_gaps_though_a_clock_went_back(kept: House, path: Path) -> None:
    at = [item["at"] for item in reversed((await kept.call("audit_search", who("aa")))["items"])]
    tamper(path, "UPDATE audit SET at=1 WHERE tenant_id='aa' AND seq=4")
    told = await kept.call("audit_export", who("aa"), since=at[1], until=at[5])
    assert (told["first_seq"], told["last_seq"]) == (2, 5)


async def test_a_part_verifies_without_claiming_the_end(kept: House) -> None:
    at = [item["at"] for item in reversed((await kept.call("audit_search", who("aa")))["items"])]
    part = await kept.call("audit_export", who("aa"), since=at[2], until=at[5])
    told = verify_lines(part["content"].splitlines())
    assert (told.intact, told.first, told.last) == (True, 3, 5)


async def test_a_day_is_a_resource(kept: House) -> None:
    today = date.fromisoformat(times.iso(times.now())[:10])
    shown = await kept.call("audit_day", who("aa"), date=today.isoformat())
    assert [item["seq"] for item in shown["items"]] == [6, 5, 4, 3, 2, 1]
    assert shown["complete"]
    before = (today - timedelta(days=1)).isoformat()
    assert (await kept.call("audit_day", who("aa"), date=before))["items"] == []


@pytest.mark.parametrize("day", ["2026-02-30", "2026-1-1", "x", "0000-00-00", "2026-01-01T00"])
async def test_what_is_no_day_is_no_resource(kept: House, day: str) -> None:
    with pytest.raises(TauseError) as refused:
        await kept.call("audit_day", who("aa"), date=day)
    assert isinstance(refused.value, (NotFound, Invalid))


async def test_days_with_records_are_suggested_newest_first(kept: House, path: Path) -> None:
    day = 86_400 * times.SECOND
    for seq, back in ((1, 40), (2, 40), (3, 7), (4, 1)):
        tamper(path, "UPDATE audit SET at=at-? WHERE tenant_id='aa' AND seq=?", back * day, seq)
    found = await kept.records("aa").days(60)
    today = times.now() // day * day
    assert found == [times.iso(today - back * day)[:10] for back in (0, 1, 7, 40)]
    assert await kept.records("aa").days(2) == found[:2]
