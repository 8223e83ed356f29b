"""What the console and the reports cost the primary, with a replica and without: CPU of its sessions, as Linux counts it."""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.database.conftest import Pair
from tests.database.test_replica_reads import START, statements
from tests.database.test_standby import caller, visitor
from wallet.actions import issue_assets
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_rates")]
# The figures of docs/replicas.md: REPLICA_CREDITS=50000 pytest tests/database/test_replica_share.py
CREDITS, ROUNDS = int(os.environ.get("REPLICA_CREDITS", "5000")), 3
PAGES = (
    "/admin/",
    "/admin/assets/cashbackasset/",
    "/admin/assets/cashbackasset/?q=Credit",
    "/admin/ledger/claimedasset/",
    "/admin/ledger/claimedasset/?q=user",
    "/admin/ledger/claimedasset/owners/",
    "/admin/ledger/claimedasset/export/csv/",
    "/admin/ledger/entry/",
    "/admin/reports/trial-balance/",
    "/admin/reports/liability/",
    "/admin/reports/journal/",
)
CALLS = ("/api/v1/reports/ownership/?format=csv", "/api/v1/reports/liability/", "/api/v1/assets/?search=credit")


def cpu_of_session() -> float:
    """Return the milliseconds of CPU that the primary's session of this thread has used."""
    nanoseconds = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]
    return int(nanoseconds) / 1e6


def cost_at_primary(console: Client, api: APIClient, **headers: Any) -> tuple[float, int]:
    """Return the CPU in ms, and the number of statements, of the pages and calls at the primary."""
    connection.ensure_connection()
    connection.close_at = None  # not too old in the middle of it
    pid, before = connection.connection.info.backend_pid, cpu_of_session()
    with statements("default") as sent:
        for _ in range(ROUNDS):
            assert {console.get(page).status_code for page in PAGES} == {200}
            assert {api.get(call, **headers).status_code for call in CALLS} == {200}
    assert connection.connection.info.backend_pid == pid
    return cpu_of_session() - before, len(sent)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux counts the CPU of another process so finely")
def test_console_and_reports_cost_the_primary_little(
    replica: Pair, ada: User, root: User, make_users: Callable[[int], list[User]]
) -> None:
    issue_assets.issue_assets(
        [issue_assets.build_asset(ada, title=f"Credit {n}", total_value=Decimal(1), currency="INR") for n in range(CREDITS)]
    )
    users = make_users(20)
    for number, pk in enumerate(CashbackAsset.objects.values_list("pk", flat=True)[:400]):
        claim_asset(pk, users[number % 20])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    replica.catch_up()
    console, api = visitor(root), caller(root)
    elsewhere = visitor(root)
    elsewhere.cookies["wallet_position"] = "unknown"
    cost_at_primary(console, api, **START), cost_at_primary(elsewhere, api)  # what is planned and cached once

    alone, statements_alone = cost_at_primary(elsewhere, api)
    left, statements_left = cost_at_primary(console, api, **START)

    share = f"CPU of the primary {alone:.0f} → {left:.0f} ms ({left / alone - 1:+.0%}), "
    print(share + f"statements {statements_alone} → {statements_left} ({statements_left / statements_alone - 1:+.0%})")  # noqa: T201
    # Who asks, and until when a report is settled, costs the primary the same whatever the size of the tables.
    assert left < (0.1 if CREDITS >= 20_000 else 0.25) * alone
