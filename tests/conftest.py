"""People and credits that every test may ask for by name."""

import gc
import json
import logging
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection
from django.test import Client, TransactionTestCase
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts.models import Role, User
from kernel import refusal_counts
from kernel.fallbacks import Fallback
from kernel.file_download import OPEN_FILES
from wallet.actions import edit_pool, issue_assets
from wallet.assets.models import CashbackAsset, CreditPool

# No test depends on how fast the machine is.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

PASSWORD = "correct horse battery"
KEPT = ("django_migrations", "django_content_type", "auth_permission")


def empty_the_tables(*_: Any) -> None:
    """Truncate all tables as their owner; the ledger's own refusal is lifted for this one transaction and put back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        tables = [name for (name,) in cursor.fetchall() if name not in KEPT]
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgtype & 32 > 0")
        guards = cursor.fetchall()
        lift = [f'ALTER TABLE {table} DISABLE TRIGGER "{name}"' for table, name in guards]
        put_back = [f'ALTER TABLE {table} ENABLE ALWAYS TRIGGER "{name}"' for table, name in guards]
        cursor.execute(";".join(["BEGIN", *lift, f"TRUNCATE {', '.join(tables)}", *put_back, "COMMIT"]))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker, django_db_keepdb: bool) -> None:
    """Beside the tables' owner there is the role that requests run as."""
    with django_db_blocker.unblock():
        if django_db_keepdb:
            empty_the_tables()  # an earlier run may have been killed in the middle of a test
        call_command("grant_app_role", stdout=StringIO())
        drop_what_a_killed_run_left()


def drop_what_a_killed_run_left() -> None:
    """Drop the scratch databases of a run that nobody could end properly; only on servers that are the tests' own."""
    if "DATABASE_URL" in os.environ:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'prove\\_%'")
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session", autouse=True)
def _tables_can_be_emptied() -> None:
    # Django's own method, which its stubs do not name.
    TransactionTestCase._fixture_teardown = empty_the_tables  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_found_once() -> None:
    """Each test client makes the middleware anew; the static files that it would look for are the same each time."""
    find, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def reuse(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    WhiteNoiseMiddleware.add_files_from_finders = reuse


@pytest.fixture(autouse=True)
def _empty_caches() -> Iterator[None]:
    """Nobody inherits another test's rate limits and counts."""
    for cache in caches.all(initialized_only=True):
        cache.clear()
    yield
    refusal_counts.UNWRITTEN.write()
    for cache in caches.all(initialized_only=True):
        cache.clear()


@pytest.fixture(autouse=True)
def _default_language() -> Iterator[None]:
    """A request in another language leaves it active in its thread, where the next request sets its own."""
    yield
    translation.deactivate()


DATABASE_FIXTURES = {"db", "transactional_db", "_django_db_helper", "django_db_setup"}


@pytest.fixture(autouse=True)
def _no_connection_is_left(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> None:
    """Close the connection that an earlier test left open, before a test that may not use the database.

    Each request releases its connection, which asks an open one for its state, and that is refused to such a test.
    """
    if request.node.get_closest_marker("django_db") is None and not DATABASE_FIXTURES.intersection(request.fixturenames):
        with django_db_blocker.unblock():
            connection.close()


@pytest.fixture(autouse=True)
def _file_slots_are_freed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Free the slots of files that no test holds any more: the test client closes no response, as a web server would."""
    request = Client.request

    def free_when_all_are_taken(client: Client, **environ: Any) -> Any:
        if not OPEN_FILES.free_at:
            gc.collect()  # a response refers to itself, so that it is not freed at once
        return request(client, **environ)

    monkeypatch.setattr(Client, "request", free_when_all_are_taken)
    yield
    if len(OPEN_FILES.free_at) < OPEN_FILES.count:
        gc.collect()


@pytest.fixture(autouse=True)
def _fallbacks_are_logged() -> None:
    """Every test sees the first use of a fallback in the log, however recently another test saw it."""
    for fallback in Fallback.instances:
        fallback._next_log_at = 0.0


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.com", PASSWORD)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", PASSWORD)


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada@example.com", PASSWORD, role=Role.ADMIN)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


@pytest.fixture
def open_pool(ada: User) -> Callable[..., CreditPool]:
    """Open a pool; anything not named is a plain INR promotion without a limit."""

    def make(**fields: Any) -> CreditPool:
        return edit_pool.open_pool(ada, **{"name": "Diwali", "kind": "PROMOTION", "currency": "INR"} | fields)

    return make


@pytest.fixture
def issue(ada: User) -> Callable[..., CashbackAsset]:
    """Issue one asset; anything not named is 100 rupees for ever, in no pool."""

    def make(**fields: Any) -> CashbackAsset:
        given = {"title": "Welcome bonus", "total_value": Decimal("100.00")} | fields
        if "pool" not in given:
            given.setdefault("currency", "INR")
        return issue_assets.issue_asset(ada, **given)

    return make


@pytest.fixture
def make_users() -> Callable[[int], list[User]]:
    """Insert that many users."""

    def make(size: int) -> list[User]:
        return User.objects.bulk_create(User(email=f"user{n}@example.com", password="!") for n in range(size))

    return make


@pytest.fixture
def elsewhere() -> Iterator[psycopg.Connection[Any]]:
    """Another client of the same database, in a transaction of its own."""
    settings = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        settings.pop(name, None)
    with psycopg.connect(**settings) as other:
        yield other
        other.rollback()


@pytest.fixture
def audited(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return the events that were recorded, oldest first."""
    logger = logging.getLogger("cashback.audit")
    logger.addHandler(caplog.handler)
    yield lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == logger.name]
    logger.removeHandler(caplog.handler)
