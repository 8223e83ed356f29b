"""Metrics for monitoring, in the text format of Prometheus."""

import resource
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from django.conf import settings
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from cashback.http.health import database_state, redis_state
from kernel import metrics as counted
from kernel.client_address import client_ip
from wallet.queries.seal_lag import OLDEST_UNSEALED

STARTED = time.time()
# A request with one of these headers was forwarded by a proxy.
PROXIES_SEND = ("X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO", "X_REAL_IP", "FORWARDED", "VIA")
COUNTED_TABLES = ("accounts_user", "accounts_tokenfamily", "assets_cashbackasset", "ledger_entry", "django_q_ormq")
# Counters that a histogram contains: its name, the end of its sample, the counter and its help text.
COUNTERS_IN_HISTOGRAMS = [
    ("cashback_batch_size", "_count", "cashback_batches", "Batches."),
    ("cashback_batch_size", "_sum", "cashback_batched_items", "Items in those batches."),
    ("cashback_http_request_duration_seconds", "_count", "cashback_http_requests", "Requests."),
]
AGES = {
    "queue": ("cashback_queue_age_seconds", "How long the oldest due task has been waiting; 0 if none is due."),
    "sweep": ("cashback_last_sweep_age_seconds", "Time since the last sweep of due credits ended; +Inf if there was none."),
    "seal": ("cashback_seal_lag_seconds", "Age of the oldest claim or movement that is not sealed; 0 if all are."),
}
WEBHOOKS = {
    "failing": ("cashback_webhooks_failing", "Active webhooks whose last attempt failed."),
    "delivered": ("cashback_webhook_events_delivered", "Events that arrived at the webhooks there are now."),
    "lag": ("cashback_webhook_lag_events", "Events that the webhook furthest behind has not got yet."),
    "lag_age": ("cashback_webhook_lag_seconds", "Since when the webhook furthest behind lacks an event; 0 if none does."),
}
# A queued task is due from the time in `lock`, which django-q2 moves into the future when a worker takes the task.
READINGS = f"""
SELECT 'rows', relname::text, n_live_tup::float FROM pg_stat_user_tables WHERE relname = ANY(%(tables)s)
UNION ALL SELECT 'age', 'queue', extract(epoch FROM greatest(
    coalesce(statement_timestamp() - (SELECT min(next_run) FROM django_q_schedule WHERE repeats <> 0), interval '0'),
    coalesce(statement_timestamp() - (SELECT min(lock) FROM django_q_ormq), interval '0'),
    interval '0'))
UNION ALL SELECT 'age', 'sweep', coalesce(extract(epoch FROM statement_timestamp() - (
    SELECT max(stopped) FROM django_q_task WHERE func = 'wallet.tasks.sweep' AND success)), 'Infinity')
UNION ALL SELECT 'age', 'seal', coalesce(extract(epoch FROM statement_timestamp() - ({OLDEST_UNSEALED})), 0)
UNION ALL SELECT 'webhooks', line.name, line.value FROM (
    SELECT count(*) FILTER (WHERE failing_since IS NOT NULL)::float AS failing, coalesce(sum(delivered), 0)::float AS delivered,
        coalesce(max((SELECT max(total) FROM delivery_tick) - coalesce(reached.total, 0)), 0)::float AS lag,
        coalesce(extract(epoch FROM statement_timestamp() - min(missing.at)), 0)::float AS lag_age
    FROM delivery_webhookendpoint AS endpoint
    LEFT JOIN delivery_tick AS reached ON reached.id = split_part(endpoint.cursor, '.', 1)::bigint
    LEFT JOIN delivery_tick AS missing ON missing.id = split_part(endpoint.cursor, '.', 1)::bigint + 1
    WHERE endpoint.is_active
) AS webhooks, LATERAL (VALUES ('failing', failing), ('delivered', delivered), ('lag', lag), ('lag_age', lag_age))
    AS line (name, value)
"""  # noqa: S608  (a constant)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to the networks of METRICS_ALLOWED; 404 to others."""
    if not may_read_metrics(request):
        raise Http404
    registry = CollectorRegistry()
    registry.register(AllMetrics())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_read_metrics(request: HttpRequest) -> bool:
    """Return whether the caller is in METRICS_ALLOWED.

    A forwarded request is refused unless trusted proxies say in X-Forwarded-For who sent it, because the peer is then a proxy.
    """
    was_forwarded = any(f"HTTP_{name}" in request.META for name in PROXIES_SEND)
    if was_forwarded and not (settings.TRUSTED_PROXIES and request.META.get("HTTP_X_FORWARDED_FOR")):
        return False
    try:
        caller = ip_address(client_ip(request))
    except ValueError:
        return False
    return any(caller in network for network in settings.METRICS_ALLOWED)


class AllMetrics(Collector):
    """What all processes counted, and what is read now."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names need not be known before they are read."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield each metric."""
        yield from process_metrics()
        for metric in counted.collect():
            yield metric
            yield from counters_in(metric)
        yield gauge("cashback_database_up", "Whether the database is ready.", database_state() == "ok")
        yield gauge("cashback_redis_up", "Whether Redis is reachable (optional).", redis_state() == "ok")
        yield from database_metrics()


def process_metrics() -> Iterator[Metric]:
    """Yield the metrics of the process that answers."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield gauge("process_start_time_seconds", "Start time of this process.", STARTED)
    yield CounterMetricFamily("process_cpu_seconds", "CPU time of this process.", usage.ru_utime + usage.ru_stime)
    yield gauge("process_max_resident_memory_bytes", "Peak resident memory of this process.", usage.ru_maxrss * 1024)


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """Return a gauge without labels."""
    return GaugeMetricFamily(name, text, float(value))


def counters_in(metric: Metric) -> Iterator[Metric]:
    """Yield the counters that a histogram contains, under names of their own."""
    for histogram, ending, name, text in COUNTERS_IN_HISTOGRAMS:
        if metric.name == histogram:
            counter = Metric(name, text, "counter")
            for sample in metric.samples:
                if sample.name == f"{histogram}{ending}":
                    counter.add_sample(f"{name}_total", sample.labels, sample.value)
            yield counter


def database_metrics() -> Iterator[Metric]:
    """Yield what PostgreSQL knows, by one small query however long the ledger is: estimated rows, and ages."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(READINGS, {"tables": list(COUNTED_TABLES)})
            readings = cursor.fetchall()
    except Error:
        return
    rows = GaugeMetricFamily("cashback_rows", "Rows per table, estimated by PostgreSQL.", labels=["table"])
    for kind, name, value in readings:
        if kind == "rows":
            rows.add_metric([name], value)
        else:
            yield gauge(*(AGES if kind == "age" else WEBHOOKS)[name], max(0.0, value))
    yield rows
