"""Exports of filtered lists as CSV and XLSX."""

import csv
import io
import re
import zipfile
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.admin.conftest import message_texts, seal_an_entry
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.admin import export as export_module
from wallet.admin import export_rows
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Seal
from wallet.queries import ownership, reports

Issue = Callable[..., CashbackAsset]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def export(browser: Client, section: str, shape: str, query: dict[str, str] | None = None) -> Any:
    return browser.get(reverse(f"admin:{section}_export", args=[shape]), query or {})


def csv_rows(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def cells(answer: Any) -> list[list[tuple[str, str]]]:
    """Return the rows of a workbook, each cell as its type and content."""
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    return [
        [(cell.get("t", "n"), "".join(cell.itertext())) for cell in row.iter(f"{SHEET}c")] for row in sheet.iter(f"{SHEET}row")
    ]


@pytest.fixture
def owned(issue: Issue, alice: User, bob: User) -> None:
    """Alice owns a lamp and a formula, bob a cup; tea is free."""
    claim_asset(issue(title="Lamp").pk, alice)
    claim_asset(issue(title="=1+1").pk, alice)
    claim_asset(issue(title="Cup", total_value=7, currency="USD").pk, bob)
    issue(title="Tea")


@pytest.fixture
def kept(owned: None, ada: User, open_pool: Callable[..., CreditPool], issue: Issue) -> None:
    """Of two pools one is filled; a credit was changed and expired; two seals hold an entry each."""
    open_pool(name="Holi")
    credit = issue(pool=open_pool(name="=Diwali"), title="Mug")
    edit_asset.update_asset(credit.pk, ada, title="@Cup")
    edit_asset.expire_asset(credit.pk, ada)
    for _ in range(2):
        seal_an_entry()


# section: (columns, a filter, number of matching rows)
SECTIONS: dict[str, tuple[tuple[str, ...], dict[str, str], int]] = {
    "assets_cashbackasset": (reports.CREDIT_COLUMNS, {"q": "alice@"}, 2),
    "ledger_claimedasset": (ownership.OWNERSHIP_COLUMNS, {"q": "alice@"}, 2),
    "ledger_entry": (reports.ENTRY_COLUMNS, {"q": "alice@"}, 2),
    "ledger_claimedasset_owners": (ownership.OWNER_COLUMNS, {"q": "bob@"}, 1),
    "assets_creditpool": (export_rows.POOL_COLUMNS, {"q": "holi"}, 1),
    "ledger_seal": (export_rows.SEAL_COLUMNS, {"q": "2"}, 1),
    "assets_issuance": (export_rows.ISSUE_COLUMNS, {"currency": "USD"}, 1),
    "assets_cashbackassetevent": (export_rows.CHANGE_COLUMNS, {"action": "expire"}, 1),
}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.usefixtures("kept")
def test_csv_and_xlsx_contain_exactly_the_filtered_list(console: Client, section: str) -> None:
    columns, query, count = SECTIONS[section]

    rows, book = csv_rows(export(console, section, "csv", query)), cells(export(console, section, "xlsx", query))

    assert list(rows[0]) == list(columns)
    assert [content for _, content in book[0]] == list(columns)
    assert len(rows) == len(book) - 1 == count


@pytest.mark.usefixtures("kept")
def test_pool_row_counts_its_credits_and_escapes_its_name(console: Client) -> None:
    line, _ = csv_rows(export(console, "assets_creditpool", "csv"))

    assert (line["name"], line["active"], line["closes_at"]) == ("'=Diwali", "yes", "")
    assert [line[name] for name in ("issued", "available", "claimed", "expired")] == ["1", "0", "0", "1"]


@pytest.mark.usefixtures("kept")
def test_seal_row_has_everything_its_signature_covers(console: Client) -> None:
    second, first = csv_rows(export(console, "ledger_seal", "csv"))

    assert (second["seal"], second["previous_root"]) == ("2", first["root"])
    assert first["signature"] == bytes(Seal.objects.get(seq=1).signature).hex()
    assert (first["entries"], first["sums"]) == ("1", "7.00 USD")


@pytest.mark.usefixtures("kept")
def test_change_and_issue_rows_show_who_did_what(console: Client) -> None:
    expired, changed = csv_rows(export(console, "assets_cashbackassetevent", "csv"))
    issued = csv_rows(export(console, "assets_issuance", "csv"))[0]

    assert [line["action"] for line in (expired, changed)] == ["expire", "update"]
    assert (changed["who"], changed["channel"], changed["title"], changed["pool"]) == (
        "ada@example.com",
        "shell",
        "'@Cup",
        "'=Diwali",
    )
    assert (issued["count"], issued["value"], issued["issued_by"]) == ("1", "100.00", "ada@example.com")


@pytest.mark.usefixtures("owned")
def test_formula_in_a_title_is_text_in_csv_and_xlsx(console: Client) -> None:
    rows = csv_rows(export(console, "assets_cashbackasset", "csv", {"q": "=1+1"}))
    book = cells(export(console, "assets_cashbackasset", "xlsx", {"q": "=1+1"}))

    assert rows[0]["title"] == "'=1+1"
    assert ("inlineStr", "=1+1") in book[1]


@pytest.mark.usefixtures("owned")
def test_amount_is_a_number_in_xlsx(console: Client) -> None:
    _, line = cells(export(console, "ledger_claimedasset_owners", "xlsx", {"q": "bob"}))

    assert line[:4] == [("inlineStr", "bob@example.com"), ("inlineStr", "USD"), ("n", "1"), ("n", "7")]


@pytest.mark.usefixtures("owned")
def test_xlsx_above_the_row_limit_is_refused_and_csv_offered(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "MAX_XLSX_ROWS", 3)

    answer = export(console, "assets_cashbackasset", "xlsx")

    assert "export it as CSV" in message_texts(answer)[0]
    assert answer["Location"] == reverse("admin:assets_cashbackasset_changelist")
    assert len(csv_rows(export(console, "assets_cashbackasset", "csv"))) == 4


@pytest.mark.usefixtures("owned")
def test_xlsx_above_the_row_limit_is_refused_before_a_row_is_written(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(*_: Any) -> None:
        raise AssertionError("a workbook was begun")

    monkeypatch.setattr(export_module, "MAX_XLSX_ROWS", 3)
    monkeypatch.setattr(export_module, "Workbook", begun)

    assert "export it as CSV" in message_texts(export(console, "assets_cashbackasset", "xlsx"))[0]


@pytest.mark.usefixtures("owned")
def test_export_has_a_file_name_and_content_type(console: Client) -> None:
    answer = export(console, "ledger_entry", "xlsx")

    assert answer["Content-Disposition"] == 'attachment; filename="ledger.xlsx"'
    assert answer["Content-Type"] == export_module.XLSX_CONTENT_TYPE


@pytest.mark.usefixtures("owned")
def test_export_with_an_unknown_filter_is_refused_with_words(console: Client) -> None:
    answer = export(console, "ledger_entry", "csv", {"nonsense__exact": "1"})

    assert answer.status_code == 400
    assert "This list has no such filter" in answer.content.decode()


@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize(
    ("section", "name"),
    [("assets_creditpool", "kind__exact"), ("assets_bulkjob", "kind__exact"), ("assets_bulkjob", "state__exact")],
)
def test_unknown_choice_is_refused_and_not_taken_for_an_empty_list(console: Client, section: str, name: str) -> None:
    assert console.get(reverse(f"admin:{section}_changelist"), {name: "BOGUS"}).status_code == 400


@pytest.mark.usefixtures("owned")
def test_lists_link_to_their_exports_with_their_filters(console: Client) -> None:
    for section in set(SECTIONS) - {"ledger_claimedasset_owners"}:
        page = console.get(reverse(f"admin:{section}_changelist"), {"q": "alice"}).content.decode()

        for shape in ("csv", "xlsx"):
            assert re.search(rf'href="{reverse(f"admin:{section}_export", args=[shape])}\?q=alice"', page)


def test_export_of_a_hundred_rows_is_one_query(
    console: Client, alice: User, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(100):
        claim_asset(issue().pk, alice)

    # session, person, a transaction with a time limit (3), the filter's pools, the list's two counts, the rows
    with django_assert_num_queries(9):
        rows = csv_rows(export(console, "ledger_entry", "csv"))

    assert len(rows) == 100
