"""DATABASE_POOLER: behind a pooler that gives each transaction another session, nothing is a session's."""

import http.client
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.core.checks import run_checks
from django.db import connection, connections, transaction
from django.db.utils import ConnectionHandler

from accounts.models import User
from accounts.tokens import issue_pair
from cashback import database_env
from cashback.database.roles import ROLE_SETTINGS
from dev.chaos import test_servers
from dev.race import scratch_database, web_server
from tests.concurrency import at_once
from tests.database.pgbouncer import PgBouncer, program, running_pgbouncer
from tests.database.test_advisory_locks import product_files
from wallet.actions import issue_assets
from wallet.actions.demo_data import create_demo_data, demo_data_lock
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry
from wallet.verification.checker import snapshot_connection, verify_everything

# The figures of docs/replicas.md: POOLER_CLAIMS=2000 pytest tests/database/test_pooler.py -k exports
CLAIMS, EXPORTS, CLIENTS = int(os.environ.get("POOLER_CLAIMS", "200")), int(os.environ.get("POOLER_EXPORTS", "4")), 16
KINDS = ["transaction", "transaction-prepared"]
LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
# What lasts as long as a session: SET without LOCAL, locks, notifications, temporary tables, cursors WITH HOLD, statements.
OF_A_SESSION = re.compile(
    r"\bSET (?!LOCAL|TRANSACTION|CONSTRAINTS|DEFAULT|NULL|NOT)(?:SESSION )?(?:ROLE\b|\w+(?:_timeout|_path|zone|_role|_only)\b)"
    r"|set_config\([^()]*,\s*false\)|pg_(?:try_)?advisory_(?:unlock|lock)|\bLISTEN \w|\bTEMP(?:ORARY)? TABLE|CURSOR WITH HOLD\b"
    r"|\bPREPARE \w+ AS|\bDISCARD\b"
)


@pytest.fixture
def pgbouncer(django_db_setup: None) -> Iterator[PgBouncer]:
    if "DATABASE_URL" in os.environ:
        pytest.skip("PgBouncer is put before a server of the tests' own")
    if program() is None:
        pytest.skip("there is no pgbouncer on PATH (Debian: apt-get install pgbouncer)")
    more = "max_prepared_statements = 100" if keeps_statements() else ""
    with test_servers.servers_folder() as made, running_pgbouncer(made / "pooler", more=more) as running:
        yield running


def pooled(pgbouncer: PgBouncer, kind: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the settings of a connection through PgBouncer, as the environment gives them."""
    monkeypatch.setenv("DATABASE_URL", pgbouncer.url(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DATABASE_POOLER", kind)
    return database_env.read_database()


@contextmanager
def through(pgbouncer: PgBouncer, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have Django reach its database through PgBouncer during the block."""
    own, new = dict(connection.settings_dict), pooled(pgbouncer, kind, monkeypatch)
    connections.close_all()
    connection.settings_dict.update(ConnectionHandler({"default": new})["default"].settings_dict | {"CONN_MAX_AGE": 60})
    try:
        yield
    finally:
        connections.close_all()
        connection.settings_dict.clear()
        connection.settings_dict.update(own)


@pytest.mark.parametrize(("kind", "prepared"), [("", 1), ("transaction", None), ("transaction-prepared", 1)])
def test_what_is_sent_at_connect_depends_on_the_pooler(
    kind: str, prepared: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:secret@pooler:6432/shop")
    monkeypatch.setenv("DATABASE_POOLER", kind)

    made = ConnectionHandler({"default": database_env.read_database()})["default"].get_connection_params()

    assert made["prepare_threshold"] == prepared
    assert ("options" in made) == (kind == "")


def test_sql_of_the_product_leaves_nothing_in_a_session() -> None:
    files = [path for path in product_files() if not path.is_relative_to(settings.BASE_DIR / "dev")]
    found = {str(path): OF_A_SESSION.findall(path.read_text()) for path in files}

    assert len(files) > 200
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "sql",
    [
        "SET statement_timeout = 0",
        "SET SESSION lock_timeout = 0",
        "SET ROLE somebody",
        "SELECT set_config('search_path', '', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1)",
        "LISTEN news",
        "CREATE TEMP TABLE t ()",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ],
)
def test_sql_that_leaves_something_in_a_session_is_found(sql: str) -> None:
    assert OF_A_SESSION.search(sql)
    assert not OF_A_SESSION.search("SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(1), set_config('a.b', 'c', true)")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_demo_data_and_checks_through_pgbouncer_leave_no_session_changed(
    pgbouncer: PgBouncer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "transaction-prepared" and not keeps_statements():
        pytest.skip("this PgBouncer keeps no prepared statements (before 1.21)")
    with through(pgbouncer, kind, monkeypatch):
        create_demo_data(lambda _: "correct horse battery")
        with snapshot_connection() as reader:
            verify_everything(reader)
        with snapshot_connection() as reader, reader.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)
        assert sessions_of(pgbouncer) == {tuple(ROLE_SETTINGS[name] for name in (*LIMITS, "TimeZone"))}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchone() == (0,)


def sessions_of(pgbouncer: PgBouncer) -> set[tuple[str, ...]]:
    """Return the different limits and time zones of all sessions that PgBouncer has now."""
    found: set[tuple[str, ...]] = set()
    with ExitStack() as stack:
        for number in range(4):
            one = connection.copy(alias=f"session{number}")
            connections[one.alias] = one
            stack.callback(connections.__delitem__, one.alias)
            stack.callback(one.close)
            stack.enter_context(transaction.atomic(using=one.alias))
            with one.cursor() as cursor:
                cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in (*LIMITS, "TimeZone")))
                found.add(cursor.fetchone())
    return found


def keeps_statements() -> bool:
    """Return whether the PgBouncer at hand keeps prepared statements."""
    version = re.search(r"PgBouncer (\d+)\.(\d+)", os.popen(f"{program()} --version").read())
    return version is not None and (int(version[1]), int(version[2])) >= (1, 21)


@pytest.mark.django_db(transaction=True)
def test_demo_data_is_created_by_one_process_at_a_time_through_pgbouncer(
    pgbouncer: PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with demo_data_lock():
            inside += 1
            most = max(most, inside)
            for _again in range(5):
                CreditPool.objects.exists()
            inside -= 1

    with through(pgbouncer, "transaction", monkeypatch):
        at_once(work, range(3))
    assert most == 1


@pytest.mark.django_db(transaction=True)
def test_cursor_outside_of_a_transaction_is_not_left_with_a_session(
    pgbouncer: PgBouncer, issue: Callable[..., CashbackAsset], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        issue(title=f"Credit {number}")
    with through(pgbouncer, "transaction", monkeypatch):
        rows = CashbackAsset.objects.order_by("title").iterator(chunk_size=2)
        read = [next(rows).title]
        at_once(lambda _: [CreditPool.objects.exists() for _ in range(20)], range(6))
        read += [row.title for row in rows]
        with transaction.atomic():
            assert len(list(CashbackAsset.objects.iterator(chunk_size=2))) == 6
    assert read == [f"Credit {number}" for number in range(6)]


@pytest.mark.django_db(transaction=True)
def test_check_is_red_where_sessions_of_the_pooler_have_no_limits(
    pgbouncer: PgBouncer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def found() -> list[str]:
        checks = run_checks(databases=["default"], include_deployment_checks=True)
        return [str(check.msg) for check in checks if check.id == "cashback.E004"]

    assert found() == []
    with through(pgbouncer, "transaction", monkeypatch):
        assert found() == []
    with test_servers.servers_folder() as made, running_pgbouncer(made / "owner", user="cashback") as owners:
        with through(owners, "transaction", monkeypatch):
            assert found() == [f"Sessions of the pooler have no {', '.join(sorted(LIMITS))}."]


def console_cookie(user: User) -> str:
    """Return the cookie of a signed-in browser."""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_claims_and_exports_of_two_processes_through_pgbouncer(
    pgbouncer: PgBouncer, kind: str, ada: User, make_users: Callable[[int], list[User]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "transaction-prepared" and not keeps_statements():
        pytest.skip("this PgBouncer keeps no prepared statements (before 1.21)")
    template = [issue_assets.build_asset(ada, title="Credit", total_value=1, currency="INR") for _ in range(CLAIMS)]  # type: ignore[arg-type]
    issue_assets.issue_assets(template)
    wanted = [str(pk) for pk in CashbackAsset.objects.values_list("pk", flat=True)]
    tokens = [issue_pair(user).access for user in make_users(CLIENTS)]
    environ = scratch_database.scratch_environment(connection.settings_dict["NAME"]) | {
        "DATABASE_URL": pgbouncer.url(connection.settings_dict["NAME"]),
        "DATABASE_POOLER": kind,
        "DATABASE_POOL": "8",
        "EXPORT_SHARE": "1",
    }
    answers: Counter[int] = Counter()
    lines: list[tuple[int, int]] = []

    def claim(part: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        for asset in wanted[part::CLIENTS]:
            client.request("POST", f"/api/v1/assets/{asset}/claim/", None, {"Authorization": f"Bearer {tokens[part]}"})
            answer = client.getresponse()
            answer.read()
            answers[answer.status] += 1

    def export() -> None:
        client = http.client.HTTPConnection("127.0.0.1", web.port, timeout=120)
        for number in range(EXPORTS):
            name = "claimedasset" if number % 2 else "entry"
            client.request("GET", f"/admin/ledger/{name}/export/csv/", None, {"Cookie": cookie})
            answer = client.getresponse()
            lines.append((answer.status, answer.read().count(b"\n")))

    cookie = console_cookie(ada)
    with web_server.web_server(environ) as web:
        threads = [threading.Thread(target=claim, args=(part,)) for part in range(CLIENTS)]
        threads.append(threading.Thread(target=export))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    print(f"{kind}: {dict(answers)}; exports {lines}")  # noqa: T201
    assert answers == {201: CLAIMS}
    assert Entry.objects.count() == CLAIMS
    assert [status for status, _ in lines] == [200] * EXPORTS
    assert {count for (_, count), number in zip(lines, range(EXPORTS), strict=True) if number % 2} == {CLAIMS + 1}
    with through(pgbouncer, kind, monkeypatch):
        assert sessions_of(pgbouncer) == {tuple(ROLE_SETTINGS[name] for name in (*LIMITS, "TimeZone"))}
