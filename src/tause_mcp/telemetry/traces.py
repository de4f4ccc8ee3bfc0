"""Spans to an OpenTelemetry collector, by the standard variables.

The SDK of MCP opens a span per message and joins it to the caller's trace. What leaves this
process is an allow-list: no argument, result, message or stack of anybody's.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

from tause_mcp.errors import Misconfigured

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TENANT = "tause.tenant"
_TOLD = frozenset(
    {
        "mcp.method.name",
        "mcp.protocol.version",
        "gen_ai.operation.name",
        "error.type",
        "rpc.response.status_code",
        TENANT,
    }
)
_NAMED = ("gen_ai.tool.name", "gen_ai.prompt.name")
_FLUSH_SECONDS = 5.0
"""A collector that is down keeps a server that ends no longer than this."""


def wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the standard variables name a collector and do not switch it off."""
    environ = os.environ if environ is None else environ
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    none = environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
    return not off and not none and any(environ.get(name) for name in ENDPOINTS)


@contextmanager
def tracing(names: frozenset[str]) -> Iterator[None]:
    """Export spans inside, when a collector is named. `names` are the tools that may be told.

    Raises:
        Misconfigured: the extra is not installed, or the collector speaks another protocol.
    """
    if not wanted():
        yield
        return
    provider = _provider(names)
    try:
        yield
    finally:
        ending = Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(_FLUSH_SECONDS)


def _provider(names: frozenset[str]) -> Any:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    if protocol != "http/protobuf":
        raise Misconfigured("OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken here")
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise Misconfigured(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `tause-mcp[otel]`"
        ) from None
    service = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or "tause-mcp"}
    exporter: Any = Scrubbed(OTLPSpanExporter(), names)
    provider = TracerProvider(resource=Resource.create(service))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


class Scrubbed:
    """`SpanExporter` that passes on what `_TOLD` allows, and names nobody made up."""

    def __init__(self, inner: Any, names: frozenset[str]) -> None:
        self._inner = inner
        self._names = names

    def export(self, spans: Sequence[Any]) -> Any:
        return self._inner.export([self._scrubbed(span) for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 5000) -> bool:
        return bool(self._inner.force_flush(timeout_millis))

    def _scrubbed(self, span: Any) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace.status import Status

        told = {k: v for k, v in (span.attributes or {}).items() if k in _TOLD}
        named = [(k, span.attributes[k]) for k in _NAMED if k in (span.attributes or {})]
        known = {k: v if v in self._names else "unknown" for k, v in named}
        method = str(told.get("mcp.method.name", "call"))
        return ReadableSpan(
            name=" ".join([method, *known.values()]),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes={**told, **known},
            kind=span.kind,
            instrumentation_scope=span.instrumentation_scope,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
        )


def name_tenant(tenant: str) -> None:
    """Write the tenant's id on the span of the message at hand."""
    from opentelemetry.trace import get_current_span

    get_current_span().set_attribute(TENANT, tenant)
