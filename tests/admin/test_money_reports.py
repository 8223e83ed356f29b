"""Finance's pages and a customer's wallet, as of any time."""

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.money.conftest import as_owner
from wallet.actions.payment_answers import Answer
from wallet.admin import money_reports
from wallet.admin.sidebar import REPORTS
from wallet.ledger.models import Lot
from wallet.queries.tie_outs import tie_outs

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]


@pytest.fixture
def paid(credit: Credit, spend: Spend, hold: Hold) -> Lot:
    lot = credit("100", title="Lamp")
    spend("30")
    hold("20")
    return lot


@pytest.mark.parametrize("name", REPORTS)
def test_each_report_has_a_page_on_which_all_agree_and_a_file(console: Client, paid: Lot, name: str) -> None:
    page = console.get(reverse(f"report_{name}"))

    assert page.status_code == 200
    assert page.context["agrees"]
    assert "All reports agree" in page.content.decode()
    assert bool(page.context["rows"]) == (name != "breakage")
    answer: Any = console.get(page.context["csv"])
    rows = [*csv.reader(StringIO(b"".join(answer.streaming_content).decode()))]
    assert len(rows) - 1 == len(page.context["rows"])


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_says_when_the_reports_do_not_agree(console: Client, paid: Lot, name: str) -> None:
    as_owner("UPDATE ledger_lot SET available = available + 1, total = total + 1")

    page = console.get(reverse(f"report_{name}"))

    assert not page.context["agrees"]
    assert "The reports do not agree" in page.content.decode()
    assert [(str(tie["title"]), tie["left"], tie["right"]) for tie in page.context["ties"] if not tie["agrees"]] == [
        ("Wallets and holds, and the liability", "70.00\xa0INR", "71.00\xa0INR")
    ]


def test_a_page_is_shown_when_the_comparison_takes_too_long(
    console: Client, paid: Lot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(as_of: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 50; SELECT pg_sleep(1)")
        return tie_outs(as_of)

    monkeypatch.setattr(money_reports, "tie_outs", slowly)
    page = console.get(reverse("report_liability"))

    assert page.status_code == 200
    assert page.context["rows"]
    assert "The reports were not compared" in page.content.decode()


def test_a_page_of_a_time_does_not_change(console: Client, paid: Lot, spend: Spend) -> None:
    before = console.get(reverse("report_liability")).context
    spend("10")

    after = console.get(f"{reverse('report_liability')}?{before['query']}").context

    assert (after["rows"], after["at"]) == (before["rows"], before["at"])
    assert console.get(reverse("report_liability")).context["rows"] != before["rows"]


@pytest.mark.parametrize("as_of", ["2999-01-01", "yesterday", "03/04/2027", "2027-13-01", "٢٠٢٦-01-01"])
def test_a_time_that_is_to_come_or_unreadable_is_refused(console: Client, alice: User, as_of: str) -> None:
    for url in (reverse("report_liability"), reverse("customer_wallet", args=[alice.pk]), reverse("report_csv_journal")):
        answer = console.get(url, {"as_of": as_of})
        assert answer.status_code == 400
        assert "at" not in (answer.context or {})


def test_the_wallet_of_a_customer_is_shown_as_of_any_time(console: Client, paid: Lot, spend: Spend, alice: User) -> None:
    url = reverse("customer_wallet", args=[alice.pk])
    then = console.get(url).context
    spend("15")

    now, before = console.get(url).context, console.get(url, {"as_of": then["as_of"]}).context

    assert [(line["balance"], line["available"], line["held"]) for line in before["balances"]] == [
        ("70.00\xa0INR", "50.00\xa0INR", "20.00\xa0INR")
    ]
    assert [line["available"] for line in now["balances"]] == ["35.00\xa0INR"]
    assert [(line["title"], line["spendable"], line["held"]) for line in before["lots"]] == [
        ("Lamp", "50.00\xa0INR", "20.00\xa0INR")
    ]
    assert [line["kind"] for line in now["movements"]] == ["Spend", "Hold", "Spend"]
    assert before["movements"] == now["movements"][1:]
    assert console.get(url, {"as_of": "2020-01-01"}).context["balances"] == []


def test_only_operators_see_money(client: Client, alice: User) -> None:
    client.force_login(alice)
    urls = [reverse(f"report_{name}") for name in REPORTS]

    assert {client.get(url).status_code for url in [*urls, reverse("customer_wallet", args=[alice.pk])]} == {302}
