"""Listeners hear what changed in their own tenant, and nothing of any other."""

import pytest
import structlog

from tause_mcp.events import Event, EventBus
from tause_mcp.tenancy import TenantId

TA, TAB = TenantId("ta"), TenantId("tab")


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


def test_only_the_listeners_of_that_tenant_hear_it(bus: EventBus) -> None:
    mine: list[Event] = []
    theirs: list[Event] = []
    bus.subscribe(TA, mine.append)
    bus.subscribe(TAB, theirs.append)
    bus.resource_updated(TA, "storage/a")
    bus.resources_changed(TA)
    bus.tools_changed(TA)
    assert mine == [Event("resource", "tause://ta/storage/a"), Event("resources"), Event("tools")]
    assert theirs == []


def test_the_end_of_a_listener_may_come_twice_and_ends_only_it(bus: EventBus) -> None:
    heard: list[str] = []
    end = bus.subscribe(TA, lambda e: heard.append("first"))
    bus.subscribe(TA, lambda e: heard.append("second"))
    end()
    end()
    bus.tools_changed(TA)
    assert heard == ["second"]


def test_one_listener_twice_hears_twice_and_ends_once(bus: EventBus) -> None:
    heard: list[Event] = []
    listener = heard.append
    end = bus.subscribe(TA, listener)
    bus.subscribe(TA, listener)
    bus.tools_changed(TA)
    end()
    bus.tools_changed(TA)
    assert len(heard) == 3


def test_a_listener_that_breaks_does_not_fail_who_told_it(bus: EventBus) -> None:
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("boom")

    bus.subscribe(TA, broken)
    bus.subscribe(TA, heard.append)
    with structlog.testing.capture_logs() as logs:
        bus.tools_changed(TA)
    assert heard == [Event("tools")]
    assert [line["event"] for line in logs] == ["listener_failed"]


def test_a_listener_may_end_itself_or_add_another_while_it_hears(bus: EventBus) -> None:
    heard: list[str] = []

    def once(event: Event) -> None:
        heard.append("once")
        end()
        bus.subscribe(TA, lambda e: heard.append("later"))

    end = bus.subscribe(TA, once)
    bus.tools_changed(TA)
    bus.tools_changed(TA)
    assert heard == ["once", "later"]


def test_what_is_told_here_is_told_to_the_other_processes_and_what_comes_in_is_not() -> None:
    told: list[tuple[TenantId, Event]] = []
    heard: list[Event] = []
    bus = EventBus(lambda tenant, event: told.append((tenant, event)))
    bus.subscribe(TA, heard.append)
    bus.resource_updated(TAB, "storage/a")
    bus.deliver(TA, Event("tools"))
    bus.deliver(TAB, Event("tools"))
    assert told == [(TAB, Event("resource", "tause://tab/storage/a"))]
    assert heard == [Event("tools")]


def test_after_a_gap_every_listener_is_to_look_anew(bus: EventBus) -> None:
    heard: dict[TenantId, list[Event]] = {TA: [], TAB: []}
    for tenant, events in heard.items():
        bus.subscribe(tenant, events.append)
    bus.missed()
    assert heard[TA] == heard[TAB]
    assert {event.kind for event in heard[TA]} == {"access", "resources", "tools", "prompts"}


def test_nothing_is_kept_of_a_tenant_nobody_listens_to(bus: EventBus) -> None:
    for number in range(1000):
        bus.subscribe(TenantId(f"t{number}"), lambda e: None)()
        bus.tools_changed(TenantId(f"u{number}"))
    assert bus._listeners == {}
