"""Reports: summary, ownership, CSV."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.db.models import Value
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from kernel.timestamps import format_timestamp
from wallet.actions import edit_asset, issue_assets
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.queries import csv_export, ownership, reports

Issue = Callable[..., CashbackAsset]


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool], issue: Issue, ada: User, alice: User) -> CreditPool:
    """Six credits: two left, one claimed, one expired, one due, one deleted."""
    pool = open_pool()
    values = (Decimal("1.50"), Decimal(2), Decimal(10), Decimal(20), Decimal(40), Decimal(80))
    _, _, to_claim, to_expire, to_be_due, to_delete = (issue(pool=pool, total_value=value) for value in values)
    claim_asset(to_claim.pk, alice)
    edit_asset.expire_asset(to_expire.pk, ada)
    CashbackAsset.objects.filter(pk=to_be_due.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    edit_asset.delete_asset(to_delete.pk, ada)
    return pool


def test_issued_equals_the_sum_of_all_states(pool: CreditPool) -> None:
    (line,) = reports.summary_report()

    assert line == {
        "currency": "INR",
        "pool": {"id": str(pool.pk), "name": "Diwali"},
        "issued": {"count": 6, "value": "153.50"},
        "scheduled": {"count": 0, "value": "0.00"},
        "available": {"count": 2, "value": "3.50"},
        "claimed": {"count": 1, "value": "10.00"},
        "expired": {"count": 2, "value": "60.00"},
        "deleted": {"count": 1, "value": "80.00"},
        "remaining": {"count": 2, "value": "3.50"},
        "liability": {"count": 1, "value": "10.00"},
    }


def test_each_currency_and_pool_has_its_line_and_a_filter_keeps_one(pool: CreditPool, issue: Issue) -> None:
    issue(currency="JPY", total_value=Decimal(500))

    lines = reports.summary_report()

    assert [(line["currency"], line["pool"] and line["pool"]["name"]) for line in lines] == [("INR", "Diwali"), ("JPY", None)]
    assert lines[1]["available"] == {"count": 1, "value": "500"}
    assert reports.summary_report(currency="JPY") == lines[1:]
    assert reports.summary_report(pool_id=pool.pk) == lines[:1]


def test_the_summary_of_nothing_is_empty(db: None) -> None:
    assert reports.summary_report() == []


def test_summary_needs_two_queries_for_any_number_of_pools(
    pool: CreditPool, open_pool: Callable[..., CreditPool], issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(5):
        issue(pool=open_pool(name=f"pool {n}"))

    with django_assert_num_queries(2):
        assert len(reports.summary_report()) == 6


def test_ownership_report_has_owner_and_time_of_claim(issue: Issue, alice: User) -> None:
    taken, free = issue(title="Taken"), issue(title="Free", currency="JPY", total_value=Decimal(5))
    claim = claim_asset(taken.pk, alice)

    rows = [ownership.ownership_row(asset) for asset in ownership.ownership_rows().order_by("id")]

    assert rows == [
        {
            "asset": str(taken.pk),
            "title": "Taken",
            "value": "100.00",
            "currency": "INR",
            "status": "CLAIMED",
            "owner": "alice@example.com",
            "claimed_at": claim.receipt["claimed_at"],
            "pool": None,
        },
        {
            "asset": str(free.pk),
            "title": "Free",
            "value": "5",
            "currency": "JPY",
            "status": "AVAILABLE",
            "owner": None,
            "claimed_at": None,
            "pool": None,
        },
    ]


def test_lines_written_by_postgresql_equal_the_rows(
    issue: Issue, open_pool: Callable[..., CreditPool], alice: User, bob: User
) -> None:
    for currency, value in (("JPY", "500"), ("KWD", "1.005"), ("INR", "0.10"), ("USD", "1000000000")):
        issue(currency=currency, total_value=Decimal(value), title='Comma, "quoted" \\N and ₹')
    for user in (alice, bob):
        claim_asset(issue(pool=open_pool(name=f"{user}'s"), expires_at=timezone.now() + timedelta(days=1)).pk, user)
    CashbackAsset.objects.bulk_create(
        [CashbackAsset(title="Due", total_value=1, currency="INR", expires_at=timezone.now() - timedelta(days=1))]
    )
    assets = ownership.ownership_rows().order_by("id")

    lines = list(ownership.ownership_lines(assets))

    assert [list(line) for line in lines] == [list(ownership.ownership_row(asset).values()) for asset in assets]
    assert {status for _, _, _, _, status, *_ in lines} == {"AVAILABLE", "CLAIMED", "EXPIRED"}


def test_timestamp_at_a_full_second_is_formatted_like_python(issue: Issue) -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    issue()

    by_postgresql = CashbackAsset.objects.values_list(csv_export.TimestampText(Value(moment)), flat=True).get()
    assert by_postgresql == format_timestamp(moment)


def test_a_file_is_sent_in_pieces_and_each_line_once() -> None:
    blocks = list(csv_export.csv_chunks(["n"], ([n] for n in range(2 * csv_export.LINES_PER_CHUNK + 1))))

    assert len(blocks) == 3
    assert "".join(blocks).split() == ["n", *map(str, range(2 * csv_export.LINES_PER_CHUNK + 1))]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("＝1+1", "'＝1+1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("Cashback = good", "Cashback = good"),
        (None, ""),
        (5, "5"),
    ],
)
def test_no_cell_is_a_formula(cell: Any, written: str) -> None:
    assert csv_export.escape_formula(cell) == written


def test_postgresql_writes_the_report_as_we_do(ada: User, open_pool: Callable[..., CreditPool]) -> None:
    """Each start of a formula, what must be quoted, and cells that are empty."""
    pools_ = [open_pool(name=name) for name in ("Diwali", "=Holi, first", "＋Onam")]
    starts = [start for start in csv_export.FORMULA_STARTS if start not in "\t\r\n"]
    titles = [f"{start}1" for start in starts] + ['Say "hello", twice', "टाटा", "x=1"]
    for number, title in enumerate(titles):
        issue_assets.issue_asset(ada, title=title, total_value=Decimal("5.50"), pool=pools_[number % 3])
    listed = ownership.ownership_rows().order_by("id")

    ours = "".join(csv_export.csv_chunks(ownership.OWNERSHIP_COLUMNS, ownership.ownership_lines(listed)))
    theirs = b"".join(ownership.ownership_csv(listed)).decode()

    assert [*csv.reader(StringIO(theirs))] == [*csv.reader(StringIO(ours))]
    assert len(titles) == theirs.count("\n") - 1
