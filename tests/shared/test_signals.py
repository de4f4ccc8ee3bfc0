"""News reach every process, of their tenant only; what is no news is left out."""

import asyncio
import time
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.conftest import SEVERAL, Open
from tests.support.clock import BUSY

from tause_mcp.errors import Unavailable
from tause_mcp.shared import Signal, Signals
from tause_mcp.shared import signals as signals_module
from tause_mcp.shared.signals import LONGEST, understood
from tause_mcp.shared.state import SharedState
from tause_mcp.tenancy import TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]

A, AB = TenantId("a0"), TenantId("a0b")
several = pytest.mark.parametrize("kind", SEVERAL, indirect=True)


class Ears:
    """What one process heard, and how often it had to look anew."""

    def __init__(self, signals: Signals) -> None:
        self.heard: list[Signal] = []
        self.gaps = 0
        signals.listen(self.heard.append, self._gap)

    def _gap(self) -> None:
        self.gaps += 1


async def until(true: Callable[[], bool], seconds: float = BUSY) -> None:
    """Wait for it."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come"
        await asyncio.sleep(0.01)


@several
async def test_what_one_process_tells_another_hears_soon(state: SharedState, another: Open) -> None:
    async with another() as other:
        here, there = Ears(state.signals), Ears(other.signals)
        await until(lambda: other.signals.connected)
        state.signals.send(Signal(A, "resource", "tause://a0/storage/ñ"))
        state.signals.send(Signal(AB, "tools"))
        await until(lambda: len(there.heard) >= 2)
        await asyncio.sleep(0.7)
        assert there.heard == [Signal(A, "resource", "tause://a0/storage/ñ"), Signal(AB, "tools")]
        assert here.heard == []


@several
async def test_a_new_process_hears_nothing_old_and_everything_new(
    state: SharedState, another: Open
) -> None:
    state.signals.send(Signal(A, "tools"))
    await asyncio.sleep(0.3)
    async with another() as other:
        there = Ears(other.signals)
        await until(lambda: other.signals.connected)
        state.signals.send(Signal(A, "prompts"))
        await until(lambda: bool(there.heard))
        assert there.heard == [Signal(A, "prompts")]


@several
async def test_many_come_whole_and_in_order(state: SharedState, another: Open) -> None:
    told = [Signal(A, "resource", f"tause://a0/x/{n}/" + "y" * 1000) for n in range(300)]
    async with another() as other:
        there = Ears(other.signals)
        await until(lambda: other.signals.connected)
        for signal in told:
            state.signals.send(signal)
        await until(lambda: len(there.heard) >= 300)
        assert there.heard == told


@several
async def test_what_was_sent_last_is_sent_before_the_end(state: SharedState, another: Open) -> None:
    here = Ears(state.signals)
    async with another() as leaving:
        await until(lambda: state.signals.connected)
        leaving.signals.send(Signal(A, "tools"))
    await until(lambda: here.heard == [Signal(A, "tools")])


class Line:
    """A wire in this process, which can be cut."""

    gather = 0.005

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.cut = False
        self.hear: Callable[[bytes], None] = lambda _: None

    async def send(self, message: bytes) -> None:
        if self.cut:
            raise Unavailable("cut")
        self.sent.append(message)

    async def run(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self.hear = heard
        await asyncio.Event().wait()


async def test_what_is_told_while_the_wire_is_down_is_sent_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals_module, "_RETRY", 0.02)
    line = Line()
    line.cut = True
    signals = Signals(line)
    async with signals.running():
        signals.send(Signal(A, "tools"))
        await asyncio.sleep(0.1)
        line.cut = False
        await until(lambda: bool(line.sent))
    assert understood(line.sent[0])[1:] == ([Signal(A, "tools")], False)


async def test_what_cannot_be_kept_for_later_is_told_as_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals_module, "_MOST", 3)
    line, other = Line(), Line()
    hearing = Signals(other)
    ears = Ears(hearing)
    async with Signals(line).running(), hearing.running():
        signals = Signals(line)
        for number in range(5):
            signals.send(Signal(A, "resource", f"tause://a0/{number}"))
        async with signals.running():
            await until(lambda: bool(line.sent))
        await asyncio.sleep(0)
        other.hear(line.sent[0])
    assert len(ears.heard) == 3 and ears.gaps == 1


async def test_the_same_news_in_one_moment_is_sent_once() -> None:
    line = Line()
    async with Signals(line).running():
        pass
    signals = Signals(line)
    async with signals.running():
        for _ in range(100):
            signals.send(Signal(A, "tools"))
        await until(lambda: bool(line.sent))
    assert len(line.sent) == 1 and len(understood(line.sent[0])[1]) == 1


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"signals": 7}',
        b'{"signals": [7, null, [], ["a0"], ["a0", "tools"], ["a0", 1, ""], ["A B", "tools", ""]]}',
        b'{"signals": [["a0", "../x", ""], ["a0", "' + b"k" * 40 + b'", ""]]}',
        b'{"signals": [["a0", "tools", ""]], "x": "' + b"y" * (2 * LONGEST) + b'"}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_news_is_left_out(message: bytes) -> None:
    assert understood(message)[1] == []


@given(st.binary(max_size=300))
def test_no_bytes_break_the_listener(message: bytes) -> None:
    understood(message)


async def test_text_that_no_json_carries_is_a_gap_and_not_a_failure() -> None:
    line = Line()
    signals = Signals(line)
    async with signals.running():
        signals.send(Signal(A, "resource", "\ud800"))
        signals.send(Signal(A, "resource", "x" * 5000))
        await until(lambda: bool(line.sent))
    assert orjson.loads(line.sent[0])["lost"] is True


async def test_a_listener_that_breaks_does_not_deafen_the_others() -> None:
    line, signals = Line(), Signals()
    signals = Signals(line)

    def broken(_: Signal) -> None:
        raise RuntimeError("boom")

    signals.listen(broken, lambda: None)
    ears = Ears(signals)
    async with signals.running():
        await asyncio.sleep(0)
        line.hear(b'{"from": "x", "signals": [["a0", "tools", ""]]}')
    assert ears.heard == [Signal(A, "tools")]
