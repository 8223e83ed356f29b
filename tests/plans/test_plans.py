"""No hot query reads a large table whole: asked of PostgreSQL's planner, for every query that a door sends."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Count
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import authentication, tokens
from accounts.models import TokenFamily, User
from accounts.services import Service
from tests.plans.conftest import judge, plans_of, rows_looked_at, rows_read
from wallet.actions import expire_assets
from wallet.actions.claim_batch import process_asset_claims, process_pool_claims
from wallet.actions.claim_decisions import ClaimRequest
from wallet.actions.claim_sql import SKIP_LOCKED, WAIT, Locking
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.delivery.cursors import START
from wallet.delivery.feed import read_events
from wallet.delivery.ticks import append_tick
from wallet.ledger import idempotency
from wallet.ledger.idempotency import IdempotentRequest
from wallet.ledger.leaves import read_leaves
from wallet.ledger.models import Entry, IdempotencyKey
from wallet.pages.offer_rows import GROUPED, OfferRows, offers_equal_to
from wallet.pages.offers import open_pools
from wallet.queries import ownership
from wallet.queries.reports import summary_report

pytestmark = [pytest.mark.usefixtures("large"), pytest.mark.django_db]
ROOT = "/api/v1"
ORDERINGS = ("created_at", "-created_at", "expires_at", "-expires_at", "total_value", "-total_value")
FILTERS = (
    "status=AVAILABLE",
    "status=CLAIMED",
    "status=EXPIRED",
    "pool={pool}",
    "pool={pool}&status=AVAILABLE",
    "currency=INR",
    "min_value=890",
    "max_value=3",
    "expires_before=2027-03-01",
    "expires_after=2026-12-01T00:00:00Z",
    "mine=true",
    "mine=false",
    "search=platinum",
    "search=diwali",
    "search=zanzibar",
    "search=diwali&status=AVAILABLE&ordering=expires_at",
)


def by(user: User) -> APIClient:
    caller = APIClient()
    caller.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue_pair(user).access}")
    return caller


def asking(caller: Any, path: str) -> Callable[[], None]:
    """Return what asks for a list, and for the page behind its first."""

    def ask() -> None:
        answer = caller.get(path)
        assert answer.status_code == 200, answer.content
        if answer.headers["Content-Type"] == "application/json" and (following := answer.json().get("next")):
            assert caller.get(following).status_code == 200

    return ask


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("who", ["anybody", "heavy"])
def test_no_order_of_the_credits_reads_them_all(request: pytest.FixtureRequest, who: str, ordering: str) -> None:
    caller = by(request.getfixturevalue(who))

    assert judge(asking(caller, f"{ROOT}/assets/?ordering={ordering}")) == []


@pytest.mark.parametrize("narrowed", FILTERS)
def test_no_filter_of_the_credits_reads_them_all(anybody: User, narrowed: str) -> None:
    query = narrowed.format(pool=CreditPool.objects.values_list("pk", flat=True)[0])

    assert judge(asking(by(anybody), f"{ROOT}/assets/?{query}")) == []


@pytest.mark.parametrize("narrowed", ["", *(each for each in FILTERS if "search" not in each)])
def test_no_list_of_an_operator_reads_all_credits(operator: User, narrowed: str) -> None:
    query = narrowed.format(pool=CreditPool.objects.values_list("pk", flat=True)[0])

    assert judge(asking(by(operator), f"{ROOT}/assets/?{query}")) == []


@pytest.mark.parametrize("path", ["auth/me/", "pools/", "claims/", "wallet/"])
@pytest.mark.parametrize("who", ["anybody", "heavy", "operator"])
def test_no_other_list_reads_a_table_whole(request: pytest.FixtureRequest, who: str, path: str) -> None:
    assert judge(asking(by(request.getfixturevalue(who)), f"{ROOT}/{path}")) == []


@pytest.mark.parametrize("narrowed", ["user={user}", "asset={asset}", "from=2026-11-22T00:00:00Z", "to=2026-11-22"])
def test_no_filter_of_the_ledger_reads_it_whole(operator: User, heavy: User, narrowed: str) -> None:
    query = narrowed.format(user=heavy.pk, asset=Entry.objects.values_list("asset", flat=True)[0])

    assert judge(asking(by(operator), f"{ROOT}/claims/?{query}")) == []


@pytest.mark.parametrize("narrowed", ["", "status=CLAIMED", "min_value=890"])
def test_no_page_of_the_ownership_report_reads_all_credits(operator: User, narrowed: str) -> None:
    assert judge(asking(by(operator), f"{ROOT}/reports/ownership/?{narrowed}")) == []


@pytest.mark.parametrize("narrowed", ["", "currency=INR"])
def test_the_summary_counts_no_credits(operator: User, narrowed: str) -> None:
    assert judge(asking(by(operator), f"{ROOT}/reports/summary/?{narrowed}")) == []


def test_the_summary_expects_few_due_credits_however_many_expired_long_ago() -> None:
    expired = CashbackAsset.objects.filter(status="EXPIRED", expires_at__lte=Now()).count()
    expected = [rows for _, tree in plans_of(summary_report) for table, rows in rows_read(tree) if "asset" in table]

    assert expired == 20_000
    assert expected == [pytest.approx(200, rel=0.1)]  # 0.005 of those that are available


def test_a_seal_reads_its_own_leaves_however_many_are_not_sealed() -> None:
    leaves = []

    assert judge(lambda: leaves.extend(read_leaves(0, 2**62, 1_001))) == []
    assert len(leaves) == 1_001
    assert [(leaf[1], leaf[0]) for leaf in leaves] == sorted((leaf[1], leaf[0]) for leaf in leaves)


def test_the_file_of_one_owner_reads_only_theirs(anybody: User) -> None:
    theirs = ownership.ownership_rows().filter(claimed_by=anybody).order_by("-id")

    assert judge(lambda: list(ownership.ownership_lines(theirs))) == []


@pytest.mark.parametrize("locking", [WAIT, SKIP_LOCKED])
def test_a_claim_reads_no_table_whole(anybody: User, locking: Locking) -> None:
    asset = CashbackAsset.objects.filter(status="AVAILABLE", expires_at=None).order_by("id")[500]
    keyed = IdempotentRequest(caller=anybody, route="claim", key=uuid4().hex, fingerprint="f" * 64)

    def claim() -> None:
        with transaction.atomic():
            process_asset_claims([ClaimRequest(asset.pk, anybody, keyed)], locking)

    assert judge(claim) == []
    assert Entry.objects.filter(asset=asset, user=anybody).exists()


@pytest.mark.parametrize("locking", [WAIT, SKIP_LOCKED])
def test_a_claim_of_any_reads_no_table_whole(anybody: User, locking: Locking) -> None:
    pool = CreditPool.objects.all()[3]
    keyed = IdempotentRequest(caller=anybody, route="claim", key=uuid4().hex, fingerprint="f" * 64)

    def claim() -> None:
        with transaction.atomic():
            process_pool_claims([ClaimRequest(pool.pk, anybody, keyed)], locking)

    assert judge(claim) == []
    assert Entry.objects.filter(user=anybody, request_key=keyed.key).exists()


def test_a_request_that_was_answered_is_found_by_its_key(anybody: User) -> None:
    key = IdempotencyKey.objects.filter(user=anybody)[0]
    again = IdempotentRequest(caller=anybody, route=key.route, key=key.key, fingerprint=key.fingerprint)

    assert judge(lambda: idempotency.find_response(again)) == []


def test_the_sweep_reads_what_is_due_only(large: None) -> None:
    past = timezone.now() - timedelta(days=1)
    due = CashbackAsset(title="Due", total_value=1, currency="INR", expires_at=past)
    CashbackAsset.objects.insert_all([due])

    assert judge(lambda: expire_assets.find_due(1_000)) == []
    assert judge(lambda: CashbackAsset.objects.expire([due.pk, *(uuid4() for _ in range(999))])) == []
    assert CashbackAsset.objects.get(pk=due.pk).status == "EXPIRED"


def test_a_refresh_token_is_found_by_its_family(anybody: User) -> None:
    pair = tokens.issue_pair(anybody)

    assert judge(lambda: tokens.refresh_tokens(pair.refresh)) == []


def test_a_sign_in_finds_its_person_by_email(anybody: User) -> None:
    assert judge(lambda: User.objects.get_by_natural_key("Person7@Example.com")) == []


def test_the_families_of_a_person_are_found_by_the_person(anybody: User) -> None:
    assert judge(lambda: list(TokenFamily.objects.filter(user=anybody))) == []


def test_those_who_ask_are_found_by_their_families(anybody: User) -> None:
    tokens.issue_pair(anybody)
    families = list(TokenFamily.objects.filter(user=anybody).values_list("pk", flat=True))

    assert judge(lambda: authentication.find_live_families([*families, uuid4()])) == []


@pytest.mark.parametrize("path", ["/claims/", "/offers/", "/dashboard/", "/"])
def test_no_page_of_a_person_reads_a_table_whole(heavy: User, path: str) -> None:
    browser = Client()
    browser.force_login(heavy)

    assert judge(asking(browser, path)) == []


@pytest.mark.parametrize("path", ["/", "/offers/", "/dashboard/"])
def test_offers_look_at_as_many_rows_as_they_show_and_count(anybody: User, path: str) -> None:
    """No estimate would say it: to sort what begins with an index's order, PostgreSQL reads all that begins alike."""
    browser = Client()
    if path != "/":
        browser.force_login(anybody)

    assert rows_looked_at(asking(browser, path)) < 400


def test_no_page_of_a_pool_reads_a_table_whole(anybody: User) -> None:
    browser = Client()
    browser.force_login(anybody)
    pool = CreditPool.objects.all()[0]

    assert judge(asking(browser, f"/pools/{pool.pk}/")) == []


@pytest.mark.parametrize(
    "query", ["page=3", "ends=30", "pool={pool}", "currency=INR", "sort=high", "min=890", "max=3", "q=platinum"]
)
def test_no_narrowed_page_of_offers_reads_a_table_whole(anybody: User, query: str) -> None:
    browser = Client()
    browser.force_login(anybody)

    assert judge(asking(browser, f"/offers/?{query.format(pool=CreditPool.objects.values_list('pk', flat=True)[0])}")) == []


def test_more_of_an_offer_is_found_beside_the_one_that_was_taken(anybody: User) -> None:
    assets = list(CashbackAsset.objects.claimable().filter(pool__isnull=False)[:20])

    assert judge(lambda: offers_equal_to(asset.pk for asset in assets)) == []


def test_the_judges_see_a_query_that_groups_all_credits(large: None) -> None:
    rows = OfferRows(CashbackAsset.objects.claimable(), open_pools())

    by_title = CashbackAsset.objects.claimable().order_by().values("title").annotate(left=Count("pk"))

    assert judge(lambda: list(by_title)) != []
    assert rows_looked_at(lambda: rows.read(GROUPED, 0, 6)) > 400


@pytest.mark.parametrize(
    "room",
    [
        "assets/cashbackasset/",
        "assets/cashbackasset/?q=01a1b2c3-0000-7000-8000-000000000000",
        "assets/creditpool/",
        "ledger/claimedasset/",
        "assets/cashbackassetevent/",
        "assets/issuance/",
        "ledger/entry/",
        "ledger/seal/",
    ],
)
def test_no_room_of_the_console_reads_a_table_whole(operator: User, room: str) -> None:
    browser = Client()
    browser.force_login(operator)

    assert judge(asking(browser, f"/admin/{room}")) == []


def test_the_judge_sees_a_missing_index(operator: User) -> None:
    caller = by(operator)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assets_cashbackasset DROP CONSTRAINT assets_cashbackasset_pkey CASCADE")

    red = judge(asking(caller, f"{ROOT}/assets/"))

    assert len(red) == 2
    assert all("assets_cashbackasset" in sentence.partition(":")[0] for sentence in red)


@pytest.mark.parametrize("path", ["assets/", "assets/?mine=true", "assets/?ordering=total_value", "claims/", "wallet/"])
def test_the_judge_sees_a_planner_that_has_no_index(heavy: User, path: str) -> None:
    caller = by(heavy)
    with connection.cursor() as cursor:
        for way in ("indexscan", "indexonlyscan", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")

    assert judge(asking(caller, f"{ROOT}/{path}")) != []


def test_a_tick_and_a_page_of_the_feed_read_no_table_whole(operator: User) -> None:
    """A reader who begins with the first event, and one at the end, where readers usually are."""
    append_tick()
    service = Service.objects.create(name="Reader").pk
    for reader in (None, service):
        page = read_events(START, service=reader)
        assert judge(lambda reader=reader: read_events(START, service=reader)) == []  # type: ignore[misc]
        assert judge(lambda page=page, reader=reader: read_events(page.after, service=reader)) == []  # type: ignore[misc]
    assert judge(append_tick) == []
