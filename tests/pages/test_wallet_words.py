"""The wallet as money on the pages: balances in words, credits by their end, and one history."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import end_credit
from wallet.actions.capture_payment import capture_payment
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.extend_lot import extend_lot
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, Movement
from wallet.pages.balance_chart import balance_charts
from wallet.queries import balance_changes

DASHBOARD, HISTORY, CREDITS = reverse("dashboard"), reverse("my_claims"), reverse("credits")
Credit = Callable[..., Lot]
OpenPool = Callable[..., CreditPool]


@pytest.fixture
def policy_pool(open_pool: OpenPool) -> OpenPool:
    """Open a pool with a policy, under a name of its own."""

    def make(**policy: Any) -> CreditPool:
        return open_pool(name=f"pool {CreditPool.objects.count()}", **policy)

    return make


def titles(page: Any) -> list[str]:
    return [line.title if line.kind == "CLAIM" else line.kind for line in page.items]


def test_wallet_says_what_is_available_held_pending_and_ending_soon(
    alice_client: Client, credit: Credit, hold: Callable[..., UUID], policy_pool: OpenPool
) -> None:
    credit("100")
    credit("40", pool=policy_pool(pending_for="7 days"))
    credit("30", pool=policy_pool(valid_for="2 days"))
    hold("50")

    page = alice_client.get(DASHBOARD).content.decode()

    for words in ("Available in INR", "₹80.00", "₹50.00 held for orders", "₹40.00 pending, not yet spendable"):
        assert words in page
    assert "ends soon, the first on" not in page, "the hold drew on what ends soon"


def test_wallet_names_the_day_of_what_ends_soon(alice_client: Client, credit: Credit, policy_pool: OpenPool) -> None:
    credit("30", pool=policy_pool(valid_for="3 days"))

    page = alice_client.get(DASHBOARD).content.decode()

    assert "₹30.00 ends soon, the first on" in page


def test_wallet_of_somebody_who_spent_everything_says_so_and_keeps_the_history(
    alice_client: Client, credit: Credit, spend: Callable[..., Any]
) -> None:
    credit("100")
    spend("100")

    page = alice_client.get(DASHBOARD).content.decode()

    assert "Nothing is left to spend" in page
    assert "−₹100.00" in page


def test_credits_are_listed_by_their_end_with_what_is_left_of_each(
    alice_client: Client, credit: Credit, spend: Callable[..., Any], policy_pool: OpenPool
) -> None:
    credit("10", title="never")
    credit("20", title="late", pool=policy_pool(valid_for="60 days", draw_priority=1))
    credit("30", title="soon", pool=policy_pool(valid_for="3 days", draw_priority=3))
    credit("40", title="pending", pool=policy_pool(pending_for="7 days", valid_for="30 days"))
    spend("15")

    answer = alice_client.get(CREDITS)

    left = [(line.title, line.available) for line in answer.context["page"].items]
    assert left == [("soon", 30), ("pending", 40), ("late", 5), ("never", 10)]
    page = answer.content.decode()
    assert "₹5.00" in page
    assert "left of ₹20.00" in page
    assert "Spendable from" in page


def test_credits_of_another_user_are_not_listed(bob_client: Client, credit: Credit) -> None:
    credit("10", title="alices")

    assert "alices" not in bob_client.get(CREDITS).content.decode()


def test_credits_are_read_a_page_at_a_time(alice_client: Client, alice: User, credit: Credit, unlimited: None) -> None:
    for number in range(25):
        credit("1", title=f"credit {number}")

    first, second = (alice_client.get(CREDITS, {"page": page}).context["page"] for page in ("1", "2"))

    assert [line.title for line in (*first.items, *second.items)] == [f"credit {number}" for number in range(25)]
    assert (first.next, second.next) == (2, None)


@pytest.mark.django_db(transaction=True)
def test_history_has_claims_payments_refunds_and_lapses_newest_first(
    alice_client: Client, shop: Service, credit: Credit, hold: Callable[..., UUID]
) -> None:
    lot = credit("100", title="gift")
    payment = hold("60", reference="order 7")
    capture_payment(payment, shop, amount=Decimal(40))
    refund_payment(payment, reference="back", reason="return", amount=Decimal(10), service=shop)
    release_payment(hold("5"), service=shop)
    end_credit(lot)
    lapse_ended_credits()

    answer = alice_client.get(HISTORY)

    shown = titles(answer.context["page"])
    assert sorted(shown) == sorted(["gift", "HOLD", "CAPTURE", "RELEASE", "REFUND", "HOLD", "RELEASE", "LAPSE"])
    times = [line.at for line in answer.context["page"].items]
    assert times == sorted(times, reverse=True)
    page = answer.content.decode()
    for words in ("+₹100.00", "Held for an order", "−₹40.00", "+₹10.00", "order 7", "Ended unused", "−₹70.00"):
        assert words in page


def test_history_tells_what_an_operator_changed(alice_client: Client, ada: User, credit: Credit, policy_pool: OpenPool) -> None:
    lot = credit("100", pool=policy_pool(valid_for="9 days"))
    extend_lot(lot.pk, until=timezone.now() + timedelta(days=30), reason="goodwill", actor=ada)
    clawback_credit(lot.pk, amount=Decimal(25), reason="mistake", actor=ada)

    page = alice_client.get(HISTORY, {"show": "changes"})

    assert titles(page.context["page"]) == ["CLAWBACK", "EXTEND"]
    assert "Taken back by the issuer" in page.content.decode()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"show": "claims"}, ["green tea"]),
        ({"show": "payments"}, ["SPEND"]),
        ({"show": "refunds"}, ["REFUND"]),
        ({"show": "changes"}, []),
        ({"q": "TEA"}, ["green tea"]),
        ({"q": "order-9"}, ["REFUND", "SPEND"]),
        ({"q": "shop"}, ["REFUND", "SPEND"]),
        ({"since": "2999-01-01"}, []),
        ({"until": "2000-01-01"}, []),
        ({"show": "everything"}, []),
    ],
)
def test_history_is_filtered_by_part_text_and_days(
    *,
    alice_client: Client,
    shop: Service,
    credit: Credit,
    spend: Callable[..., Any],
    asked: dict[str, str],
    shown: list[str],
) -> None:
    credit("100", title="green tea")
    payment = spend("50", reference="order-9").body["id"]
    refund_payment(payment, reference="back", reason="return", amount=Decimal(10), service=shop)

    assert titles(alice_client.get(HISTORY, asked).context["page"]) == shown


def test_history_of_payments_is_ones_own(bob_client: Client, credit: Credit, spend: Callable[..., Any]) -> None:
    credit("100")
    spend("50", reference="alices order")

    assert "alices order" not in bob_client.get(HISTORY).content.decode()


def test_history_page_takes_one_query_however_mixed(
    alice_client: Client, credit: Credit, spend: Callable[..., Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        credit("100", title=f"credit {number}")
        spend("30")

    with django_assert_num_queries(2 + 1):  # session, user; the history
        page = alice_client.get(HISTORY).context["page"]

    assert len(page.items) == 8


def test_chart_goes_down_with_what_was_spent(alice: User, credit: Credit, spend: Callable[..., Any]) -> None:
    credit("100")
    spend("40")

    (balance,) = balance_charts(alice)

    assert (balance.total, balance.opening) == (60, 0)
    assert [(day.change, day.balance) for day in balance.days] == [(60, 60)]


def test_chart_reads_a_bounded_number_of_changes_and_begins_where_they_do(
    alice: User, credit: Credit, spend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    credit("100")
    for _ in range(4):
        spend("10")
    monkeypatch.setattr(balance_changes, "MOST_CHANGES", 2)

    (balance,) = balance_charts(alice)

    assert (balance.total, balance.opening, balance.start) == (60, 80, timezone.localdate())
    assert Movement.objects.count() == 4


def test_receipt_of_a_claim_says_what_is_left_of_it(
    alice_client: Client, credit: Credit, spend: Callable[..., Any], hold: Callable[..., UUID]
) -> None:
    lot = credit("100")
    spend("30")
    hold("20")

    page = alice_client.get(reverse("receipt", args=[lot.pk])).content.decode()

    for words in ("Left to spend", "₹50.00", "₹20.00 held", "₹30.00 spent"):
        assert words in page


def test_balance_after_a_claim_is_what_is_left_of_all_credits(
    alice_client: Client, credit: Credit, spend: Callable[..., Any], issue: Callable[..., Any]
) -> None:
    credit("100")
    spend("70")

    answer = alice_client.post(reverse("claim_asset", args=[issue(total_value=Decimal(5)).pk]), follow=True)

    assert "Your balance is now ₹35.00." in answer.content.decode()
