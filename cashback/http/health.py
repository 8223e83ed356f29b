"""Liveness and readiness, for load balancers."""

from functools import cache

from django.conf import settings
from django.core.cache import caches
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kernel.rate_limits import STORE_ERRORS


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


def database_state() -> str:
    """Return "ok", "unreachable", "read-only" (a standby), or how many migrations are missing."""
    try:
        missing = missing_migrations()
        writable = takes_writes()
    except Error:
        return "unreachable"
    if not writable:
        connection.replace_sessions()  # type: ignore[attr-defined]
        return "read-only"
    return f"{len(missing)} migration{'' if len(missing) == 1 else 's'} missing" if missing else "ok"


def missing_migrations() -> frozenset[tuple[str, str]]:
    """Return the (app, name) of every migration of this code that is not applied."""
    return shipped_migrations() - set(MigrationRecorder(connection).applied_migrations())


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
