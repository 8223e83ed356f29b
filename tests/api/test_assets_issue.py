"""/assets/: issuing single credits, with valid and invalid amounts, expiries and other fields."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.assets.models import CashbackAsset, CreditPool

ASSETS = f"{ROOT}/assets/"
Issue = Callable[..., CashbackAsset]


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
def test_amount_is_a_string_of_digits_or_an_integer(as_ada: Caller, value: str | int, written: str) -> None:
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
def test_inexact_or_nonpositive_amount_is_refused(as_ada: Caller, value: object) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": value, "currency": "INR"})

    assert wrong_fields(answer) == ["total_value"]
    assert not CashbackAsset.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_refused(as_ada: Caller, number: str) -> None:
    body = f'{{"title": "Bonus", "total_value": {number}, "currency": "INR"}}'

    answer = as_ada.post(ASSETS, body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


def test_float_amount_is_refused_with_the_reason(as_ada: Caller) -> None:
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
def test_invalid_field_is_reported_and_nothing_is_issued(as_ada: Caller, changed: dict[str, object], field: str) -> None:
    answer = as_ada.post(ASSETS, {"title": "Bonus", "total_value": "1.00", "currency": "INR"} | changed)

    assert wrong_fields(answer) == [field]
    assert not CashbackAsset.objects.exists()


def test_a_credit_needs_a_currency_or_a_pool(as_ada: Caller, open_pool: Callable[..., CreditPool]) -> None:
    pool = open_pool(currency="EUR")

    assert wrong_fields(as_ada.post(ASSETS, {"title": "Bonus", "total_value": "1.00"})) == ["currency"]
    other = as_ada.post(ASSETS, {"title": "Bonus", "total_value": "1.00", "pool": str(pool.pk), "currency": "INR"})
    assert wrong_fields(other) == ["currency"]


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
def test_body_that_is_not_an_object_is_refused(as_ada: Caller, body: str) -> None:
    assert wrong_fields(as_ada.post(ASSETS, body, content_type="application/json")) == [""]
