"""Structured logs on stderr: one JSON record per line, secrets never.

`security` is the record of failed logins and refused crossings; it never enters a tenant's chain.
"""

import logging
import re
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

_HIDDEN = re.compile(
    r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+|\btk_[A-Za-z0-9_.-]{20,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9._-]+"
)
_NAMES = re.compile(r"(?i)secret|password|token|authorization|api_?key|private_?key|cookie")


def hide(text: str) -> str:
    """`text` with anything shaped like a bearer token, JWT or API key removed."""
    return _HIDDEN.sub(lambda m: f"{m.group(1) or ''}***", text)


def _cleaned(_: Any, __: str, event: Any) -> Any:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = "***" if _NAMES.search(name) else hide(value)
    return event


class _Stderr:
    """stderr, wherever it is now: a full disk behind it loses a line, never the call that logs."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(level: str = "info") -> None:
    """Send every log of this process, ours and the libraries', to stderr as JSON lines."""
    threshold = getattr(logging, level.upper())
    stderr = _Stderr()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cleaned,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, stderr)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))


def get(name: str) -> Any:
    """A logger that names the room it speaks from."""
    return structlog.get_logger(room=name)


security = structlog.get_logger(room="security")
