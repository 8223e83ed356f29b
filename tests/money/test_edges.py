"""Rulings on edges: each is the answer to a public report of the field, and one test."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import end_credit, end_hold, figures, kinds, money, soon
from wallet.actions import edit_pool
from wallet.actions.capture_payment import capture_payment
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.extend_lot import extend_lot
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import (
    AlreadyCaptured,
    AlreadyReleased,
    CreditHeld,
    ExceedsHeld,
    ExceedsRefundable,
    HoldExpired,
    InsufficientCredit,
    NotLater,
    PaymentNotFound,
    ReferenceUsed,
)
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, Movement, Payment, Posting

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]
OpenPool = Callable[..., CreditPool]


def identity(answer: Answer) -> UUID:
    return UUID(answer.body["id"])


def back(payment: UUID, shop: Service, amount: str | None = None, reference: str = "return-1") -> Answer:
    """Refund that much, or all."""
    value = None if amount is None else Decimal(amount)
    return refund_payment(payment, service=shop, amount=value, reference=reference, reason="returned")


def test_all_or_nothing_unless_up_to(credit: Credit, spend: Spend) -> None:
    lot = credit("100")
    with pytest.raises(InsufficientCredit):
        spend("150")

    answer = spend("150", up_to=True)

    assert answer.body["amount"] == "100.00"
    assert figures(lot) == {"spent": Decimal(100)}


def test_up_to_pays_at_least_one_unit(credit: Credit, spend: Spend) -> None:
    with pytest.raises(InsufficientCredit):
        spend("150", up_to=True)


@pytest.mark.parametrize(("amount", "currency"), [("0.01", "INR"), ("33.33", "INR"), ("1", "JPY"), ("0.001", "KWD")])
def test_any_amount_in_the_currencys_scale_is_never_rounded(credit: Credit, spend: Spend, amount: str, currency: str) -> None:
    lot = credit("100", currency=currency)

    answer = spend(amount, currency=currency)

    assert answer.body["amount"] == amount
    assert figures(lot) == {"available": 100 - Decimal(amount), "spent": Decimal(amount)}


def test_of_two_tabs_the_second_is_told_what_is_left(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("70", reference="first")
    with pytest.raises(InsufficientCredit, match=r"30\.00 INR"):
        spend("70", reference="second")


def test_a_lost_answer_with_the_same_key_is_the_first_answer_even_if_a_credit_has_ended_since(
    credit: Credit, spend: Spend
) -> None:
    lot = credit("100")
    first = spend("40", reference="order-1", capture=False, key="a-key-of-16-chars")
    end_credit(lot)

    again = spend("40", reference="order-1", capture=False, key="a-key-of-16-chars")

    assert again == Answer(first.body, 201, replayed=True)


def test_a_first_answer_is_the_same_after_the_payment_went_on(credit: Credit, spend: Spend, shop: Service) -> None:
    credit("100")
    first = spend("40", reference="order-1", capture=False, key="a-key-of-16-chars")
    captured = capture_payment(identity(first), shop, amount=Decimal(10), final=True, key="another-key-of-16")
    back(identity(first), shop)

    assert spend("40", reference="order-1", capture=False, key="a-key-of-16-chars").body == first.body
    again = capture_payment(identity(first), shop, amount=Decimal(10), final=True, key="another-key-of-16")
    assert again == Answer(captured.body, 201, replayed=True)


def test_after_a_lost_answer_a_new_key_finds_the_payment_by_its_reference(credit: Credit, spend: Spend) -> None:
    credit("100")
    first = spend("40", reference="order-1", key="a-key-of-16-chars")

    again = spend("40", reference="order-1", key="another-key-of-16")

    assert again == Answer(first.body, 200)
    assert kinds() == ["SPEND"]


def test_a_refused_try_burns_neither_key_nor_reference(credit: Credit, spend: Spend) -> None:
    order = {"reference": "order-1", "key": "a-key-of-16-chars"}
    with pytest.raises(InsufficientCredit):
        spend("40", **order)
    credit("100")

    assert spend("40", **order).status_code == 201


def test_an_order_that_grows_takes_a_second_reference_because_a_hold_is_never_raised(
    credit: Credit, spend: Spend, shop: Service
) -> None:
    credit("100")
    first = spend("40", capture=False, reference="order-1")
    with pytest.raises(ReferenceUsed):
        spend("50", capture=False, reference="order-1")
    with pytest.raises(ExceedsHeld):
        capture_payment(identity(first), shop, amount=Decimal(50))

    assert spend("10", capture=False, reference="order-1-more").status_code == 201


def test_a_hold_always_ends_after_thirty_minutes_unless_told_otherwise(credit: Credit, hold: Hold) -> None:
    credit("100")
    payment = Payment.objects.get(pk=hold("40"))

    assert payment.held_until is not None
    assert round((payment.held_until - payment.began_at).total_seconds()) == 30 * 60


def test_a_capture_one_second_late_is_refused(credit: Credit, hold: Hold, shop: Service) -> None:
    credit("100")
    payment = hold("40")
    end_hold(payment, ago=timedelta(seconds=1))
    before = money()
    with pytest.raises(HoldExpired):
        capture_payment(payment, shop)
    assert money() == before


def test_the_credit_that_ends_while_held_is_protected_by_the_hold(credit: Credit, hold: Hold, shop: Service) -> None:
    lot = credit("100")
    payment = hold("100")
    end_credit(lot)

    answer = capture_payment(payment, shop)

    assert answer.body["state"] == "CAPTURED"
    assert figures(lot) == {"spent": Decimal(100)}


def test_the_credit_that_ended_while_held_lapses_at_once_when_it_is_released(credit: Credit, hold: Hold, shop: Service) -> None:
    lot = credit("100")
    payment = hold("100")
    end_credit(lot)

    release_payment(payment, service=shop)

    assert figures(lot) == {"lapsed": Decimal(100)}
    assert kinds() == ["HOLD", "RELEASE", "LAPSE"]
    assert Posting.objects.filter(spendable_until__isnull=False).count() == 0


def test_the_rest_of_a_capture_goes_back_to_its_original_lots(credit: Credit, hold: Hold, shop: Service) -> None:
    first, second, third = credit("10"), credit("10"), credit("10")
    payment = hold("30")

    answer = capture_payment(payment, shop, amount=Decimal(15))

    assert figures(first) == {"spent": Decimal(10)}
    assert figures(second) == {"spent": Decimal(5), "available": Decimal(5)}
    assert figures(third) == {"available": Decimal(10)}
    assert (answer.body["captured"], answer.body["released"], answer.body["state"]) == ("15.00", "15.00", "CAPTURED")


def test_first_drawn_first_captured(credit: Credit, hold: Hold, shop: Service) -> None:
    first, second = credit("10"), credit("10")
    payment = hold("20")

    capture_payment(payment, shop, amount=Decimal(12), final=False)

    assert figures(first) == {"spent": Decimal(10)}
    assert figures(second) == {"spent": Decimal(2), "held": Decimal(8)}


def test_refunds_go_to_the_lot_drawn_last_first(credit: Credit, spend: Spend, shop: Service) -> None:
    first, second = credit("10"), credit("10")
    payment = identity(spend("20"))

    back(payment, shop, "12")

    assert figures(second) == {"available": Decimal(10)}
    assert figures(first) == {"available": Decimal(2), "spent": Decimal(8)}


def test_release_twice_or_three_cancel_events_give_nothing_more(credit: Credit, hold: Hold, shop: Service) -> None:
    lot = credit("100")
    payment = hold("60")
    answers = [release_payment(payment, service=shop) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert answers[0].body == answers[1].body == answers[2].body
    assert figures(lot) == {"available": Decimal(100)}
    assert kinds() == ["HOLD", "RELEASE"]


def test_refunds_in_parts_are_together_at_most_what_was_captured(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    payment = identity(spend("60"))
    back(payment, shop, "50", "return-1")
    with pytest.raises(ExceedsRefundable):
        back(payment, shop, "10.01", "return-2")
    last = back(payment, shop, "10", "return-2")

    assert last.body["state"] == "REFUNDED"
    assert figures(lot) == {"available": Decimal(100)}
    with pytest.raises(ExceedsRefundable):
        back(payment, shop, None, "return-3")


def test_a_refunds_reference_is_unique_at_its_service(credit: Credit, spend: Spend, shop: Service, other_shop: Service) -> None:
    credit("100")
    payment, other, elsewhere = identity(spend("10")), identity(spend("10")), identity(spend("10", service=other_shop))
    first = back(payment, shop, "5", "return-1")

    again = back(payment, shop, "5", "return-1")

    assert again == Answer(first.body, 200)
    with pytest.raises(ReferenceUsed):
        back(other, shop, "5", "return-1")
    assert back(elsewhere, other_shop, "5", "return-1").status_code == 201


def test_a_refund_to_a_closed_account_goes_to_the_lot(credit: Credit, spend: Spend, shop: Service, alice: User) -> None:
    lot = credit("100")
    payment = identity(spend("60"))
    User.objects.filter(pk=alice.pk).update(is_active=False)

    back(payment, shop)

    assert figures(lot) == {"available": Decimal(100)}


def test_a_refund_to_a_clawed_back_credit_is_taken_at_once(credit: Credit, spend: Spend, shop: Service, ada: User) -> None:
    lot = credit("100")
    payment = identity(spend("60"))
    taken = clawback_credit(lot.pk, actor=ada, reason="fraud")
    assert (taken.body["amount"], taken.body["shortfall"]) == ("40.00", "60.00")

    back(payment, shop, "50")

    assert figures(lot) == {"spent": Decimal(10), "clawed_back": Decimal(90)}
    assert lot.clawback_due == Decimal(10)


def test_a_clawback_while_part_is_held_takes_the_rest_when_the_hold_ends(
    credit: Credit, hold: Hold, shop: Service, ada: User
) -> None:
    lot = credit("100")
    payment = hold("30")
    clawback_credit(lot.pk, actor=ada, reason="fraud")
    assert figures(lot) == {"held": Decimal(30), "clawed_back": Decimal(70)}

    release_payment(payment, service=shop)

    assert figures(lot) == {"clawed_back": Decimal(100)}
    assert lot.clawback_due == 0


def test_policies_changed_later_count_for_claims_from_then_on(
    credit: Credit, open_pool: OpenPool, ada: User, shop: Service
) -> None:
    pool = open_pool(valid_for="10 days", draw_priority=1)
    before = credit("10", pool=pool)
    edit_pool.update_pool(
        pool.pk, ada, valid_for=None, draw_priority=3, refund_grace_days=0, clawback_reach="WALLET", service=shop
    )
    after = credit("10", pool=pool)

    before.refresh_from_db()
    assert (before.spendable_until is None, before.draw_priority, before.refund_grace_days) == (False, 1, 14)
    assert (before.clawback_reach, before.service_id) == ("CREDIT", None)
    assert (after.spendable_until, after.draw_priority, after.refund_grace_days) == (None, 3, 0)
    assert (after.clawback_reach, after.service_id) == ("WALLET", shop.pk)


def test_a_credit_is_never_shortened(credit: Credit, open_pool: OpenPool, ada: User) -> None:
    lot = credit("10", pool=open_pool(valid_for="10 days"))
    assert lot.spendable_until is not None
    for until in (lot.spendable_until, lot.spendable_until - timedelta(days=1)):
        with pytest.raises(NotLater):
            extend_lot(lot.pk, until=until, reason="mistake", actor=ada)

    extend_lot(lot.pk, until=lot.spendable_until + timedelta(days=1), reason="goodwill", actor=ada)

    ended = lot.spendable_until
    lot.refresh_from_db()
    assert lot.spendable_until == ended + timedelta(days=1)
    assert kinds() == ["EXTEND"]


def test_only_lots_of_the_payments_currency_are_drawn(credit: Credit, spend: Spend) -> None:
    rupees, yen = credit("100"), credit("100", currency="JPY")
    with pytest.raises(InsufficientCredit):
        spend("150")
    spend("60", currency="JPY")

    assert figures(rupees) == {"available": Decimal(100)}
    assert figures(yen) == {"available": Decimal(40), "spent": Decimal(60)}


def test_the_order_total_is_recorded(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("60", order_total=Decimal("499.99"))

    assert Movement.objects.get().order_total == Decimal("499.99")


def test_operators_release_and_refund_when_a_services_key_is_revoked(
    credit: Credit, hold: Hold, spend: Spend, shop: Service, ada: User
) -> None:
    lot = credit("100")
    held, spent = hold("60"), identity(spend("40"))
    Service.objects.filter(pk=shop.pk).update(is_active=False)

    release_payment(held, actor=ada)
    refund_payment(spent, actor=ada, reference="by-hand", reason="shop closed")

    assert figures(lot) == {"available": Decimal(100)}


def test_the_clock_of_a_web_server_is_irrelevant(
    credit: Credit, hold: Hold, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    credit("100")
    payment = hold("60")
    monkeypatch.setattr(timezone, "now", lambda: soon(days=365))

    assert capture_payment(payment, shop).body["state"] == "CAPTURED"


def test_a_lapse_is_its_own_line_of_history(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    payment = identity(spend("60"))
    ended = end_credit(lot)

    back(payment, shop)

    lapse = Movement.objects.get(kind="LAPSE")
    assert (lapse.claim_id, lapse.amount, lapse.at > ended) == (lot.pk, Decimal(100), True)


# --- The table of steps and refusals --------------------------------------------------------------------------------------


def test_an_owner_releases_while_nothing_is_captured(credit: Credit, hold: Hold, shop: Service, alice: User, bob: User) -> None:
    credit("100")
    first, second = hold("40"), hold("40")
    with pytest.raises(PaymentNotFound):
        release_payment(first, actor=bob)
    assert release_payment(first, actor=alice).body["state"] == "RELEASED"
    capture_payment(second, shop, amount=Decimal(10), final=False)
    with pytest.raises(AlreadyCaptured):
        release_payment(second, actor=alice)


def test_anothers_payment_is_not_found(credit: Credit, hold: Hold, other_shop: Service) -> None:
    credit("100")
    payment = hold("40")
    calls: list[Callable[[], Answer]] = [
        lambda: capture_payment(payment, other_shop),
        lambda: release_payment(payment, service=other_shop),
        lambda: back(payment, other_shop),
    ]
    for call in calls:
        with pytest.raises(PaymentNotFound):
            call()


def test_a_capture_in_parts_stays_within_what_is_held(credit: Credit, hold: Hold, shop: Service) -> None:
    credit("100")
    payment = hold("40")
    part = capture_payment(payment, shop, amount=Decimal(10), final=False)
    assert (part.body["state"], part.body["held"]) == ("PARTLY_CAPTURED", "30.00")
    with pytest.raises(ExceedsHeld):
        capture_payment(payment, shop, amount=Decimal("30.01"))

    rest = capture_payment(payment, shop)

    assert (rest.body["state"], rest.body["captured"]) == ("CAPTURED", "40.00")
    with pytest.raises(AlreadyCaptured):
        capture_payment(payment, shop)
    with pytest.raises(AlreadyCaptured):
        release_payment(payment, service=shop)


def test_a_partly_captured_payment_is_released_to_captured(credit: Credit, hold: Hold, shop: Service) -> None:
    lot = credit("100")
    payment = hold("40")
    capture_payment(payment, shop, amount=Decimal(10), final=False)

    answer = release_payment(payment, service=shop)

    assert (answer.body["state"], answer.body["released"]) == ("CAPTURED", "30.00")
    assert figures(lot) == {"available": Decimal(90), "spent": Decimal(10)}


def test_a_released_payment_is_not_captured_and_its_reference_is_free(credit: Credit, spend: Spend, shop: Service) -> None:
    credit("100")
    payment = identity(spend("40", capture=False, reference="order-1"))
    release_payment(payment, service=shop)
    with pytest.raises(AlreadyReleased):
        capture_payment(payment, shop)
    with pytest.raises(ExceedsRefundable):
        back(payment, shop)

    assert identity(spend("40", capture=False, reference="order-1")) != payment


def test_a_hold_over_but_unswept_is_expired_for_everybody(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    payment = identity(spend("40", capture=False, reference="order-1"))
    ended = end_hold(payment)
    with pytest.raises(HoldExpired):
        capture_payment(payment, shop)
    with pytest.raises(ExceedsRefundable):
        back(payment, shop)

    again = spend("100", capture=False, reference="order-1")  # what it held is available, and its reference is free

    assert again.status_code == 201
    assert Movement.objects.get(kind="RELEASE").at == ended
    assert figures(lot) == {"held": Decimal(100)}
    answer = release_payment(payment, service=shop)
    assert (answer.status_code, answer.body["state"]) == (200, "EXPIRED")


def test_a_held_credit_is_named_before_a_payment_is_called_short(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("60", capture=False, reference="tab-1")
    with pytest.raises(CreditHeld):
        spend("100")
    with pytest.raises(InsufficientCredit):
        spend("100.01")


# --- Refunds of ended credits -----------------------------------------------------------------------------------------------


def test_a_refund_to_a_credit_used_up_before_its_end_lives_again_for_the_grace(
    credit: Credit, spend: Spend, shop: Service
) -> None:
    lot = credit("100")
    payment = identity(spend("100"))
    end_credit(lot)

    back(payment, shop, "60")

    refund = Movement.objects.get(kind="REFUND")
    assert figures(lot) == {"available": Decimal(60), "spent": Decimal(40)}
    assert lot.spendable_until == refund.at + timedelta(days=14)
    spend("60")


def test_a_credit_is_renewed_once(credit: Credit, spend: Spend, shop: Service) -> None:
    lot = credit("100")
    payment = identity(spend("100"))
    end_credit(lot)
    back(payment, shop, "60", "return-1")
    spend("60")
    end_credit(lot)

    back(payment, shop, "40", "return-2")

    assert figures(lot) == {"spent": Decimal(60), "lapsed": Decimal(40)}


def test_without_grace_a_refund_to_an_ended_credit_lapses_at_once(
    credit: Credit, spend: Spend, shop: Service, open_pool: OpenPool
) -> None:
    lot = credit("100", pool=open_pool(refund_grace_days=0))
    payment = identity(spend("100"))
    end_credit(lot)

    back(payment, shop)

    assert figures(lot) == {"lapsed": Decimal(100)}
