"""A schedule charges each of its times once, late ones within a week, and none after its end."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp import times
from tause_mcp.errors import Conflict, Invalid, NotFound, Unconfigured
from tause_mcp.services.payments.occurrences import following, moment

from .conftest import ANA, YES, B, Till, account, unsent
from .test_killed import dies

Later = Callable[[float], None]
DAY = 86_400
BOGOTA = timedelta(hours=-5)


def micros(text: str) -> int:
    """A time of Bogotá."""
    return times.micros(f"{text}-05:00")


def days(start: str, every: Any, count: int) -> list[str]:
    told = [moment(micros(start), every, number) for number in range(1, count + 1)]
    local = [datetime.fromtimestamp(at / 1e6, UTC) + BOGOTA for at in told]
    return [f"{at:%Y-%m-%d %H:%M}" for at in local]


def test_the_31st_is_the_last_day_of_a_shorter_month_and_the_31st_again() -> None:
    assert days("2027-01-31T23:30:00", "month", 5) == [
        "2027-01-31 23:30",
        "2027-02-28 23:30",
        "2027-03-31 23:30",
        "2027-04-30 23:30",
        "2027-05-31 23:30",
    ]


def test_days_are_those_of_bogota() -> None:
    """At 20:00 there it is the next day in UTC: the month's end is still the 31st."""
    assert days("2027-01-31T20:00:00", "month", 2)[1] == "2027-02-28 20:00"
    assert days("2028-02-29T00:00:00", "year", 5)[1:] == [
        "2029-02-28 00:00",
        "2030-02-28 00:00",
        "2031-02-28 00:00",
        "2032-02-29 00:00",
    ]
    assert days("2027-12-31T08:00:00", "week", 2)[1] == "2028-01-07 08:00"
    assert days("2027-12-31T08:00:00", "day", 2)[1] == "2028-01-01 08:00"


@given(
    st.integers(0, 4 * 10**15),
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 400),
)
def test_times_go_on_and_the_first_is_the_start(start: int, every: Any, number: int) -> None:
    assert moment(start, every, 1) == start
    assert moment(start, every, number) < moment(start, every, number + 1)


def test_a_schedule_ends_by_its_number_or_its_time() -> None:
    start = micros("2027-01-31T08:00:00")
    second = moment(start, "month", 2)
    assert following(start, "month", 1, until=None, count=None) == second
    assert following(start, "month", 1, until=None, count=1) is None
    assert following(start, "month", 1, until=second, count=None) == second
    assert following(start, "month", 1, until=second - 1, count=9) is None


pytestmark = pytest.mark.anyio


async def scheduled(till: Till, **told: Any) -> tuple[Any, Any]:
    source = await till.sources.save("card", "tok_test_1_abc", ANA, acceptance=YES)
    asked = {"every": "month", "start_at": times.now(), **told}
    return source, await till.schedules.schedule(source.id, 500_000, "COP", **asked)


async def charged(till: Till, schedule: Any) -> list[tuple[str, str]]:
    found = await till.payments.recent(most=100)
    return sorted((one.order_id.rpartition("/")[2], one.status) for one in found)


async def sweep(till: Till, rounds: int = 3) -> None:
    for _ in range(rounds):
        await till.sweep().once()


async def test_each_time_is_charged_once(till: Till, later: Later) -> None:
    _, made = await scheduled(till, every="week", count=3, description="Plan")
    for _ in range(4):
        await asyncio.gather(*(till.schedules.reconcile(made.id) for _ in range(6)))
        later(5)
        await sweep(till)
        later(7 * DAY)
    done = await till.schedules.get(made.id)
    assert (done.status, done.done, done.skipped, done.next_at) == ("ended", 3, 0, None)
    assert await charged(till, made) == [("1", "pending"), ("2", "pending"), ("3", "pending")]
    assert len(till.provider.posts) == 3
    (first, *_) = await till.payments.recent(order_id=f"{made.id}/1")
    assert (first.schedule_id, first.description) == (made.id, "Plan")


async def test_missed_times_are_made_up_for_within_a_week(till: Till, later: Later) -> None:
    _, made = await scheduled(till, every="day")
    later(10 * DAY + 60)
    await till.schedules.reconcile(made.id)
    await sweep(till)
    seen = await till.schedules.get(made.id)
    assert (seen.done, seen.skipped) == (11, 4)
    states = [status for _, status in await charged(till, made)]
    assert (states.count("pending"), states.count("expired")) == (7, 4)
    assert len(till.provider.posts) == 7
    skipped = (await till.payments.recent(order_id=f"{made.id}/1"))[0]
    assert "more than seven days" in skipped.status_message
    assert await till.sweep().once() >= 0


@pytest.mark.embedded
async def test_killed_at_any_moment_a_time_is_charged_once(till: Till, later: Later) -> None:
    source = await till.sources.save("card", "tok_test_1_abc", ANA, acceptance=YES)
    at = 0
    while True:
        told = {"every": "month", "start_at": times.now() + at, "count": 1}
        made = await till.schedules.schedule(source.id, 500_000 + at, "COP", **told)
        later(1)
        killed = await dies(till.schedules.reconcile(made.id), at, undone=False)
        for _ in range(3):
            later(130)
            await sweep(till, 2)
        (only,) = await till.payments.recent(order_id=f"{made.id}/1")
        assert only.status == "pending"
        assert till.provider.posts.count(only.reference) == 1
        if not killed:
            break
        at += 1
    assert at >= 1


async def test_an_ended_schedule_charges_no_more_and_takes_back_what_waits(
    till: Till, later: Later
) -> None:
    _, made = await scheduled(till)
    till.provider.fail("merchant", *[unsent()] * 3)
    await till.schedules.reconcile(made.id)  # it is due, and is not sent yet
    gone = await till.schedules.unschedule(made.id)
    assert (gone.status, gone.next_at) == ("cancelled", None)
    assert (await till.schedules.unschedule(made.id)).status == "cancelled"
    later(40 * DAY)
    await sweep(till)
    assert (await till.schedules.reconcile(made.id)).done == 1
    assert await charged(till, made) == [("1", "expired")]
    assert till.provider.posts == []
    assert await till.due() == []


async def test_unscheduled_in_the_middle_of_its_time_it_is_charged_or_not(till: Till) -> None:
    _, made = await scheduled(till)
    await asyncio.gather(
        till.schedules.reconcile(made.id),
        till.schedules.unschedule(made.id),
        till.schedules.reconcile(made.id),
    )
    await sweep(till)
    assert (await till.schedules.get(made.id)).status == "cancelled"
    assert len(till.provider.posts) <= 1


async def test_removing_the_source_ends_its_schedules(till: Till, later: Later) -> None:
    source, made = await scheduled(till)
    await till.sources.remove(source.id)
    assert (await till.schedules.get(made.id)).status == "cancelled"
    later(40 * DAY)
    await sweep(till)
    assert till.provider.posts == []


async def test_the_same_schedule_is_made_once_while_it_is_active(till: Till) -> None:
    start = times.now()
    source, made = await scheduled(till, start_at=start)
    told = {"every": "month", "start_at": start}
    again = [till.schedules.schedule(source.id, 500_000, "COP", **told) for _ in range(5)]
    assert {one.id for one in await asyncio.gather(*again)} == {made.id}
    await till.schedules.unschedule(made.id)
    other = await till.schedules.schedule(source.id, 500_000, "COP", **told)
    assert other.id != made.id
    assert [one.id for one in await till.schedules.recent()] == [other.id, made.id]


async def test_other_keys_wait_for_those_of_the_source(till: Till, later: Later) -> None:
    _, made = await scheduled(till)
    kept, till.account = till.account, account(key="pub_test_new")
    with pytest.raises(Unconfigured):
        await till.schedules.reconcile(made.id)
    assert await charged(till, made) == []
    till.account = kept
    assert (await till.schedules.reconcile(made.id)).done == 1


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"start_at": 1}, "start_at"),
        ({"start_at": 9 * 10**15}, "start_at"),
        ({"until": 1}, "until"),
        ({"count": 0}, "count"),
    ],
)
async def test_times_that_cannot_be_are_refused(till: Till, told: dict, field: str) -> None:
    with pytest.raises(Invalid) as wrong:
        await scheduled(till, **told)
    assert wrong.value.field == field


async def test_only_an_available_source_of_ones_own_is_scheduled(till: Till) -> None:
    waits = await till.sources.save("card", "tok_test_9_abc", ANA)
    told = {"every": "day", "start_at": times.now()}
    with pytest.raises(Conflict, match="awaiting_payer"):
        await till.schedules.schedule(waits.id, 500_000, "COP", **told)
    source, made = await scheduled(till)
    foreign = replace(till, tenant=B).schedules
    for asked in (
        foreign.schedule(source.id, 500_000, "COP", **told),
        foreign.get(made.id),
        foreign.unschedule(made.id),
        foreign.reconcile(made.id),
    ):
        with pytest.raises(NotFound):
            await asked
