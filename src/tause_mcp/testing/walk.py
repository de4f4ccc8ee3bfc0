"""The isolation walk: everybody else looks for what tenant A has, by every way there is.

    async with open_platform(settings) as platform, in_process(platform) as http:
        report = await walk(platform, http, most=500)
        assert not report.findings, report

The probes are made from the live catalogue (tools, resources, prompts, completions, routes) and
from what A's own calls answered: a new tool is walked the day it is added. Each probe is asked
twice, with A's name and with one that never existed; the answers have to be the same bytes.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Any

import httpx2

from tause_mcp.platform import Platform
from tause_mcp.server.app import HttpApp, Serving
from tause_mcp.testing.walk_cast import Actor, Cast, cast
from tause_mcp.testing.walk_ground import Ground, Probe
from tause_mcp.testing.walk_handles import Canary, Handle, Twins
from tause_mcp.testing.walk_judge import Finding, Judge, crashed, difference
from tause_mcp.testing.walk_listen import overheard
from tause_mcp.testing.walk_probes import allowed, probes
from tause_mcp.testing.walk_snapshot import changed, snapshot
from tause_mcp.testing.walk_stage import Scene, staged
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Answer, Era, InProcess, Speaker

DISCLOSED = ("tenants_create.tenant_id", "tenants_create.*", "tenants_create.same")
"""Where foreign and absent may differ. A tenant's id is a door's address and so is unique in the
installation: whoever makes a tenant learns that an id is taken, and nothing else."""

Prepare = Callable[[Scene], Awaitable[None]]
_WORD = re.compile(r"[\w-]+")
_AGAIN = 3
"""How often a difference is looked at again before it is believed."""
_ENOUGH = 50
"""Findings after which a walk stops: the rest would say the same."""


@dataclass
class Report:
    """What a walk did and found."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    not_made: list[str] = field(default_factory=list)
    """Tools that make something, and that no plausible arguments moved: A has nothing of theirs."""
    covered: set[str] = field(default_factory=set)
    """Tools, resources and prompts that were probed."""

    @property
    def probes(self) -> int:
        return self.counts.total()

    @property
    def bytes(self) -> int:
        """Bytes of A's that reached somebody else."""
        return sum(finding.size for finding in self.findings)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.counts.items()))
        told = [f"{self.probes} probes, {self.bytes} bytes", f"({kinds})"]
        return "\n".join([*told, *map(str, self.findings)])


@asynccontextmanager
async def in_process(platform: Platform) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the whole HTTP server of `platform`, with no socket between."""
    app = HttpApp(platform, Serving())
    transport = InProcess(app.guarded)
    async with (
        app.doors.running(),
        httpx2.AsyncClient(transport=transport, base_url=platform.public_url, timeout=30) as http,
    ):
        yield http


async def walk(
    platform: Platform,
    http: httpx2.AsyncClient,
    *,
    most: int | None = None,
    eras: tuple[Era, ...] = (MODERN,),
    stem: str = "acme",
    run: str = "walk",
    settle: float = 0.0,
    company: Cast | None = None,
    prepare: Prepare | None = None,
) -> Report:
    """Walk a house whose server `http` reaches; `platform` is the same house, opened here.

    `most` bounds the probes (None: all); each place is probed before any is probed twice. The
    tenants are made below the root as `stem` and names like it (unless `company` is given), and
    stay: delete the home, or use `walk_cast.dismissed`. `settle`: seconds until another process has
    written down A's usage. `prepare` gives a scene what its tenant cannot make alone; with it, what
    the scenes' calls ask a person is approved.
    """
    company = company or await cast(platform, stem)
    walker = await _set(platform, http, company, run, prepare)
    await asyncio.sleep(settle)
    await walker.walk(most, eras)
    return walker.report


async def _set(
    platform: Platform,
    http: httpx2.AsyncClient,
    company: Cast,
    run: str,
    prepare: Prepare | None,
) -> "Walker":
    b, owner = company.others[0], company.owner
    catalog = platform.catalog

    async def approve(approval_id: str) -> None:
        await platform.answer(approval_id, True, by="local:owner", means="cli")

    async def scene_of(actor: Actor, mark: str) -> Scene:
        speaker, canary = Speaker(http, actor.token), Canary(f"{run}/{mark}")
        scene = Scene(speaker, actor.tenant, canary, approve=approve if prepare else None)
        if prepare:
            await prepare(scene)
        return await staged(scene, catalog)

    theirs = await scene_of(b, "b")
    mine = await scene_of(owner, "a")
    ground = Ground(catalog, mine, theirs, company.child)
    public = "\n".join(theirs.handles.found)
    marks = [h for h in mine.handles.distinctive(public) if _telling(h)]
    judge = Judge(mine.canary, marks, (company.owner.tenant, company.child))
    return Walker(platform, http, company, ground, judge, Report(not_made=mine.not_made))


def _telling(handle: Handle) -> bool:
    return len(handle.value) >= 10


@dataclass
class Walker:
    """One walk under way."""

    platform: Platform
    http: httpx2.AsyncClient
    company: Cast
    ground: Ground
    judge: Judge
    report: Report

    async def walk(self, most: int | None, eras: tuple[Era, ...]) -> None:
        """Look, then change, then look again; A is compared after each."""
        before = await snapshot(self.platform, self.company.owner.tenant)
        chosen = list(self._chosen(most))
        speakers = {era: await self._speakers(era) for era in eras}
        for writes in (False, True):
            for n, (actor, probe) in enumerate(chosen):
                if probe.writes == writes and len(self.report.findings) < _ENOUGH:
                    await self._ask(speakers[eras[n % len(eras)]][actor.name], actor, probe)
            await self._compare(before)
        for actor in self.company.others:
            await self._look_again(speakers[eras[0]][actor.name], actor)
        await self._overhear()
        await self._compare(before, ours=True)

    async def _speakers(self, era: Era) -> dict[str, Speaker]:
        found = {}
        for actor in self.company.others:
            found[actor.name] = await Speaker(self.http, actor.token, era=era).opened()
        return found

    def _chosen(self, most: int | None) -> Iterator[tuple[Actor, Probe]]:
        """Each argument of each tool, and each tool; then one place of each kind, and another."""
        kinds: dict[str, dict[str, list[Probe]]] = {}
        for probe in probes(self.ground):
            kinds.setdefault(probe.kind, {}).setdefault(probe.name, []).append(probe)
        streams = {kind: self._places(list(places.values())) for kind, places in kinds.items()}
        first = [islice(streams[kind], len(kinds[kind])) for kind in ("tool", "tenant")]
        return islice(chain(*first, _interleaved(streams.values())), most)

    def _places(self, places: list[list[Probe]]) -> Iterator[tuple[Actor, Probe]]:
        return _interleaved(self._pairs(found, n) for n, found in enumerate(places))

    def _pairs(self, found: list[Probe], turn: int) -> Iterator[tuple[Actor, Probe]]:
        """Every probe of a place by every identity, each time another."""
        actors = self.company.others
        for n in range(len(found) * len(actors)):
            actor = actors[(n + n // len(found) + turn) % len(actors)]
            probe = found[n % len(found)]
            if not allowed(self.ground, actor, probe):
                yield actor, probe

    async def _ask(self, speaker: Speaker, actor: Actor, probe: Probe) -> None:
        self.report.counts[probe.kind] += 1
        self.report.covered |= _words(probe.name)
        foreign = await self._judged(speaker, actor, probe)
        if foreign is None or disclosed(probe):
            return
        apart = await self._apart(speaker, actor, probe, foreign)
        if apart:
            self._found("oracle", probe, actor, "; ".join(apart[:3]))

    async def _apart(
        self, speaker: Speaker, actor: Actor, probe: Probe, first: Answer
    ) -> list[str]:
        """Where A's name is answered differently from names that never existed."""
        twins = [self._twin(probe.value, salt) for salt in ("one", "two")]
        kin = self._twin(probe.value, "three", kin=True)
        if twins[0] == probe.value or self._akin(actor, probe):
            return []
        foreign = [first]
        absent = [await probe.send(speaker, twin) for twin in twins[: 1 + probe.writes]]
        if actor.tenant in _words(first.sent) - _words(absent[0].sent):
            return []  # oddly spelled, A's id became the caller's own
        if probe.writes and all(answer.value for answer in (first, *absent)):
            return []  # each was done to the caller's own thing, which a probe before made
        apart = difference(foreign, absent)
        for _ in range(0 if probe.writes else _AGAIN):
            if not apart:
                break
            foreign.append(await probe.send(speaker, probe.value))
            absent += [await probe.send(speaker, twin) for twin in (*twins, kin)]
            apart = difference(foreign, absent)
        return apart

    def _akin(self, actor: Actor, probe: Probe) -> bool:
        """Whether the start of A's id is completed by one whose own id begins alike."""
        own = self.company.owner.tenant
        return probe.kind == "completion" and own in probe.value and actor.tenant[:2] == own[:2]

    def _twin(self, value: str, salt: str, *, kin: bool = False) -> str:
        tenants = (self.company.child, self.company.owner.tenant)
        return Twins(self.ground.a.canary, tenants, salt, kin=kin).of(value)

    async def _judged(self, speaker: Speaker, actor: Actor, probe: Probe) -> Answer | None:
        """Ask with A's name, and look for A's bytes in the answer."""
        try:
            answer = await probe.send(speaker, probe.value)
        except (httpx2.InvalidURL, httpx2.LocalProtocolError, UnicodeError):
            return None
        if probe.writes:
            self.judge.spend(answer)
        self._leaks(answer, actor, probe)
        if crashed(answer):
            self._found("crash", probe, actor, answer.text[-300:])
        return answer

    def _leaks(self, answer: Answer, actor: Actor, probe: Probe) -> None:
        if leaked := self.judge.leaks(answer, above=actor.above):
            told = ", ".join(leaked[:3])
            self._found("leak", probe, actor, told, sum(map(len, leaked)))

    def _found(self, what: str, probe: Probe, actor: Actor, detail: str, size: int = 0) -> None:
        named = f"{probe.kind} {probe.name} with {probe.value[:80]!r}"
        self.report.findings.append(Finding(what, named, actor.name, detail, size))

    async def _look_again(self, speaker: Speaker, actor: Actor) -> None:
        """What everybody sees of their own after the changes: still nothing of A's."""
        for operation in self.ground.catalog.tools.values():
            if operation.writes or operation.forwards:
                continue
            if actor.above and operation.capability == "tenants":
                continue
            arguments = self.ground.b.values.required(operation.inputs.schema)

            async def send(
                speaker: Speaker, _: str, told: Any = (operation.name, arguments)
            ) -> Answer:
                return await speaker.tool(*told)

            self.report.counts["look again"] += 1
            self.report.covered.add(operation.name)
            await self._judged(speaker, actor, Probe("look again", operation.name, "", send))

    async def _overhear(self) -> None:
        """Listen for A's changes while A changes something."""
        for era in (MODERN, LEGACY):
            speaker = await Speaker(self.http, self.company.others[0].token, era=era).opened()
            probe = Probe("listen", era, ", ".join(self.ground.a.uris[:3]), _never)
            self.report.counts["listen"] += 1
            for heard in await overheard(speaker, self.ground.a):
                self._leaks(heard, self.company.others[0], probe)

    async def _compare(self, before: Any, *, ours: bool = False) -> None:
        """Nothing of A's has changed, but for what A itself did (`ours`: it did, at the end)."""
        session = self.ground.a.session
        if session is not None and (await session.ask("tools/list")).status != 200:
            self._changed("the session of A has ended")
        if not ours:
            for place in changed(before, await snapshot(self.platform, self.company.owner.tenant)):
                self._changed(place)

    def _changed(self, detail: str) -> None:
        self.report.findings.append(Finding("change", "all", "everybody", detail))


def disclosed(probe: Probe) -> bool:
    """Whether this may tell that a name is taken."""
    return any(name.startswith(DISCLOSED) for name in probe.name.split())


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


async def _never(_: Speaker, __: str) -> Answer:
    raise AssertionError("a listener is not asked")


def _interleaved(lists: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """The first of each, then the second of each..."""
    nothing = object()
    for row in zip_longest(*lists, fillvalue=nothing):
        yield from (item for item in row if item is not nothing)


__all__ = ["DISCLOSED", "Finding", "Report", "in_process", "walk"]
