"""Payments in the console: found by indexes, shown with their parts, released and refunded after a preview; and lapses."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from accounts.services import Service
from kernel.timestamps import format_timestamp
from tests.admin.conftest import message_texts
from tests.admin.test_export import cells, csv_rows, export
from tests.money.conftest import end_credit, end_hold, kinds, money
from wallet.actions.capture_payment import capture_payment
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.admin import export_rows
from wallet.admin.sidebar import sidebar_groups
from wallet.ledger.models import Lot, Movement, Payment
from wallet.ledger.payment_state import PaymentState
from wallet.queries import payment_search

pytestmark = pytest.mark.django_db(transaction=True)
PAYMENTS = reverse("admin:ledger_payment_changelist")
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]


def page(payment: Any, step: str = "change") -> str:
    return reverse(f"admin:ledger_payment_{step}", args=[payment])


def listed(console: Client, **query: str) -> list[UUID]:
    answer = console.get(PAYMENTS, query)
    assert answer.status_code == 200
    return [payment.pk for payment in answer.context["cl"].result_list]


def sent(**fields: str) -> dict[str, str]:
    return {"key": uuid4().hex, "reason": "returned"} | fields


@pytest.fixture
def every_state(*, credit: Credit, spend: Spend, hold: Hold, shop: Service, alice: User, ada: User) -> dict[str, UUID]:
    """One payment in each state."""
    credit("1000")
    states: dict[str, UUID] = {"HELD": hold("10"), "PARTLY_CAPTURED": hold("10")}
    capture_payment(states["PARTLY_CAPTURED"], shop, amount=Decimal(4), final=False)
    states |= {name: UUID(spend("10").body["id"]) for name in ("CAPTURED", "PARTLY_REFUNDED", "REFUNDED")}
    refund_payment(states["PARTLY_REFUNDED"], amount=Decimal(4), reference="r1", reason="returned", service=shop)
    refund_payment(states["REFUNDED"], reference="r2", reason="returned", service=shop)
    states["RELEASED"] = hold("10")
    release_payment(states["RELEASED"], service=shop)
    states["EXPIRED"] = hold("10")
    end_hold(states["EXPIRED"])
    return states


def test_each_state_is_found_and_shown(console: Client, every_state: dict[str, UUID]) -> None:
    for state in PaymentState:
        assert listed(console, state=state) == [every_state[state]], state
    assert set(listed(console, state="CURRENT_HOLDS")) == {every_state["HELD"], every_state["PARTLY_CAPTURED"]}
    rows = Payment.objects.all()
    now = payment_search.payment_parts(every_state["HELD"])["clock"][0].now
    assert {payment_search.state_of(row, now): row.pk for row in rows} == every_state


def test_an_unknown_state_is_refused(console: Client, db: None) -> None:
    assert console.get(PAYMENTS, {"state": "LOST"}).status_code == 400


def test_payments_are_found_by_reference_person_id_and_service(
    *, console: Client, credit: Credit, spend: Spend, alice: User, bob: User, shop: Service, other_shop: Service
) -> None:
    credit("100"), credit("100", user=bob)
    one = UUID(spend("1", reference="INV-0001").body["id"])
    two = UUID(spend("1", user=bob, reference="INV-0002", service=other_shop).body["id"])

    assert listed(console, q="INV-0001") == [one]
    assert listed(console, q="INV") == [two, one]
    assert listed(console, q="0001") == []
    assert listed(console, q="BOB@example.com") == [two]
    assert listed(console, q=str(one)) == [one]
    assert listed(console, service=str(other_shop.pk)) == [two]
    assert listed(console, q="%") == []


def plan(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_sort = off")
        cursor.execute("EXPLAIN " + statement)
        text = "\n".join(row for (row,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan; RESET enable_sort")
    return text


@pytest.mark.parametrize(
    ("find", "index"),
    [
        (lambda rows: payment_search.search_payments(rows, "INV"), "payment_by_reference"),
        (lambda rows: rows.filter(payment_search.STATES["CURRENT_HOLDS"]).order_by("held_until", "id"), "payment_held"),
        (lambda rows: rows.filter(user=uuid4()).order_by("-began_at", "-id"), "payment_of_user"),
    ],
)
def test_searches_use_indexes(db: None, find: Callable[[Any], Any], index: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        list(find(Payment.objects.all()))

    assert index in plan(queries.captured_queries[0]["sql"])


def test_a_payment_shows_its_movements_and_which_credits_paid(
    console: Client, credit: Credit, hold: Hold, shop: Service
) -> None:
    lots = credit("30"), credit("50")
    payment = hold("40", reference="INV-7")
    capture_payment(payment, shop, amount=Decimal(25))

    context = console.get(page(payment)).context

    assert [line["kind"] for line in context["movements"]] == ["Hold", "Capture", "Release"]
    assert [line["url"].split("/")[-3] for line in context["allocations"]] == [str(lot.pk) for lot in lots]
    assert [line["captured"] for line in context["allocations"]] == ["25.00\xa0INR", "0.00\xa0INR"]
    assert (context["state"], context["can_release"], context["can_refund"]) == ("Captured", False, True)


def test_a_payment_that_is_not_there_leads_to_the_list(console: Client, db: None) -> None:
    assert console.get(page(uuid4())).status_code == 302


def test_a_refund_says_what_it_brings_back_and_is_done_once(
    *, console: Client, credit: Credit, spend: Spend, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    credit("30", title="Lamp")
    payment = spend("25").body["id"]
    form = sent(amount="10.00", reference="ticket-1")
    before = money()

    preview = console.post(page(payment, "refund"), form)

    assert preview.context["preview"] == ["10.00\xa0INR goes back to Lamp and can be spent again."]
    assert money() == before
    caplog.set_level("INFO", "cashback.audit")
    for _ in range(2):
        done = console.post(page(payment, "refund"), form | {"confirmed": "yes"})
        assert (done.status_code, done["Location"]) == (302, page(payment))
    (refund,) = Movement.objects.filter(kind="REFUND")
    assert (refund.amount, refund.reason, refund.reference, refund.actor, refund.channel) == (
        *(10, "returned", "ticket-1", ada),
        "admin",
    )
    line = json.loads(caplog.messages[0])
    assert (line["event"], line["outcome"], line["user"], line["subject"]) == ("payment_refund", "done", str(ada.pk), payment)
    assert (line["reason"], line["amount"]) == ("returned", "10.00")
    assert "ticket-1" not in caplog.text


def test_a_blank_amount_refunds_what_the_preview_showed(console: Client, credit: Credit, spend: Spend, shop: Service) -> None:
    credit("30")
    payment = spend("25").body["id"]
    preview = console.post(page(payment, "refund"), sent(reference="t-1"))
    assert preview.context["form"]["amount"].value() == "25.00"
    refund_payment(UUID(payment), amount=Decimal(5), reference="other", reason="returned", service=shop)

    late = console.post(page(payment, "refund"), sent(reference="t-1", amount="25.00", confirmed="yes"))

    assert "more than can be refunded" in late.content.decode()
    assert kinds() == ["SPEND", "REFUND"]


def test_the_preview_says_what_lapses_and_what_lives_again(
    console: Client, credit: Credit, spend: Spend, open_pool: Callable[..., Any]
) -> None:
    renewed = credit("10", title="Used up", pool=open_pool(name="A", valid_for="5 days"))
    rest = credit("30", title="With a rest", pool=open_pool(name="B", valid_for="6 days"))
    payment = spend("20").body["id"]
    end_credit(renewed, timedelta(hours=1)), end_credit(rest, timedelta(hours=1))

    lines = console.post(page(payment, "refund"), sent(reference="t")).context["preview"]

    assert [line.split(", which")[0] for line in lines] == [
        "10.00\xa0INR goes back to With a rest",
        "10.00\xa0INR goes back to Used up",
    ]
    assert lines[0].endswith("lapses at once.")
    assert "can be spent until" in lines[1]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"reference": "t", "reason": ""}, "required"),
        ({"reference": "", "reason": "returned"}, "required"),
        ({"reference": "t", "amount": "1e3"}, "amount"),
        ({"reference": "t", "amount": "99.00"}, "more than can be refunded"),
        ({"reference": "t", "reason": "because"}, "not one of the available choices"),
    ],
)
def test_a_refund_that_makes_no_sense_is_refused_in_the_form(
    console: Client, credit: Credit, spend: Spend, fields: dict[str, str], error: str
) -> None:
    credit("30")
    payment = spend("25").body["id"]
    before = money()

    answer = console.post(page(payment, "refund"), sent(**fields))

    assert answer.context["preview"] is None
    assert error in answer.content.decode()
    assert money() == before


def test_a_hold_is_released_with_a_reason_after_a_preview(console: Client, credit: Credit, hold: Hold, ada: User) -> None:
    credit("30")
    payment = hold("25")
    form = sent(reason="cancelled")

    assert "goes back" in console.post(page(payment, "release"), form).context["preview"][0]
    assert kinds() == ["HOLD"]
    console.post(page(payment, "release"), form | {"confirmed": "yes"})

    release = Movement.objects.get(kind="RELEASE")
    assert (release.reason, release.actor, release.amount) == ("cancelled", ada, 25)
    assert "Released" in console.get(page(payment)).content.decode()


def test_lapses_are_listed_with_their_credit(console: Client, credit: Credit, spend: Spend) -> None:
    lot = credit("30", title="Lamp")
    spend("10")
    end_credit(lot)
    lapse_ended_credits()

    rows = console.get(reverse("admin:ledger_lapse_changelist")).content.decode()

    assert "20.00\xa0INR" in rows
    assert reverse("admin:ledger_entry_change", args=[lot.pk]) in rows


def test_payments_are_exported_with_their_states(console: Client, every_state: dict[str, UUID]) -> None:
    rows = csv_rows(export(console, "ledger_payment", "csv"))
    book = cells(export(console, "ledger_payment", "xlsx", {"state": "PARTLY_REFUNDED"}))

    assert {row["state"]: UUID(row["payment"]) for row in rows} == every_state
    partly = next(row for row in rows if row["state"] == "PARTLY_REFUNDED")
    assert [partly[name] for name in ("user", "service", "currency")] == ["alice@example.com", "Shop", "INR"]
    assert [partly[name] for name in export_rows.PAYMENT_FIGURES] == ["10.00", "0.00", "10.00", "0.00", "4.00"]
    assert [content for _, content in book[0]] == list(export_rows.PAYMENT_COLUMNS)
    assert book[1][6:11] == [("n", "10"), ("n", "0"), ("n", "10"), ("n", "0"), ("n", "4")]
    assert len(book) == 2


def test_lapses_are_exported(console: Client, credit: Credit, spend: Spend) -> None:
    lot = credit("30", title="=Lamp")
    spend("10")
    ended = end_credit(lot)
    lapse_ended_credits()

    (row,) = csv_rows(export(console, "ledger_lapse", "csv"))

    assert row == {
        "lapsed_at": format_timestamp(ended),
        "user": "alice@example.com",
        "amount": "20.00",
        "currency": "INR",
        "claim": str(lot.pk),
        "title": "'=Lamp",
    }


@pytest.mark.parametrize("section", ["ledger_payment", "ledger_lapse"])
def test_lists_of_payments_link_to_their_exports(console: Client, db: None, section: str) -> None:
    page = console.get(reverse(f"admin:{section}_changelist")).content.decode()

    assert reverse(f"admin:{section}_export", args=["csv"]) in page


def test_services_are_listed_and_lead_to_their_payments(console: Client, shop: Service) -> None:
    rows = console.get(reverse("services")).content.decode()

    assert f"{PAYMENTS}?service={shop.pk}" in rows


def test_the_sidebar_marks_the_current_holds_apart_from_the_payments(console: Client, db: None) -> None:
    def active(url: str) -> list[str]:
        request = console.get(url).context["request"]
        return [str(item["title"]) for group in sidebar_groups(request) for item in group["items"] if item["active"](request)]

    assert active(PAYMENTS) == ["Payments"]
    assert active(f"{PAYMENTS}?state=CURRENT_HOLDS") == ["Current holds"]


def test_messages_say_what_was_done(console: Client, credit: Credit, spend: Spend) -> None:
    credit("30")
    payment = spend("25").body["id"]

    done = console.post(page(payment, "refund"), sent(reference="t", confirmed="yes"))

    assert message_texts(done) == ["The payment was refunded."]
