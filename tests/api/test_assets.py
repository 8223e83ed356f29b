"""/assets/: seeing, issuing and changing single credits."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet import changing, claims
from wallet.assets.models import CashbackAsset, CreditPool

ASSETS = f"{ROOT}/assets/"
Issue = Callable[..., CashbackAsset]


def test_a_user_sees_a_credit_without_its_owner(as_alice: Caller, issue: Issue) -> None:
    asset = issue()

    shown = as_alice.get(f"{ASSETS}{asset.pk}/").json()

    assert shown == {
        "id": str(asset.pk),
        "title": "Welcome bonus",
        "total_value": "100.00",
        "currency": "INR",
        "status": "AVAILABLE",
        "pool": None,
        "expires_at": None,
        "claimed_by_me": False,
        "recreated_from": None,
        "generation": 1,
        "created_at": asset.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_an_admin_also_sees_whose_it_is_and_since_when(as_ada: Caller, alice: User, issue: Issue) -> None:
    asset = issue()
    claim = claims.claim(asset.pk, alice)

    shown = as_ada.get(f"{ASSETS}{asset.pk}/").json()

    assert (shown["status"], shown["claimed_by_me"]) == ("CLAIMED", False)
    assert shown["claimed_by"] == {"id": str(alice.pk), "email": "alice@example.com"}
    assert shown["claimed_at"] == claim.receipt["claimed_at"]


def test_what_somebody_else_claimed_is_not_there(as_alice: Caller, as_bob: Caller, alice: User, issue: Issue) -> None:
    asset = issue()
    claims.claim(asset.pk, alice)

    assert as_alice.get(f"{ASSETS}{asset.pk}/").json()["claimed_by_me"] is True
    assert as_bob.get(f"{ASSETS}{asset.pk}/").status_code == 404
    assert as_bob.get(ASSETS).json()["results"] == []
    assert len(as_alice.get(ASSETS).json()["results"]) == 1


def test_a_due_credit_reads_expired_before_any_sweep(as_alice: Caller, issue: Issue) -> None:
    due, fresh = issue(expires_at=timezone.now() + timedelta(milliseconds=60)), issue()
    time.sleep(0.1)

    def ids(status: str) -> list[str]:
        return [asset["id"] for asset in as_alice.get(ASSETS, {"status": status}).json()["results"]]

    assert as_alice.get(f"{ASSETS}{due.pk}/").json()["status"] == "EXPIRED"
    assert ids("EXPIRED") == [str(due.pk)]
    assert ids("AVAILABLE") == [str(fresh.pk)]
    assert ids("CLAIMED") == []


@pytest.fixture
def offered(issue: Issue, open_pool: Callable[..., CreditPool]) -> dict[str, CashbackAsset]:
    pool = open_pool(currency="KWD")
    return {
        "small": issue(title="Small 5% bonus", total_value=Decimal("5.00"), expires_at=timezone.now() + timedelta(days=1)),
        "large": issue(title="Large bonus", total_value=Decimal(500), expires_at=timezone.now() + timedelta(days=9)),
        "pooled": issue(title="In a pool", total_value=Decimal("1.250"), pool=pool),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"currency": "KWD"}, {"pooled"}),
        ({"min_value": "5"}, {"small", "large"}),
        ({"max_value": "5.00"}, {"small", "pooled"}),
        ({"search": "BONUS"}, {"small", "large"}),
        ({"search": "5%"}, {"small"}),
        ({"search": "%"}, {"small"}),
        ({"search": "_"}, set()),
        ({"mine": "true"}, set()),
        ({"mine": "false"}, {"small", "large", "pooled"}),
    ],
)
def test_lists_can_be_narrowed(
    as_alice: Caller, offered: dict[str, CashbackAsset], query: dict[str, str], expected: set[str]
) -> None:
    found = {asset["id"] for asset in as_alice.get(ASSETS, query).json()["results"]}

    assert found == {str(offered[name].pk) for name in expected}


def test_lists_can_be_narrowed_by_pool_and_expiry(as_alice: Caller, offered: dict[str, CashbackAsset]) -> None:
    def titles(**query: str) -> set[str]:
        return {asset["title"] for asset in as_alice.get(ASSETS, query).json()["results"]}

    border = offered["large"].expires_at
    assert border
    assert titles(pool=str(offered["pooled"].pool_id)) == {"In a pool"}
    assert titles(expires_after=border.isoformat()) == {"Large bonus"}
    assert titles(expires_before=border.isoformat()) == {"Small 5% bonus"}
    assert titles(expires_before=(border + timedelta(days=1)).date().isoformat()) == {"Small 5% bonus", "Large bonus"}


def test_mine_are_what_the_caller_claimed(as_alice: Caller, alice: User, issue: Issue) -> None:
    mine, other = issue(), issue()
    claims.claim(mine.pk, alice)

    assert [asset["id"] for asset in as_alice.get(ASSETS, {"mine": "true"}).json()["results"]] == [str(mine.pk)]
    assert [asset["id"] for asset in as_alice.get(ASSETS, {"mine": "false"}).json()["results"]] == [str(other.pk)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "GONE"),
        ("status", "available"),
        ("status", ""),
        ("search", ""),
        ("page_size", ""),
        ("cursor", ""),
        ("format", ""),
        ("pool", "7"),
        ("currency", "XYZ"),
        ("currency", "inr"),
        ("currency", "%s%"),
        ("min_value", "1e3"),
        ("min_value", "NaN"),
        ("max_value", "Infinity"),
        ("max_value", "٣"),
        ("max_value", "1,5"),
        ("expires_before", "tomorrow"),
        ("expires_before", "2027-03-31T00:00:00"),
        ("expires_after", "2027-03-31T00:00:00 05:30"),
        ("expires_after", "2027-02-30"),
        ("expires_after", "0001-01-01T00:00:00+14:00"),
        ("expires_after", "9999-12-31T23:59:59-14:00"),
        ("mine", "yes"),
        ("mine", "2"),
        ("search", "a\x00b"),
        ("search", "a" * 201),
        ("ordering", "title"),
        ("ordering", "--expires_at"),
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_size", "-1"),
        ("page_size", "ten"),
        ("page_size", "٣"),
        ("page_size", "1" * 5000),
        ("cursor", "cD0y"),
        ("cursor", "\x00"),
        ("claimed_by", "alice"),
        ("format", "xml"),
        ("title\x00", "a"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused(as_alice: Caller, name: str, value: str) -> None:
    assert wrong_fields(as_alice.get(ASSETS, {name: value})) == [name]


def test_a_parameter_given_twice_is_refused(as_alice: Caller) -> None:
    assert wrong_fields(as_alice.get(f"{ASSETS}?status=AVAILABLE&status=CLAIMED")) == ["status"]


def test_an_admin_issues_a_credit(as_ada: Caller, ada: User, open_pool: Callable[..., CreditPool]) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")

    answer = as_ada.post(
        ASSETS, {"title": " Diwali ", "total_value": "49.50", "pool": str(pool.pk), "expires_at": "2090-03-31"}
    )

    asset = CashbackAsset.objects.get()
    assert answer.status_code == 201
    assert (asset.title, asset.total_value, asset.currency, asset.pool, asset.created_by) == (
        "Diwali",
        Decimal("49.50"),
        "INR",
        pool,
        ada,
    )
    assert answer.json()["expires_at"] == "2090-03-31T18:30:00Z"
    assert answer.json()["claimed_by"] is None
    assert answer.json() == as_ada.get(f"{ASSETS}{asset.pk}/").json()


@pytest.mark.parametrize(
    ("value", "written"), [("100", "100.00"), (100, "100.00"), ("0.01", "0.01"), ("1000000000", "1000000000.00")]
)
def test_an_amount_is_digits_in_a_string_or_an_integer(as_ada: Caller, value: str | int, written: str) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": value, "currency": "INR"})

    assert answer.json()["total_value"] == written


@pytest.mark.parametrize(
    "value",
    [
        "1e3",
        "NaN",
        "Infinity",
        "-Infinity",
        "٣",
        "１",  # noqa: RUF001  (a full-width digit)
        " 1",
        "1 ",
        "1\n",
        "+1",
        "1_000",
        "1,000",
        "1.",
        ".5",
        "",
        "0",
        "0.00",
        "-1",
        "0.001",
        "1000000000.01",
        "9" * 400,
        True,
        None,
        [],
        {},
        0,
        -1,
        10**30,
        0.1,
        100.0,
        1e3,
    ],
)
def test_an_amount_that_is_not_exact_and_positive_is_refused(as_ada: Caller, value: object) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": value, "currency": "INR"})

    assert wrong_fields(answer) == ["total_value"]
    assert not CashbackAsset.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(as_ada: Caller, number: str) -> None:
    body = f'{{"title": "Bonus", "total_value": {number}, "currency": "INR"}}'

    answer = as_ada.post(ASSETS, body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


def test_a_float_is_told_why(as_ada: Caller) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": 100.1, "currency": "INR"})

    assert "in a string" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(("currency", "value", "written"), [("JPY", "100", "100"), ("KWD", "1.250", "1.250")])
def test_an_amount_has_the_decimals_of_its_currency(as_ada: Caller, currency: str, value: str, written: str) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": value, "currency": currency})

    assert answer.json()["total_value"] == written
    too_fine = as_ada.post(ASSETS, {"title": "Bonus", "total_value": f"{value}.5555"[-8:], "currency": "JPY"})
    assert wrong_fields(too_fine) == ["total_value"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "a" * 201}, "title"),
        ({"title": "a\x00"}, "title"),
        ({"title": None}, "title"),
        ({"currency": "XYZ"}, "currency"),
        ({"currency": "inr"}, "currency"),
        ({"currency": None}, "currency"),
        ({"pool": "00000000-0000-7000-8000-000000000000"}, "pool"),
        ({"pool": "7"}, "pool"),
        ({"pool": []}, "pool"),
        ({"expires_at": "2020-01-01"}, "expires_at"),
        ({"expires_at": "2090-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31"}, "expires_at"),
        ({"expires_at": "2090-13-01"}, "expires_at"),
        ({"expires_at": 1}, "expires_at"),
        ({"expires_at": "٢٠٩٠-01-01"}, "expires_at"),
        ({"status": "CLAIMED"}, "status"),
        ({"claimed_by": "alice"}, "claimed_by"),
        ({"tilte": "a"}, "tilte"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_issued(as_ada: Caller, changed: dict[str, object], field: str) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": "1.00", "currency": "INR"} | changed)

    assert wrong_fields(answer) == [field]
    assert not CashbackAsset.objects.exists()


def test_a_credit_needs_a_currency_or_a_pool(as_ada: Caller, open_pool: Callable[..., CreditPool]) -> None:
    pool = open_pool(currency="EUR")

    assert wrong_fields(as_ada.post(ASSETS, {"title": "Bonus", "total_value": "1.00"})) == ["currency"]
    other = as_ada.post(ASSETS, {"title": "Bonus", "total_value": "1.00", "pool": str(pool.pk), "currency": "INR"})
    assert wrong_fields(other) == ["currency"]


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
def test_a_body_that_is_no_object_is_refused(as_ada: Caller, body: str) -> None:
    assert wrong_fields(as_ada.post(ASSETS, body, content_type="application/json")) == [""]


def test_an_admin_changes_a_credit_on_offer(as_ada: Caller, issue: Issue) -> None:
    asset = issue()

    answer = as_ada.patch(f"{ASSETS}{asset.pk}/", {"total_value": "12.5", "expires_at": "2090-01-01T00:00:00+05:30"})

    asset.refresh_from_db()
    assert answer.status_code == 200
    assert (asset.title, asset.total_value) == ("Welcome bonus", Decimal("12.5"))
    assert (answer.json()["total_value"], answer.json()["expires_at"]) == ("12.50", "2089-12-31T18:30:00Z")


def test_an_expiry_can_be_taken_away(as_ada: Caller, issue: Issue) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(days=1))

    assert as_ada.patch(f"{ASSETS}{asset.pk}/", {"expires_at": None}).json()["expires_at"] is None


@pytest.mark.parametrize("act", ["patch", "delete", "expire", "recreate"])
def test_a_claimed_credit_never_changes(as_ada: Caller, alice: User, issue: Issue, act: str) -> None:
    asset = issue()
    claims.claim(asset.pk, alice)
    before = CashbackAsset.objects.values().get()
    url = f"{ASSETS}{asset.pk}/"
    calls = {
        "patch": lambda: as_ada.patch(url, {"title": "Mine"}),
        "delete": lambda: as_ada.delete(url),
        "expire": lambda: as_ada.post(f"{url}expire/"),
        "recreate": lambda: as_ada.post(f"{url}recreate/"),
    }

    answer = calls[act]()

    code = "asset_not_expired" if act == "recreate" else "asset_not_available"
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert CashbackAsset.objects.values().get() == before


def test_an_unclaimed_credit_is_deleted(as_ada: Caller, issue: Issue) -> None:
    asset = issue()

    assert as_ada.delete(f"{ASSETS}{asset.pk}/").status_code == 204
    assert as_ada.get(f"{ASSETS}{asset.pk}/").status_code == 404


def test_a_credit_is_expired_once(as_ada: Caller, issue: Issue) -> None:
    asset = issue()

    first, second = (as_ada.post(f"{ASSETS}{asset.pk}/expire/", {}) for _ in range(2))

    assert (first.status_code, first.json()["status"]) == (200, "EXPIRED")
    assert (second.status_code, second.json()["code"]) == (409, "asset_not_available")


def test_an_expired_credit_is_recreated_once_with_its_lineage(as_ada: Caller, ada: User, issue: Issue) -> None:
    parent = issue(title="Old", total_value=Decimal(7))
    changing.expire(parent.pk, ada)

    answer = as_ada.post(f"{ASSETS}{parent.pk}/recreate/", {"title": "New", "expires_at": "2090-03-31"})
    again = as_ada.post(f"{ASSETS}{parent.pk}/recreate/")

    child = answer.json()
    assert answer.status_code == 201
    assert (child["recreated_from"], child["generation"], child["status"]) == (str(parent.pk), 2, "AVAILABLE")
    assert (child["title"], child["total_value"], child["expires_at"]) == ("New", "7.00", "2090-04-01T00:00:00Z")
    assert (again.status_code, again.json()["code"]) == (409, "already_recreated")
    assert CashbackAsset.objects.count() == 2


def test_an_available_credit_is_not_recreated(as_ada: Caller, issue: Issue) -> None:
    answer = as_ada.post(f"{ASSETS}{issue().pk}/recreate/", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_expired")
    assert CashbackAsset.objects.count() == 1


@pytest.mark.parametrize(
    ("act", "body"), [("expire", {"now": True}), ("recreate", {"again": True}), ("claim", {"user": "bob"})]
)
def test_an_act_refuses_fields_it_does_not_know(as_ada: Caller, issue: Issue, act: str, body: dict[str, object]) -> None:
    assert wrong_fields(as_ada.post(f"{ASSETS}{issue().pk}/{act}/", body)) == [*body]


def test_a_hundred_credits_cost_two_queries(
    as_alice: Caller, as_ada: Caller, alice: User, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(100):
        issue()
    claims.claim(issue().pk, alice)

    for caller in (as_alice, as_ada):
        with django_assert_num_queries(2):  # who asks, and the page
            assert len(caller.get(ASSETS, {"page_size": 100}).json()["results"]) == 100


@pytest.mark.parametrize(
    ("call", "queries"),
    [
        (lambda ada, url: ada.get(url), 2),  # who asks, and the credit
        (lambda ada, url: ada.patch(url, {"title": "New"}), 6),  # who; begin, lock, look, write, commit
        (lambda ada, url: ada.delete(url), 7),
        (lambda ada, url: ada.post(f"{url}expire/"), 6),
    ],
)
def test_what_a_call_about_one_credit_costs(
    as_ada: Caller,
    issue: Issue,
    call: Callable[[Caller, str], object],
    queries: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    url = f"{ASSETS}{issue().pk}/"

    with django_assert_num_queries(queries):
        call(as_ada, url)
