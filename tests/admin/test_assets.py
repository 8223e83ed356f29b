"""The section of the credits: issue, change and delete one."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from tests.admin.conftest import CREDITS, message_texts, state
from wallet.actions import edit_asset, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

ADD = reverse("admin:assets_cashbackasset_add")
FIELDS = {"title": "Refund", "total_value": "12.50", "currency": "INR"}
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def page(name: str, asset: CashbackAsset) -> str:
    return reverse(f"admin:assets_cashbackasset_{name}", args=[asset.pk])


@pytest.fixture
def claimed(issue: Issue, alice: User) -> CashbackAsset:
    asset = issue()
    claim_asset(asset.pk, alice)
    return asset


@pytest.fixture
def expired(issue: Issue, ada: User) -> CashbackAsset:
    return edit_asset.expire_asset(issue().pk, ada)


def test_a_credit_is_issued(console: Client, ada: User) -> None:
    answer = console.post(ADD, FIELDS | {"expires_at_0": "2099-01-01", "expires_at_1": "12:00:00"})

    asset = CashbackAsset.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, CREDITS)
    assert (asset.title, asset.total_value, asset.currency, asset.pool) == ("Refund", Decimal("12.5"), "INR", None)
    assert (asset.expires_at, asset.created_by, asset.status) == (datetime(2099, 1, 1, 12, tzinfo=UTC), ada, "AVAILABLE")


def test_credit_gets_its_pools_currency_and_expires_at_the_end_of_the_day_in_its_time_zone(
    console: Client, open_pool: OpenPool
) -> None:
    pool = open_pool(currency="JPY", time_zone="Asia/Tokyo")

    console.post(ADD, {"title": "Refund", "total_value": "500", "pool": str(pool.pk), "last_day": "2099-03-31"})

    asset = CashbackAsset.objects.get()
    assert (asset.pool, asset.currency, asset.expires_at) == (pool, "JPY", pool.end_of(date(2099, 3, 31)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"total_value": ""},
        {"total_value": "0"},
        {"total_value": "12.505"},
        {"total_value": "1000000001"},
        {"total_value": "NaN"},
        {"currency": ""},
        {"currency": "rupees"},
        {"currency": "JPY"},
        {"pool": "01900000-0000-7000-8000-000000000000"},
        {"pool": "no-uuid"},
        {"last_day": "2001-01-01"},
        {"expires_at_0": "2001-01-01", "expires_at_1": "00:00"},
        {"expires_at_0": "2099-01-01", "expires_at_1": "00:00", "last_day": "2099-01-01"},
        {"expires_at_0": "9999-12-31", "expires_at_1": "23:59"},
    ],
)
def test_invalid_field_is_reported_in_the_form_and_nothing_is_issued(console: Client, wrong: dict[str, Any]) -> None:
    answer = console.post(ADD, FIELDS | wrong)

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors
    assert CashbackAsset.objects.count() == 0


def test_a_pool_in_another_currency_is_refused(console: Client, open_pool: OpenPool) -> None:
    answer = console.post(ADD, FIELDS | {"currency": "EUR", "pool": str(open_pool().pk)})

    assert "The pool&#x27;s currency is INR." in answer.content.decode()
    assert CashbackAsset.objects.count() == 0


def test_available_credit_is_changed_through_the_action_and_recorded(console: Client, ada: User, issue: Issue) -> None:
    asset = issue()

    answer = console.post(page("change", asset), FIELDS | {"title": "Better", "total_value": "100.00"})

    asset.refresh_from_db()
    assert (answer.status_code, asset.title) == (302, "Better")
    event = CashbackAsset.pgh_event_model.objects.get()  # type: ignore[attr-defined]
    assert event.pgh_context.metadata["email"] == ada.email


def test_change_to_a_past_expiry_is_refused_in_the_form(console: Client, issue: Issue) -> None:
    asset = issue()
    before = state(asset)

    answer = console.post(page("change", asset), FIELDS | {"expires_at_0": "2001-01-01", "expires_at_1": "00:00"})

    assert "That date is in the past." in answer.content.decode()
    assert state(asset) == before


@pytest.mark.parametrize("kind", ["claimed", "expired"])
def test_claimed_or_expired_credit_is_read_only(
    console: Client, root_client: Client, request: pytest.FixtureRequest, kind: str
) -> None:
    asset = request.getfixturevalue(kind)
    before = state(asset)

    for browser in (console, root_client):
        shown = browser.get(page("change", asset))
        assert shown.status_code == 200
        assert 'name="title"' not in shown.content.decode()
        assert "Nothing was saved" in browser.post(page("change", asset), FIELDS).content.decode()
        assert browser.post(page("change", asset), FIELDS | {"_saveasnew": "1"}).status_code == 403

    assert (state(asset), CashbackAsset.objects.count()) == (before, 1)


def test_page_of_a_claimed_credit_shows_its_id_and_links_to_its_entry(console: Client, claimed: CashbackAsset) -> None:
    shown = console.get(page("change", claimed)).content.decode()

    assert reverse("admin:ledger_entry_change", args=[Entry.objects.get(asset=claimed).pk]) in shown
    assert f">{claimed.pk}<" in shown


def test_recreated_credit_and_its_parent_link_to_each_other(console: Client, ada: User, expired: CashbackAsset) -> None:
    child = recreate_asset.recreate_asset(expired.pk, ada)

    assert page("change", child) in console.get(page("change", expired)).content.decode()
    assert page("change", expired) in console.get(page("change", child)).content.decode()


def test_due_credit_cannot_be_changed_before_any_sweep(console: Client, issue: Issue) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(seconds=0.2))
    before = state(asset)
    while CashbackAsset.objects.with_current_status().get().current_status == "AVAILABLE":
        pass

    assert "Nothing was saved: this credit expired" in console.post(page("change", asset), FIELDS).content.decode()
    assert state(asset) == before


def test_a_credit_claimed_while_the_form_was_open_is_refused(console: Client, alice: User, issue: Issue) -> None:
    asset = issue()
    console.get(page("change", asset))
    claim_asset(asset.pk, alice)
    before = state(asset)

    assert "alice@example.com claimed this credit" in console.post(page("change", asset), FIELDS).content.decode()
    assert state(asset) == before


@pytest.mark.parametrize("kind", ["free", "expired"])
def test_unclaimed_credit_is_deleted_through_the_action(
    console: Client, issue: Issue, request: pytest.FixtureRequest, kind: str
) -> None:
    asset = issue() if kind == "free" else request.getfixturevalue(kind)

    answer = console.post(page("delete", asset), {"post": "yes"})

    assert (answer.status_code, answer["Location"]) == (302, CREDITS)
    assert CashbackAsset.objects.count() == 0
    assert CashbackAsset.pgh_event_model.objects.filter(pgh_label="delete").count() == 1  # type: ignore[attr-defined]


def test_a_claimed_credit_is_never_deleted(console: Client, root_client: Client, claimed: CashbackAsset) -> None:
    for browser in (console, root_client):
        assert "can't be deleted" in message_texts(browser.post(page("delete", claimed), {"post": "yes"}))[-1]

    assert CashbackAsset.objects.get() == claimed


def test_a_recreated_credit_is_kept_for_its_children(console: Client, ada: User, expired: CashbackAsset) -> None:
    recreate_asset.recreate_asset(expired.pk, ada)

    console.post(page("delete", expired), {"post": "yes"})

    assert CashbackAsset.objects.count() == 2


@pytest.mark.parametrize("page_of", ["change", "delete", "history"])
@pytest.mark.parametrize("key", ["01900000-0000-7000-8000-000000000000", "no-uuid"])
def test_unknown_credit_redirects(console: Client, page_of: str, key: str) -> None:
    assert console.get(f"{CREDITS}{key}/{page_of}/").status_code == 302


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"status": "NONSENSE"}, "status"),
        ({"currency": "rupees"}, "currency"),
        ({"pool": "no-uuid"}, "pool"),
        ({"expires_at_from": "nonsense"}, "expiry date"),
        ({"claimed_at_to": "1,000"}, "claim date"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_by_the_list_and_its_export(
    console: Client, issue: Issue, query: dict[str, str], name: str
) -> None:
    issue(title="tea")

    page, file = console.get(CREDITS, query), console.get(f"{CREDITS}export/csv/", query)

    assert (page.status_code, list(page.context["cl"].result_list)) == (400, [])
    assert f"This filter&#x27;s value cannot be read: {name}." in page.content.decode()
    assert (file.status_code, "text/html" in file["Content-Type"]) == (400, True)
    assert f"This filter&#x27;s value cannot be read: {name}." in file.content.decode()


@pytest.mark.parametrize("query", [{"nonsense__exact": "1"}, {"p": "abc"}, {"p": "1_0"}, {"p": "0"}])
def test_a_parameter_that_the_list_has_not_is_refused(console: Client, issue: Issue, query: dict[str, str]) -> None:
    issue(title="tea")

    assert console.get(CREDITS, query).status_code == 400


def test_values_are_sorted_within_their_currency(console: Client, issue: Issue) -> None:
    for currency, value in (("JPY", 900), ("INR", 5), ("JPY", 3), ("INR", 800)):
        issue(currency=currency, total_value=Decimal(value))

    for order, values in (("2", [5, 800, 3, 900]), ("-2", [800, 5, 900, 3])):
        rows = console.get(CREDITS, {"o": order}).context["cl"].result_list
        assert [asset.total_value for asset in rows] == values


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"q": "tea"}, {"tea"}),
        ({"q": "alice@"}, {"taken"}),
        ({"status": "AVAILABLE"}, {"tea", "yen"}),
        ({"status": "CLAIMED"}, {"taken"}),
        ({"status": "EXPIRED"}, {"ended"}),
        ({"currency": "JPY"}, {"yen"}),
        ({"expires_at_from": "2099-01-01", "expires_at_to": "2099-01-01"}, {"tea"}),
        ({"expires_at_from": "2099-01-02"}, set()),
        ({"expires_at_to": "9999-12-31"}, {"tea", "yen", "taken", "ended"}),
        ({"claimed_at_from": "2020-01-01"}, {"taken"}),
        ({"created_at_to": "2020-01-01"}, set()),
        ({"q": "\x00"}, set()),
    ],
)
def test_the_list_is_searched_and_filtered(
    *, console: Client, ada: User, alice: User, issue: Issue, query: dict[str, str], wanted: set[str]
) -> None:
    issue(title="tea", expires_at=datetime(2099, 1, 1, 18, tzinfo=UTC))
    issue(title="yen", currency="JPY")
    claim_asset(issue(title="taken").pk, alice)
    edit_asset.expire_asset(issue(title="ended").pk, ada)

    answer = console.get(CREDITS, query)

    assert answer.status_code == 200
    shown = {asset.title for asset in answer.context["cl"].result_list}
    assert shown == wanted or query == {"q": "\x00"}


def test_the_list_is_filtered_by_pool_and_searched_by_id(console: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    inside, outside = issue(pool=pool), issue()

    assert list(console.get(CREDITS, {"pool": str(pool.pk)}).context["cl"].result_list) == [inside]
    assert list(console.get(CREDITS, {"q": str(outside.pk)}).context["cl"].result_list) == [outside]


@pytest.mark.parametrize("query", [{"password": "x"}, {"claimed_by__password__startswith": "a"}, {"o": "99.-x"}, {"p": "x"}])
def test_crafted_query_string_reveals_and_breaks_nothing(console: Client, issue: Issue, query: dict[str, str]) -> None:
    issue()

    assert console.get(CREDITS, query).status_code in (200, 302, 400)


def test_refusal_of_a_deletion_is_shown_as_a_message(
    console: Client, alice: User, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = issue()
    delete = edit_asset.delete_asset
    # Somebody claims it between Django's look at the row and the act's lock.
    monkeypatch.setattr(edit_asset, "delete_asset", lambda pk, actor: (claim_asset(pk, alice), delete(pk, actor)))

    answer = console.post(page("delete", asset), {"post": "yes"})

    assert message_texts(answer) == ["This credit has been claimed and can't be deleted."]
    assert CashbackAsset.objects.get().claimed_by == alice
