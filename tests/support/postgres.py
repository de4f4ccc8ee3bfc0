"""A real PostgreSQL on a free port: started once per session when first asked for, then killed.

`server()` is the one server of the session. `server().create(name)` makes an empty database owned
by the role `owner`, no superuser. Tests connect as `app`, the role that `owner` makes by migrating:
it owns nothing, and row-level security binds it.
"""

import asyncio
import atexit
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.serving import free_port

START_SECONDS = 60


def _binaries() -> Path:
    """The folder of `initdb` and `postgres`; installed when we may, else a loud failure."""
    if found := _found():
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], check=False, env=environment)
        subprocess.run(["apt-get", "install", "-qy", "postgresql"], check=True, env=environment)
    if found := _found():
        return found
    raise RuntimeError("these tests need PostgreSQL: install it (apt-get install postgresql)")


def _found() -> Path | None:
    packaged = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(packaged, key=lambda p: float(p.parts[-3]), default=None)
    on_path = shutil.which("postgres")
    chosen = newest or (Path(on_path) if on_path else None)
    return chosen.resolve().parent if chosen else None


def _in_memory() -> str | None:
    """Linux's folder in memory: copying a database there takes a tenth of the time."""
    folder = "/dev/shm"
    roomy = Path(folder).is_dir() and shutil.disk_usage(folder).free > 4 * 2**30
    return folder if roomy else None


def dies_with_us() -> None:
    """In the child: PR_SET_PDEATHSIG, so that a killed test run leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Server:
    """One cluster in a folder of its own; durability off, for it is thrown away."""

    def __init__(self, **options: str) -> None:
        self._options = options
        self._bin = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="tause-postgres-", dir=_in_memory()))
        self._user = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._user = pwd.getpwnam("postgres").pw_uid
            os.chown(self._folder, self._user, -1)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip
        access = self._folder / "data" / "pg_hba.conf"
        access.write_text(f"host scram fresh 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
        self.start()
        self.sql("CREATE ROLE owner LOGIN CREATEROLE")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            user=self._user,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options |= {"full_page_writes": "off", "max_connections": "60", "shared_buffers": "16MB"}
        options |= self._options
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", self._data, "-p", str(self.port), *settings],
                user=self._user,
                cwd=self._folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=dies_with_us,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.sql("SELECT 1")
                return
            except RuntimeError:
                time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {self.log()[-2000:]}")

    def stop(self) -> None:
        """Immediate shutdown, as a crash would look to its clients."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)

    def kill(self) -> None:
        """`kill -9` of every process of it: it recovers from its log when it is started again."""
        assert self._process is not None
        for pid in self._family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(20)

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._process is not None
        return self._process.pid

    def pause(self) -> None:
        """Every process of it stands still: it takes connections and answers nothing."""
        for pid in self._family():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in reversed(self._family()):
            os.kill(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        """The postmaster first, so that it starts no other meanwhile."""
        pid = self.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def log(self) -> str:
        """What the server has written."""
        return (self._folder / "log").read_text()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser, each on its own; the last one's rows as text."""
        commands = [part for statement in statements for part in ("-c", statement)]
        host = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database)
        return self._run("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", *host, *commands)

    def url(self, database: str, role: str = "app") -> str:
        return f"postgresql+asyncpg://{role}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """A fresh, empty database of `owner`; the URL of `app`, whom a migration will make."""
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.sql(f'CREATE DATABASE "{database}" OWNER owner')
        return self.url(database)

    def settings(self, database: str) -> dict[str, str]:
        """The environment of an installation on this database."""
        admin = self.url(database, "owner")
        return {"TAUSE_DATABASE_URL": self.url(database), "TAUSE_DATABASE_ADMIN_URL": admin}

    def protect(self, database: str) -> None:
        """Make `app` and the walls around whatever tables `owner` has made there."""
        asyncio.run(_protected(self.url(database, "owner")))


async def _protected(admin: str) -> None:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    from tause_mcp.database import protection, role

    def work(connection: sa.Connection) -> None:
        run = connection.exec_driver_sql
        role.ensure_role(run, "app", None)
        protection.protect(run)
        role.grant(run, "app")

    engine = create_async_engine(admin, poolclass=sa.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(work)
    await engine.dispose()


@cache
def server(**options: str) -> Server:
    """The session's server; with options, another one."""
    made = Server(**options)
    atexit.register(made.remove)
    return made
