"""Indexes that serve the lists, as PostgreSQL plans them on a large table."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.api.conftest import ROOT, Caller
from wallet.actions.claim import claim_asset
from wallet.actions.issue_assets import issue_many
from wallet.assets.models import CreditPool


@pytest.fixture
def crowded(open_pool: Callable[..., CreditPool], ada: User, alice: User) -> CreditPool:
    pools = [open_pool(name=f"Pool {number}") for number in range(20)]
    for pool in pools:
        issue_many(ada, pool, count=1_000, title="Bonus", total_value=Decimal(1))
    for asset in pools[0].assets.all()[:3]:
        claim_asset(asset.pk, alice)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0; ANALYZE")  # the server may be analyzing a table itself
    return pools[0]


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("assets/?pool={pool}&status=AVAILABLE&ordering=expires_at", "asset_claimable"),
        ("assets/?mine=true", "asset_owned"),
        ("assets/", "assets_cashbackasset_pkey"),
    ],
)
def test_list_is_served_by_an_index(as_alice: Caller, crowded: CreditPool, path: str, index: str) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert as_alice.get(f"{ROOT}/{path.format(pool=crowded.pk)}").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {asked.captured_queries[-1]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert index in plan, plan
    assert "Seq Scan on assets_cashbackasset" not in plan, plan
