"""The section of ownership and its export."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.queries import csv_export

OWNERSHIP, EXPORT = reverse("admin:ledger_claimedasset_changelist"), reverse("admin:ledger_claimedasset_export", args=["csv"])
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def books(open_pool: OpenPool, issue: Issue, alice: User, bob: User) -> dict[str, CashbackAsset]:
    """Alice owns two, bob one, and one is free."""
    pool = open_pool(name="Diwali")
    made = {
        "hers": issue(title="hers", pool=pool),
        "hers too": issue(title="hers too", total_value=Decimal(500), currency="JPY"),
        "his": issue(title="his", total_value=Decimal("7.25")),
        "free": issue(title="free"),
    }
    for title, user in {"hers": alice, "hers too": alice, "his": bob}.items():
        claim_asset(made[title].pk, user)
    return made


def exported(browser: Client, query: dict[str, str]) -> list[dict[str, str]]:
    answer: Any = browser.get(EXPORT, query)
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, ["his", "hers too", "hers", "free"]),
        ({"q": "alice@"}, ["hers too", "hers"]),
        ({"status": "AVAILABLE"}, ["free"]),
        ({"currency": "JPY"}, ["hers too"]),
        ({"claimed_at_to": "2020-01-01"}, []),
        ({"q": "nobody"}, []),
    ],
)
def test_export_contains_exactly_the_listed_rows(
    console: Client, books: dict[str, CashbackAsset], query: dict[str, str], wanted: list[str]
) -> None:
    shown = [asset.title for asset in console.get(OWNERSHIP, query).context["cl"].result_list]

    assert sorted(shown) == sorted(wanted)
    assert [row["title"] for row in exported(console, query)] == shown


def test_the_list_is_filtered_by_pool(console: Client, books: dict[str, CashbackAsset]) -> None:
    pool = {"pool": str(books["hers"].pool_id)}

    assert [row["title"] for row in exported(console, pool)] == ["hers"]


def test_export_row_has_asset_value_owner_and_time(console: Client, books: dict[str, CashbackAsset]) -> None:
    asset = books["hers"]
    asset.refresh_from_db()

    row = next(row for row in exported(console, {}) if row["title"] == "hers")

    assert row == {
        "asset": str(asset.pk),
        "title": "hers",
        "value": "100.00",
        "currency": "INR",
        "status": "CLAIMED",
        "owner": "alice@example.com",
        "claimed_at": asset.claimed_at.isoformat().replace("+00:00", "Z") if asset.claimed_at else "",
        "pool": "Diwali",
    }


def test_totals_cover_the_whole_filtered_list(console: Client, books: dict[str, CashbackAsset]) -> None:
    totals = console.get(OWNERSHIP, {"status": "CLAIMED"}).context["totals"]

    assert [(line["currency"], line["count"], line["value"]) for line in totals] == [("INR", 2, "107.25"), ("JPY", 1, "500")]


def test_formula_in_a_title_is_escaped_in_the_export(console: Client, issue: Issue) -> None:
    issue(title='=HYPERLINK("x")')

    assert exported(console, {})[0]["title"] == '\'=HYPERLINK("x")'


def test_export_link_keeps_the_filters(console: Client, books: dict[str, CashbackAsset]) -> None:
    assert (
        f"{EXPORT}?q=alice&amp;status=CLAIMED" in console.get(OWNERSHIP, {"q": "alice", "status": "CLAIMED"}).content.decode()
    )


@pytest.mark.django_db(transaction=True)
def test_long_export_is_one_query_read_in_chunks(console: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_export, "ROWS_PER_FETCH", 5)
    for number in range(23):
        issue(title=f"credit {number}")

    with CaptureQueriesContext(connection) as seen:
        rows = exported(console, {})

    assert len(rows) == 23
    assert sum('FROM "assets_cashbackasset"' in query["sql"] for query in seen) <= 2  # the list's count, and the rows


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_ownership_refuses_every_write(root_client: Client, books: dict[str, CashbackAsset], method: str) -> None:
    asset = books["hers"]
    pages = [reverse(f"admin:ledger_claimedasset_{name}", args=[asset.pk]) for name in ("change", "delete")]

    for address in [OWNERSHIP, EXPORT, reverse("admin:ledger_claimedasset_add"), *pages]:
        assert getattr(root_client, method)(address).status_code == 403, address

    assert CashbackAsset.objects.count() == 4


def test_row_redirects_to_the_credits_page(console: Client, books: dict[str, CashbackAsset]) -> None:
    answer = console.get(reverse("admin:ledger_claimedasset_change", args=[books["hers"].pk]))

    assert answer["Location"] == reverse("admin:assets_cashbackasset_change", args=[books["hers"].pk])


@pytest.mark.parametrize("query", [{"password": "x"}, {"q": "\x00"}, {"p": "x"}])
def test_export_with_crafted_query_string_does_not_fail(
    console: Client, books: dict[str, CashbackAsset], query: dict[str, str]
) -> None:
    assert console.get(EXPORT, query).status_code in (200, 302, 400)
