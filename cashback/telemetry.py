"""Optional error reports (Sentry) and traces (OpenTelemetry), without personal data.

Their packages are imported only when SENTRY_DSN or OTEL_EXPORTER_OTLP_ENDPOINT is set (see requirements-telemetry.in).
"""

import os
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from cashback.http.request_log import route_of
from kernel.request_id import current_request_id

Handler = Callable[[HttpRequest], HttpResponse]
SERVICE = "cashback"


def start_sentry(dsn: str) -> None:
    """Report errors to Sentry."""
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=without_personal_data,
    )


def without_personal_data(event: dict[str, Any], hint: Any) -> dict[str, Any]:
    """Return the event with the id of the request, without what may identify a person or hold a secret.

    Of the request only the method stays: the event's `transaction` is its route. Of an error's message only the first line
    stays, because PostgreSQL gives the values of a row in the next.
    """
    request = event.get("request", {})
    event["request"] = {"method": request.get("method")}
    for part in ("user", "extra"):
        event.pop(part, None)
    for error in event.get("exception", {}).get("values", []):
        error["value"] = str(error.get("value") or "").partition("\n")[0]
    event.setdefault("tags", {})["request_id"] = current_request_id.get() or "-"
    return event


class TracingMiddleware:
    """Sends a span of each request to the OTLP endpoint: method, route, status and request id, no path, query or user."""

    def __init__(self, get_response: Handler) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self.get_response, self.trace, self.propagate = get_response, trace, propagate
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE)})
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = provider.get_tracer(SERVICE)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response; the span is a child of the caller's, if it sent a traceparent."""
        parent = self.propagate.extract(request.headers)
        with self.tracer.start_as_current_span("request", context=parent, kind=self.trace.SpanKind.SERVER) as span:
            answer = self.get_response(request)
            route = route_of(request)
            span.update_name(f"{request.method} {route}")
            span.set_attribute("http.request.method", str(request.method))
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", answer.status_code)
            span.set_attribute("request.id", current_request_id.get())
            if answer.status_code >= 500:
                span.set_status(self.trace.StatusCode.ERROR)
        return answer
