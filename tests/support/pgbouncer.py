"""A real pgbouncer in transaction mode before the session's PostgreSQL: few servers, many clients."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import postgres
from tests.support.serving import free_port

START_SECONDS = 60


def _binary() -> str:
    """`pgbouncer`; installed when we may, else a loud failure."""
    if found := shutil.which("pgbouncer"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-q"], check=False, env=environment)
        subprocess.run(["apt-get", "install", "-qy", "pgbouncer"], check=True, env=environment)
    if found := shutil.which("pgbouncer"):
        return found
    raise RuntimeError("these tests need pgbouncer: install it (apt-get install pgbouncer)")


_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 200
logfile = {log}
"""


@contextmanager
def running(servers: int = 2) -> Iterator[int]:
    """A pgbouncer with so many server connections per database; its port."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="tause-pgbouncer-"))
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None  # it refuses root
    (folder / "users").write_text('"app" ""\n"owner" ""\n')
    (folder / "ini").write_text(
        _CONFIGURATION.format(
            server=postgres.server().port,
            port=port,
            users=folder / "users",
            servers=servers,
            log=folder / "log",
        )
    )
    if user is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, -1)
    process = subprocess.Popen(
        [_binary(), "-q", str(folder / "ini")],
        user=user,
        stderr=subprocess.DEVNULL,
        preexec_fn=postgres.dies_with_us,
    )
    try:
        _answers(process, port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("pgbouncer did not start")
