"""A database with tables that are large enough for the planner to care, and a judge of plans."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from accounts.models import Role, User
from dev.bench.tables import Tables
from dev.race import scratch_database

LARGE = {
    "assets_cashbackasset",
    "ledger_entry",
    f"ledger_idempotencykey_{int(time.time()) // 604_800 % 3}",  # of this week; the others are empty
    "accounts_user",
    "accounts_tokenfamily",
    "assets_cashbackassetevent",
}
SIZE = Tables(assets=100_000, entries=40_000, people=10_000, heavy=4_000)
MORE = """
INSERT INTO accounts_tokenfamily (id, user_id, refresh_hash, auth_hash, expires_at, revoked_reason)
    SELECT uuidv7(), id, md5(id::text), md5(email), now() + interval '14 days', '' FROM accounts_user;
ALTER TABLE ledger_idempotencykey DISABLE TRIGGER USER; -- it takes a lock per row
INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint, status_code, body, entry_id, created_at)
    SELECT user_id, 'claim', request_key, md5(request_key), 201, '{}', id, now() - random() * interval '6 days'
    FROM ledger_entry;
INSERT INTO assets_cashbackassetevent
    (pgh_created_at, pgh_label, pgh_obj_id, id, title, total_value, currency, status, generation, created_at, pool_id)
    SELECT now(), 'update', id, id, title, total_value, currency, status, generation, created_at, pool_id
    FROM assets_cashbackasset WHERE status = 'EXPIRED';
SELECT public.harden_triggers();
"""


@contextmanager
def database_with(tables: Tables) -> Iterator[None]:
    """Work in a database of its own with these tables; nothing of it is left."""
    settings = connection.settings_dict
    usual = settings["NAME"]
    connections.close_all()
    name = f"{scratch_database.PREFIX}plans"
    scratch_database.run_statement(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    scratch_database.run_statement(f'CREATE DATABASE "{name}" TEMPLATE "{usual}"')
    settings["NAME"] = name
    limits = settings["OPTIONS"]["options"]
    settings["OPTIONS"]["options"] += " -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
    try:
        tables.fill()
        yield
    finally:
        connections.close_all()
        settings["NAME"], settings["OPTIONS"]["options"] = usual, limits
        scratch_database.run_statement(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def large(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Work in a database of its own with large tables."""
    with django_db_blocker.unblock(), database_with(SIZE):
        with connection.cursor() as cursor:
            cursor.execute(MORE)
            cursor.execute("VACUUM (ANALYZE)")
        yield


@pytest.fixture
def anybody(large: None) -> User:
    return User.objects.get(email="person2@example.com")


@pytest.fixture
def heavy(large: None) -> User:
    """Whoever has a tenth of all claims."""
    return User.objects.get(email="person0@example.com")


@pytest.fixture
def operator(large: None) -> User:
    found = User.objects.get(email="person1@example.com")
    User.objects.filter(pk=found.pk).update(role=Role.ADMIN)
    found.refresh_from_db()
    return found


def plans_of(ask: Callable[[], Any], options: str = "VERBOSE") -> list[tuple[str, dict[str, Any]]]:
    """Do something and return every statement it sent with its plan."""
    with CaptureQueriesContext(connection) as asked:
        ask()
    # Several may go in one trip.
    statements = [sql.strip() for query in asked.captured_queries for sql in query["sql"].split(";")]
    statements = [sql.removeprefix("COPY (").removesuffix(") TO STDOUT") for sql in statements]
    return [
        (sql, plan(sql, options))
        for sql in statements
        if sql.startswith(("SELECT", "(SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
    ]


def plan(sql: str, options: str) -> dict[str, Any]:
    """Return PostgreSQL's plan of a statement, which is run only if the options say ANALYZE."""
    with connection.cursor() as cursor:
        cursor.cursor.execute(f"EXPLAIN ({options}, FORMAT JSON) {sql}")
        found = cursor.fetchone()[0]
    tree: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return tree


def read_whole(node: dict[str, Any]) -> set[str]:
    """Return the large tables that a plan reads from their first row to the last."""
    found = {node["Relation Name"]} & LARGE if node["Node Type"] == "Seq Scan" else set()
    return found.union(*(read_whole(child) for child in node.get("Plans", ())))


# What the planner guesses that a statement reads of a large table, at most: a page, a person's share, a search's candidates.
MOST_ROWS = 10_000
# These read all that is below them before they hand on their first row; any other stops when a LIMIT above has enough.
WHOLE_FIRST = {"Sort", "Hash", "Aggregate", "WindowAgg", "Materialize", "Bitmap Heap Scan", "BitmapOr", "BitmapAnd"}


def rows_read(node: dict[str, Any], share: float = 1.0, times: float = 1.0) -> list[tuple[str, float]]:
    """Return the large tables that a plan scans, each with how many rows it is estimated to read of it.

    Arguments:
        share: how much of the node's rows are asked for, where there is a LIMIT above.
        times: how often the node is run.
    """
    rows, children = node["Plan Rows"] * share, node.get("Plans", ())
    found = []
    if node["Node Type"].endswith("Scan") and node.get("Relation Name") in LARGE:
        bounded = share < 1 or any(name in node for name in ("Index Cond", "Recheck Cond", "TID Cond"))
        found.append((node["Relation Name"], times * max(1.0, rows) if bounded else float("inf")))
    if node["Node Type"] == "Limit":
        share = min(1.0, share * node["Plan Rows"] / max(1, children[0]["Plan Rows"]))
    elif node["Node Type"] in WHOLE_FIRST and node.get("Strategy") != "Sorted":
        share = 1.0
    for child in children:
        found += rows_read(child, *asked_of(child, node, share, times))
    return found


def asked_of(child: dict[str, Any], parent: dict[str, Any], share: float, times: float) -> tuple[float, float]:
    """Return what share of its rows a node's child is asked for at a time, and how many times."""
    relation, name = child["Parent Relationship"], child.get("Subplan Name")
    own = json.dumps({key: parent[key] for key in parent if key != "Plans"})
    if relation == "SubPlan" and f"hashed {name}" not in own:
        first = 1 / max(1, child["Plan Rows"]) if f"EXISTS({name})" in own else 1.0
        return first, times * max(1.0, parent["Plan Rows"] * share)
    if relation in ("SubPlan", "InitPlan"):
        return 1.0, times
    if parent["Node Type"] == "Nested Loop" and relation == "Inner":
        return 1.0, times * max(1.0, parent["Plans"][0]["Plan Rows"] * share)
    return share, times


def rows_looked_at(ask: Callable[[], Any]) -> float:
    """Do something that only reads; return how many rows of large tables it really looked at, the ones it left out too."""

    def looked_at(node: dict[str, Any]) -> float:
        scan = node["Node Type"].endswith("Scan") and node.get("Relation Name") in LARGE
        each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) if scan else 0
        return float(each * node["Actual Loops"]) + sum(map(looked_at, node.get("Plans", ())))

    return sum(looked_at(tree) for _, tree in plans_of(ask, "ANALYZE"))


def judge(ask: Callable[[], Any]) -> list[str]:
    """Return the statements that read a large table whole, or that are estimated to read more than MOST_ROWS of one."""
    asked = plans_of(ask)
    assert asked, "nothing was asked"
    red = []
    for sql, tree in asked:
        many = {f"{table} ({rows:,.0f} rows)" for table, rows in rows_read(tree) if rows > MOST_ROWS}
        if tables := read_whole(tree) | many:
            red.append(f"{', '.join(sorted(tables))}: {sql[:2_000]}")
    return red
