"""The rows: what is asked of this server, what of the bare one, and the limit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks import documents, targets, wire
from benchmarks.compare import Comparison, Side, compared
from benchmarks.servers import Server, ask
from benchmarks.targets import Target
from benchmarks.wire import FORMS, MODERN, Call, Door, Form

Make = Callable[[Door, Form], Call]
MOST = 64


@dataclass(frozen=True)
class Row:
    """One comparison in one protocol form; without a limit it only informs."""

    name: str
    form: Form
    ours: Make
    base: Make
    limit: float | None
    on_listing: bool = False
    on_itself: bool = False
    """Against our own server instead of a bare one."""

    @property
    def title(self) -> str:
        return f"{self.name} · {self.form}"


@dataclass(frozen=True)
class Servers:
    """Ours, the bare echo, and the bare SDK that lists our tools."""

    ours: Server
    echo: Server
    listing: Server


@dataclass(frozen=True)
class Plan:
    """How long is measured: seconds a slice, pairs at 16 in flight, pairs at 1 and at 64."""

    seconds: float
    pairs: int
    edge_pairs: int
    cold_starts: int


THOROUGH = Plan(1.0, 5, 3, 7)
QUICK = Plan(0.5, 3, 1, 3)


@dataclass(frozen=True)
class Result:
    """A row's comparisons by calls in flight, or why there are none."""

    row: Row
    at: dict[int, Comparison]
    failed: str = ""


def of_server() -> Iterator[Row]:
    """What the issue asks of this server, against the bare echo of a few bytes."""
    calls: list[tuple[str, Make, float]] = [
        ("access_whoami", wire.whoami, targets.WHOAMI),
        ("storage_stat", wire.stat, targets.STAT),
        ("storage_get 1 KB", wire.get, targets.GET),
        ("storage_put 1 KB", wire.put, targets.PUT),
    ]
    kept: list[tuple[str, Make, float | None]] = [
        ("cache_get from memory", wire.cache_get, targets.CACHE),
        ("database_get", documents.get, targets.DOCUMENT),
        ("database_insert", documents.insert, targets.INSERT),
        ("database_find by index", documents.find, None),
    ]
    for name, make, most in kept:
        yield Row(name, MODERN, make, wire.echo, most)
    for form in FORMS:
        for name, make, limit in calls:
            bound = limit if form == MODERN else targets.LEGACY_CALL
            yield Row(name, form, make, wire.echo, bound)
        yield Row("tools/list", form, wire.listing, wire.listing, targets.LIST, on_listing=True)
    yield Row("server/discover (identity alone)", MODERN, wire.discover, wire.discover, None)


def of_redis() -> Iterator[Row]:
    """A cached read of a tenant that has a rate: both in one round trip to Redis."""
    title = "cache_get on Redis, with its rate"
    yield Row(title, MODERN, wire.cache_get, wire.echo, targets.CACHE_REDIS)


VALIDATIONS = {
    "colombia_validate_nit": {"number": "800.197.268-4"},
    "colombia_validate_phone": {"number": "+57 300 123 4567"},
    "colombia_validate_document": {"type": "NIT", "number": "890903938", "check_digit": "8"},
}


def of_validation() -> Iterator[Row]:
    """Pure functions over packaged data, against our own access_whoami."""
    for name, arguments in VALIDATIONS.items():
        make = partial(wire.validation, name=name, arguments=arguments)
        title = f"{name} over access_whoami"
        yield Row(title, MODERN, make, wire.whoami, targets.VALIDATION, on_itself=True)


def of_base() -> Iterator[Row]:
    """The bare server against itself, for scale."""
    yield Row("bare echo of 1 KB", MODERN, partial(wire.echo, size=wire.KILOBYTE), wire.echo, None)


def of_itself() -> Iterator[Row]:
    """The bare server against a second one: each ratio must be 1.00 within the noise."""
    for form in FORMS:
        yield Row("echo", form, wire.echo, wire.echo, targets.SAME)
        yield Row("tools/list", form, wire.listing, wire.listing, targets.SAME)


def seed(door: Door) -> None:
    """Store what the reads find.

    Raises:
        LookupError: the server did not store it.
    """
    for connection in range(MOST):
        key, content = wire.seed(connection)
        ask(
            door,
            "tools/call",
            {"name": "storage_put", "arguments": {"key": key, "content": content}},
        )
    documents.seed(door, MOST)
    seed_cache(door)


def seed_cache(door: Door) -> None:
    """Cache what the cached reads find."""
    for connection in range(MOST):
        key, value = wire.cached(connection)
        told = {"name": "cache_set", "arguments": {"key": key, "value": value}}
        ask(door, "tools/call", told)


def rated(door: Door) -> None:
    """Give the tenant a rate that the load never uses up."""
    limits = {"tenant_id": "default", "limits": {"calls_per_hour": 10**9}}
    ask(door, "tools/call", {"name": "tenants_configure", "arguments": limits})


def kept(door: Door) -> None:
    """The objects that the load put last are there, whole.

    Raises:
        LookupError: one is not.
    """
    for connection in range(MOST):
        named = {"name": "storage_get", "arguments": {"key": f"{wire.PUT_KEY}{connection}"}}
        found = ask(door, "tools/call", named)["structuredContent"]["content"]
        if found != wire.content(int(found[:16])):
            raise LookupError(f"{wire.PUT_KEY}{connection} is not what was put")


async def measure(row: Row, ours: Server, base: Server, plan: Plan) -> Result:
    """One row at 16, 1 and 64 in flight; 16 carries the headline."""
    sides = Side(ours, row.ours(ours.door, row.form)), Side(base, row.base(base.door, row.form))
    at: dict[int, Comparison] = {}
    try:
        for in_flight, pairs in ((16, plan.pairs), (1, plan.edge_pairs), (MOST, plan.edge_pairs)):
            at[in_flight] = await compared(*sides, in_flight, plan.seconds, pairs)
    except (OSError, RuntimeError, LookupError) as error:
        return Result(row, at, f"{type(error).__name__}: {error}")
    return Result(row, at)


def verdicts(results: list[Result]) -> list[Target]:
    """CPU per call at 16 in flight, and the tail at 64, of every row with a limit."""
    judged = []
    for result in results:
        row = result.row
        if row.limit is None:
            continue
        if result.failed:
            judged.append(Target(row.title, f"{row.limit:.2f} x", "", "missed", "no figure"))
            continue
        ratio = result.at[16].ratio("cpu_us")
        judged.append(targets.of_ratio(f"CPU per call: {row.title}", row.limit, ratio))
        if row.on_itself:  # its tail is that of whoami and the work beside it: nothing to compare
            continue
        tail = result.at[MOST].ratio("p99_ms")
        judged.append(targets.of_ratio(f"p99 at 64: {row.title}", targets.TAIL, tail))
    return judged
