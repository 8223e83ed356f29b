"""The load of payments that faults are injected into."""

import time

import pytest

from dev.chaos.payment_load import PaymentLoad, create_wallets, judge_payments

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60.0


def test_payments_go_on_when_the_wallets_are_empty() -> None:
    with PaymentLoad(create_wallets(wallets=1, lots=3), seed=7) as load:
        deadline = time.monotonic() + SECONDS
        while not paid_after_a_refusal(load):
            assert time.monotonic() < deadline, "nothing is paid any more"
            time.sleep(0.1)

    assert judge_payments(load.log) == []


def paid_after_a_refusal(load: PaymentLoad) -> bool:
    """Return whether an order was paid after the hundredth that was refused for too little credit."""
    refused = [attempt.ended for attempt in load.log if attempt.code in ("insufficient_credit", "credit_held")]
    paid = [attempt.ended for attempt in load.log if attempt.step in ("spend", "hold") and attempt.outcome == "ok"]
    return len(refused) >= 100 and paid[-1] > refused[99]
