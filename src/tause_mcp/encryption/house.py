"""The installation's own secrets, and the check that its master key is the right one."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tause_mcp import times
from tause_mcp.database import Database
from tause_mcp.encryption import tables
from tause_mcp.encryption.masters import FILE, SETTING, Masters, read_masters
from tause_mcp.errors import Misconfigured, TauseError
from tause_mcp.settings import Settings

CHECK = "check"
"""The house secret that every start opens: a lost or wrong master key is told at once."""


def about(name: str) -> str:
    """What a wrapped house secret is bound to."""
    return f"house|{name}"


async def open_masters(settings: Settings, database: Database) -> Masters:
    """The master keys of this installation, proven to be the ones its data was encrypted under.

    Raises:
        Misconfigured: they are missing, wrong or of the wrong form.
    """
    check = await _stored(database, CHECK)
    file = settings.at_home(FILE)
    if check is not None and not settings.encryption_key and not file.exists():
        raise Misconfigured(
            f"the master key is missing: restore {FILE} to TAUSE_HOME, or set {SETTING}"
        )
    masters = Masters(read_masters(settings.encryption_key, file))
    if check is None:
        await keep(database, CHECK, await masters.wrap(b"tause", about(CHECK)))
        check = await _stored(database, CHECK) or b""
    await _prove(masters, check)
    return masters


async def _prove(masters: Masters, check: bytes) -> None:
    master = masters.knows(check)
    if master is None:
        raise Misconfigured(
            f"{SETTING}: this database was encrypted under another master key: give that one "
            "(the same to every replica)"
        )
    if master.remote:  # a key of our own is proven by its id
        try:
            await masters.unwrap(check, about(CHECK))
        except TauseError as error:
            raise Misconfigured(f"{SETTING}: {error}") from None


async def shared_secrets(
    database: Database, masters: Masters, home: Path, makers: Mapping[str, Callable[[], bytes]]
) -> dict[str, bytes]:
    """The installation's own secrets, by the names of their files.

    On a server database every replica reads the same from there; the first start brings its files
    in, or makes new ones. Beside an embedded database the files of the home are shared already.
    """
    if database.dialect == "sqlite":
        return {}
    return {name: await _shared(database, masters, home / name, makers[name]) for name in makers}


async def _shared(
    database: Database, masters: Masters, file: Path, make: Callable[[], bytes]
) -> bytes:
    wrapped = await _stored(database, file.name)
    if wrapped is None:
        fresh = await masters.wrap(_brought(file, make), about(file.name))
        await keep(database, file.name, fresh)
        wrapped = await _stored(database, file.name) or b""
    try:
        return await masters.unwrap(wrapped, about(file.name))
    except TauseError as error:
        raise Misconfigured(f"{SETTING}: {file.name}: {error}") from None


def _brought(file: Path, make: Callable[[], bytes]) -> bytes:
    """What this home has kept so far, else a new secret."""
    return file.read_bytes() if file.exists() else make()


async def _stored(database: Database, name: str) -> bytes | None:
    row = await database.first(None, tables.HOUSE_SECRET, named=name)
    return None if row is None else bytes(row[0])


async def keep(database: Database, name: str, wrapped: bytes) -> None:
    """Store a wrapped secret, unless one of that name is there."""
    fresh = {"name": name, "value": wrapped, "created_at": times.now()}
    await database.write(None, lambda tx: tx.run(tables.ADD_HOUSE_SECRET, **fresh))
