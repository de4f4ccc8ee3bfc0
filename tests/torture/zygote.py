"""Starts serving processes that have imported everything already: `python zygote.py`.

Reads one line per process: a JSON list of the arguments of `tause-mcp`. Answers its pid. Each is a
process of its own, forked before anything was opened: what is left to measure is the start itself.
"""

import contextlib
import json
import os
import signal
import sys


def _become(arguments: list[str], log: str) -> None:
    """The forked process serves, until somebody ends it."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["tause-mcp", *arguments]
    from tause_mcp.cli import main

    status = 1
    with contextlib.suppress(SystemExit):
        main()
        status = 0
    os._exit(status)


def serve() -> None:
    import uvicorn  # noqa: F401  # imported for its forks

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(told["arguments"], told["log"])
        print(pid, flush=True)


if __name__ == "__main__":
    serve()
