"""`manage.py ownership_report`."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from accounts.models import User
from tests.history import lifted
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

Command = Callable[..., str]
Issue = Callable[..., CashbackAsset]


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def holdings(issue: Issue, open_pool: Callable[..., CreditPool], alice: User, bob: User) -> CreditPool:
    """Give alice one credit of Diwali and bob one in dollars, and leave one on offer."""
    pool = open_pool()
    claim_asset(issue(pool=pool, title="Sweets").pk, alice)
    claim_asset(issue(currency="USD", title="Goodwill").pk, bob)
    issue(pool=pool, title="Lamp")
    return pool


def test_the_table_shows_owners_and_totals_per_currency(command: Command, holdings: CreditPool) -> None:
    text = command("ownership_report")

    assert [line.split()[:4] for line in text.splitlines()[1:4]] == [
        ["100.00", "USD", "CLAIMED", "bob@example.com"],
        ["100.00", "INR", "CLAIMED", "alice@example.com"],
        ["100.00", "INR", "AVAILABLE", "Diwali"],
    ]
    assert text.splitlines()[-3:] == [
        "INR       AVAILABLE        1  100.00",
        "INR       CLAIMED          1  100.00",
        "USD       CLAIMED          1  100.00",
    ]


def test_csv_has_one_row_per_credit(command: Command, holdings: CreditPool) -> None:
    rows = lines(command("ownership_report", "--format", "csv"))

    assert [(row["title"], row["owner"], row["value"], row["pool"]) for row in rows] == [
        ("Goodwill", "bob@example.com", "100.00", ""),
        ("Sweets", "alice@example.com", "100.00", "Diwali"),
        ("Lamp", "", "100.00", "Diwali"),
    ]


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        (("--pool", "Diwali"), ["Sweets", "Lamp"]),
        (("--status", "claimed"), ["Goodwill", "Sweets"]),
        (("--owner", "Alice@Example.com"), ["Sweets"]),
        (("--pool", "Diwali", "--status", "AVAILABLE"), ["Lamp"]),
        (("--status", "EXPIRED"), []),
    ],
)
def test_report_is_filtered(command: Command, holdings: CreditPool, options: tuple[str, ...], titles: list[str]) -> None:
    rows = lines(command("ownership_report", "--format", "csv", *options))

    assert [row["title"] for row in rows] == titles


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@x"])
def test_formulas_are_escaped(command: Command, issue: Issue, title: str) -> None:
    issue(title=title)

    assert lines(command("ownership_report", "--format", "csv"))[0]["title"] == f"'{title}"


@pytest.mark.django_db(transaction=True)
def test_control_characters_in_a_title_are_replaced(command: Command, issue: Issue) -> None:
    asset = issue()
    # A title from before titles were checked.
    with lifted("asset_title_readable", "assets_cashbackasset"):
        CashbackAsset.objects.filter(pk=asset.pk).update(title="red \x1b[31m [bold]alarm[/bold]")

    text = command("ownership_report")

    assert "\x1b" not in text
    assert "[bold]alarm[/bold]" in text


def test_long_table_says_how_many_rows_it_omits(command: Command, issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet.management.commands.ownership_report.MAX_TABLE_ROWS", 2)
    for _ in range(3):
        issue()

    assert "The first 2 of 3; --format csv writes them all." in command("ownership_report")


def test_table_without_rows_says_so(command: Command) -> None:
    assert command("ownership_report") == "No matching credits.\n"


def test_output_file_is_written(command: Command, holdings: CreditPool, tmp_path: Path) -> None:
    path = tmp_path / "owners.csv"

    said = command("ownership_report", "--format", "csv", "--output", str(path))

    assert said == f"Written to {path}.\n"
    assert len(lines(path.read_text(encoding="utf-8"))) == 3
    assert [each.name for each in tmp_path.iterdir()] == ["owners.csv"]


def test_failed_report_leaves_the_output_file_unchanged(
    command: Command, holdings: CreditPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: Any) -> Any:
        raise RuntimeError

    path = tmp_path / "owners.csv"
    path.write_text("last month's")
    monkeypatch.setattr("wallet.queries.csv_export.escape_formula", breaks)

    with pytest.raises(RuntimeError):
        command("ownership_report", "--format", "csv", "--output", str(path))

    assert path.read_text() == "last month's"
    assert [each.name for each in tmp_path.iterdir()] == ["owners.csv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pool", "Nowhere"), 'Pool not found: "Nowhere"'),
        (("--owner", "nobody@example.com"), 'No user has the email "nobody@example.com"'),
        (("--output", "/nowhere/owners.csv"), "Cannot write /nowhere/owners.csv"),
    ],
)
def test_unknown_pool_or_owner_is_an_invalid_command_line(command: Command, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        command("ownership_report", *options)

    assert refused.value.returncode == 2


def test_a_thousand_rows_are_one_query(
    command: Command, holdings: CreditPool, django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(3):  # one in a transaction without a time limit
        command("ownership_report", "--format", "csv")
