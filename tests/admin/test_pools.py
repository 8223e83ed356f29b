"""The section of the pools, and issuing credits in one."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from tests.admin.conftest import message_texts
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

POOLS, ADD = reverse("admin:assets_creditpool_changelist"), reverse("admin:assets_creditpool_add")
FIELDS = {"name": "Diwali", "kind": "PROMOTION", "currency": "INR", "is_active": "on", "time_zone": "Asia/Kolkata"}
CONFIRMED = {"confirmed": "yes"}
BATCH = {"key": "0123456789abcdef", "count": "3", "title": "Lamp", "total_value": "12.50", "last_day": "2099-03-31"}
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def test_currency_is_accepted_in_any_case(console: Client) -> None:
    console.post(ADD, FIELDS | {"currency": " inr"})

    assert CreditPool.objects.get().currency == "INR"


def test_a_pool_is_opened(console: Client) -> None:
    answer = console.post(ADD, FIELDS | {"per_user_limit": "2", "closes_at_0": "2099-01-01", "closes_at_1": "00:00:00"})

    pool = CreditPool.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:assets_creditpool_change", args=[pool.pk]))
    assert f'href="{reverse("admin:assets_creditpool_issue", args=[pool.pk])}"' in message_texts(answer)[-1]
    assert (pool.name, pool.kind, pool.currency, pool.per_user_limit) == ("Diwali", "PROMOTION", "INR", 2)
    assert (pool.time_zone, pool.is_active, pool.closes_at) == ("Asia/Kolkata", True, datetime(2099, 1, 1, tzinfo=UTC))
    assert abs(pool.opens_at - timezone.now()) < timedelta(minutes=1)


def test_save_and_continue_returns_to_the_new_pool(console: Client) -> None:
    answer = console.post(ADD, FIELDS | {"_continue": "1"})

    assert answer["Location"] == reverse("admin:assets_creditpool_change", args=[CreditPool.objects.get().pk])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "Taken", "name"),
        ("currency", "INX", "is not a currency code"),
        ("time_zone", "Mars/Olympus", "is not a time zone"),
        ("per_user_limit", "0", "Allow at least 1 credit per user"),
        ("kind", "GIFT", "not one of the available choices"),
        ("closes_at_0", "2001-01-01", "must close after it opens"),
    ],
)
def test_invalid_field_is_reported_in_the_form_and_no_pool_is_opened(
    console: Client, open_pool: OpenPool, field: str, value: str, words: str
) -> None:
    open_pool(name="Taken")

    answer = console.post(ADD, FIELDS | {"closes_at_1": "00:00"} | {field: value})

    assert answer.status_code == 200
    assert words in str(answer.context["adminform"].form.errors)
    assert CreditPool.objects.count() == 1


def test_change_updates_only_the_changed_fields(console: Client, open_pool: OpenPool) -> None:
    pool = open_pool(name="Diwali", per_user_limit=1)
    opened = pool.opens_at
    shown = {"opens_at_0": f"{opened:%Y-%m-%d}", "opens_at_1": f"{opened:%H:%M:%S}"}

    answer = console.post(
        reverse("admin:assets_creditpool_change", args=[pool.pk]),
        FIELDS | shown | {"name": "Holi", "per_user_limit": "", "time_zone": "UTC"},
    )

    pool.refresh_from_db()
    assert answer.status_code == 302
    assert (pool.name, pool.per_user_limit, pool.opens_at) == ("Holi", None, opened)


def test_refusal_is_shown_in_the_form_with_the_typed_values(console: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    issue(pool=pool)

    answer = console.post(
        reverse("admin:assets_creditpool_change", args=[pool.pk]),
        FIELDS | {"name": "Typed name", "currency": "EUR", "time_zone": "UTC"},
    )

    pool.refresh_from_db()
    assert answer.status_code == 200
    assert "A pool with credits keeps its currency." in answer.content.decode()
    assert "Typed name" in answer.content.decode()
    assert (pool.name, pool.currency) == ("Diwali", "INR")


def test_pools_are_never_deleted_in_bulk(root_client: Client, open_pool: OpenPool) -> None:
    pool = open_pool()

    root_client.post(POOLS, {"action": "delete_selected", "_selected_action": [str(pool.pk)], "post": "yes"})

    assert CreditPool.objects.get() == pool


def test_list_shows_the_number_of_credits_per_status(
    console: Client, ada: User, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    assets = [issue(pool=pool) for _ in range(6)]
    claim_asset(assets[0].pk, alice)
    edit_asset.expire_asset(assets[1].pk, ada)
    edit_asset.expire_asset(assets[2].pk, ada)

    row = console.get(POOLS).context["cl"].result_list[0]

    assert (row.issued_now, row.available, row.claimed_now) == (6, 3, 1)


@pytest.mark.parametrize("query", [{"q": "diw"}, {"kind__exact": "PROMOTION"}, {"is_active__exact": "1"}, {"currency": "INR"}])
def test_the_list_is_searched_and_filtered(console: Client, open_pool: OpenPool, query: dict[str, str]) -> None:
    wanted = open_pool(name="Diwali")
    open_pool(name="Other", kind="SIGNUP", currency="EUR", is_active=False)

    assert list(console.get(POOLS, query).context["cl"].result_list) == [wanted]


def test_credits_are_issued_in_the_pool(console: Client, ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")

    answer = console.post(reverse("admin:assets_creditpool_issue", args=[pool.pk]), BATCH | CONFIRMED)

    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:assets_creditpool_change", args=[pool.pk]))
    assert message_texts(answer) == ["3 credits issued in Diwali."]
    issued = {
        (a.title, a.total_value, a.currency, a.pool_id, a.created_by_id, a.expires_at) for a in CashbackAsset.objects.all()
    }
    assert CashbackAsset.objects.count() == 3
    assert issued == {("Lamp", Decimal("12.5"), "INR", pool.pk, ada.pk, pool.end_of(date(2099, 3, 31)))}


def test_issuing_asks_back_with_the_total_and_the_end_and_issues_nothing_yet(console: Client, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")

    answer = console.post(reverse("admin:assets_creditpool_issue", args=[pool.pk]), BATCH)

    page = answer.content.decode().replace("\xa0", " ")
    assert "3 × 12.50 INR" in page
    assert "37.50 INR" in page
    assert "the end of 2099-03-31 (Asia/Kolkata)" in page
    assert 'name="confirmed" value="yes"' in page
    assert CashbackAsset.objects.count() == 0


def test_preview_can_be_changed(console: Client, open_pool: OpenPool) -> None:
    answer = console.post(reverse("admin:assets_creditpool_issue", args=[open_pool().pk]), BATCH | {"change": "yes"})

    assert answer.context["preview"] is None
    assert answer.context["form"]["title"].value() == "Lamp"


def test_credits_are_issued_with_an_exact_expiry(console: Client, open_pool: OpenPool) -> None:
    exact = BATCH | {"last_day": "", "expires_at_0": "2099-03-31", "expires_at_1": "18:30:00"}

    console.post(reverse("admin:assets_creditpool_issue", args=[open_pool().pk]), exact | CONFIRMED)

    assert {asset.expires_at for asset in CashbackAsset.objects.all()} == {datetime(2099, 3, 31, 18, 30, tzinfo=UTC)}


def test_expiry_together_with_a_last_day_is_refused(console: Client, open_pool: OpenPool) -> None:
    both = BATCH | {"expires_at_0": "2099-03-31", "expires_at_1": "18:30:00"}

    answer = console.post(reverse("admin:assets_creditpool_issue", args=[open_pool().pk]), both)

    assert "Enter a date or a time, not both." in answer.content.decode()
    assert CashbackAsset.objects.count() == 0


def test_the_same_form_sent_twice_issues_once(console: Client, open_pool: OpenPool) -> None:
    address = reverse("admin:assets_creditpool_issue", args=[open_pool().pk])
    console.post(address, BATCH | CONFIRMED)

    answer = console.post(address, BATCH | CONFIRMED)

    assert message_texts(answer)[-1].startswith("This form was already sent; nothing was issued again.")
    assert CashbackAsset.objects.count() == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": "0"},
        {"count": "100001"},
        {"count": "x"},
        {"title": ""},
        {"title": " "},
        {"total_value": "0"},
        {"total_value": "-1"},
        {"total_value": "1.001"},
        {"total_value": "NaN"},
        {"total_value": "1e30"},
        {"last_day": "2001-01-01"},
        {"last_day": "9999-12-31"},
        {"last_day": "tomorrow"},
        {"key": "short"},
    ],
)
def test_invalid_issue_form_is_refused_and_issues_nothing(console: Client, open_pool: OpenPool, wrong: dict[str, Any]) -> None:
    answer = console.post(reverse("admin:assets_creditpool_issue", args=[open_pool().pk]), BATCH | wrong)

    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert CashbackAsset.objects.count() == 0


@pytest.mark.parametrize("pool_id", ["01900000-0000-7000-8000-000000000000", "no-uuid"])
def test_issue_in_an_unknown_pool_redirects(console: Client, pool_id: str) -> None:
    assert console.post(f"{POOLS}{pool_id}/issue/", BATCH).status_code in (302, 404)
    assert CashbackAsset.objects.count() == 0
