"""/reports/: the ownership report and the summary."""

import csv
from collections.abc import Callable
from decimal import Decimal
from io import StringIO

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

OWNERSHIP = f"{ROOT}/reports/ownership/"
SUMMARY = f"{ROOT}/reports/summary/"
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def owned(issue: Issue, open_pool: Callable[..., CreditPool], alice: User, ada: User) -> dict[str, CashbackAsset]:
    pool = open_pool()
    assets = {
        "claimed": issue(pool=pool, title="=cmd|' /C calc'!A0", total_value=Decimal("49.50")),
        "free": issue(pool=pool),
        "expired": issue(currency="JPY", total_value=Decimal(500)),
    }
    claim_asset(assets["claimed"].pk, alice)
    edit_asset.expire_asset(assets["expired"].pk, ada)
    return assets


def rows_of(answer: object) -> list[list[str]]:
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return [*csv.reader(StringIO(text, newline=""))]


def test_ownership_report_has_asset_value_owner_and_time(as_ada: Caller, owned: dict[str, CashbackAsset]) -> None:
    results = as_ada.get(OWNERSHIP).json()["results"]

    claimed = owned["claimed"]
    claimed.refresh_from_db()
    assert claimed.claimed_at
    assert [line["asset"] for line in results] == [str(owned[name].pk) for name in ("expired", "free", "claimed")]
    assert results[2] == {
        "asset": str(claimed.pk),
        "title": "=cmd|' /C calc'!A0",
        "value": "49.50",
        "currency": "INR",
        "status": "CLAIMED",
        "owner": "alice@example.com",
        "claimed_at": claimed.claimed_at.isoformat().replace("+00:00", "Z"),
        "pool": "Diwali",
    }
    assert (results[0]["status"], results[0]["owner"], results[0]["pool"], results[0]["value"]) == (
        "EXPIRED",
        None,
        None,
        "500",
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"owner": "ALICE@"}, {"claimed"}),
        ({"owner": "bob"}, set()),
        ({"owner": "%"}, set()),
        ({"status": "AVAILABLE"}, {"free"}),
        ({"currency": "JPY"}, {"expired"}),
        ({"search": "bonus"}, {"free", "expired"}),
    ],
)
def test_ownership_report_is_filtered(
    as_ada: Caller, owned: dict[str, CashbackAsset], query: dict[str, str], expected: set[str]
) -> None:
    ids = {str(owned[name].pk) for name in expected}

    assert {line["asset"] for line in as_ada.get(OWNERSHIP, query).json()["results"]} == ids
    assert {row[0] for row in rows_of(as_ada.get(OWNERSHIP, query | {"format": "csv"}))[1:]} == ids


def test_csv_has_every_row_and_no_formula(as_ada: Caller, owned: dict[str, CashbackAsset]) -> None:
    answer = as_ada.get(OWNERSHIP, {"format": "csv"})

    rows = rows_of(answer)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ownership.csv"'
    assert rows[0] == ["asset", "title", "value", "currency", "status", "owner", "claimed_at", "pool"]
    assert rows[3][:6] == [
        str(owned["claimed"].pk),
        "'=cmd|' /C calc'!A0",
        "49.50",
        "INR",
        "CLAIMED",
        "alice@example.com",
    ]
    assert len(rows) == 4


def test_accept_header_selects_csv(as_ada: Caller, owned: dict[str, CashbackAsset]) -> None:
    assert len(rows_of(as_ada.get(OWNERSHIP, headers={"Accept": "text/csv"}))) == 4


def test_csv_is_ordered(as_ada: Caller, owned: dict[str, CashbackAsset]) -> None:
    rows = rows_of(as_ada.get(OWNERSHIP, {"format": "csv", "ordering": "total_value"}))

    assert [row[2] for row in rows[1:]] == ["49.50", "100.00", "500"]


def test_invalid_parameter_of_csv_is_a_json_problem(as_ada: Caller) -> None:
    assert wrong_fields(as_ada.get(OWNERSHIP, {"format": "csv", "status": "GONE"})) == ["status"]
    assert wrong_fields(as_ada.get(OWNERSHIP, {"format": "csv", "ordering": "title"})) == ["ordering"]
    assert wrong_fields(as_ada.get(OWNERSHIP, {"format": "pdf"})) == ["format"]
    assert wrong_fields(as_ada.get(f"{ROOT}/assets/", {"format": "csv"})) == ["format"]


def test_a_user_gets_no_report_in_any_format(as_alice: Caller, owned: dict[str, CashbackAsset]) -> None:
    for url in (OWNERSHIP, f"{OWNERSHIP}?format=csv", SUMMARY):
        answer = as_alice.get(url)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_ownership_costs_two_queries(
    as_ada: Caller, issue: Issue, owned: dict[str, CashbackAsset], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(50):
        issue()

    with django_assert_num_queries(2):  # who asks, and the page
        assert len(as_ada.get(OWNERSHIP, {"page_size": 100}).json()["results"]) == 53
    with django_assert_num_queries(7):  # who asks, and the lines in a transaction within one that has a time limit
        assert len(rows_of(as_ada.get(OWNERSHIP, {"format": "csv"}))) == 54


def test_summary_statuses_add_up_to_issued(
    as_ada: Caller, ada: User, issue: Issue, owned: dict[str, CashbackAsset], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    edit_asset.delete_asset(issue(total_value=Decimal(3)).pk, ada)

    with django_assert_num_queries(3):  # who asks, the supply, the pools
        lines = as_ada.get(SUMMARY).json()["lines"]

    by_place = {(line["currency"], line["pool"] and line["pool"]["name"]): line for line in lines}
    assert set(by_place) == {("INR", "Diwali"), ("INR", None), ("JPY", None)}
    diwali = by_place["INR", "Diwali"]
    assert diwali["issued"] == {"count": 2, "value": "149.50"}
    assert diwali["claimed"] == diwali["liability"] == {"count": 1, "value": "49.50"}
    assert diwali["available"] == diwali["remaining"] == {"count": 1, "value": "100.00"}
    assert by_place["INR", None]["deleted"] == {"count": 1, "value": "3.00"}
    assert by_place["JPY", None]["expired"] == {"count": 1, "value": "500"}
    for line in lines:
        parts = [line[state] for state in ("scheduled", "available", "claimed", "expired", "deleted")]
        assert line["issued"]["count"] == sum(part["count"] for part in parts)
        assert Decimal(line["issued"]["value"]) == sum(Decimal(part["value"]) for part in parts)


def test_summary_is_filtered(as_ada: Caller, owned: dict[str, CashbackAsset]) -> None:
    def currencies(**query: str) -> list[str]:
        return [line["currency"] for line in as_ada.get(SUMMARY, query).json()["lines"]]

    assert currencies(currency="JPY") == ["JPY"]
    assert currencies(pool=str(owned["free"].pool_id)) == ["INR"]
    assert currencies(pool=str(owned["free"].pool_id), currency="JPY") == []


@pytest.mark.parametrize(
    ("name", "value"), [("pool", "x"), ("currency", "XYZ"), ("currency", "%s%"), ("pool", ""), ("status", "CLAIMED")]
)
def test_summary_refuses_invalid_parameters(as_ada: Caller, name: str, value: str) -> None:
    assert wrong_fields(as_ada.get(SUMMARY, {name: value})) == [name]
