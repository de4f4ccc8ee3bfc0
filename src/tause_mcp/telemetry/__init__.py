"""What an operator's instruments see: counts for Prometheus, spans for OpenTelemetry.

Neither carries anything of a tenant but, when `TAUSE_TRACE_TENANT` says so, its id on a span.
"""
