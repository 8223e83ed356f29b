"""A failover that lost commits: what a process remembers of the lost ones is not believed, without a restart."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.cache import caches
from django.db import connection

from accounts.models import TokenFamily, User
from kernel.server_timeline import SERVER_TIMELINE
from tests.database.conftest import Pair
from tests.database.test_standby import caller
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_rates")]
Issue = Callable[..., CashbackAsset]


def timeline_at(session: psycopg.Connection[Any]) -> str:
    return str(session.execute(f"SELECT {SERVER_TIMELINE}").fetchall()[0][0])


def test_timeline_is_unknown_on_a_standby_and_new_after_its_promotion(pair: Pair) -> None:
    pair.catch_up()
    with pair.session_at(pair.primary) as primary, pair.session_at(pair.standby) as standby:
        before = timeline_at(primary)
        assert before.startswith("00000001-")
        assert timeline_at(standby) == "None"

        pair.promote()

        promoted = timeline_at(standby)
        assert promoted.startswith("00000002-")
        assert timeline_at(primary) == before


def test_credit_whose_claim_was_lost_can_be_claimed_at_once(by_address: Pair, issue: Issue, alice: User, bob: User) -> None:
    caches["claimed"].clear()  # of this process
    asset = issue()
    hers, his = caller(alice), caller(bob)
    by_address.lead_to(by_address.primary)
    by_address.go()  # type: ignore[attr-defined]
    by_address.stop_following()
    claim = f"/api/v1/assets/{asset.pk}/claim/"
    assert hers.post(claim).status_code == 201
    assert [his.post(claim).status_code for _ in range(2)] == [409, 409]
    assert len(caches["claimed"]._cache) == 1  # type: ignore[attr-defined]  # of LocMemCache

    by_address.fail_over()

    assert not Entry.objects.filter(asset=asset).exists()
    assert his.post(claim).status_code == 201
    assert hers.post(claim).json()["code"] == "asset_already_claimed"
    assert Entry.objects.get(asset=asset).user == bob


def test_sign_in_that_was_lost_is_refused_at_once(by_address: Pair, alice: User) -> None:
    by_address.lead_to(by_address.primary)
    by_address.go()  # type: ignore[attr-defined]
    kept = caller(alice)
    by_address.catch_up()
    by_address.stop_following()
    lost = caller(alice)
    assert [api.get("/api/v1/auth/me/").status_code for api in (kept, lost)] == [200, 200]

    by_address.fail_over()

    assert TokenFamily.objects.count() == 1
    assert [api.get("/api/v1/auth/me/").status_code for api in (kept, lost)] == [200, 401]


def test_a_cached_refusal_still_costs_no_statement_of_its_own(issue: Issue, alice: User, bob: User) -> None:
    asset, hers, his = issue(), caller(alice), caller(bob)
    claim = f"/api/v1/assets/{asset.pk}/claim/"
    assert (hers.post(claim).status_code, his.post(claim).status_code) == (201, 409)
    sent: list[str] = []

    def note(execute: Callable[..., object], sql: str, *rest: object) -> object:
        sent.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        assert his.post(claim).status_code == 409

    assert len(sent) == 1  # who is calling
    assert "accounts_tokenfamily" in sent[0]
