"""Liveness, readiness and metrics, for load balancers and monitoring."""

import resource
import time
from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import ip_address

from django.conf import settings
from django.core.cache import caches
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kernel.batching import Batcher
from kernel.client_address import client_ip
from kernel.fallbacks import Fallback
from kernel.rate_limits import STORE_ERRORS

STARTED = time.time()
# A request with one of these headers was forwarded by a proxy.
PROXIES_SEND = ("X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO", "X_REAL_IP", "FORWARDED", "VIA")
COUNTED_TABLES = ("accounts_user", "accounts_tokenfamily", "assets_cashbackasset", "ledger_entry", "django_q_ormq")


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Return 200: this process answers. Neither the database nor Redis is asked."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Return 200 if the database is reachable, migrated and writable, else 503. Redis is reported, but not required."""
    database = database_state()
    ready = database == "ok"
    body = {"status": "ready" if ready else "not ready", "database": database, "redis": redis_state()}
    return JsonResponse(body, status=200 if ready else 503)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return metrics in Prometheus' text format to the networks of METRICS_ALLOWED; 404 to others."""
    if not may_read_metrics(request):
        raise Http404
    lines = [line for name, kind, text, values in metric_families() for line in exposition_lines(name, kind, text, values)]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


def database_state() -> str:
    """Return "ok", "unreachable", "read-only" (a standby), or how many migrations are missing."""
    try:
        missing = shipped_migrations() - set(MigrationRecorder(connection).applied_migrations())
        writable = takes_writes()
    except Error:
        return "unreachable"
    if not writable:
        connection.end_session()  # type: ignore[attr-defined]
        return "read-only"
    return f"{len(missing)} migration{'' if len(missing) == 1 else 's'} missing" if missing else "ok"


def takes_writes() -> bool:
    """Return whether the database accepts writes: neither a standby nor a read-only primary does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'")
        return bool(cursor.fetchone()[0])


@cache
def shipped_migrations() -> frozenset[tuple[str, str]]:
    """Return the (app, name) of every migration in this code."""
    return frozenset(MigrationLoader(None).disk_migrations)


def redis_state() -> str:
    """Return "ok", "unreachable", or "not used"."""
    if not settings.REDIS:
        return "not used"
    try:
        caches["default"].get("readyz")
    except STORE_ERRORS:
        return "unreachable"
    return "ok"


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


Family = tuple[str, str, str, Mapping[str, float]]


def metric_families() -> Iterator[Family]:
    """Yield (name, type, help, value by labels) of each metric; none counts a large table. Counts are of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield "process_start_time_seconds", "gauge", "Start time of this process.", {"": STARTED}
    yield "process_cpu_seconds_total", "counter", "CPU time of this process.", {"": usage.ru_utime + usage.ru_stime}
    yield "process_max_resident_memory_bytes", "gauge", "Peak resident memory of this process.", {"": usage.ru_maxrss * 1024}
    yield "cashback_database_up", "gauge", "Whether the database is ready.", {"": float(database_state() == "ok")}
    yield "cashback_redis_up", "gauge", "Whether Redis is reachable (optional).", {"": float(redis_state() == "ok")}
    batchers = {f'{{batcher="{batcher.name}"}}': batcher for batcher in Batcher.instances}
    yield "cashback_batches_total", "counter", "Batches that this process ran.", {k: b.batches for k, b in batchers.items()}
    yield "cashback_batched_items_total", "counter", "Items in those batches.", {k: b.items for k, b in batchers.items()}
    yield "cashback_largest_batch_items", "gauge", "Items in the largest batch.", {k: b.largest for k, b in batchers.items()}
    fallbacks = {f'{{fallback="{fallback.name}"}}': fallback.count for fallback in Fallback.instances}
    yield "cashback_fallbacks_total", "counter", "How often this process used each fallback after an error.", fallbacks
    yield "cashback_rows", "gauge", "Rows per table, estimated by PostgreSQL.", row_estimates()


def row_estimates() -> dict[str, float]:
    """Return PostgreSQL's estimate per table: one small query, however long the ledger is."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, n_live_tup FROM pg_stat_user_tables WHERE relname = ANY(%s)", [list(COUNTED_TABLES)]
            )
            return {f'{{table="{name}"}}': rows for name, rows in cursor.fetchall()}
    except Error:
        return {}


def exposition_lines(name: str, kind: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of one metric."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    yield from (f"{name}{labels} {value}" for labels, value in values.items())
