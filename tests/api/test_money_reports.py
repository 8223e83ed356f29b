"""/reports/trial-balance/, liability/, breakage/, settlement/ and journal/: as of a time, as JSON and as CSV."""

import csv
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from accounts.services import Service
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions.claim import claim_asset
from wallet.actions.pay import pay
from wallet.assets.models import CashbackAsset

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("trial-balance", "liability", "breakage", "settlement", "journal")


def url(name: str) -> str:
    return f"{ROOT}/reports/{name}/"


@pytest.fixture
def paid(issue: Callable[..., CashbackAsset], alice: User) -> Service:
    """Alice paid 30 of 100 at a shop, whose name a spreadsheet would take for a formula."""
    shop = Service.objects.create(name="=Shop")
    claim_asset(issue(total_value=Decimal(100)).pk, alice)
    pay(alice, amount=Decimal(30), service=shop, currency="INR", reference=f"order-{uuid4().hex}")
    return shop


def rows_of(answer: Any) -> list[list[str]]:
    return [*csv.reader(StringIO(b"".join(answer.streaming_content).decode(), newline=""))]


def test_the_reports_are_as_of_now(as_ada: Caller, paid: Service) -> None:
    lines = {name: as_ada.get(url(name)).json()["lines"] for name in NAMES}

    assert [tuple(line.values()) for line in lines["trial-balance"]] == [
        ("INR", "pool", "100.00", "0.00"),
        ("INR", "wallet", "0.00", "70.00"),
        ("INR", "hold", "0.00", "0.00"),
        ("INR", "merchant", "0.00", "30.00"),
        ("INR", "breakage", "0.00", "0.00"),
    ]
    assert [(line["ends"], line["total"]) for line in lines["liability"]] == [("never", "70.00")]
    assert lines["breakage"] == []
    assert [(line["service"], line["net"]) for line in lines["settlement"]] == [(str(paid.pk), "30.00")]
    assert [(line["kind"], line["debit"], line["credit"], line["amount"]) for line in lines["journal"]] == [
        ("CLAIM", "pool", "wallet", "100.00"),
        ("SPEND", "wallet", "merchant", "30.00"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_has_the_same_lines_and_no_formula(as_ada: Caller, paid: Service, name: str) -> None:
    body = as_ada.get(url(name)).json()

    answer = as_ada.get(url(name), {"as_of": body["as_of"], "format": "csv"})
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
    header, *rows = rows_of(answer)
    shown = [["" if cell is None else str(cell).replace("=Shop", "'=Shop") for cell in line.values()] for line in body["lines"]]
    assert rows == shown
    if rows:
        assert header == [*body["lines"][0]]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_time_gets_the_same_answer_for_ever(
    as_ada: Caller, paid: Service, name: str, issue: Callable[..., CashbackAsset], bob: User
) -> None:
    before = as_ada.get(url(name)).json()
    claim_asset(issue().pk, bob)

    assert as_ada.get(url(name), {"as_of": before["as_of"]}).json() == before


@pytest.mark.parametrize("name", NAMES)
def test_before_the_first_claim_there_is_nothing(as_ada: Caller, paid: Service, name: str) -> None:
    assert as_ada.get(url(name), {"as_of": "2020-01-01"}).json()["lines"] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("as_of", ["2999-01-01T00:00:00Z", "yesterday", "2027-03-31T18:30:00", "1e3"])
def test_a_time_that_is_to_come_or_unreadable_is_refused(as_ada: Caller, db: None, name: str, as_of: str) -> None:
    assert wrong_fields(as_ada.get(url(name), {"as_of": as_of})) == ["as_of"]
    assert wrong_fields(as_ada.get(url(name), {"since": "2020-01-01"})) == ["since"]


def test_the_journal_is_paged_and_every_page_is_of_the_same_time(as_ada: Caller, paid: Service, alice: User) -> None:
    whole = as_ada.get(url("journal")).json()
    first = as_ada.get(url("journal"), {"page_size": 1, "as_of": whole["as_of"]}).json()
    second = as_ada.get(first["next"]).json()

    assert [*first["lines"], *second["lines"]] == whole["lines"]
    assert (second["as_of"], second["next"], whole["next"]) == (whole["as_of"], None, None)
    assert wrong_fields(as_ada.get(url("journal"), {"cursor": "x"})) == ["cursor"]
    assert wrong_fields(as_ada.get(url("journal"), {"page_size": 0})) == ["page_size"]
