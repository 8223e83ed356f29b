"""Amounts are exact through every interface; invalid amounts are rejected."""

import ast
import csv
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from tests.security.conftest import as_caller
from wallet.actions import issue_assets
from wallet.actions.claim import claim_asset
from wallet.admin.export import Report, write_workbook
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry
from wallet.money import DECIMALS, MAX_VALUE, check_amount, format_amount
from wallet.queries import reports

API = "/api/v1"
NOT_AMOUNTS = [
    "1e3",
    "1E+2",
    "NaN",
    "Infinity",
    "٣",
    "１２",
    "1_000",
    "1,000",
    "0x10",
    "+5",
    "5.",
    ".5",
    "½",
    "1 000",
    "--1",
    "'1",
]
REFUSED = [*NOT_AMOUNTS, "0", "0.00", "-1", "-0.01", "1000000000.01", "9" * 30]
pytestmark = pytest.mark.usefixtures("unlimited")


@st.composite
def amounts(draw: st.DrawFn) -> tuple[str, Decimal]:
    """Any currency, and any amount that it has."""
    currency = draw(st.sampled_from(sorted(DECIMALS)))
    units = draw(st.integers(1, int(MAX_VALUE.scaleb(DECIMALS[currency]))))
    return currency, Decimal(units).scaleb(-DECIMALS[currency])


@given(amounts())
def test_an_amount_reads_back_as_it_was_written(given_amount: tuple[str, Decimal]) -> None:
    currency, amount = given_amount

    check_amount(amount, currency)
    assert Decimal(format_amount(amount, currency)) == amount
    assert len(format_amount(amount, currency).partition(".")[2]) == DECIMALS[currency]


@given(amounts(), st.integers(1, 9))
def test_a_unit_smaller_than_the_smallest_is_refused(given_amount: tuple[str, Decimal], part: int) -> None:
    currency, amount = given_amount

    with pytest.raises(ValidationError):
        check_amount(amount - Decimal(part).scaleb(-DECIMALS[currency] - 1), currency)


@given(st.lists(amounts(), min_size=1, max_size=4))
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_amount_is_unchanged_through_every_interface_and_table(
    ada: User, alice: User, amounts: list[tuple[str, Decimal]]
) -> None:
    """Sent to the API, stored, claimed, entered, summed, reported and exported: one and the same string."""
    adas, alices = as_caller(ada), as_caller(alice)
    before = {line["currency"]: Decimal(line["balance"]) for line in alices.get(f"{API}/wallet/").json()["balances"]}

    for currency, amount in amounts:
        text = format_amount(amount, currency)
        issued = adas.post(f"{API}/assets/", {"title": "x", "total_value": text, "currency": currency}).json()
        claim = alices.post(f"{API}/assets/{issued['id']}/claim/", {}).json()
        assert (issued["total_value"], claim["amount"], claim["currency"]) == (text, text, currency)
        assert Entry.objects.get(pk=claim["id"]).amount == CashbackAsset.objects.get(pk=issued["id"]).total_value == amount
        assert alices.get(f"{API}/claims/{claim['id']}/").json()["amount"] == text
        before[currency] = before.get(currency, Decimal(0)) + amount

    after = {line["currency"]: line["balance"] for line in alices.get(f"{API}/wallet/").json()["balances"]}
    assert after == {currency: format_amount(total, currency) for currency, total in before.items()}
    file: Any = adas.get(f"{API}/reports/ownership/?format=csv")
    owned = list(csv.DictReader(StringIO(file.getvalue().decode(), newline="")))
    assert {code: sum(Decimal(row["value"]) for row in owned if row["currency"] == code) for code in before} == before


@pytest.mark.parametrize(("currency", "least"), [("JPY", "1"), ("INR", "0.01"), ("KWD", "0.001")])
def test_the_bounds_are_within(ada: User, currency: str, least: str) -> None:
    for text in (least, "1000000000"):
        asset = issue_assets.issue_asset(ada, title="x", total_value=Decimal(text), currency=currency)
        asset.refresh_from_db()
        assert asset.total_value == Decimal(text)


def test_sum_beyond_float_precision_is_exact(ada: User, alice: User) -> None:
    values = [Decimal("999999999.99"), Decimal("0.01"), Decimal("1000000000"), Decimal("0.07")] * 3
    for value in values:
        claim_asset(issue_assets.issue_asset(ada, title="x", total_value=value, currency="INR").pk, alice)

    (balance,) = Entry.objects.balances_of(alice)
    (line,) = reports.summary_report()
    assert balance["balance"] == sum(values)
    assert (
        line["claimed"]["value"]
        == line["liability"]["value"]
        == format_amount(sum(values, Decimal(0)), "INR")
        == "6000000000.21"
    )


# --- What is no amount -------------------------------------------------------------------------------------------------


def test_the_api_takes_no_such_amount(ada: User, open_pool: Callable[..., CreditPool]) -> None:
    adas, pool = as_caller(ada), open_pool()

    for text in REFUSED:
        single = {"title": "x", "total_value": text, "currency": "INR"}
        many = {"count": 2, "title": "x", "total_value": text}
        answers = [
            adas.post(f"{API}/assets/", single),
            adas.post(f"{API}/pools/{pool.pk}/issue/", many, headers={"Idempotency-Key": "0123456789abcdef"}),
        ]
        assert [answer.status_code for answer in answers] == [400, 400], text

    assert CashbackAsset.objects.count() == 0


def test_the_console_takes_no_such_amount(client: Client, ada: User, open_pool: Callable[..., CreditPool]) -> None:
    client.force_login(ada)
    pool = open_pool()

    for text in REFUSED:
        single = {"title": "x", "total_value": text, "currency": "INR"}
        many = {"key": "0123456789abcdef", "count": "2", "title": "x", "total_value": text}
        answers = [
            client.post(reverse("admin:assets_cashbackasset_add"), single),
            client.post(reverse("admin:assets_creditpool_issue", args=[pool.pk]), many),
        ]
        assert [answer.status_code for answer in answers] == [200, 200], text

    assert CashbackAsset.objects.count() == 0


def test_a_file_takes_no_such_amount(db: None, tmp_path: Path) -> None:
    file = tmp_path / "credits.csv"

    for text in REFUSED:
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([["title", "total_value", "currency", "pool", "expires_at"], ["x", text, "INR", "", ""]])
        with pytest.raises(CommandError):
            call_command("import_assets", str(file), stdout=StringIO(), stderr=StringIO())

    assert CashbackAsset.objects.count() == 0


@pytest.mark.parametrize("text", ["100", "49.50", "0.01", "1000000000"])
def test_the_console_takes_a_plain_amount_as_it_is_typed(client: Client, ada: User, text: str) -> None:
    client.force_login(ada)

    client.post(reverse("admin:assets_cashbackasset_add"), {"title": "x", "total_value": text, "currency": "INR"})

    assert CashbackAsset.objects.get().total_value == Decimal(text)


# --- No float ----------------------------------------------------------------------------------------------------------

# Where a float is no amount: how high a line of a chart stands; and a workbook, which holds nothing else and gets an amount as
# text where a float would not hold it (below).
ALLOWED = {"wallet/pages/balance_chart.py", "wallet/admin/export.py"}
OTHERS = {"proofs", "bench"}  # they judge and measure


def makes_floats(path: Path) -> bool:
    """Tell whether the code calls float(), or names a column or field that does."""
    names = {"float", "FloatField"}
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(getattr(call, "id", None) in names or getattr(call, "attr", None) in names for call in calls)


def test_no_float_stands_on_the_way_of_an_amount() -> None:
    root = Path(settings.BASE_DIR)
    code = {
        str(path.relative_to(root)): path for path in (root / "wallet").rglob("*.py") if not OTHERS.intersection(path.parts)
    }

    assert {name for name, path in code.items() if makes_floats(path)} <= ALLOWED


def test_no_column_is_a_float(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type IN ('real', 'double precision', 'money')"
        )
        assert cursor.fetchall() == []


@pytest.mark.parametrize(
    ("text", "kind"), [("1000000000.001", "n"), ("0.1", "n"), ("9007199254740993", "s"), ("12345678901234567.89", "s")]
)
def test_a_workbook_holds_a_sum_as_a_number_only_where_a_number_is_exact(text: str, kind: str) -> None:
    class Listed:
        def iterator(self, **_: Any) -> Iterator[dict[str, str]]:
            yield {"value": text}

    file = BytesIO()
    write_workbook(file, Report("sums", ("value",), lambda row: row), Listed())

    with ZipFile(file) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert (f"<t>{text}</t>" in sheet) == (kind == "s")
    assert (f"<v>{text}</v>" in sheet) == (kind == "n")
