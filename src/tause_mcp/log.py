"""Structured logs on stderr: one JSON record per line, secrets never.

`security` is the record of failed logins and refused crossings; it never enters a tenant's chain.
"""

import logging
import re
import sys
from contextlib import suppress
from typing import Any

import structlog

_HIDDEN = re.compile(
    r"(?i)(?P<kept>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]+"
    r"|(?P<scheme>://)[^/\s@\"]*:[^/\s@\"]+(?=@)"
    r"|\btk_[A-Za-z0-9_.-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9._-]+"
)
_NAMES = re.compile(r"(?i)secret|password|token|authorization|api_?key|private_?key|cookie")


def hide(text: str) -> str:
    """`text` without anything shaped like a bearer token, JWT, API key or password in a URL."""
    return _HIDDEN.sub(lambda m: f"{m['kept'] or m['scheme'] or ''}***", text)


def _cleaned(_: Any, __: str, event: Any) -> Any:
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _clean(str(inner), told) for inner, told in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(name, told) for told in value]
    if isinstance(value, (str, bytes)) and _NAMES.search(name):
        return "***"
    return value


def _hidden(_: Any, __: str, line: Any) -> Any:
    """The whole record once more: also what a value's repr gave away."""
    return hide(line)


class _Stderr:
    """The stream of every log. A reader that went away must not fail the call that logs."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(level: str = "info") -> None:
    """Send every log of this process, ours and the libraries', to stderr as JSON lines."""
    threshold = getattr(logging, level.upper())
    stream: Any = _Stderr()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cleaned,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(), _hidden],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
                _hidden,
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
