"""Forks `tause-mcp` processes that have imported everything already: `python zygote.py`.

Reads one JSON object per line: `arguments`, `environ`, `log` (a file for stdout and stderr), and
optionally `wait`. Answers the pid, or with `wait` the exit code. Each is a process of its own,
forked before anything was opened: what is left to measure is the start itself.
"""

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).parent)
sys.path[:] = [path for path in sys.path if path != HERE]
# its modules are named after what they start (`redis`)

IMPORTED = (
    "tause_mcp.cli.serve",
    "tause_mcp.server.app",
    "tause_mcp.server.stdio",
    "tause_mcp.catalog",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.lifespan.on",
)


def _become(told: dict[str, Any]) -> None:
    """The forked process is `tause-mcp`, until it ends."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(told["environ"])
    sys.path[:0] = told["environ"].get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["tause-mcp", *told["arguments"]]
    from tause_mcp.cli import main

    status: Any = 1
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def serve() -> None:
    for module in IMPORTED:
        import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        print(_forked(json.loads(line)), flush=True)


def _forked(told: dict[str, Any]) -> int:
    """The pid, or the exit code when it is waited for. Nobody else's end leaves a zombie."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        _become(told)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if told.get("wait") else pid
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return code


if __name__ == "__main__":
    serve()
