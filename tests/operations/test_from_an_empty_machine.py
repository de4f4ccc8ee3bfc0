"""docs/operations.md, "From an empty machine": its own commands, on servers that start empty."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support import postgres, redis, s3
from tests.support.balancer import balancing
from tests.support.serving import Served, free_port, plain

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(300)]  # its servers are its own
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SECTION = PAGE.read_text().partition("## From an empty machine")[2].partition("\n## ")[0]
SERVE = "tause-mcp serve --transport http --stateless --host 0.0.0.0 --port 8765"


def blocks(language: str) -> list[str]:
    """The fenced blocks of the section."""
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@dataclass
class Machine:
    """Stands for every machine of the section; its own hosts and paths take those of the text."""

    folder: Path
    database: postgres.Server
    names: dict[str, str] = field(default_factory=dict)

    def own(self, text: str) -> str:
        for theirs, ours in self.names.items():
            text = text.replace(theirs, ours)
        return text

    def shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a block as bash does, with `tause-mcp` on the path."""
        environ = plain(self.folder / "unused")
        del environ["TAUSE_HOME"]
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        command = ["bash", "-euc", self.own(script)]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=200, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
        return done

    def replica(self, number: int) -> Served:
        """The section's `serve`, on a port and with a home of its own."""
        port, home = free_port(), self.folder / f"replica-{number}"
        options = SERVE.replace("0.0.0.0", "127.0.0.1").replace("8765", str(port)).split()[1:]
        environ = plain(home) | {"TAUSE_SETTINGS": self.names["/etc/tause/settings"]}
        log = self.folder / f"{number}.log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "tause_mcp", *options]
            process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
        return Served(home, port, process, log)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    database, cache = postgres.Server(), redis.Server()
    try:
        made = Machine(tmp_path, database)
        made.names = {
            "db.internal:5432": f"127.0.0.1:{database.port}",
            "redis://cache.internal:6379/0": cache.url(),
            "s3://tause-objects?region=eu-west-1": s3.server().url(),
            "made-by-openssl": base64.b64encode(os.urandom(32)).decode(),
            "https://mcp.example.com": f"http://127.0.0.1:{free_port()}",
            "/etc/tause/settings": str(tmp_path / "settings"),
            "/var/lib/tause": str(tmp_path / "operator"),
        }
        yield made
    finally:
        database.remove()
        cache.remove()


def test_three_replicas_serve_and_are_proven(machine: Machine) -> None:
    install, migrate, serve, tenant, prove = blocks("sh")
    assert "'tause-mcp[postgres,redis,metrics,otel]'" in install and SERVE in serve
    for statement in blocks("sql")[0].split(";"):
        if statement.strip():
            machine.database.sql(statement)
    settings = machine.folder / "settings"
    settings.write_text(machine.own(blocks("ini")[0]))
    settings.chmod(0o600)
    assert "all answer" in machine.shell(migrate).stdout
    with ExitStack() as stack:
        replicas = [machine.replica(number) for number in range(3)]
        for replica in replicas:
            stack.callback(replica.kill)
            replica.ready(120)
        port = int(machine.names["https://mcp.example.com"].rpartition(":")[2])
        stack.enter_context(balancing([r.port for r in replicas], port))
        environ = migrate.splitlines()[0] + "\n"
        key = machine.shell(environ + tenant).stdout.splitlines()[-1]
        assert key.startswith("tk_acme.")
        done = machine.shell(environ + prove.strip() + " --probes 300 --kills 1")
        assert done.stdout.startswith("PASSED")
        told = json.loads((machine.folder / "operator/proof/proof.json").read_text())["proof"]
    kinds = {name: told["subject"][name] for name in ("database", "storage", "cache")}
    assert kinds == {"database": "postgresql", "storage": "s3", "cache": "redis"}
    text = (machine.folder / "operator/proof/proof.md").read_text()
    assert "password" not in text and "127.0.0.1" not in text
