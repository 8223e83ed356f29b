"""Optional traces (OpenTelemetry) and error reports (Sentry), each imported only when its variable is set."""

import os
from collections.abc import Mapping
from typing import Any

INSTALL = "pip install --require-hashes -r requirements-telemetry.txt"
OTEL_MODULES = (
    "opentelemetry.trace",
    "opentelemetry.sdk.resources",
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.instrumentation.wsgi",
)


def start_telemetry(environ: Mapping[str, str] = os.environ) -> None:
    """Start what the environment asks for; raise ImproperlyConfigured when its packages are not installed."""
    if dsn := environ.get("SENTRY_DSN"):
        start_sentry(dsn)


def start_sentry(dsn: str) -> None:
    """Report errors to Sentry, without users, bodies, cookies, queries and local variables."""
    sentry = import_package("sentry_sdk", "SENTRY_DSN", "sentry-sdk")
    sentry.init(
        dsn=dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=without_personal_data,
    )


def without_personal_data(event: dict[str, Any], hint: Any) -> dict[str, Any]:
    """Return the event with the id of the request, and without the parts of the request that may identify a person."""
    event.pop("user", None)
    request = event.get("request", {})
    for part in ("cookies", "data", "env", "headers", "query_string"):
        request.pop(part, None)
    return event
